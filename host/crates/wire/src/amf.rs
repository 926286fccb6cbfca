//! What AMF0 and AMF3 share: the error, the limit on nesting, and the text rule.

use crate::budget::Budget;
use crate::cursor::{Cursor, Short};

/// Deepest nesting of containers, in AMF0 and AMF3 alike (AMF3 values inside
/// AMF0 ones count on).
pub const MAX_DEPTH: usize = 32;

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
    /// The values take more memory than the message is granted: see
    /// [`Budget`].
    #[error(
        "expected AMF values that take at most {limit} bytes of memory in all, found more at \
         offset {offset}"
    )]
    TooMuchMemory {
        /// Where the value is that there is no memory for.
        offset: usize,
        /// What there is for the whole message.
        limit: usize,
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
            | Self::TooMuchMemory { offset, .. } => offset,
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

/// The depth inside a container at `depth`, or the error that it is too deep.
pub(crate) fn deeper(depth: usize, offset: usize) -> Result<usize, DecodeError> {
    if depth >= MAX_DEPTH {
        return Err(DecodeError::TooDeep { offset });
    }
    Ok(depth.saturating_add(1))
}

/// Text of `length` bytes. Real encoders send Latin-1 now and then: what is
/// not UTF-8 becomes U+FFFD rather than end the session.
pub(crate) fn text(
    cursor: &mut Cursor<'_>,
    budget: &mut Budget,
    length: usize,
) -> Result<String, DecodeError> {
    let offset = cursor.offset();
    let bytes = cursor.take(length)?;
    lossy(bytes, budget, offset)
}

/// The text that these bytes are, U+FFFD for each bad sequence; `budget` pays for
/// it.
///
/// # Errors
/// When the message that it is of, at `offset`, has cost too much.
pub fn lossy(bytes: &[u8], budget: &mut Budget, offset: usize) -> Result<String, DecodeError> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        budget.allocation(text.len(), offset)?;
        return Ok(text.to_owned());
    }
    let parts = || {
        bytes.utf8_chunks().flat_map(|chunk| {
            let bad = match chunk.invalid() {
                [] => "",
                _ => "\u{FFFD}",
            };
            [chunk.valid(), bad]
        })
    };
    let length = parts().map(str::len).fold(0, usize::saturating_add);
    budget.allocation(length, offset)?;
    let mut text = String::with_capacity(length);
    text.extend(parts());
    Ok(text)
}

/// The longest start of `text` that has at most `max` bytes and ends between
/// two characters.
pub(crate) fn clip(text: &str, max: usize) -> &str {
    let end = text.floor_char_boundary(max);
    text.get(..end).unwrap_or(text)
}
