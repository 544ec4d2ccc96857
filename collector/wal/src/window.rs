//! Buffered reading at any place of a file, in bounded memory.

use std::io::{self, Read, Seek, SeekFrom};

/// How much is read at once: large enough that a batch of small records costs few calls.
const CHUNK_BYTES: usize = 256 * 1024;

/// A part of a file held in memory. Grows to the longest request, which the caller bounds.
#[derive(Debug)]
pub(crate) struct Window<R> {
    file: R,
    limit: u64,
    start: u64,
    held: Vec<u8>,
}

impl<R: Read + Seek> Window<R> {
    /// Reads from `file`, never past `limit`.
    pub(crate) const fn new(file: R, limit: u64) -> Self {
        Self { file, limit, start: 0, held: Vec::new() }
    }

    /// Where reading ends.
    pub(crate) const fn limit(&self) -> u64 {
        self.limit
    }

    /// The bytes at `offset`: `wanted` of them, or fewer if the file ends before.
    pub(crate) fn bytes_at(&mut self, offset: u64, wanted: usize) -> io::Result<&[u8]> {
        let held = self.held_from(offset, wanted)?;
        Ok(held.get(..wanted).unwrap_or(held))
    }

    /// Whatever is in memory from `offset` on: `least` bytes or more, fewer only if the file ends before. Going
    /// through a file with this reads every byte about once, however small the steps are.
    pub(crate) fn held_from(&mut self, offset: u64, least: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.limit.saturating_sub(offset)).unwrap_or(usize::MAX);
        let least = least.min(left);
        if self.held_at(offset).len() < least {
            self.load(offset, least.max(CHUNK_BYTES.min(left)))?;
        }
        Ok(self.held_at(offset))
    }

    fn held_at(&self, offset: u64) -> &[u8] {
        let skipped = offset.checked_sub(self.start).and_then(|skipped| usize::try_from(skipped).ok());
        skipped.and_then(|skipped| self.held.get(skipped..)).unwrap_or_default()
    }

    fn load(&mut self, offset: u64, wanted: usize) -> io::Result<()> {
        self.held.clear();
        self.start = offset;
        self.file.seek(SeekFrom::Start(offset))?;
        self.file.by_ref().take(wanted as u64).read_to_end(&mut self.held)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn check(offset: u64, wanted: usize, limit: u64, expected: &[u8]) {
        let mut window = Window::new(Cursor::new(b"0123456789"), limit);
        assert!(matches!(window.bytes_at(offset, wanted), Ok(bytes) if bytes == expected));
        assert!(matches!(window.bytes_at(offset, wanted), Ok(bytes) if bytes == expected), "from memory");
    }

    #[test]
    fn a_window_gives_what_lies_between_offset_and_limit() {
        check(0, 4, 10, b"0123");
        check(6, 4, 10, b"6789");
        check(6, 9, 8, b"67");
        check(8, 1, 8, b"");
        check(90, 1, 8, b"");
    }

    #[test]
    fn a_file_shorter_than_promised_gives_fewer_bytes() {
        check(8, 4, 100, b"89");
        check(50, 4, 100, b"");
    }

    #[test]
    fn a_huge_request_at_the_end_of_a_small_file_allocates_little() {
        let mut window = Window::new(Cursor::new(b"0123456789"), 10);
        assert!(window.bytes_at(0, usize::MAX).is_ok());
        assert!(window.held.capacity() <= CHUNK_BYTES);
    }
}
