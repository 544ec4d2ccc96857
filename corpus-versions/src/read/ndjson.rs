use std::io::{BufRead, Read};

use serde_json::{Map, Value, json};

use crate::buckets::{EncodedManifest, Encoder, Sizes};
use crate::error::{Error, Fault};
use crate::manifest::{Manifest, ManifestEntry};

/// The longest line that is read. An entry with every field at its limit has 2 KiB, twelve if every byte is escaped.
pub const MAX_LINE_BYTES: usize = 64 * 1024;

/// Some editors and exports on Windows begin a file with it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads one JSON object per line, at most `max_entries` of them. Blank lines are skipped and counted.
///
/// No more than [`MAX_LINE_BYTES`] are held beside the entries, whatever the input.
pub fn read_ndjson(input: impl BufRead, max_entries: u64) -> Result<Manifest, Error> {
    let mut entries = Vec::new();
    for_each_entry(input, max_entries, |entry| {
        entries.push(entry);
        Ok(())
    })?;
    Manifest::from_entries(entries)
}

/// Reads as [`read_ndjson`] does, and brings the entries into their stored form as they come, so that memory does not grow
/// with their number.
pub fn encode_ndjson(input: impl BufRead, max_entries: u64) -> Result<EncodedManifest, Error> {
    let mut encoder = Encoder::new(Sizes::default());
    for_each_entry(input, max_entries, |entry| encoder.push(&entry))?;
    encoder.finish()
}

fn for_each_entry(
    mut input: impl BufRead,
    max_entries: u64,
    mut take: impl FnMut(ManifestEntry) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut entries = 0;
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        // One byte more: the line break, or what shows that the line is too long.
        let read = input
            .by_ref()
            .take(MAX_LINE_BYTES as u64 + 1)
            .read_until(b'\n', &mut bytes)
            .map_err(|source| Error::ReadLine { line, source })?;
        if read == 0 {
            break;
        }
        if bytes.len() > MAX_LINE_BYTES && !bytes.ends_with(b"\n") {
            return Err(Error::LineTooLong { line, max: MAX_LINE_BYTES });
        }
        let mut text = bytes.as_slice();
        if line == 1 {
            text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        }
        let text = text.trim_ascii();
        if text.is_empty() {
            continue;
        }
        if entries >= max_entries {
            return Err(Error::TooManyEntries { limit: max_entries });
        }
        let entry =
            serde_json::from_slice(text).map_err(|error| Error::InvalidLine { line, fault: fault_of(text, &error) })?;
        take(entry)?;
        entries += 1;
    }
    if entries == 0 { Err(Error::EmptyInput) } else { Ok(()) }
}

/// Which field is at fault. `serde_json` gives the place in the line and not the field, so a refused line is read once
/// more, one field at a time.
fn fault_of(line: &[u8], error: &serde_json::Error) -> Fault {
    let fields: Map<String, Value> = match serde_json::from_slice(line) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return Fault::whole("is JSON, but not an object in braces"),
        Err(syntax) => return Fault::whole(format!("is not JSON: {}", without_line(&syntax))),
    };
    let entry_with = |field: &str, value: &Value| {
        let mut entry = json!({"doc_id": "x", "content_hash": "x"});
        entry[field] = value.clone();
        serde_json::from_value::<ManifestEntry>(entry)
    };
    for (field, value) in &fields {
        match entry_with(field, value) {
            Ok(_) => {}
            Err(error) if error.to_string().starts_with("unknown field") => {
                return Fault::of(&shortened(field), "is not a field of a manifest entry");
            }
            Err(error) => return Fault::of(field, without_line(&error)),
        }
    }
    for required in ["doc_id", "content_hash"] {
        if !fields.contains_key(required) {
            return Fault::of(required, "is required and missing");
        }
    }
    // What is left is a field that is there twice: the second reading keeps its last value only.
    Fault::whole(without_line(error))
}

/// The line is known from the file; the decoder counts it as line 1 each time.
fn without_line(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", " at column ")
}

fn shortened(name: &str) -> String {
    name.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{any_entries, full_entry};
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: impl AsRef<[u8]>, expected: &str) {
        let at_once = read_ndjson(text.as_ref(), 5);
        let one_by_one = encode_ndjson(text.as_ref(), 5).and_then(EncodedManifest::into_manifest);
        for read in [at_once, one_by_one] {
            let shown = match read {
                Ok(manifest) => {
                    let ids: Vec<_> = manifest.entries().iter().map(|e| e.doc_id.as_str()).collect();
                    ids.join(" ")
                }
                Err(error) => error.to_string(),
            };
            assert_eq!(shown, expected);
        }
    }

    fn lines(middle: &str) -> String {
        format!("{}\n{middle}\n{}\n", r#"{"doc_id":"a","content_hash":"1"}"#, r#"{"doc_id":"c","content_hash":"3"}"#)
    }

    #[test]
    fn blank_lines_carriage_returns_a_byte_order_mark_and_a_missing_last_break_are_no_fault() {
        check(
            "\u{feff}{\"doc_id\":\"b\",\"content_hash\":\"1\"}\r\n\n  \r\n{\"doc_id\":7,\"content_hash\":\"1\"}",
            "7 b",
        );
    }

    #[test]
    fn a_fault_is_told_with_its_line_its_field_and_the_reason() {
        check(lines("{"), "line 2 of the manifest: is not JSON: EOF while parsing an object at column 1");
        check(lines("[1]"), "line 2 of the manifest: is JSON, but not an object in braces");
        check(lines(r#"{"doc_id":"b"}"#), "line 2 of the manifest: content_hash: is required and missing");
        check(
            lines(r#"{"doc_id":"","content_hash":"x"}"#),
            "line 2 of the manifest: doc_id: is empty; leave the field out or send null when the value is not known",
        );
        check(
            lines(r#"{"doc_id":"b","content_hash":"x","tokens":-1}"#),
            "line 2 of the manifest: tokens: invalid value: integer `-1`, expected u32",
        );
        check(
            lines(r#"{"doc_id":"b","content_hash":"x","updated_at":"9999-12-31T00:00:00Z"}"#),
            "line 2 of the manifest: updated_at: 9999-12-31T00:00:00Z lies outside of the years 2000 to 2099; check the clock and the unit of the sender",
        );
        check(
            lines(r#"{"doc_id":"b","content_hash":"x","text":"…"}"#),
            "line 2 of the manifest: text: is not a field of a manifest entry",
        );
        check(
            lines(r#"{"doc_id":"b","doc_id":"c","content_hash":"x"}"#),
            "line 2 of the manifest: duplicate field `doc_id` at column 22",
        );
        check(
            lines("").into_bytes().iter().map(|_| 0xff).collect::<Vec<u8>>(),
            "line 1 of the manifest: is not JSON: expected value at column 1",
        );
    }

    #[test]
    fn a_long_line_is_refused_without_being_held() {
        let longest = format!(r#"{{"doc_id":"b","content_hash":"2"{}}}"#, " ".repeat(MAX_LINE_BYTES - 33));
        assert_eq!(longest.len(), MAX_LINE_BYTES);
        check(lines(&longest), "a b c");
        check(lines(&format!("{longest} ")), "line 2 of the manifest is longer than 65536 bytes");
        let endless = std::io::BufReader::new(std::io::repeat(b'x'));
        assert!(matches!(read_ndjson(endless, 5), Err(Error::LineTooLong { line: 1, .. })));
    }

    #[test]
    fn nothing_and_too_much_are_both_refused() {
        check("", "the manifest has no entries");
        check("\n \n", "the manifest has no entries");
        let six: Vec<_> = (0..6).map(|i| format!(r#"{{"doc_id":{i},"content_hash":"x"}}"#)).collect();
        check(six.join("\n"), "the manifest has more than 5 entries");
        check(lines(r#"{"doc_id":"a","content_hash":"1"}"#), "the manifest names the document a more than once");
    }

    proptest! {
        #[test]
        fn entries_written_line_by_line_are_read_again(entries in any_entries()) {
            let mut entries = entries;
            entries.push(full_entry());
            let text: String = entries.iter().map(|e| serde_json::to_string(e).unwrap() + "\n").collect();
            let read = read_ndjson(text.as_bytes(), 100).unwrap();
            prop_assert_eq!(read, Manifest::from_entries(entries).unwrap());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Err(error) = read_ndjson(bytes.as_slice(), 5) {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }
}
