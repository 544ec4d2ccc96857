//! OTLP's JSON, as far as it is read: ids in hexadecimal digits, 64-bit integers as numbers or texts, `null` for what is not
//! said, and names that are not known passed over (<https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>).
//!
//! Written here because the reader of `opentelemetry-proto` refuses an empty list and a score of NaN, each with the whole
//! request, and first gathers every value with whatever else stands in its object, which a small body can make a hundred times
//! its size.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use serde::de::{Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Reads a request.
pub(super) fn read(bytes: &[u8]) -> serde_json::Result<ExportTraceServiceRequest> {
    let Request { resource_spans } = serde_json::from_slice(bytes)?;
    Ok(ExportTraceServiceRequest { resource_spans: resource_spans.into_iter().map(Into::into).collect() })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    #[serde(default, deserialize_with = "or_default")]
    resource_spans: Vec<OfResource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfResource {
    #[serde(default, deserialize_with = "or_default")]
    resource: Attributed,
    #[serde(default, deserialize_with = "or_default")]
    scope_spans: Vec<OfScope>,
}

#[derive(Default, Deserialize)]
struct Attributed {
    #[serde(default, deserialize_with = "or_default")]
    attributes: Vec<Attribute>,
}

#[derive(Deserialize)]
struct OfScope {
    #[serde(default, deserialize_with = "or_default")]
    spans: Vec<OneSpan>,
}

/// A span is made as soon as it is read, so that its parts are not held twice.
#[derive(Deserialize)]
#[serde(from = "WrittenSpan")]
struct OneSpan(Span);

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WrittenSpan {
    #[serde(deserialize_with = "or_default")]
    trace_id: Hex,
    #[serde(deserialize_with = "or_default")]
    span_id: Hex,
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    start_time_unix_nano: Number<u64>,
    #[serde(deserialize_with = "or_default")]
    end_time_unix_nano: Number<u64>,
    #[serde(deserialize_with = "or_default")]
    attributes: Vec<Attribute>,
    #[serde(deserialize_with = "or_default")]
    dropped_attributes_count: Number<u32>,
    #[serde(deserialize_with = "or_default")]
    status: WrittenStatus,
}

#[derive(Default, Deserialize)]
struct WrittenStatus {
    #[serde(default, deserialize_with = "or_default")]
    code: i32,
}

#[derive(Deserialize)]
#[serde(from = "WrittenAttribute")]
struct Attribute(KeyValue);

#[derive(Deserialize)]
struct WrittenAttribute {
    #[serde(default, deserialize_with = "or_default")]
    key: String,
    value: Option<Any>,
}

#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
struct List<T> {
    #[serde(default = "Vec::new", deserialize_with = "or_default")]
    values: Vec<T>,
}

impl From<OfResource> for ResourceSpans {
    fn from(OfResource { resource, scope_spans }: OfResource) -> Self {
        let resource = Resource { attributes: pairs(resource.attributes), ..Resource::default() };
        let scope = |OfScope { spans }| ScopeSpans {
            spans: spans.into_iter().map(|OneSpan(span)| span).collect(),
            ..ScopeSpans::default()
        };
        let scope_spans = scope_spans.into_iter().map(scope).collect();
        Self { resource: Some(resource), scope_spans, ..Self::default() }
    }
}

impl From<WrittenSpan> for OneSpan {
    fn from(written: WrittenSpan) -> Self {
        Self(Span {
            trace_id: written.trace_id.0,
            span_id: written.span_id.0,
            name: written.name,
            start_time_unix_nano: written.start_time_unix_nano.0,
            end_time_unix_nano: written.end_time_unix_nano.0,
            attributes: pairs(written.attributes),
            dropped_attributes_count: written.dropped_attributes_count.0,
            status: (written.status.code != 0).then(|| Status { code: written.status.code, ..Status::default() }),
            ..Span::default()
        })
    }
}

impl From<WrittenAttribute> for Attribute {
    fn from(WrittenAttribute { key, value }: WrittenAttribute) -> Self {
        Self(KeyValue { key, value: value.map(|Any(value)| value), ..KeyValue::default() })
    }
}

fn pairs(attributes: Vec<Attribute>) -> Vec<KeyValue> {
    attributes.into_iter().map(|Attribute(pair)| pair).collect()
}

/// `null` is what is not said.
fn or_default<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(json: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(json)?.unwrap_or_default())
}

struct Any(AnyValue);

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct OneOf;

        impl<'de> Visitor<'de> for OneOf {
            type Value = Any;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "an object with one of stringValue, boolValue, intValue, doubleValue, arrayValue, kvlistValue",
                )
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Any, A::Error> {
                let mut value = None;
                while let Some(kind) = map.next_key::<Kind>()? {
                    let said = match kind {
                        Kind::StringValue => map.next_value::<Option<_>>()?.map(Value::StringValue),
                        Kind::BoolValue => map.next_value::<Option<_>>()?.map(Value::BoolValue),
                        Kind::IntValue => map.next_value::<Option<Number<_>>>()?.map(|n| Value::IntValue(n.0)),
                        Kind::DoubleValue => map.next_value::<Option<Number<_>>>()?.map(|n| Value::DoubleValue(n.0)),
                        Kind::ArrayValue => map.next_value::<Option<List<Any>>>()?.map(|list| {
                            let values = list.values.into_iter().map(|Any(value)| value).collect();
                            Value::ArrayValue(ArrayValue { values })
                        }),
                        Kind::KvlistValue => map
                            .next_value::<Option<List<Attribute>>>()?
                            .map(|list| Value::KvlistValue(KeyValueList { values: pairs(list.values) })),
                        Kind::Other => {
                            map.next_value::<IgnoredAny>()?;
                            None
                        }
                    };
                    value = said.or(value);
                }
                Ok(Any(AnyValue { value }))
            }
        }

        json.deserialize_map(OneOf)
    }
}

/// Bytes are not read by anything here, so they are among the others.
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Kind {
    StringValue,
    BoolValue,
    IntValue,
    DoubleValue,
    ArrayValue,
    KvlistValue,
    #[serde(other)]
    Other,
}

/// A number, or a text that is one: `"12"`, `"NaN"`, `"-Infinity"`.
#[derive(Default)]
struct Number<T>(T);

/// The numbers that occur, from what JSON has.
trait Numeric: FromStr + Sized {
    fn of_u64(number: u64) -> Option<Self>;
    fn of_i64(number: i64) -> Option<Self>;
    fn of_f64(number: f64) -> Option<Self>;
}

macro_rules! integer {
    ($($type:ty),*) => { $(
        impl Numeric for $type {
            fn of_u64(number: u64) -> Option<Self> {
                number.try_into().ok()
            }
            fn of_i64(number: i64) -> Option<Self> {
                number.try_into().ok()
            }
            fn of_f64(_: f64) -> Option<Self> {
                None
            }
        }
    )* };
}

integer!(i64, u64, u32);

#[expect(clippy::cast_precision_loss, reason = "as every reader of JSON takes a whole number for a float")]
impl Numeric for f64 {
    fn of_u64(number: u64) -> Option<Self> {
        Some(number as Self)
    }
    fn of_i64(number: i64) -> Option<Self> {
        Some(number as Self)
    }
    fn of_f64(number: f64) -> Option<Self> {
        Some(number)
    }
}

impl<'de, T: Numeric> Deserialize<'de> for Number<T> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Numbers<T>(PhantomData<T>);

        impl<T: Numeric> Visitor<'_> for Numbers<T> {
            type Value = Number<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number that fits, or a text that is one")
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Number<T>, E> {
                T::of_u64(number).map(Number).ok_or_else(|| E::custom(format!("{number} is out of range")))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Number<T>, E> {
                T::of_i64(number).map(Number).ok_or_else(|| E::custom(format!("{number} is out of range")))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Number<T>, E> {
                T::of_f64(number).map(Number).ok_or_else(|| E::custom(format!("{number} is no whole number")))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Number<T>, E> {
                text.parse().map(Number).map_err(|_| E::custom("a text in place of a number is none"))
            }
        }

        json.deserialize_any(Numbers(PhantomData))
    }
}

/// Bytes in hexadecimal digits.
#[derive(Default)]
struct Hex(Vec<u8>);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        let text = String::deserialize(json)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        });
        let bytes: Option<Vec<u8>> = pairs.collect();
        bytes.map(Self).ok_or_else(|| D::Error::custom("an id is written in pairs of hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of the only attribute of a request.
    #[track_caller]
    fn check(written: &str, expected: Option<&Value>) {
        let json = format!(
            r#"{{"resourceSpans":[{{"resource":null,"scopeSpans":[{{"spans":[{{"attributes":[{{"key":"a","value":{written}}}]}}]}}]}}]}}"#
        );
        let request = read(json.as_bytes()).unwrap();
        let attribute = &request.resource_spans[0].scope_spans[0].spans[0].attributes[0];
        assert_eq!(attribute.value.as_ref().and_then(|any| any.value.as_ref()), expected, "{written}");
    }

    #[test]
    fn values_are_read_in_every_form_in_which_they_are_written() {
        check(r#"{"stringValue":"x"}"#, Some(&Value::StringValue("x".to_owned())));
        check(r#"{"intValue":"-12"}"#, Some(&Value::IntValue(-12)));
        check(r#"{"intValue":12}"#, Some(&Value::IntValue(12)));
        check(r#"{"doubleValue":1}"#, Some(&Value::DoubleValue(1.0)));
        check(r#"{"doubleValue":"-Infinity"}"#, Some(&Value::DoubleValue(f64::NEG_INFINITY)));
        check(r#"{"boolValue":false}"#, Some(&Value::BoolValue(false)));
        check(r#"{"arrayValue":{}}"#, Some(&Value::ArrayValue(ArrayValue::default())));
        check(r#"{"arrayValue":{"values":null}}"#, Some(&Value::ArrayValue(ArrayValue::default())));
        check(r#"{"kvlistValue":{}}"#, Some(&Value::KvlistValue(KeyValueList::default())));
        check(r#"{"unheardOf":[[1],{"x":2}],"stringValue":"x"}"#, Some(&Value::StringValue("x".to_owned())));
        check(r#"{"stringValue":null}"#, None);
        check("{}", None);
        check("null", None);
    }

    #[test]
    fn a_score_that_is_no_number_is_read_as_that() {
        let json = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"key":"a","value":{"doubleValue":"NaN"}}]}]}]}]}"#;
        let request = read(json.as_bytes()).unwrap();
        let attribute = &request.resource_spans[0].scope_spans[0].spans[0].attributes[0];
        let Some(Value::DoubleValue(number)) = attribute.value.as_ref().unwrap().value else { panic!("{attribute:?}") };
        assert!(number.is_nan());
    }

    #[test]
    fn what_is_not_said_is_empty() {
        assert_eq!(read(b"{}").unwrap(), ExportTraceServiceRequest::default());
        let request =
            read(br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":null,"attributes":null}]}]}]}"#).unwrap();
        assert_eq!(request.resource_spans[0].scope_spans[0].spans, [Span::default()]);
    }

    #[track_caller]
    fn check_refusal(json: &str, reason: &str) {
        let refused = read(json.as_bytes()).unwrap_err().to_string();
        assert!(refused.starts_with(reason), "{refused}");
    }

    #[test]
    fn what_is_no_request_is_refused_with_the_reason() {
        let span = |fields: &str| format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{fields}}}]}}]}}]}}"#);
        check_refusal(&span(r#""traceId":"0g""#), "an id is written in pairs of hexadecimal digits");
        check_refusal(&span(r#""traceId":"000""#), "an id is written in pairs of hexadecimal digits");
        check_refusal(&span(r#""startTimeUnixNano":-1"#), "-1 is out of range");
        check_refusal(&span(r#""startTimeUnixNano":"soon""#), "a text in place of a number is none");
        check_refusal(&span(r#""startTimeUnixNano":1.5"#), "1.5 is no whole number");
        check_refusal("3", "invalid type: integer `3`");
    }
}
