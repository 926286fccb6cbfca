//! FLV (Adobe Flash Video File Format Specification 10.1, annex E) and its
//! extension by Enhanced RTMP v2.
//!
//! The payload of an RTMP audio or video message is the data of an FLV tag:
//! [`parse_audio`] and [`parse_video`] read the header at its front and
//! answer what a relay must know of it (keyframe? sequence header? which
//! codec?) while the media itself stays an untouched slice. The tags can be
//! written again with `encode`. [`FileHeader`] and [`TagHeader`] are the
//! container around them, both ways.
//!
//! Codec ids and FourCCs nobody knows yet are no error as long as the
//! structure around them can be walked: a relay passes them on.

mod audio;
mod codecs;
mod enhanced;
mod file;
#[cfg(test)]
mod tests;
mod video;

pub use audio::{AudioPacket, AudioTag, AudioTrack, SoundFormat, parse_audio};
pub use codecs::{AudioCodec, FourCc, VideoCodec};
pub use enhanced::MultitrackType;
pub use file::{FileHeader, Tag, TagHeader, TagType};
pub use video::{FrameType, VideoPacket, VideoTag, VideoTrack, parse_video};

use crate::cursor::Short;

/// Why bytes are no FLV header or tag, or a tag cannot be written. Offsets
/// count from the start of the input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlvError {
    /// The payload has no byte. Harmless: encoders send empty messages, and
    /// an empty audio message stands for silence (Enhanced RTMP v2, section
    /// "Enhanced Audio"). There is nothing to forward.
    #[error("expected a media tag, found an empty payload")]
    Empty,
    /// The input ended inside a header or a track.
    #[error("expected {needed} byte(s) of an FLV tag at offset {offset}, found {available}")]
    Truncated {
        /// Where the incomplete field starts.
        offset: usize,
        /// Bytes the field needs.
        needed: usize,
        /// Bytes there were.
        available: usize,
    },
    /// A multitrack type whose layout is not known.
    #[error("expected multitrack type 0, 1 or 2 at offset {offset}, found {found}")]
    UnknownMultitrackType {
        /// Where the type is.
        offset: usize,
        /// The type found.
        found: u8,
    },
    /// A multitrack packet inside a multitrack packet.
    #[error("expected the packet type of the tracks at offset {offset}, found another multitrack")]
    NestedMultitrack {
        /// Where the packet type is.
        offset: usize,
    },
    /// The file does not start as an FLV file does.
    #[error("expected the FLV signature and version 1, found bytes {found:02x?}")]
    NotFlv {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// The file header says that it is shorter than it is.
    #[error("expected an FLV header of 9 bytes or more, found {found}")]
    BadHeaderLength {
        /// The length found.
        found: u32,
    },
    /// The data does not fit a 24-bit length field.
    #[error("expected at most 16777215 bytes in an FLV tag or track, found {found}")]
    TooLong {
        /// Bytes there are.
        found: usize,
    },
}

impl From<Short> for FlvError {
    fn from(short: Short) -> Self {
        Self::Truncated {
            offset: short.offset,
            needed: short.needed,
            available: short.available,
        }
    }
}
