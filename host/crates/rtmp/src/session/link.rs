//! The chunk stream of a session, with its bookkeeping.

use bytes::{Bytes, BytesMut};

use super::SessionError;
use crate::{
    chunk::{Reader, ReaderLimits, Writer},
    control::{ProtocolControl, UserControl},
    message::Message,
};

/// Both directions of a connection after the handshake.
#[derive(Debug)]
pub(crate) struct Link {
    reader: Reader,
    writer: Writer,
    out: BytesMut,
}

impl Link {
    /// `handshake_bytes`: how many bytes the handshake consumed; they count for acknowledgements.
    pub(crate) fn new(limits: ReaderLimits) -> Self {
        Self {
            reader: Reader::new(limits),
            writer: Writer::new(),
            out: BytesMut::new(),
        }
    }

    /// Reads up to the end of the next message, answers it if it is protocol
    /// control, and returns it in every case; `None` when `input` is used up.
    ///
    /// # Errors
    /// When the chunk stream can't be read.
    pub(crate) fn handle_input(
        &mut self,
        input: &mut &[u8],
    ) -> Result<Option<Message>, SessionError> {
        Ok(self.reader.read(input)?)
    }

    /// Queues `message`.
    pub(crate) fn send(&mut self, message: &Message) {
        self.writer.write(message, &mut self.out);
    }

    /// Queues bytes that are already chunks (of `encode_absolute`).
    pub(crate) fn send_chunked(&mut self, chunks: &[u8]) {
        self.out.extend_from_slice(chunks);
    }

    /// Tells the peer the chunk size of what follows, and uses it.
    pub(crate) fn set_out_chunk_size(&mut self, bytes: u32) {
        self.send(&ProtocolControl::SetChunkSize(bytes).to_message());
        self.writer.set_chunk_size(bytes);
    }

    /// Queues a ping request that carries `millis`.
    pub(crate) fn send_ping(&mut self, millis: u32) {
        self.send(&UserControl::PingRequest(millis).to_message());
    }

    /// What is queued, or `None` if nothing is.
    pub(crate) fn take_output(&mut self) -> Option<Bytes> {
        (!self.out.is_empty()).then(|| self.out.split().freeze())
    }
}
