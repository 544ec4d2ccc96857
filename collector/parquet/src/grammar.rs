//! What the metadata of Parquet is made of, field by field
//! (<https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift>).
//!
//! Each value in a file says what it is. The decoder passes over that where it knows the field, and would read something else
//! than was walked through. So a field that is known has to be what the format says; all others are left to say it themselves.

/// What a value is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Truth,
    Byte,
    /// A whole number of 16, 32 or 64 bits, which are written alike, or the number of a named value.
    Number,
    Double,
    /// Bytes or a text.
    Binary,
    List(&'static Kind),
    Struct(Fields),
}

/// The known fields of a struct, or of a union, by their numbers.
pub(crate) type Fields = &'static [(i16, Kind)];

use Kind::{Binary, Byte, Double, List, Number, Struct, Truth};

const NUMBERS: Kind = List(&Number);
const NOTHING: Kind = Struct(&[]);

pub(crate) const FILE_METADATA: Fields = &[
    (1, Number),
    (2, List(&Struct(SCHEMA_ELEMENT))),
    (3, Number),
    (4, List(&Struct(ROW_GROUP))),
    (5, List(&KEY_VALUE)),
    (6, Binary),
    (7, List(&COLUMN_ORDER)),
    (9, Binary),
];

pub(crate) const PAGE_HEADER: Fields = &[
    (1, Number),
    (2, Number),
    (3, Number),
    (4, Number),
    (5, DATA_PAGE_HEADER),
    (6, NOTHING),
    (7, Struct(&[(1, Number), (2, Number), (3, Truth)])),
    (8, DATA_PAGE_HEADER_V2),
];

const DATA_PAGE_HEADER: Kind = Struct(&[(1, Number), (2, Number), (3, Number), (4, Number), (5, STATISTICS)]);

const DATA_PAGE_HEADER_V2: Kind = Struct(&[
    (1, Number),
    (2, Number),
    (3, Number),
    (4, Number),
    (5, Number),
    (6, Number),
    (7, Truth),
    (8, STATISTICS),
]);

const STATISTICS: Kind =
    Struct(&[(1, Binary), (2, Binary), (3, Number), (4, Number), (5, Binary), (6, Binary), (7, Truth), (8, Truth)]);

const SCHEMA_ELEMENT: Fields = &[
    (1, Number),
    (2, Number),
    (3, Number),
    (4, Binary),
    (5, Number),
    (6, Number),
    (7, Number),
    (8, Number),
    (9, Number),
    (10, LOGICAL_TYPE),
];

const LOGICAL_TYPE: Kind = Struct(&[
    (1, NOTHING),
    (2, NOTHING),
    (3, NOTHING),
    (4, NOTHING),
    (5, Struct(&[(1, Number), (2, Number)])),
    (6, NOTHING),
    (7, TIME),
    (8, TIME),
    (10, Struct(&[(1, Byte), (2, Truth)])),
    (11, NOTHING),
    (12, NOTHING),
    (13, NOTHING),
    (14, NOTHING),
    (15, NOTHING),
    (16, Struct(&[(1, Byte)])),
    (17, Struct(&[(1, Binary)])),
    (18, Struct(&[(1, Binary), (2, Number)])),
]);

const TIME: Kind = Struct(&[(1, Truth), (2, Struct(&[(1, NOTHING), (2, NOTHING), (3, NOTHING)]))]);

const ROW_GROUP: Fields = &[
    (1, List(&COLUMN_CHUNK)),
    (2, Number),
    (3, Number),
    (4, List(&Struct(&[(1, Number), (2, Truth), (3, Truth)]))),
    (5, Number),
    (6, Number),
    (7, Number),
];

const COLUMN_CHUNK: Kind = Struct(&[
    (1, Binary),
    (2, Number),
    (3, COLUMN_METADATA),
    (4, Number),
    (5, Number),
    (6, Number),
    (7, Number),
    (9, Binary),
]);

const COLUMN_METADATA: Kind = Struct(&[
    (1, Number),
    (2, NUMBERS),
    (3, List(&Binary)),
    (4, Number),
    (5, Number),
    (6, Number),
    (7, Number),
    (8, List(&KEY_VALUE)),
    (9, Number),
    (10, Number),
    (11, Number),
    (12, STATISTICS),
    (13, List(&Struct(&[(1, Number), (2, Number), (3, Number)]))),
    (14, Number),
    (15, Number),
    (16, Struct(&[(1, Number), (2, NUMBERS), (3, NUMBERS)])),
    (17, Struct(&[(1, BOUNDING_BOX), (2, NUMBERS)])),
]);

const BOUNDING_BOX: Kind =
    Struct(&[(1, Double), (2, Double), (3, Double), (4, Double), (5, Double), (6, Double), (7, Double), (8, Double)]);

const KEY_VALUE: Kind = Struct(&[(1, Binary), (2, Binary)]);

const COLUMN_ORDER: Kind = Struct(&[(1, NOTHING)]);
