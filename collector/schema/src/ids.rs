//! Texts that identify something, each parsed once and then a type of its own.
//!
//! To add one, add a line to the `text_ids!` call below with its limit and its meaning.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// Nothing there.
    #[error("is empty; leave the field out or send null when the value is not known")]
    Empty,
    /// Longer than its limit.
    #[error("has {len} bytes, the limit is {max}")]
    TooLong {
        /// Bytes received.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// Holds a line break, NUL or another control character.
    #[error("holds the control character {0:?}")]
    Control(char),
    /// No name of a tenant, which becomes the name of a directory.
    #[error("may hold lower-case letters, digits, - and _ only, and begins with a letter or digit")]
    Tenant,
    /// Looks like a way out of a directory.
    #[error("has a `.`, `..` or empty part between slashes; a name such as team/handbook is fine")]
    PathLike,
}

fn check_text(text: &str, max: usize) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty);
    }
    if text.len() > max {
        return Err(InvalidId::TooLong { len: text.len(), max });
    }
    // Nearly all ids are plain.
    if text.bytes().all(|byte| (b' '..0x7f).contains(&byte)) {
        return Ok(());
    }
    match text.chars().find(|c| c.is_control()) {
        Some(c) => Err(InvalidId::Control(c)),
        None => Ok(()),
    }
}

/// Names become partition values and object keys. Both are percent-encoded where they are written; refusing dotted parts
/// here as well means that no single mistake there can leave the data directory.
fn check_name(text: &str, max: usize) -> Result<(), InvalidId> {
    check_text(text, max)?;
    let dotted = |part: &str| matches!(part, "" | "." | "..");
    if text.split(['/', '\\']).any(dotted) { Err(InvalidId::PathLike) } else { Ok(()) }
}

/// Tenants are named by operators, so the strictest rule is the simplest.
fn check_tenant(text: &str, max: usize) -> Result<(), InvalidId> {
    check_text(text, max)?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let rest_is_plain = text.bytes().all(|byte| plain(byte) || matches!(byte, b'-' | b'_'));
    if rest_is_plain && text.bytes().next().is_some_and(plain) { Ok(()) } else { Err(InvalidId::Tenant) }
}

macro_rules! text_ids {
    ($($(#[$doc:meta])* $name:ident($check:ident, $max:literal);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The most bytes it may have.
            pub const MAX_BYTES: usize = $max;

            /// Parses a text that is already owned.
            pub fn from_owned(text: String) -> Result<Self, InvalidId> {
                $check(&text, $max)?;
                Ok(Self(text))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::from_owned(text.to_owned())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::from_owned(text_or_integer(deserializer)?).map_err(de::Error::custom)
            }
        }
    )*};
}

text_ids! {
    /// The name of a corpus, such as `handbook` or `team/handbook`.
    CorpusName(check_name, 200);
    /// The name of one version of a corpus.
    CorpusVersion(check_name, 200);
    /// The id under which a retriever returns a document or chunk. Any text: URLs, paths and numbers are common.
    DocumentId(check_text, 1024);
    /// The hash of a document's content, such as `b3:9f86d081884c7d65`.
    ContentHash(check_text, 160);
    /// What stands for a query: the same text has the same fingerprint.
    Fingerprint(check_text, 160);
    /// One logical operation of the application; retries share it.
    OperationId(check_text, 256);
    /// A trace of the application, most often 32 hexadecimal digits.
    TraceId(check_text, 256);
    /// A span inside a trace.
    SpanId(check_text, 256);
    /// Whose data it is, such as `acme`. Tables, registry and evidence of a tenant lie apart from those of every other.
    TenantName(check_tenant, 64);
    /// Any other short name: a principal, a service, a model, a retriever, a segment's key or value.
    Label(check_text, 256);
}

/// Vector stores count documents with integers, and JSON encoders write those without quotes.
fn text_or_integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct TextOrInteger;

    impl de::Visitor<'_> for TextOrInteger {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or an integer")
        }

        fn visit_str<E>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_string<E>(self, text: String) -> Result<String, E> {
            Ok(text)
        }

        fn visit_u64<E>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }

        fn visit_i64<E>(self, number: i64) -> Result<String, E> {
            Ok(number.to_string())
        }
    }

    deserializer.deserialize_any(TextOrInteger)
}

impl Fingerprint {
    /// For texts made by this crate, which are known to parse.
    pub(crate) fn known_good(text: String) -> Self {
        debug_assert_eq!(check_text(&text, Self::MAX_BYTES), Ok(()));
        Self(text)
    }
}

impl OperationId {
    /// The operation of an event that came with neither operation nor trace: itself.
    pub fn of(event: EventId) -> Self {
        Self(event.to_string())
    }
}

impl ContentHash {
    /// The hash of a text: the first 64 bits of its BLAKE3 hash.
    pub fn of_text(text: &str) -> Self {
        let hash = blake3::hash(text.as_bytes()).to_hex();
        Self(format!("b3:{}", hash.get(..16).unwrap_or_default()))
    }
}

/// The one tenant of a store in which none was ever named.
impl Default for TenantName {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl TenantName {
    /// Whether it is the tenant of a store in which none was ever named.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The idempotency key of an event: two events with the same id are one event.
///
/// A UUID is taken as it is. Any other text becomes the name-based UUID of RFC 9562, section 5.5, so that senders may
/// use keys of their own and a resend is still recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(Uuid);

/// The name space of event ids that are no UUIDs.
const EVENT_NAMESPACE: Uuid = Uuid::from_u128(0x6f1d_3a52_84c7_4b0e_9a55_7d1e_0c2b_96a4);

impl EventId {
    /// The id of an event that came without one: derived from its content, so that the same bytes sent twice are one.
    pub fn of_content(content: &[u8]) -> Self {
        Self(Uuid::new_v5(&EVENT_NAMESPACE, blake3::hash(content).as_bytes()))
    }

    /// From the 16 bytes it is stored as.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The 16 bytes it is stored as.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl FromStr for EventId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        check_text(text, 256)?;
        Ok(Self(Uuid::try_parse(text).unwrap_or_else(|_| Uuid::new_v5(&EVENT_NAMESPACE, text.as_bytes()))))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: &Result<(), InvalidId>) {
        assert_eq!(&name.parse::<CorpusName>().map(|_| ()), expected, "{name:?}");
    }

    #[test]
    fn a_corpus_name_cannot_leave_its_directory() {
        check("handbook", &Ok(()));
        check("team/handbook v2", &Ok(()));
        check("Handbuch für Gäste", &Ok(()));
        check("../../etc", &Err(InvalidId::PathLike));
        check("/etc/passwd", &Err(InvalidId::PathLike));
        check("a//b", &Err(InvalidId::PathLike));
        check("..\\windows", &Err(InvalidId::PathLike));
        check("a\nb", &Err(InvalidId::Control('\n')));
        check("", &Err(InvalidId::Empty));
        check(&"x".repeat(201), &Err(InvalidId::TooLong { len: 201, max: 200 }));
    }

    #[test]
    fn a_tenant_is_named_so_that_a_directory_can_be() {
        for (name, allowed) in
            [("acme", true), ("a-1_b", true), ("7", true), ("Acme", false), ("-a", false), ("a/b", false)]
        {
            assert_eq!(name.parse::<TenantName>().is_ok(), allowed, "{name}");
        }
        assert!(TenantName::default().is_default());
    }

    #[test]
    fn a_document_id_may_be_an_integer_or_a_url() {
        assert_eq!(serde_json::from_str::<DocumentId>("12").unwrap().as_str(), "12");
        assert_eq!(serde_json::from_str::<DocumentId>("\"https://x/a?b=1#c\"").unwrap().as_str(), "https://x/a?b=1#c");
        assert!(serde_json::from_str::<DocumentId>("[1]").is_err());
    }

    #[test]
    fn an_event_id_that_is_no_uuid_maps_to_the_same_uuid_each_time() {
        let a: EventId = "evt-1".parse().unwrap();
        assert_eq!(a, "evt-1".parse().unwrap());
        assert_ne!(a, "evt-2".parse().unwrap());
        let uuid = "01931f7c-4a2e-7b1c-9d55-2f1f0e6c1a10";
        assert_eq!(uuid.parse::<EventId>().unwrap().to_string(), uuid);
    }
}
