//! Why a relay has no connection, or has it no more.

use std::io;
use std::net::IpAddr;

use livehost_app::refusal::{Refusal, RefusalKind};
use livehost_app::relays::PullFailure;
use livehost_net::driver::Lost;
use livehost_net::outbound::ConnectError;
use livehost_rtmp::session::SessionError;
use livehost_rtmp::session::client::{Redirect, RefusedCommand, ServerRejection};

use super::url::RelayUrl;

/// What a server answers to a `play` of what it doesn't have.
const NOT_FOUND: &str = "NetStream.Play.StreamNotFound";

/// The end of an attempt, in words for the log and the plugin; what players hear
/// is [`RelayError::told`].
#[derive(Debug, thiserror::Error)]
pub(super) enum RelayError {
    #[error("cannot connect: {0}")]
    Connect(#[from] ConnectError),
    /// What goes behind the application next.
    #[error("the server asks for a password again and again")]
    Challenged(String),
    /// The server at this address has the stream elsewhere.
    #[error("the server redirects")]
    Redirected(Redirect, IpAddr),
    /// The reason first: a URL may be long, and lines are cut.
    #[error("the server's redirect is not followed: {why} (it leads to {to})")]
    NotFollowed { to: String, why: String },
    #[error("TLS: {0}")]
    Tls(String),
    #[error("the connection was lost: {0}")]
    Lost(#[from] io::Error),
    #[error("the server closed the connection")]
    Closed,
    #[error("protocol error: {0}")]
    Protocol(#[from] SessionError),
    #[error("no answer to {what} within {seconds} s")]
    NoAnswer { what: &'static str, seconds: f32 },
    #[error("{what} refused: {text}")]
    Refused {
        what: &'static str,
        /// It has no such stream.
        is_not_found: bool,
        text: String,
    },
    #[error("the server ended it: {said}")]
    Ended {
        /// It has the stream no more, rather than that it can't give it.
        is_not_found: bool,
        said: String,
    },
    #[error("the server took no bytes for {0} s")]
    Stalled(f32),
    #[error("{0}")]
    Behind(livehost_hub::PlayerEnd),
    #[error("the server sent no media within {0} s")]
    NoMedia(f32),
    #[error("{0} by {remote} (connection {conn})", remote = .0.owner().remote, conn = .0.owner().conn)]
    Taken(livehost_hub::ClaimError),
    #[error("{}", over(.0))]
    Over(Refusal),
    #[error("stopped here: {0}")]
    Disconnected(String),
}

impl From<Lost> for RelayError {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Closed => Self::Closed,
            Lost::Failed(error) => Self::Lost(error),
            Lost::Stalled(after) => Self::Stalled(after.as_secs_f32()),
        }
    }
}

impl RelayError {
    /// A refusal without what of it may be secret.
    pub(super) fn refused(rejection: &ServerRejection, url: &RelayUrl) -> Self {
        let what = match rejection.what {
            RefusedCommand::Connect => "connect",
            RefusedCommand::CreateStream => "createStream",
            RefusedCommand::Publish { .. } => "publish",
            RefusedCommand::Play { .. } => "play",
        };
        let said = [&*rejection.code, &*rejection.description];
        let said: Vec<&str> = said.into_iter().filter(|text| !text.is_empty()).collect();
        let text = match said.is_empty() {
            true => "without a reason".to_owned(),
            false => url.redact(&said.join(": ")),
        };
        Self::Refused {
            what,
            is_not_found: rejection.code == NOT_FOUND,
            text,
        }
    }

    /// The word that events carry.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Closed => "eof",
            Self::Protocol(_) => "protocol-error",
            Self::NoMedia(_) | Self::NoAnswer { .. } => "timeout",
            Self::Over(refusal) => refusal.kind.reason(),
            Self::Disconnected(_) => "kicked",
            Self::Ended { .. } => "unpublish",
            _ => "lost",
        }
    }

    /// The server did not say that the stream is over.
    pub(super) fn is_loss(&self) -> bool {
        match self {
            Self::Over(refusal) => refusal.kind == RefusalKind::Silent,
            Self::Disconnected(_) | Self::Ended { .. } => false,
            _ => true,
        }
    }

    /// The reason as players hear it: where the other server is, and who
    /// publishes here, is none of their business.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Taken(error) => error.to_string(),
            Self::Refused { .. }
            | Self::Ended { .. }
            | Self::Closed
            | Self::NoAnswer { .. }
            | Self::NoMedia(_)
            | Self::Stalled(_)
            | Self::Challenged(_)
            | Self::Over(_)
            | Self::Disconnected(_) => self.to_string(),
            _ => "its server can't be reached".to_owned(),
        }
    }

    /// What those hear who wait for the stream.
    pub(super) fn pull_failure(&self) -> PullFailure {
        PullFailure {
            is_not_found: match self {
                Self::NoMedia(_) => true,
                Self::Refused { is_not_found, .. } | Self::Ended { is_not_found, .. } => {
                    *is_not_found
                }
                _ => false,
            },
            text: format!("the stream could not be pulled: {}", self.told()),
        }
    }
}

/// Why its publication is over.
fn over(refusal: &Refusal) -> String {
    let text = &refusal.text;
    match refusal.kind {
        RefusalKind::Silent => format!("the server sent {text}"),
        _ => format!("stopped here: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livehost_hub::Revocation;

    #[test]
    fn a_pull_ends_as_its_publication_does() {
        let silent = Refusal::new(RefusalKind::Silent, "no media for 2 s");
        let stopped = Revocation::Stopped("enough".to_owned());
        for (refusal, word, is_loss, text) in [
            (silent, "timeout", true, "the server sent no media for 2 s"),
            (stopped.into(), "kicked", false, "stopped here: enough"),
            (
                Revocation::Replaced.into(),
                "replaced",
                false,
                "stopped here: replaced by another publisher",
            ),
        ] {
            let error = RelayError::Over(refusal);
            assert_eq!((error.word(), error.is_loss()), (word, is_loss), "{text}");
            assert_eq!(
                (error.to_string(), error.told()),
                (text.into(), text.into())
            );
        }
    }
}
