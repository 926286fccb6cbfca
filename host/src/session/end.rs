//! Why a session ends: one word for events, one sentence for the log.

use std::io;

use livehost_rtmp::session::SessionError;

/// The end of a connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionEnd {
    #[error("the client closed the connection")]
    Closed,
    #[error("the connection was lost: {0}")]
    Lost(#[source] io::Error),
    #[error("protocol error: {0}")]
    Protocol(#[from] SessionError),
    #[error("no handshake and connect within {0} s")]
    HandshakeTimeout(u64),
    #[error("connected, but neither published nor played for {0} s")]
    Idle(u64),
    #[error("nothing was received for {0} s, not even the answer to a ping")]
    Silent(u64),
    #[error("the client took no bytes for {0} s")]
    WriteStalled(u64),
    #[error("refused")]
    Refused,
    #[error("the publication was taken away")]
    Revoked,
    #[error("disconnected by the server: {0}")]
    Ordered(String),
    #[error("the server is shutting down")]
    Shutdown,
}

impl SessionEnd {
    /// The word that events and metrics carry.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Closed => "eof",
            Self::Lost(error) if error.kind() == io::ErrorKind::ConnectionReset => "reset",
            Self::Lost(_) => "lost",
            Self::Protocol(_) => "protocol-error",
            Self::HandshakeTimeout(_) | Self::Idle(_) | Self::Silent(_) => "timeout",
            Self::WriteStalled(_) => "stalled",
            Self::Refused => "refused",
            Self::Revoked => "revoked",
            Self::Ordered(_) => "kicked",
            Self::Shutdown => "shutdown",
        }
    }

    /// Ends that an operator should look at.
    pub(super) fn is_failure(&self) -> bool {
        !matches!(
            self,
            // Many clients leave with a reset; what it cost is in the lines
            // of their streams.
            Self::Closed
                | Self::Lost(_)
                | Self::Refused
                | Self::Revoked
                | Self::Ordered(_)
                | Self::Shutdown
        )
    }
}
