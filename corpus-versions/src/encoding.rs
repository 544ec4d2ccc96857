//! An entry as bytes: what is hashed, and what is stored. The table of tags is in [`crate::merkle`].

use std::str::FromStr;

use tidemark_schema::{ContentHash, Label, Timestamp};

use crate::manifest::ManifestEntry;

/// Appends the known fields of an entry, each as tag, length and value.
pub(crate) fn encode(entry: &ManifestEntry, out: &mut Vec<u8>) {
    let mut field = |tag: u8, value: Option<&[u8]>| {
        if let Some(value) = value {
            out.push(tag);
            put_framed(value, out);
        }
    };
    let tokens = entry.tokens.map(u32::to_be_bytes);
    let updated_at = entry.updated_at.map(|time| time.micros().to_be_bytes());
    field(1, Some(entry.doc_id.as_str().as_bytes()));
    field(2, Some(entry.content_hash.as_str().as_bytes()));
    field(3, entry.vector_hash.as_ref().map(ContentHash::as_str).map(str::as_bytes));
    field(4, tokens.as_ref().map(<[u8; 4]>::as_slice));
    field(5, updated_at.as_ref().map(<[u8; 8]>::as_slice));
    field(6, entry.scope.as_ref().map(Label::as_str).map(str::as_bytes));
}

/// Reads an entry again. The error is the reason.
pub(crate) fn decode(mut bytes: &[u8]) -> Result<ManifestEntry, String> {
    let mut fields: [Option<&[u8]>; 6] = [None; 6];
    while let Some((tag, rest)) = bytes.split_first() {
        let (value, rest) = split_framed(rest).ok_or("an entry ends within a field")?;
        let place = usize::from(*tag).checked_sub(1).and_then(|place| fields.get_mut(place));
        *place.ok_or_else(|| format!("an entry has a field with the unknown tag {tag}"))? = Some(value);
        bytes = rest;
    }
    let [doc_id, content_hash, vector_hash, tokens, updated_at, scope] = fields;
    let updated_at = updated_at.map(number).transpose()?.map(i64::from_be_bytes);
    Ok(ManifestEntry {
        doc_id: text(doc_id)?.ok_or("an entry has no doc_id")?,
        content_hash: text(content_hash)?.ok_or("an entry has no content_hash")?,
        vector_hash: text(vector_hash)?,
        tokens: tokens.map(number).transpose()?.map(u32::from_be_bytes),
        updated_at: updated_at.map(Timestamp::from_micros).transpose().map_err(|error| error.to_string())?,
        scope: text(scope)?,
    })
}

fn text<T: FromStr<Err: ToString>>(value: Option<&[u8]>) -> Result<Option<T>, String> {
    let Some(value) = value else { return Ok(None) };
    let text = str::from_utf8(value).map_err(|error| error.to_string())?;
    text.parse().map(Some).map_err(|error: T::Err| error.to_string())
}

fn number<const N: usize>(value: &[u8]) -> Result<[u8; N], String> {
    value.try_into().map_err(|_| format!("a number has {} bytes, not {N}", value.len()))
}

/// Appends a value behind its length (4 bytes, big endian). The longest is an entry of two kilobytes.
pub(crate) fn put_framed(value: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
}

/// The value behind its length at the start of the bytes, and what follows it; `None` when the bytes end before.
pub(crate) fn split_framed(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{any_entries, entry, full_entry};
    use proptest::prelude::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        assert_eq!(decode(bytes).unwrap_err(), expected);
    }

    #[test]
    fn bytes_that_are_no_entry_are_refused_with_the_reason() {
        let mut plain = Vec::new();
        encode(&entry("a", "b"), &mut plain);
        check(&plain[..3], "an entry ends within a field");
        check(&plain[..6], "an entry has no content_hash");
        check(&plain[6..], "an entry has no doc_id");
        check(&[&plain[..], &[7, 0, 0, 0, 0]].concat(), "an entry has a field with the unknown tag 7");
        check(&[&plain[..], &[4, 0, 0, 0, 1, 9]].concat(), "a number has 1 bytes, not 4");
        check(&[1, 0, 0, 0, 1, 0xff], "invalid utf-8 sequence of 1 bytes from index 0");
    }

    proptest! {
        #[test]
        fn every_entry_is_read_again(mut entries in any_entries()) {
            entries.push(full_entry());
            for entry in entries {
                let mut bytes = Vec::new();
                encode(&entry, &mut bytes);
                prop_assert_eq!(decode(&bytes), Ok(entry));
            }
        }
    }
}
