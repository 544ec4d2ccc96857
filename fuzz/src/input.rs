//! Structure out of bytes: what the targets of the log read their steps from. Every byte string is some input.

/// The bytes that are not used yet. At their end everything is 0 or empty.
#[derive(Debug)]
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// Whether everything is used.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// At most `count` bytes.
    pub fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    /// Two bytes, little endian.
    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// Four bytes, little endian.
    pub fn u32(&mut self) -> u32 {
        u32::from(self.u16()) | u32::from(self.u16()) << 16
    }

    /// Eight bytes, little endian.
    pub fn u64(&mut self) -> u64 {
        u64::from(self.u32()) | u64::from(self.u32()) << 32
    }

    /// A place in something that has `count` places, 0 if it has none.
    pub fn place(&mut self, count: usize) -> usize {
        usize::from(self.u16()).checked_rem(count).unwrap_or_default()
    }

    /// Bytes with their length in front.
    pub fn text(&mut self) -> &'a [u8] {
        let count = self.u16().into();
        self.take(count)
    }
}
