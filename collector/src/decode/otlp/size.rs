//! What a request takes in memory, told before it is read. Two bytes of protobuf, or three of JSON, make an empty span, and a
//! span in memory is hundreds: without this, a small body would fill the memory.

use bytes::Buf;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// A message that is none of the large ones, or an entry of a list of texts.
const SMALL: usize = 64;
/// Deeper messages are refused by the decoder as well.
const DEPTH_MAX: u32 = 100;

/// The messages of a request (`opentelemetry/proto/trace/v1/trace.proto` and what it imports).
#[derive(Clone, Copy)]
enum Message {
    Request,
    ResourceSpans,
    /// A resource, a scope, an event or a link: each has attributes, under different numbers.
    Attributed(u32),
    ScopeSpans,
    Span,
    /// What a resource refers to: lists of texts.
    EntityRef,
    KeyValue,
    /// A value within a pair, which is part of it.
    Value,
    /// A value within a list.
    Element,
    Array,
    Pairs,
    Other,
}

impl Message {
    fn size(self) -> usize {
        match self {
            Self::Span => size_of::<Span>(),
            Self::KeyValue => size_of::<KeyValue>(),
            Self::Element => size_of::<AnyValue>(),
            Self::Value => 0,
            _ => 2 * SMALL,
        }
    }

    fn field(self, number: u32) -> Self {
        match (self, number) {
            (Self::Request, 1) => Self::ResourceSpans,
            (Self::ResourceSpans, 1) => Self::Attributed(1),
            (Self::ResourceSpans, 2) => Self::ScopeSpans,
            (Self::ScopeSpans, 2) => Self::Span,
            (Self::ScopeSpans, 1) | (Self::Span, 11) => Self::Attributed(3),
            (Self::Span, 13) => Self::Attributed(4),
            (Self::Span, 9) | (Self::Pairs, 1) => Self::KeyValue,
            (Self::Attributed(1), 3) => Self::EntityRef,
            (Self::Attributed(attributes), number) if attributes == number => Self::KeyValue,
            (Self::KeyValue, 2) => Self::Value,
            (Self::Value | Self::Element, 5) => Self::Array,
            (Self::Value | Self::Element, 6) => Self::Pairs,
            (Self::Array, 1) => Self::Element,
            _ => Self::Other,
        }
    }
}

/// Bytes of a request in protobuf when it is read.
pub(super) fn of_protobuf(bytes: &[u8]) -> Result<usize, DecodeError> {
    Ok(bytes.len() + of_message(Message::Request, bytes, DEPTH_MAX)?)
}

fn of_message(message: Message, mut bytes: &[u8], depth: u32) -> Result<usize, DecodeError> {
    let mut size = 0_usize;
    while bytes.has_remaining() {
        let (number, wire_type) = decode_key(&mut bytes)?;
        if wire_type != WireType::LengthDelimited {
            skip_field(wire_type, number, &mut bytes, DecodeContext::default())?;
            continue;
        }
        let length = usize::try_from(decode_varint(&mut bytes)?).unwrap_or(usize::MAX);
        let Some((inner, rest)) = bytes.split_at_checked(length) else {
            // The decoder says so in its own words.
            return Ok(size);
        };
        bytes = rest;
        let field = message.field(number);
        size = size.saturating_add(field.size());
        if !matches!(field, Message::Other) && depth > 0 {
            size = size.saturating_add(of_message(field, inner, depth - 1)?);
        }
    }
    Ok(size)
}

/// How deep the braces of a span are: request, resource, scope, span.
const SPAN_DEPTH: usize = 4;

/// Bytes of a request in JSON when it is read, by its braces alone. An attribute counts twice, because it is written as two
/// objects.
pub(super) fn of_json(bytes: &[u8]) -> usize {
    let (mut size, mut depth, mut quoted, mut escaped) = (bytes.len(), 0_usize, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' if !quoted => {
                depth += 1;
                let one = if depth <= SPAN_DEPTH { size_of::<Span>() } else { size_of::<KeyValue>() };
                size = size.saturating_add(one);
            }
            b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_messages_count_as_what_they_become() {
        // 1,000 spans without anything, in a scope, in a resource.
        let spans = [0x12, 0].repeat(1_000);
        let scope = [&[0x12, 0xd0, 0x0f][..], &spans].concat();
        let resource = [&[0x0a, 0xd3, 0x0f][..], &scope].concat();
        assert!(of_protobuf(&resource).unwrap() > 1_000 * size_of::<Span>());
        let json = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}]}}]}}]}}"#, ["{}"; 1_000].join(","));
        // 1,000 empty texts in a reference of a resource.
        let reference = [&[0x1a, 0xd0, 0x0f][..], &[0x1a, 0].repeat(1_000)].concat();
        let resource = [&[0x0a, 0xd6, 0x0f, 0x0a, 0xd3, 0x0f][..], &reference].concat();
        assert!(of_protobuf(&resource).unwrap() > 1_000 * size_of::<String>());
        assert!(of_json(json.as_bytes()) > 1_000 * size_of::<Span>());
        let quoted = format!(r#"{{"resourceSpans":[],"x":"{}\"{{"}}"#, "{".repeat(1_000));
        assert!(of_json(quoted.as_bytes()) < 2_500, "what is quoted is text");
    }

    #[test]
    fn what_is_cut_or_nested_without_end_is_left_to_the_decoder() {
        assert_eq!(of_protobuf(&[0x0a, 0x7f]).unwrap(), 2);
        assert!(of_protobuf(&[0xff; 20]).is_err());
        let nested = (0..60_000).fold(Vec::new(), |inner: Vec<u8>, _| {
            if inner.len() > 200 {
                inner
            } else {
                [&[0x0a, u8::try_from(inner.len()).unwrap_or(0)][..], &inner].concat()
            }
        });
        assert!(of_protobuf(&nested).is_ok());
    }
}
