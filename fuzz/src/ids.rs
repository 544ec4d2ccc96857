//! Texts that become times, ids, hashes and fingerprints: what parses is shown as text that parses to the same.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use serde_json::Value;
use tidemark_corpus::MerkleRoot;
use tidemark_schema::{
    ContentHash, CorpusName, CorpusVersion, DocumentId, EventId, Fingerprint, FingerprintKey, Finite, Label,
    OperationId, SimHash, SpanId, Timestamp, TraceId, normalise_query,
};

/// Arbitrary bytes as text, as JSON and as a number.
pub fn timestamp_and_ids(bytes: &[u8]) {
    let (number, _) = bytes.split_first_chunk::<8>().unwrap_or((&[0; 8], &[]));
    check_number(i64::from_le_bytes(*number));
    let text = String::from_utf8_lossy(bytes);
    check_text::<Timestamp>(&text);
    check_text::<EventId>(&text);
    check_text::<SimHash>(&text);
    check_text::<MerkleRoot>(&text);
    for (bytes_max, parsed) in [
        (CorpusName::MAX_BYTES, check_text::<CorpusName>(&text)),
        (CorpusVersion::MAX_BYTES, check_text::<CorpusVersion>(&text)),
        (DocumentId::MAX_BYTES, check_text::<DocumentId>(&text)),
        (ContentHash::MAX_BYTES, check_text::<ContentHash>(&text)),
        (Fingerprint::MAX_BYTES, check_text::<Fingerprint>(&text)),
        (OperationId::MAX_BYTES, check_text::<OperationId>(&text)),
        (TraceId::MAX_BYTES, check_text::<TraceId>(&text)),
        (SpanId::MAX_BYTES, check_text::<SpanId>(&text)),
        (Label::MAX_BYTES, check_text::<Label>(&text)),
    ] {
        assert!(!parsed || (1..=bytes_max).contains(&text.len()));
        assert!(!parsed || !text.contains(char::is_control));
    }
    if let Ok(name) = text.parse::<CorpusName>() {
        assert!(name.as_str().split(['/', '\\']).all(|part| !matches!(part, "" | "." | "..")));
    }
    if let Ok(date) = Timestamp::from_date(&text) {
        assert_eq!(date.micros() % 86_400_000_000, 0);
        assert_eq!(i64::from(date.days()) * 86_400_000_000, date.micros());
    }
    check_query(&text);
    check_json(bytes);
}

/// Whether it parses; if so, it is shown as a text that parses to the same, as text and in JSON.
fn check_text<T: FromStr + Display + Debug + PartialEq + serde::Serialize + serde::de::DeserializeOwned>(
    text: &str,
) -> bool {
    let Ok(value) = text.parse::<T>() else { return false };
    assert_eq!(value.to_string().parse::<T>().ok().as_ref(), Some(&value), "{value} is shown as something else");
    let json = serde_json::to_string(&value).unwrap();
    assert_eq!(serde_json::from_str::<T>(&json).ok().as_ref(), Some(&value));
    true
}

fn check_number(micros: i64) {
    if let Ok(time) = Timestamp::from_micros(micros) {
        assert_eq!(time.to_string().parse(), Ok(time));
        assert_eq!(i64::from(time.days()), micros.div_euclid(86_400_000_000));
        let moved = time.plus_seconds(micros.rotate_left(32));
        assert!((Timestamp::MIN..=Timestamp::MAX).contains(&moved));
    }
}

fn check_query(text: &str) {
    let normalised = normalise_query(text);
    assert_eq!(normalise_query(&normalised), normalised, "what is normalised stays as it is");
    let key = FingerprintKey::new([7; 32]);
    let fingerprint = key.fingerprint(text);
    assert_eq!(fingerprint, key.fingerprint(&normalised));
    assert_eq!(fingerprint.as_str().parse().as_ref(), Ok(&fingerprint));
    assert_eq!(SimHash::of(text), SimHash::of(&normalised));
    ContentHash::of_text(text).as_str().parse::<ContentHash>().unwrap();
}

/// In JSON an id may be a whole number, and a number is always finite.
fn check_json(bytes: &[u8]) {
    if let Ok(number) = serde_json::from_slice::<Finite>(bytes) {
        assert!(number.get().is_finite());
        let json = serde_json::to_string(&number).unwrap();
        assert_eq!(serde_json::from_str::<Finite>(&json).unwrap(), number);
    }
    if let Ok(id) = serde_json::from_slice::<DocumentId>(bytes) {
        let whole = serde_json::from_slice::<Value>(bytes);
        assert!(matches!(whole, Ok(Value::String(_) | Value::Number(_))), "{id} came from {whole:?}");
    }
}
