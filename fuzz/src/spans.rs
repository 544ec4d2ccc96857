//! Requests of OTLP: what can be read becomes events within their limits, once and the same each time.

use tidemark_collector::decode::otlp::{self, Embeddings, Encoding, Sources, Spans};
use tidemark_collector::decode::{Context, TextPolicy};
use tidemark_collector::policy::Policy;
use tidemark_schema::FingerprintKey;

use crate::events::LIMITS;

/// Arbitrary bytes as protobuf.
pub fn spans_protobuf(bytes: &[u8]) {
    check(bytes, Encoding::Protobuf);
}

/// Arbitrary bytes as OTLP's JSON.
pub fn spans_json(bytes: &[u8]) {
    check(bytes, Encoding::Json);
}

fn check(bytes: &[u8], encoding: Encoding) {
    let size = otlp::size(bytes, encoding);
    let request = match otlp::parse(bytes, encoding) {
        Ok(request) => {
            assert!(size.is_ok_and(|size| size >= bytes.len()), "what can be read has a size");
            request
        }
        Err(malformed) => return assert!(!malformed.to_string().is_empty()),
    };
    let sources = "corpus: {attributes: [my.index], default: wiki}\ncorpus_version: {registered: true}";
    let sources = Sources::parse(sources).unwrap();
    let decoded = || -> Spans {
        let keys = FingerprintKey::new([7; 32]).into();
        let policy = Policy::with_text(TextPolicy::Redacted);
        let context = Context { now: None, keys: &keys, policy: &policy, limits: LIMITS };
        otlp::decode_spans(&request, &sources, &|_, _| "v1".parse().ok(), &Embeddings::default(), &context)
    };
    let spans = decoded();
    let told = spans.events.len() + spans.rejections.len();
    let counted = spans.other + spans.embeddings + spans.without_content + spans.failed;
    assert_eq!(told as u64 + counted, otlp::count(&request) as u64, "each span is told of once");
    assert!(spans.events.iter().all(|event| serde_json::to_vec(event).is_ok()));
    assert!(spans.rejections.iter().all(|(_, rejection)| !rejection.reason.is_empty()));
    assert_eq!(decoded().events, spans.events, "the same request gives the same events");
}
