//! Files that announce what they do not hold. They are written field by field, as no program writes them.

use std::io::Write;

use flate2::Compression as Level;
use flate2::write::GzEncoder;
use parquet::basic::Encoding;

use super::*;

/// A struct of Thrift's compact protocol.
#[derive(Default, Clone)]
struct Fields {
    bytes: Vec<u8>,
    last: u8,
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
    bytes
}

fn zigzag(number: i64) -> Vec<u8> {
    varint((number << 1 ^ number >> 63).cast_unsigned())
}

impl Fields {
    fn field(mut self, id: u8, kind: u8, value: &[u8]) -> Self {
        self.bytes.push((id - self.last) << 4 | kind);
        self.bytes.extend(value);
        self.last = id;
        self
    }

    fn number(self, id: u8, number: i64) -> Self {
        self.field(id, 5, &zigzag(number))
    }

    fn text(self, id: u8, text: &str) -> Self {
        self.field(id, 8, &[&varint(text.len() as u64), text.as_bytes()].concat())
    }

    fn within(self, id: u8, fields: Self) -> Self {
        self.field(id, 12, &fields.end())
    }

    fn list(self, id: u8, items: &[Self]) -> Self {
        let bytes = items.iter().flat_map(|item| item.clone().end()).collect();
        self.list_of(id, 12, items.len() as u64, bytes)
    }

    fn list_of(self, id: u8, kind: u8, count: u64, items: Vec<u8>) -> Self {
        self.field(id, 9, &[vec![0xf0 | kind], varint(count), items].concat())
    }

    fn end(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }
}

fn fields() -> Fields {
    Fields::default()
}

fn group(name: &str, children: i64) -> Fields {
    fields().number(3, 0).text(4, name).number(5, children)
}

/// A required column of texts.
fn texts() -> Fields {
    fields().number(1, 6).number(3, 0).text(4, "text")
}

fn with_metadata(pages: &[u8], metadata: &[u8]) -> Vec<u8> {
    let length = u32::try_from(metadata.len()).unwrap().to_le_bytes();
    [b"PAR1", pages, metadata, &length, b"PAR1"].concat()
}

fn metadata() -> Fields {
    fields().number(1, 1)
}

fn check_metadata(metadata: Fields, expected: &str) {
    check(with_metadata(b"", &metadata.end()), LIMITS, expected);
}

/// A file with one row and one column of texts.
fn with_pages(pages: &[u8], codec: i64) -> Vec<u8> {
    with_column(texts(), pages, codec, bytes_of(pages))
}

/// The same, with another column, that says how long it is.
fn with_column(column: Fields, pages: &[u8], codec: i64, bytes: i64) -> Vec<u8> {
    file_of(column, pages, codec, bytes, 1)
}

/// The same, of many rows.
fn file_of(column: Fields, pages: &[u8], codec: i64, bytes: i64, rows: i64) -> Vec<u8> {
    let chunk = fields().number(1, 6).list_of(2, 5, 1, zigzag(0)).list_of(3, 8, 1, [&[4], &b"text"[..]].concat());
    let chunk = chunk.number(4, codec).number(5, rows).number(6, bytes).number(7, bytes).number(9, 4);
    let row_group = fields().list(1, &[fields().number(2, 0).within(3, chunk)]).number(2, bytes).number(3, rows);
    let metadata = metadata().list(2, &[group("root", 1), column]).number(3, rows).list(4, &[row_group]);
    with_metadata(pages, &metadata.end())
}

fn bytes_of(content: &[u8]) -> i64 {
    i64::try_from(content.len()).unwrap()
}

fn page(kind: i64, sizes: (i64, i64), id: u8, header: Fields, content: &[u8]) -> Vec<u8> {
    let header = fields().number(1, kind).number(2, sizes.0).number(3, sizes.1).within(id, header);
    [&header.end(), content].concat()
}

fn data_page(encoding: Encoding, values: i64, content: &[u8]) -> Vec<u8> {
    let header = fields().number(1, values).number(2, encoding as i64).number(3, 3).number(4, 3);
    page(0, (bytes_of(content), bytes_of(content)), 5, header, content)
}

fn dictionary(values: i64, content: &[u8]) -> Vec<u8> {
    page(2, (bytes_of(content), bytes_of(content)), 7, fields().number(1, values).number(2, 0), content)
}

const ONE_TEXT: &[u8] = b"\x01\0\0\0a";

#[test]
fn the_files_of_these_tests_are_read_where_they_tell_the_truth() {
    check(with_pages(&data_page(Encoding::PLAIN, 1, ONE_TEXT), 0), LIMITS, "1 rows");
    let referring = data_page(Encoding::RLE_DICTIONARY, 1, &[1, 2, 0]);
    check(with_pages(&[dictionary(1, ONE_TEXT), referring].concat(), 0), LIMITS, "1 rows");
    let lengths = [varint(128), varint(4), varint(1), zigzag(1), b"a".to_vec()].concat();
    check(with_pages(&data_page(Encoding::DELTA_LENGTH_BYTE_ARRAY, 1, &lengths), 0), LIMITS, "1 rows");
}

#[test]
fn metadata_that_is_longer_than_it_can_be_is_refused() {
    check(&b"PAR1\xff\0\0\0PAR1"[..], LIMITS, "its metadata is longer than the file");
    let expected = "its metadata has 4294967295 bytes, the limit is 8388608";
    check(&b"PAR1\xff\xff\xff\xffPAR1"[..], LIMITS, expected);
}

#[test]
fn lists_have_the_items_that_they_announce() {
    let schema = metadata().list(2, &[group("root", 1), texts()]).number(3, 1);
    let many = schema.clone().list_of(4, 12, 2_147_483_647, Vec::new());
    check_metadata(many, "a list says that it has 2147483647 items, and is shorter");
    let truths = schema.list_of(14, 1, 3, vec![1; 3]);
    check_metadata(truths, "the metadata holds a list of truth values");
}

#[test]
fn what_is_nested_too_deep_is_refused() {
    let lists = metadata().field(14, 9, &vec![0x19; 1_000_000]);
    check_metadata(lists, "the metadata is nested more than 16 deep");
    let structs = metadata().field(14, 12, &vec![0x1c; 1_000_000]);
    check_metadata(structs, "the metadata is nested more than 16 deep");
    let groups: Vec<Fields> = (0..100_000).map(|_| group("g", 1)).chain([texts()]).collect();
    check_metadata(metadata().list(2, &groups), "its columns are nested more than 32 deep");
}

#[test]
fn groups_have_the_children_that_they_announce() {
    let many = metadata().list(2, &[group("root", 2_147_483_647), texts()]);
    check_metadata(many, "it has fewer columns than it says");
}

#[test]
fn a_field_is_what_the_format_says() {
    // The decoder would read the length of the text as the number of children.
    let as_text = fields().number(3, 0).text(4, "root").text(5, "children");
    check_metadata(metadata().list(2, &[as_text]), "the field [2, 5] of the metadata is of a kind that it cannot be");
    let header = fields().number(1, 0).text(2, "size").end();
    check(with_pages(&header, 0), LIMITS, "the field [2] of the metadata is of a kind that it cannot be");
}

#[test]
fn the_header_of_a_page_holds_no_list() {
    let header = fields().number(1, 0).list_of(9, 1, 2_147_483_647, Vec::new()).end();
    check(with_pages(&header, 0), LIMITS, "the header of a page holds a list");
}

#[test]
fn pages_have_no_more_bytes_than_they_may() {
    let header = fields().number(1, 1).number(2, 0).number(3, 3).number(4, 3);
    let large = page(0, (2_000_000_000, 5), 5, header.clone(), ONE_TEXT);
    check(
        with_pages(&large, 6),
        LIMITS,
        "a page says that it has 2000000000 bytes, the limit is 131072; write smaller pages",
    );
    let negative = page(0, (-1, 5), 5, header, ONE_TEXT);
    check(
        with_pages(&negative, 6),
        LIMITS,
        "a page says that it has -1 bytes, the limit is 131072; write smaller pages",
    );
}

#[test]
fn columns_together_are_no_longer_than_the_file() {
    let file = with_column(texts(), &data_page(Encoding::PLAIN, 1, ONE_TEXT), 0, 1_000);
    let expected = format!("its columns say that they are longer than the {} bytes of the file", file.len());
    check(file, LIMITS, &expected);
}

#[test]
fn a_page_has_the_values_that_it_announces() {
    let many = dictionary(134_217_711, ONE_TEXT);
    let expected = "the column text: a dictionary of 5 bytes says that it has 134217711 values";
    check(with_pages(&many, 0), LIMITS, expected);
    // An allocation of 4 TiB would end the process.
    let lengths = [varint(128), varint(4), varint(1 << 40), zigzag(1), b"a".to_vec()].concat();
    check(
        with_pages(&data_page(Encoding::DELTA_LENGTH_BYTE_ARRAY, 1, &lengths), 0),
        LIMITS,
        "the column text: a page of 1 values says that it has 1099511627776 lengths",
    );
    let none = data_page(Encoding::DELTA_LENGTH_BYTE_ARRAY, 1, &[0x80; 12]);
    check(with_pages(&none, 0), LIMITS, "the column text: a page ends before its values");
}

#[test]
fn a_column_has_the_rows_of_its_row_group() {
    let pages = data_page(Encoding::PLAIN, 2, &[ONE_TEXT, ONE_TEXT].concat());
    let expected = "the column text has 2 rows in a row group that says it has 1";
    check(with_pages(&pages, 0), LIMITS, expected);
    check(with_pages(b"", 0), LIMITS, "the column text has 0 rows in a row group that says it has 1");
    let empty = metadata().list(2, &[group("root", 1), texts()]).number(3, 1).list(4, &[]);
    let reason = read(Bytes::from(with_metadata(b"", &empty.end())), LIMITS).unwrap_err().to_string();
    assert_eq!(reason, "it has 0 rows, and says that it has 1");
}

#[test]
fn pages_of_other_kinds_are_refused() {
    let pages = page(1, (0, 0), 6, fields(), b"");
    check(with_pages(&pages, 0), LIMITS, "a page is of the kind 1, which holds no values");
}

#[test]
fn lengths_count_what_they_take_before_they_are_read() {
    // A block of a million lengths of no bits: 4 bytes each in memory, next to none in the file.
    let rows = 1 << 20;
    let block = varint(1 << 20);
    let lengths = [&block[..], &varint(1), &varint(rows), &zigzag(0), &zigzag(0), &[0]].concat();
    let page = data_page(Encoding::DELTA_LENGTH_BYTE_ARRAY, 1 << 20, &lengths);
    let chunk = |rows| file_of(texts(), &page, 0, bytes_of(&page), rows);
    let expected =
        "decoding its pages takes 8388660 bytes of memory, the limit is 262144; write smaller pages or row groups";
    check(chunk(1 << 20), LIMITS, expected);
    check(chunk(1 << 20), Limits { memory: 16 * 1024 * 1024, ..LIMITS }, "1048576 rows");
}

#[test]
fn a_dictionary_of_empty_texts_counts_what_it_becomes() {
    // Four bytes each in the file, a view of 16 bytes and more in memory.
    let pages = [dictionary(20_000, &vec![0; 80_000]), data_page(Encoding::RLE_DICTIONARY, 1, &[1, 2, 0])].concat();
    let expected =
        "decoding its pages takes 720038 bytes of memory, the limit is 262144; write smaller pages or row groups";
    check(with_pages(&pages, 0), LIMITS, expected);
}

#[test]
fn what_gzip_makes_of_a_page_is_measured() {
    let mut bomb = GzEncoder::new(Vec::new(), Level::best());
    bomb.write_all(&vec![0; 200_000]).unwrap();
    let bomb = bomb.finish().unwrap();
    let header = || fields().number(1, 1).number(2, 0).number(3, 3).number(4, 3);
    let first = page(0, (100, bytes_of(&bomb)), 5, header(), &bomb);
    check(with_pages(&first, 2), LIMITS, "a page has more than 131072 bytes, the limit");
    // In the second version the levels stand before what is compressed.
    let header = fields().number(1, 1).number(2, 0).number(3, 1).number(4, 0).number(5, 3).number(6, 0);
    let second = page(3, (100, bytes_of(&bomb) + 3), 8, header, &[&b"\x02\x01\0"[..], &bomb].concat());
    check(with_pages(&second, 2), LIMITS, "a page has more than 131072 bytes, the limit");
    let other = data_page(Encoding::PLAIN, 1, ONE_TEXT);
    let expected = "the column text is compressed as BROTLI(BrotliLevel(1)); use zstd, snappy, lz4_raw or gzip";
    check(with_pages(&other, 4), LIMITS, expected);
}

#[test]
fn pages_without_values_are_counted() {
    let pages = data_page(Encoding::PLAIN, 0, b"").repeat(1_000_001);
    check(with_pages(&pages, 0), LIMITS, "it has more than 1000000 pages");
}

#[test]
fn the_shape_of_the_columns_is_bounded() {
    let elements = |count: i64, each: &dyn Fn(i64) -> Fields| {
        let columns = (0..count).map(each);
        metadata().list(2, &[group("root", count)].into_iter().chain(columns).collect::<Vec<_>>())
    };
    check_metadata(elements(5_000, &|_| texts()), "it has more than 4096 columns and groups of columns");
    let long = fields().number(1, 6).number(3, 0).text(4, &"x".repeat(257));
    check_metadata(elements(1, &|_| long.clone()), "the name of a column has 257 bytes, the limit is 256");
    let fixed = fields().number(1, 7).number(2, 2_147_483_647).number(3, 0).text(4, "fixed");
    check_metadata(
        elements(1, &|_| fixed.clone()),
        "the values of a column have a fixed length of 2147483647 bytes, the limit is 1024",
    );
    let decimal = fields().number(1, 6).number(3, 0).text(4, "price").number(6, 5).number(7, 2).number(8, 9);
    check_metadata(
        elements(1, &|_| decimal.clone()).number(3, 0).list(4, &[]),
        "the column price has decimal numbers of any length; write them as numbers or as texts",
    );
    check_metadata(elements(0, &|_| texts()).number(3, 1 << 40).list(4, &[]), "it has no columns");
    let row_group = fields().list(1, &vec![fields(); 100]).number(2, 0).number(3, 1);
    check_metadata(
        elements(100, &|_| texts()).list(4, &vec![row_group; 1_000]),
        "it has more than 65536 columns, counted in each row group",
    );
}

#[test]
fn metadata_that_ends_too_early_or_has_numbers_that_are_too_large_is_refused() {
    let cut_off = Fields { bytes: vec![0x68, 100, b'x'], last: 1 };
    check_metadata(cut_off, "the metadata ends too early");
    check_metadata(
        Fields { bytes: [vec![0x15], vec![0xff; 12]].concat(), last: 1 },
        "the metadata holds a number of more than 64 bits",
    );
    let field = Fields { bytes: [vec![0x05], zigzag(40_000)].concat(), last: 1 };
    check_metadata(field, "the metadata has a field with a number of more than 16 bits");
}

#[test]
fn levels_that_are_out_of_use_are_named() {
    let optional = fields().number(1, 6).number(3, 1).text(4, "text");
    let header = fields().number(1, 1).number(2, 0).number(3, 4).number(4, 3);
    let pages = page(0, (5, 5), 5, header, ONE_TEXT);
    check(
        with_column(optional, &pages, 0, bytes_of(&pages)),
        LIMITS,
        "the column text: its levels are written as BIT_PACKED, which is out of use",
    );
}

#[test]
fn files_that_fuzzing_found_are_refused() {
    // They took minutes and a gigabyte. By now each falls to a rule that comes before the one it led to.
    check(
        &include_bytes!("skips-behind-the-end.parquet")[..],
        LIMITS,
        "the metadata holds a value of the unknown kind 11",
    );
    check(
        &include_bytes!("a-gigabyte-from-885-bytes.parquet")[..],
        LIMITS,
        "the field [4, 1, 3, 13, 1] of the metadata is of a kind that it cannot be",
    );
}
