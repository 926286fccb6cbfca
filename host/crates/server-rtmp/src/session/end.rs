//! Why a session ends: one word for events, one sentence for the log.

use std::io;

use livehost_rtmp::session::SessionError;

/// The end of a connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum EndReason {
    #[error("the client closed the connection")]
    Closed,
    #[error("the connection was lost: {0}")]
    Lost(#[source] io::Error),
    #[error("protocol error: {0}")]
    Protocol(#[from] SessionError),
    #[error("no handshake and connect within {0} s")]
    HandshakeTimeout(u64),
    #[error("connected, but neither published nor played, nor used a shared object, for {0} s")]
    Idle(u64),
    #[error("the {0} s that were granted are over")]
    Expired(u32),
    #[error("the client sent and took nothing for {0} s, and did not answer a ping")]
    Silent(u64),
    #[error("the client took no bytes for {0} s")]
    WriteStalled(u64),
    #[error("refused")]
    Refused,
    #[error("not logged in")]
    Unauthenticated,
    /// The server ended the last stream the client had.
    #[error("{text}")]
    StreamOver { reason: &'static str, text: String },
    #[error("disconnected by the server: {0}")]
    Ordered(String),
    #[error("the server is shutting down")]
    Shutdown,
}

impl From<io::Error> for EndReason {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // It closed its side, and a write met that before the read did.
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Lost(error),
        }
    }
}

impl EndReason {
    /// The word that events and metrics carry.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Closed => "eof",
            Self::Lost(error) if error.kind() == io::ErrorKind::ConnectionReset => "reset",
            Self::Lost(_) => "lost",
            Self::Protocol(_) => "protocol-error",
            Self::HandshakeTimeout(_) | Self::Idle(_) | Self::Silent(_) => "timeout",
            Self::WriteStalled(_) => "stalled",
            Self::Expired(_) => "limit",
            Self::Refused | Self::Unauthenticated => "refused",
            Self::StreamOver { reason, .. } => reason,
            Self::Ordered(_) => "kicked",
            Self::Shutdown => "shutdown",
        }
    }

    /// Ends that an operator should look at. Many clients leave with a reset:
    /// what that cost is in the lines of their streams.
    pub(super) fn is_failure(&self) -> bool {
        matches!(
            self,
            Self::Protocol(_)
                | Self::HandshakeTimeout(_)
                | Self::Silent(_)
                | Self::WriteStalled(_)
                | Self::StreamOver { .. }
        )
    }

    /// The client takes its bytes too slowly, or not at all.
    pub(super) fn is_stuck(&self) -> bool {
        match self {
            Self::StreamOver { reason, .. } => *reason == "too-slow",
            Self::Silent(_) | Self::WriteStalled(_) => true,
            _ => false,
        }
    }

    /// The client did not mean to leave: its publications are lost, not over.
    pub(super) fn is_loss(&self) -> bool {
        matches!(
            self,
            Self::Closed
                | Self::Lost(_)
                | Self::Protocol(_)
                | Self::Silent(_)
                | Self::WriteStalled(_)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interface_lists_every_reason() {
        let lost = |kind: io::ErrorKind| EndReason::Lost(kind.into());
        let text = String::new;
        let ends = [
            EndReason::Closed,
            lost(io::ErrorKind::ConnectionReset),
            lost(io::ErrorKind::TimedOut),
            EndReason::HandshakeTimeout(1),
            EndReason::Idle(1),
            EndReason::Expired(1),
            EndReason::Silent(1),
            EndReason::WriteStalled(1),
            EndReason::Refused,
            EndReason::Unauthenticated,
            EndReason::Ordered(text()),
            EndReason::Shutdown,
        ];
        let interface = include_str!("../../../../../wit/0.1/types.wit");
        let listed = interface
            .split_once("/// How a publish, a playback")
            .unwrap()
            .1;
        let listed = listed.split_once("record session-end").unwrap().0;
        for end in ends {
            let mut lines = listed.lines().filter_map(|line| line.split_once(" - "));
            let reason = end.reason();
            let is_listed =
                lines.any(|(list, _)| list.split([',', ' ']).any(|word| word == reason));
            assert!(is_listed, "{reason}");
        }
    }
}
