//! A bounds-checked big-endian reader over a byte slice that knows how far it
//! came, so that every error can say where.

/// The input ended before a field was complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Short {
    /// Byte offset of the field, from the start of the input.
    pub(crate) offset: usize,
    /// Bytes the field needs.
    pub(crate) needed: usize,
    /// Bytes the input still had.
    pub(crate) available: usize,
}

/// The unread rest of an input, and its offset from the input's start.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Self {
        Self {
            rest: input,
            offset: 0,
        }
    }

    /// Bytes consumed so far.
    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    /// Everything not consumed yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte, left in place.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Short> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(Short {
                offset: self.offset,
                needed: count,
                available: self.rest.len(),
            });
        };
        self.rest = rest;
        // Cannot overflow: the sum is at most the length of a slice.
        self.offset = self.offset.saturating_add(count);
        Ok(taken)
    }

    /// Everything not consumed yet, consuming it.
    pub(crate) fn take_rest(&mut self) -> &'a [u8] {
        self.offset = self.offset.saturating_add(self.rest.len());
        std::mem::take(&mut self.rest)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Short> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Short> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn i16(&mut self) -> Result<i16, Short> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u24(&mut self) -> Result<u32, Short> {
        let [high, middle, low] = self.array()?;
        Ok(u32::from_be_bytes([0, high, middle, low]))
    }

    /// A 24-bit two's complement integer (FLV's SI24).
    pub(crate) fn i24(&mut self) -> Result<i32, Short> {
        let [high, middle, low] = self.array()?;
        Ok(i32::from_be_bytes([high, middle, low, 0]) >> 8)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Short> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn i32(&mut self) -> Result<i32, Short> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(crate) fn f64(&mut self) -> Result<f64, Short> {
        Ok(f64::from_be_bytes(self.array()?))
    }

    pub(crate) fn four(&mut self) -> Result<[u8; 4], Short> {
        self.array()
    }
}
