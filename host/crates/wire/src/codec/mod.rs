//! Codec configuration records: the body of a sequence header, taken apart
//! as far as logs, metadata and muxers need it. Parsing only.

mod aac;
mod avc;
mod bits;
mod hevc;

pub use aac::AudioSpecificConfig;
pub use avc::{AvcConfig, Dimensions};
pub use hevc::HevcConfig;

use crate::cursor::Short;

/// Why bytes are no configuration record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The record ended inside a field.
    #[error(
        "expected {needed} byte(s) of a configuration record at offset {offset}, found {available}"
    )]
    Truncated {
        /// Where the incomplete field starts, in bytes.
        offset: usize,
        /// Bytes the field needs.
        needed: usize,
        /// Bytes there were.
        available: usize,
    },
    /// The coded fields ended too early.
    #[error("expected {needed} bit(s) of {what} at bit {bit}, found the end")]
    OutOfBits {
        /// What was being read.
        what: &'static str,
        /// Bits read before.
        bit: usize,
        /// Bits the field needs.
        needed: u32,
    },
    /// A field has a value that it cannot have.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// The field, and what it may be.
        expected: &'static str,
        /// The value found.
        found: u32,
    },
}

impl From<Short> for CodecError {
    fn from(short: Short) -> Self {
        Self::Truncated {
            offset: short.offset,
            needed: short.needed,
            available: short.available,
        }
    }
}
