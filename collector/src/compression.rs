use std::io::{self, BufReader, Read};

/// How bytes are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, RFC 1952.
    Gzip,
    /// Zstandard, RFC 8878.
    Zstd,
}

impl Compression {
    /// Recognises a compression by the first bytes of a file.
    pub fn of(first: &[u8]) -> Self {
        match first {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        }
    }

    /// A reader of the content. What comes out is not bounded: use [`decompress`] for what must fit into memory.
    pub fn reader<'a>(self, compressed: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::None => Box::new(compressed),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(BufReader::new(compressed))),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(compressed)?;
                // 8 MiB, the most that RFC 8878 asks a decoder to accept: a frame cannot make us allocate more.
                decoder.window_log_max(23)?;
                Box::new(decoder)
            }
        })
    }
}

/// Why bytes could not be decompressed.
#[derive(Debug, thiserror::Error)]
pub enum CompressionError {
    /// They are not what they are said to be.
    #[error("the content is not valid {0:?}")]
    Invalid(Compression, #[source] io::Error),
    /// They would become too many.
    #[error("the content is larger than {limit} bytes after decompression")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
}

/// Decompresses to at most `limit` bytes and stops there, however many more would follow.
pub fn decompress(compressed: &[u8], compression: Compression, limit: usize) -> Result<Vec<u8>, CompressionError> {
    let mut content = Vec::new();
    let invalid = |error| CompressionError::Invalid(compression, error);
    let reader = compression.reader(compressed).map_err(invalid)?;
    reader.take(limit as u64 + 1).read_to_end(&mut content).map_err(invalid)?;
    if content.len() > limit { Err(CompressionError::TooLarge { limit }) } else { Ok(content) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn both_compressions_are_recognised_and_read() {
        for compressed in [gzip(b"hello"), zstd::encode_all(&b"hello"[..], 3).unwrap(), b"hello".to_vec()] {
            let compression = Compression::of(&compressed);
            assert_eq!(decompress(&compressed, compression, 5).unwrap(), b"hello");
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let bomb = gzip(&vec![b' '; 50_000_000]);
        assert!(bomb.len() < 60_000);
        assert!(matches!(
            decompress(&bomb, Compression::Gzip, 1_000),
            Err(CompressionError::TooLarge { limit: 1_000 })
        ));
        let bomb = zstd::encode_all(&vec![b' '; 50_000_000][..], 3).unwrap();
        assert!(matches!(decompress(&bomb, Compression::Zstd, 1_000), Err(CompressionError::TooLarge { .. })));
    }

    #[test]
    fn what_is_no_gzip_is_said_to_be_none() {
        assert!(matches!(decompress(b"plain", Compression::Gzip, 100), Err(CompressionError::Invalid(..))));
    }
}
