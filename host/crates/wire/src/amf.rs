//! What AMF0 and AMF3 share: the error, the limits, and the text rule.

use crate::cursor::{Cursor, Short};

/// Deepest nesting of containers, in AMF0 and AMF3 alike (AMF3 values inside
/// AMF0 ones count on).
pub const MAX_DEPTH: usize = 32;

/// Most values one decode call produces, containers and leaves, references
/// expanded.
pub const MAX_VALUES: usize = 65_536;

/// Most bytes of text and binary data that the AMF3 values of one decode call
/// hold, references expanded.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Why bytes are no AMF value. Offsets count from the start of the input
/// given to the decode call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The input ended inside a value; this includes an object whose end
    /// marker is missing.
    #[error(
        "AMF input ends too early: expected {needed} byte(s) of a value or an object end \
         marker at offset {offset}, found {available}"
    )]
    Truncated {
        /// Where the incomplete field starts.
        offset: usize,
        /// Bytes the field needs.
        needed: usize,
        /// Bytes there were.
        available: usize,
    },
    /// A type marker that stands for no value.
    #[error("expected {format} type marker at offset {offset}, found 0x{marker:02x}")]
    UnknownMarker {
        /// Where the marker is.
        offset: usize,
        /// "an AMF0" or "an AMF3".
        format: &'static str,
        /// The byte found.
        marker: u8,
    },
    /// A marker that the specification reserves (MovieClip, RecordSet).
    #[error(
        "expected a supported AMF0 type at offset {offset}, found the reserved {name} marker \
         0x{marker:02x}"
    )]
    ReservedMarker {
        /// Where the marker is.
        offset: usize,
        /// The byte found.
        marker: u8,
        /// Its name in the specification.
        name: &'static str,
    },
    /// An AMF3 reference to something that was not sent before.
    #[error("expected an AMF3 {table} reference below {known} at offset {offset}, found {index}")]
    UnknownReference {
        /// Where the reference is.
        offset: usize,
        /// "string", "object" or "traits".
        table: &'static str,
        /// The index found.
        index: usize,
        /// How many entries the table has.
        known: usize,
    },
    /// An AMF3 object that contains itself: legal on the wire, but not a
    /// value that a tree can hold.
    #[error(
        "expected an AMF3 value that ends, found object {index} inside itself, in the value that ends at offset {offset}"
    )]
    CircularReference {
        /// Where the value that contains the circle ends.
        offset: usize,
        /// Index of the object.
        index: usize,
    },
    /// An AMF3 object whose bytes only its class can read.
    #[error(
        "expected an AMF3 object with named members at offset {offset}, found the externalizable \
         class {class_name:?}"
    )]
    Externalizable {
        /// Where the object is.
        offset: usize,
        /// The class that would know.
        class_name: String,
    },
    /// Containers are nested deeper than [`MAX_DEPTH`].
    #[error("expected at most {MAX_DEPTH} nested AMF containers, found more at offset {offset}")]
    TooDeep {
        /// Where the container too many is.
        offset: usize,
    },
    /// There are more values than [`MAX_VALUES`].
    #[error("expected at most {MAX_VALUES} AMF values, found more at offset {offset}")]
    TooManyValues {
        /// Where the value too many is.
        offset: usize,
    },
    /// The AMF3 values hold more data than [`MAX_BYTES`].
    #[error("expected at most {MAX_BYTES} bytes of AMF3 data, found more at offset {offset}")]
    TooManyBytes {
        /// Where the limit was passed.
        offset: usize,
    },
}

impl DecodeError {
    /// The offset of the failure, in bytes from the start of the input.
    pub fn offset(&self) -> usize {
        match *self {
            Self::Truncated { offset, .. }
            | Self::UnknownMarker { offset, .. }
            | Self::ReservedMarker { offset, .. }
            | Self::UnknownReference { offset, .. }
            | Self::CircularReference { offset, .. }
            | Self::Externalizable { offset, .. }
            | Self::TooDeep { offset }
            | Self::TooManyValues { offset }
            | Self::TooManyBytes { offset } => offset,
        }
    }
}

impl From<Short> for DecodeError {
    fn from(short: Short) -> Self {
        Self::Truncated {
            offset: short.offset,
            needed: short.needed,
            available: short.available,
        }
    }
}

/// What a decode call may still produce.
#[derive(Debug)]
pub(crate) struct Budget {
    values: usize,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self {
            values: MAX_VALUES,
            bytes: MAX_BYTES,
        }
    }

    /// Accounts for values about to be produced at `offset`.
    pub(crate) fn values(&mut self, count: usize, offset: usize) -> Result<(), DecodeError> {
        self.values = self
            .values
            .checked_sub(count)
            .ok_or(DecodeError::TooManyValues { offset })?;
        Ok(())
    }

    /// Accounts for data about to be copied out of the value at `offset`.
    pub(crate) fn bytes(&mut self, count: usize, offset: usize) -> Result<(), DecodeError> {
        self.bytes = self
            .bytes
            .checked_sub(count)
            .ok_or(DecodeError::TooManyBytes { offset })?;
        Ok(())
    }
}

/// The depth inside a container at `depth`, or the error that it is too deep.
pub(crate) fn deeper(depth: usize, offset: usize) -> Result<usize, DecodeError> {
    if depth >= MAX_DEPTH {
        return Err(DecodeError::TooDeep { offset });
    }
    Ok(depth.saturating_add(1))
}

/// Text of `length` bytes. Real encoders send Latin-1 now and then: what is
/// not UTF-8 becomes U+FFFD rather than end the session.
pub(crate) fn text(cursor: &mut Cursor<'_>, length: usize) -> Result<String, DecodeError> {
    let bytes = cursor.take(length)?;
    Ok(match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    })
}

/// The longest start of `text` that has at most `max` bytes and ends between
/// two characters.
pub(crate) fn clip(text: &str, max: usize) -> &str {
    let end = text.floor_char_boundary(max);
    text.get(..end).unwrap_or(text)
}
