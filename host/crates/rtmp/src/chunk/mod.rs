//! The chunk stream: bytes to messages and back, RTMP 1.0 section 5.3.
//!
//! [`Reader`] takes received bytes and yields messages. [`Writer`] takes
//! messages for one peer and yields bytes with compressed headers;
//! [`encode_absolute`] yields bytes that are right for any peer.
//!
//! A chunk is a basic header (format and chunk stream id, 1 to 3 bytes), a
//! message header (11, 7, 3 or 0 bytes for formats 0 to 3), an extended
//! timestamp of 4 bytes when the 24-bit field says 0xFFFFFF, and at most
//! "chunk size" bytes of payload.

mod header;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

use thiserror::Error;

use crate::control::ControlMessageError;
use crate::message::type_id;

pub use reader::Reader;
pub use writer::{Absolute, Writer, encode_absolute, encode_payload};

/// The chunk size both directions start with, in bytes (section 5.4.1).
pub const DEFAULT_CHUNK_SIZE: u32 = 128;

/// A timestamp field of this value says that an extended timestamp follows
/// (section 5.3.1.3); timestamps and deltas from here on can't be said in 24
/// bits.
const EXTENDED: u32 = 0x00FF_FFFF;

/// The largest message length the 24-bit field can say, in bytes.
const MAX_MESSAGE_LENGTH: usize = 0x00FF_FFFF;

/// The largest chunk size that may be said, in bytes: the top bit is zero
/// (section 5.4.1).
const MAX_CHUNK_SIZE: u32 = 0x7FFF_FFFF;

/// What may come between the chunks of a message of the greatest length, in
/// bytes: sound between those of a picture, control messages.
const BETWEEN: usize = 64 << 10;

/// The highest chunk stream id (section 5.3.1.1).
const MAX_CHUNK_STREAM_ID: u32 = 65_599;

/// What a [`Reader`] accepts from its peer before it gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderLimits {
    /// Longest message that is kept, in bytes. A longer one is refused as soon
    /// as its header announces it, unless `max_ignored_size` lets it pass.
    pub max_message_size: u32,
    /// Longest message of media (audio, video, data) that is passed over
    /// instead of refused, in bytes.
    pub max_ignored_size: u32,
    /// How many different chunk streams the peer may use.
    pub max_chunk_streams: usize,
    /// Memory for half-received messages, all of them together, in bytes.
    pub max_held_bytes: usize,
}

impl ReaderLimits {
    /// Messages of up to `max_message_size` bytes, with room for what comes
    /// between the chunks of one.
    #[must_use]
    pub const fn of_messages(max_message_size: u32) -> Self {
        Self {
            max_message_size,
            max_ignored_size: 0,
            max_chunk_streams: 64,
            max_held_bytes: (max_message_size as usize).saturating_add(BETWEEN),
        }
    }

    /// The longest message of a type that is no error.
    fn longest(&self, type_id: u8) -> u32 {
        if type_id::is_media(type_id) {
            self.max_message_size.max(self.max_ignored_size)
        } else {
            self.max_message_size
        }
    }
}

impl Default for ReaderLimits {
    fn default() -> Self {
        Self::of_messages(8 << 20)
    }
}

/// Why a chunk stream can't be read on, and where. Always fatal to the
/// connection: the place of the next chunk is no longer known, or a limit was
/// passed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("byte {offset} of the chunk stream: {kind}")]
pub struct ChunkError {
    /// Bytes read up to and including the one that showed the problem.
    pub offset: u64,
    /// What is wrong.
    pub kind: ChunkErrorKind,
}

/// What is wrong with a chunk stream.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChunkErrorKind {
    /// A format 2 or 3 header on a chunk stream without a message before it.
    #[error(
        "expected a format 0 or 1 header to open chunk stream {chunk_stream_id}, found format \
         {format}, which leaves the message length unknown"
    )]
    NoPreviousHeader {
        /// The chunk stream.
        chunk_stream_id: u32,
        /// 2 or 3.
        format: u8,
    },
    /// More chunk streams than [`ReaderLimits::max_chunk_streams`].
    #[error(
        "expected at most {limit} chunk streams, found chunk stream {chunk_stream_id} beyond them"
    )]
    TooManyChunkStreams {
        /// The one too many.
        chunk_stream_id: u32,
        /// The limit.
        limit: usize,
    },
    /// A message longer than [`ReaderLimits::max_message_size`], or than
    /// [`ReaderLimits::max_ignored_size`] if it is media.
    #[error(
        "expected messages of at most {limit} bytes, found one of {length} bytes on chunk stream \
         {chunk_stream_id}"
    )]
    MessageTooLong {
        /// The chunk stream.
        chunk_stream_id: u32,
        /// Announced length in bytes.
        length: u32,
        /// The limit in bytes.
        limit: u32,
    },
    /// Half-received messages take more than [`ReaderLimits::max_held_bytes`].
    #[error(
        "expected unfinished messages to take at most {limit} bytes, found more with chunk stream \
         {chunk_stream_id}"
    )]
    TooMuchUnfinished {
        /// The chunk stream that passed the limit.
        chunk_stream_id: u32,
        /// The limit in bytes.
        limit: usize,
    },
    /// A Set Chunk Size of 0, or with the top bit set.
    #[error("expected a chunk size of 1 to {MAX_CHUNK_SIZE} bytes, found {found}")]
    ChunkSize {
        /// The size asked for.
        found: u32,
    },
    /// A Set Chunk Size or Abort message of fewer than four bytes.
    #[error(transparent)]
    Control(#[from] ControlMessageError),
}
