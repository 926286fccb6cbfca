//! The handshake, RTMP 1.0 section 5.2: 1 + 1536 + 1536 bytes each way.

use bytes::BytesMut;
use thiserror::Error;

/// How many random bytes each end of a handshake is given.
pub const RANDOM_LEN: usize = 3072;

/// How far a handshake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All input was consumed and more is needed.
    NeedMore,
    /// The chunk stream starts with what is left of the input.
    Done,
}

/// Which handshake a client starts, or a server found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeKind {
    /// As in the specification: random bytes, echoed.
    Simple,
    /// With HMAC-SHA256 digests, as Flash Player 9 and later do.
    Digest,
}

/// Why a handshake failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HandshakeError {
    /// C0 asks for encrypted RTMP (6, 8 or 9).
    #[error("C0: expected version 3, found {found}: RTMPE not enabled on this chain")]
    RtmpeNotEnabled {
        /// The version byte.
        found: u8,
    },
}

/// The server's end.
#[derive(Debug)]
pub struct ServerHandshake;

impl ServerHandshake {
    /// `random`: bytes from a good source; `epoch_ms`: this server's clock.
    pub fn new(_random: &[u8; RANDOM_LEN], _epoch_ms: u32) -> Self {
        Self
    }

    /// Consumes from the front of `input` and appends what to send to `out`.
    ///
    /// # Errors
    /// Any [`HandshakeError`] ends the connection.
    pub fn handle_input(
        &mut self,
        _input: &mut &[u8],
        _out: &mut BytesMut,
    ) -> Result<Progress, HandshakeError> {
        Ok(Progress::NeedMore)
    }
}
