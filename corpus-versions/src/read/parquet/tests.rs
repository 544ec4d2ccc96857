use std::sync::Arc;

use arrow_array::types::Int8Type;
use arrow_array::{
    ArrayRef, BinaryArray, DictionaryArray, Float64Array, Int64Array, LargeStringArray, NullArray, StringArray,
    TimestampMillisecondArray, TimestampNanosecondArray,
};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;

use super::*;
use crate::samples::{any_entries, full_entry};
use crate::write::write_parquet;

/// A file as another program may write it.
fn file(columns: Vec<(&str, ArrayRef)>) -> Bytes {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap().into()
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(values.iter().copied().collect::<StringArray>())
}

/// Two documents with a column beside the required ones.
fn with(name: &str, column: ArrayRef) -> Bytes {
    let two = || texts(&[Some("a"), Some("b")]);
    file(vec![("doc_id", two()), ("content_hash", two()), (name, column)])
}

#[track_caller]
fn check(file: Bytes, expected: &str) {
    let shown = match read_parquet(file, 5) {
        Ok(manifest) => {
            let lines: Vec<_> = manifest.entries().iter().map(|e| serde_json::to_string(e).unwrap()).collect();
            lines.join(" ").replace('"', "")
        }
        Err(error) => error.to_string(),
    };
    assert_eq!(shown, expected);
}

#[test]
fn texts_of_every_arrow_type_are_read() {
    check(
        file(vec![
            ("content_hash", Arc::new(LargeStringArray::from(vec!["1", "2"]))),
            ("doc_id", Arc::new(Int64Array::from(vec![12, -1]))),
            ("scope", Arc::new(DictionaryArray::<Int8Type>::from_iter([Some("x"), None]))),
            ("vector_hash", Arc::new(NullArray::new(2))),
        ]),
        "{doc_id:-1,content_hash:2} {doc_id:12,content_hash:1,scope:x}",
    );
}

#[test]
fn times_are_read_in_any_unit_with_and_without_a_zone() {
    let a = "{doc_id:a,content_hash:a,updated_at:2026-10-02T00:00:00.001Z} {doc_id:b,content_hash:b}";
    let millis = 1_790_899_200_001_i64;
    let naive = TimestampMillisecondArray::from(vec![Some(millis), None]);
    let nanos = TimestampNanosecondArray::from(vec![Some(millis * 1_000_000 + 999), None]);
    check(with("updated_at", Arc::new(naive)), a);
    check(with("updated_at", Arc::new(nanos.with_timezone("Europe/Berlin"))), a);
    check(with("updated_at", texts(&[Some("2026-10-02T02:00:00.001+02:00"), None])), a);
    check(
        with("updated_at", Arc::new(TimestampMillisecondArray::from(vec![None, Some(i64::MAX)]))),
        "row 2 of the Parquet manifest: updated_at: 9223372036854775807 µs since 1970 lies outside of the years 2000 to \
         2099; check the clock and the unit of the sender",
    );
}

#[test]
fn a_fault_is_told_with_its_row_its_column_and_the_reason() {
    let two = || texts(&[Some("a"), Some("b")]);
    check(
        file(vec![("doc_id", two()), ("content_hash", texts(&[Some("a"), None]))]),
        "row 2 of the Parquet manifest: content_hash: is required and null",
    );
    check(
        file(vec![("doc_id", texts(&[Some(""), Some("b")])), ("content_hash", two())]),
        "row 1 of the Parquet manifest: doc_id: is empty; leave the field out or send null when the value is not known",
    );
    check(
        with("tokens", Arc::new(Int64Array::from(vec![7, 1 << 32]))),
        "row 2 of the Parquet manifest: tokens: 4294967296 is not between 0 and 4294967295",
    );
}

#[test]
fn wrong_columns_are_refused_before_any_row() {
    check(
        file(vec![("doc_id", texts(&[Some("a")]))]),
        "the columns of the Parquet manifest: content_hash: is required and missing",
    );
    check(
        with("text", texts(&[Some("…"), None])),
        "the columns of the Parquet manifest: text: is not a column of a manifest",
    );
    check(
        with("tokens", Arc::new(Float64Array::from(vec![1.0, 2.0]))),
        "the columns of the Parquet manifest: tokens: has the type Float64",
    );
    check(
        with("scope", Arc::new(BinaryArray::from_vec(vec![b"x", b"y"]))),
        "the columns of the Parquet manifest: scope: has the type Binary",
    );
}

#[test]
fn no_entry_too_many_and_the_same_twice_are_refused() {
    check(file(vec![("doc_id", texts(&[])), ("content_hash", texts(&[]))]), "the manifest has no entries");
    let six = || Arc::new(Int64Array::from_iter_values(0..6)) as ArrayRef;
    check(
        file(vec![("doc_id", six()), ("content_hash", texts(&[Some("x"); 6]))]),
        "the manifest has more than 5 entries",
    );
    check(
        file(vec![("doc_id", texts(&[Some("a"); 2])), ("content_hash", texts(&[Some("x"); 2]))]),
        "the manifest names the document a more than once",
    );
}

#[test]
fn what_is_no_whole_parquet_file_is_refused_with_what_is_wrong_with_it() {
    let cut_off = "the manifest cannot be read as Parquet: it does not end as a Parquet file does";
    check(Bytes::new(), cut_off);
    check(Bytes::from_static(b"PAR1 and nothing else"), cut_off);
    check(Bytes::from_static(b"{\"doc_id\":\"a\",\"content_hash\":\"1\"}"), cut_off);
    let whole = write_parquet(&Manifest::from_entries(vec![full_entry()]).unwrap()).unwrap();
    for length in 5..whole.len() {
        check(whole.slice(..length), cut_off);
    }
    // Cut out of the middle, so that its columns are not where it says.
    let holed = [&whole[..10], &whole[whole.len() - 300..]].concat();
    assert!(matches!(read_parquet(Bytes::from(holed), 5), Err(Error::ReadParquet { .. })));
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(entries in any_entries()) {
        let mut entries = entries;
        entries.push(full_entry());
        let manifest = Manifest::from_entries(entries).unwrap();
        let bytes = write_parquet(&manifest).unwrap();
        prop_assert_eq!(read_parquet(bytes, 100).unwrap(), manifest);
    }
}
