use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder, StringViewBuilder};
use arrow_array::{
    ArrayRef, BinaryViewArray, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringViewArray,
    StructArray,
};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, GzipLevel, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterPropertiesBuilder, WriterVersion};
use parquet::schema::types::ColumnPath;
use proptest::prelude::*;

use super::*;

mod hostile;

const LIMITS: Limits = Limits { memory: 256 * 1024, all_bytes: 1024 * 1024 };

/// Every shape that columns of events and manifests have; `rows` numbers of three digits.
fn sample(rows: &[u16]) -> RecordBatch {
    let text = |row: &u16| (!row.is_multiple_of(7)).then(|| format!("text {}", row % 50));
    let texts: StringViewArray = rows.iter().map(text).collect();
    let numbers: Int64Array = rows.iter().map(|row| Some(i64::from(*row) * 1_000_003)).collect();
    let mut lists = ListBuilder::new(StringViewBuilder::new());
    for row in rows {
        for item in 0..row % 4 {
            lists.values().append_option((item != 2).then(|| format!("item {item}")));
        }
        lists.append(row % 5 != 0);
    }
    let group = StructArray::try_from(vec![
        ("score", Arc::new(rows.iter().map(|row| Some(f64::from(*row) / 3.0)).collect::<Float64Array>()) as ArrayRef),
        ("rank", Arc::new(rows.iter().map(|row| (row % 3 != 0).then_some(i32::from(*row))).collect::<Int32Array>())),
    ]);
    RecordBatch::try_from_iter_with_nullable([
        ("text", Arc::new(texts) as ArrayRef, true),
        ("number", Arc::new(numbers), false),
        ("list", Arc::new(lists.finish()), true),
        ("group", Arc::new(group.unwrap()), true),
        ("truth", Arc::new(rows.iter().map(|row| Some(row % 2 == 0)).collect::<BooleanArray>()), true),
        ("bytes", Arc::new(rows.iter().map(|row| Some(row.to_be_bytes())).collect::<BinaryViewArray>()), false),
    ])
    .unwrap()
}

fn written(batch: &RecordBatch, properties: WriterPropertiesBuilder) -> Bytes {
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties.build())).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap().into()
}

fn read(file: impl ChunkReader + 'static, limits: Limits) -> Result<Vec<RecordBatch>, Error> {
    File::open(file)?.batches(limits)?.collect()
}

/// Whether it is read, or the reason why it is not.
#[track_caller]
fn check(file: impl Into<Bytes>, limits: Limits, expected: &str) {
    let shown = match read(file.into(), limits) {
        Ok(batches) => format!("{} rows", batches.iter().map(RecordBatch::num_rows).sum::<usize>()),
        Err(error) => error.to_string(),
    };
    assert_eq!(shown, expected);
}

fn properties() -> impl Strategy<Value = WriterPropertiesBuilder> {
    let compressions = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::ZSTD(ZstdLevel::default()),
        Compression::GZIP(GzipLevel::default()),
        Compression::LZ4_RAW,
    ];
    let encodings = [None, Some(Encoding::PLAIN), Some(Encoding::DELTA_LENGTH_BYTE_ARRAY)];
    (any::<bool>(), any::<bool>(), 0..5_usize, 0..3_usize, 1..40_usize, 1..60_usize).prop_map(
        move |(second, dictionary, compression, encoding, page_rows, group_rows)| {
            let version = if second { WriterVersion::PARQUET_2_0 } else { WriterVersion::PARQUET_1_0 };
            let mut properties = WriterProperties::builder()
                .set_writer_version(version)
                .set_compression(compressions[compression])
                .set_dictionary_enabled(dictionary)
                .set_data_page_row_count_limit(page_rows)
                .set_write_batch_size(page_rows)
                .set_max_row_group_row_count(Some(group_rows));
            // What the second version falls back to is refused.
            let texts = encodings[encoding].or(second.then_some(Encoding::PLAIN));
            for column in [&["text"][..], &["list", "list", "item"], &["bytes"]] {
                if let Some(encoding) = texts {
                    let column = ColumnPath::new(column.iter().map(|&part| part.to_owned()).collect());
                    properties = properties.set_column_encoding(column, encoding);
                }
            }
            properties
        },
    )
}

proptest! {
    #[test]
    fn what_a_program_writes_is_read_as_it_was(
        rows in proptest::collection::vec(0..1_000_u16, 1..200), properties in properties(),
    ) {
        let batch = sample(&rows);
        let read = read(written(&batch, properties), LIMITS).unwrap();
        let mut place = 0;
        for part in read {
            prop_assert_eq!(&part, &batch.slice(place, part.num_rows()));
            place += part.num_rows();
        }
        prop_assert_eq!(place, rows.len());
    }

    #[test]
    fn a_file_with_changed_bytes_is_read_or_refused(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4), properties in properties(),
    ) {
        let mut file = written(&sample(&[1, 2, 3, 500]), properties).to_vec();
        for (place, byte) in changes {
            let place = place.index(file.len());
            file[place] = byte;
        }
        if let Err(error) = read(Bytes::from(file), LIMITS) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}

#[test]
fn a_file_on_a_disk_is_read_as_its_bytes_are() {
    let bytes = written(&sample(&[1, 2, 3]), WriterProperties::builder());
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, &bytes).unwrap();
    assert_eq!(read(file, LIMITS).unwrap(), read(bytes, LIMITS).unwrap());
}

#[test]
fn what_is_no_parquet_is_refused() {
    check("", LIMITS, "it does not end as a Parquet file does");
    check("PAR1", LIMITS, "it does not end as a Parquet file does");
    check(r#"{"doc_id":"a","content_hash":"1"}"#, LIMITS, "it does not end as a Parquet file does");
}

#[test]
fn each_limit_is_kept_and_named() {
    let rows: Vec<u16> = (0..1_000).collect();
    let plain = || WriterProperties::builder().set_dictionary_enabled(false);
    let file = written(&sample(&rows), plain());
    check(file.clone(), LIMITS, "1000 rows");
    check(
        file.clone(),
        Limits { memory: 15_000, ..LIMITS },
        "a page says that it has 9386 bytes, the limit is 7500; write smaller pages",
    );
    check(
        file.clone(),
        Limits { memory: 50_000, ..LIMITS },
        "decoding its pages takes 101074 bytes of memory, the limit is 50000; write smaller pages or row groups",
    );
    check(file, Limits { all_bytes: 20_000, ..LIMITS }, "decompressed, its pages have more than 20000 bytes");
    let repeated = written(&sample(&rows), plain().set_column_encoding("bytes".into(), Encoding::DELTA_BYTE_ARRAY));
    check(
        repeated,
        LIMITS,
        "the column bytes: is written as DELTA_BYTE_ARRAY, by which a small file stands for any amount of text; write it \
         with a dictionary, as DELTA_LENGTH_BYTE_ARRAY or as PLAIN",
    );
}

#[test]
fn large_rows_are_decoded_few_at_a_time() {
    // Each row has a page of its own, which stays in memory as long as its text does.
    let texts: StringViewArray = (0..100).map(|row| Some(format!("{row}{}", "x".repeat(20_000)))).collect();
    let batch = RecordBatch::try_from_iter([("text", Arc::new(texts) as ArrayRef)]).unwrap();
    let pages = WriterProperties::builder().set_dictionary_enabled(false).set_write_batch_size(1);
    let file = written(&batch, pages.set_data_page_row_count_limit(1));
    let limits = Limits { all_bytes: u64::MAX, ..LIMITS };
    let rows: Vec<usize> = read(file, limits).unwrap().iter().map(RecordBatch::num_rows).collect();
    assert_eq!(rows.iter().sum::<usize>(), 100);
    assert!(rows.iter().all(|rows| (1..=3).contains(rows)), "{rows:?}");
}

#[test]
fn a_row_of_many_values_is_weighed_as_a_whole() {
    let list = |values: usize| {
        let mut lists = ListBuilder::new(Int32Builder::new());
        for row in 0..50 {
            lists.append_value((0..if row == 25 { values } else { 1 }).map(|_| None));
        }
        RecordBatch::try_from_iter([("list", Arc::new(lists.finish()) as ArrayRef)]).unwrap()
    };
    // Nulls take next to nothing in the file, and 48 bytes each once they are decoded.
    let pages = || WriterProperties::builder().set_data_page_size_limit(100).set_write_batch_size(1_000);
    check(written(&list(5_000), pages()), LIMITS, "50 rows");
    let reason = read(written(&list(6_000), pages()), LIMITS).unwrap_err().to_string();
    assert!(reason.starts_with("decoding its pages takes 28"), "{reason}");
}

#[test]
fn rows_that_repeat_a_long_value_share_it() {
    let long = "x".repeat(60_000);
    let texts: StringViewArray = std::iter::repeat_n(Some(long), 1_000).collect();
    let batch = RecordBatch::try_from_iter([("text", Arc::new(texts) as ArrayRef)]).unwrap();
    let read = read(written(&batch, WriterProperties::builder()), LIMITS).unwrap();
    assert!(read[0].get_array_memory_size() < 200_000, "{} bytes", read[0].get_array_memory_size());
}
