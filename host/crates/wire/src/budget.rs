//! What the values of one message may cost in memory.
//!
//! A few bytes can stand for many: an AMF3 reference for the whole of what it
//! names, a null for the slot that holds it. So decoders pay, out of one budget
//! for all of a message, for what they allocate before they allocate it. What is
//! let go of again is not paid back: that bounds the work as well.

use crate::amf::DecodeError;

/// Most bytes of memory that the values of one message may take, however long
/// it is.
pub const MAX_MEMORY: usize = 16 * 1024 * 1024;
/// Bytes of memory for each byte of a message.
const PER_BYTE: usize = 8;
/// And for a message of any length: small ones are not worth a refusal.
const FLOOR: usize = 1024 * 1024;
/// What an allocation takes beside what it was asked for.
const OVERHEAD: usize = 16;
/// Entries that a list grows to at first.
const FIRST: usize = 4;

/// The memory that decoding a message may still take: at first the smaller of
/// [`MAX_MEMORY`] and 8 times the message's bytes plus 1 MiB.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    left: usize,
}

impl Budget {
    /// That of a message of `length` bytes.
    pub fn of_message(length: usize) -> Self {
        let limit = length.saturating_mul(PER_BYTE).saturating_add(FLOOR);
        let limit = limit.min(MAX_MEMORY);
        Self { limit, left: limit }
    }

    /// What the whole message may take, in bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Pays for one allocation of so many bytes, for the value at `offset`.
    ///
    /// # Errors
    /// When the message has cost too much.
    pub fn allocation(&mut self, bytes: usize, offset: usize) -> Result<(), DecodeError> {
        let over = DecodeError::TooMuchMemory {
            offset,
            limit: self.limit,
        };
        let cost = match bytes {
            0 => 0,
            bytes => bytes.saturating_add(OVERHEAD),
        };
        self.left = self.left.checked_sub(cost).ok_or(over)?;
        Ok(())
    }

    /// Appends to a list, and pays for its growth.
    ///
    /// # Errors
    /// When the message has cost too much.
    pub fn push<T>(
        &mut self,
        list: &mut Vec<T>,
        item: T,
        offset: usize,
    ) -> Result<(), DecodeError> {
        if list.len() == list.capacity() {
            let more = list.capacity().max(FIRST);
            self.slots::<T>(list.capacity().saturating_add(more), offset)?;
            list.reserve_exact(more);
        }
        list.push(item);
        Ok(())
    }

    /// A list with room for so many.
    pub(crate) fn list<T>(&mut self, count: usize, offset: usize) -> Result<Vec<T>, DecodeError> {
        self.slots::<T>(count, offset)?;
        Ok(Vec::with_capacity(count))
    }

    /// Pays for a list of so many.
    pub(crate) fn slots<T>(&mut self, count: usize, offset: usize) -> Result<(), DecodeError> {
        self.allocation(count.saturating_mul(size_of::<T>()), offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_gets_what_its_length_is_worth() {
        let limit = |length| Budget::of_message(length).limit();
        assert_eq!(limit(0), 1 << 20);
        assert_eq!(limit(1000), (1 << 20) + 8000);
        assert_eq!(limit(2 << 20), MAX_MEMORY);
        assert_eq!(limit(usize::MAX), MAX_MEMORY);
    }

    #[test]
    fn what_is_paid_is_gone() {
        let mut budget = Budget::of_message(0);
        let mut list = Vec::new();
        let failed = (0..1 << 20).find_map(|n| budget.push(&mut list, n, 7).err());
        let expected = DecodeError::TooMuchMemory {
            offset: 7,
            limit: 1 << 20,
        };
        assert_eq!(failed, Some(expected));
        assert!(list.capacity() * size_of::<i32>() < 1 << 20);
        assert!(budget.allocation(1 << 20, 0).is_err());
        assert_eq!(budget.allocation(0, 0), Ok(()));
    }
}
