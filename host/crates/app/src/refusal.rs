//! Why nothing comes of what was asked for, or nothing more: in words of no protocol.
//!
//! Flows in: what the policy, the names, the hub and the relays say. Flows out: a
//! [`Refusal`], which each protocol tells its client in its own status.

use livehost_hub::{ClaimError, Full, Owner, PlayerEnd, Revocation};
use livehost_policy::Rejection;

use crate::lineage::Loop;
use crate::names::NameError;
use crate::relays::{NoPull, PullFailure};

/// When a player that found no place may find one, milliseconds.
const RETRY_WHEN_FULL: u32 = 1000;

/// What kind of refusal it is: what a protocol's status follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// No stream, or application, can be called so.
    BadName,
    /// Who asks has to log in, or failed to.
    Unauthenticated,
    /// The policy has judged who asks.
    Denied,
    /// Not now: there is no decision, or the stream can't be had from where it is.
    Unavailable,
    /// The policy granted what can't be done.
    Unusable,
    /// The stream would come back to where it comes from.
    Loop,
    /// Somebody else has the name.
    Busy,
    /// As many play as may.
    TooMany,
    /// Nobody publishes it, here or where it was to be pulled from.
    NotFound,
    /// The granted time is over.
    Expired,
    /// A publisher sent nothing for too long.
    Silent,
    /// A publisher sent more than was granted.
    TooFast,
    /// A player took too little for too long.
    TooSlow,
    /// Another publisher took the name, as its grant allowed.
    Replaced,
    /// An order ended the publication.
    Stopped,
}

/// A publish or play that is refused, or ended by the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What its status follows from.
    pub kind: RefusalKind,
    /// For people; fit for clients.
    pub text: String,
    /// The status code that a plugin wants to be told, in RTMP's words.
    pub code: Option<String>,
    /// When trying again makes sense, milliseconds.
    pub retry_after_ms: Option<u32>,
    /// Who has the name: for the log alone.
    pub owner: Option<Owner>,
}

impl Refusal {
    /// A refusal with nothing but its kind and a text.
    pub fn new(kind: RefusalKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            code: None,
            retry_after_ms: None,
            owner: None,
        }
    }
}

impl RefusalKind {
    /// The reason, as events and the log have it, of what the server ends for this.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotFound | Self::Silent => "timeout",
            Self::Unavailable => "pull-failed",
            Self::Expired => "limit",
            Self::TooFast => "too-fast",
            Self::TooSlow => "too-slow",
            Self::Replaced => "replaced",
            Self::Stopped => "kicked",
            Self::BadName
            | Self::Unauthenticated
            | Self::Denied
            | Self::Unusable
            | Self::Loop
            | Self::Busy
            | Self::TooMany => "refused",
        }
    }
}

impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        Self {
            kind: match rejection.is_verdict {
                true => RefusalKind::Denied,
                false => RefusalKind::Unavailable,
            },
            text: rejection.description,
            code: Some(rejection.code).filter(|code| !code.is_empty()),
            retry_after_ms: rejection.retry_after_ms,
            owner: None,
        }
    }
}

impl From<NameError> for Refusal {
    fn from(error: NameError) -> Self {
        Self::new(RefusalKind::BadName, error.to_string())
    }
}

impl From<Loop> for Refusal {
    fn from(error: Loop) -> Self {
        Self::new(RefusalKind::Loop, error.to_string())
    }
}

impl From<ClaimError> for Refusal {
    fn from(error: ClaimError) -> Self {
        Self {
            owner: Some(error.owner().clone()),
            ..Self::new(RefusalKind::Busy, error.to_string())
        }
    }
}

impl From<Full> for Refusal {
    fn from(error: Full) -> Self {
        Self {
            retry_after_ms: Some(RETRY_WHEN_FULL),
            ..Self::new(RefusalKind::TooMany, error.to_string())
        }
    }
}

impl From<NoPull> for Refusal {
    fn from(error: NoPull) -> Self {
        let kind = match error {
            NoPull::Loop(_) => RefusalKind::Loop,
            NoPull::Url => RefusalKind::Unusable,
            NoPull::Room => RefusalKind::Unavailable,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<PullFailure> for Refusal {
    fn from(failure: PullFailure) -> Self {
        let kind = match failure.is_not_found {
            true => RefusalKind::NotFound,
            false => RefusalKind::Unavailable,
        };
        Self::new(kind, failure.text)
    }
}

impl From<Revocation> for Refusal {
    fn from(why: Revocation) -> Self {
        let kind = match why {
            Revocation::Replaced => RefusalKind::Replaced,
            Revocation::Stopped(_) => RefusalKind::Stopped,
        };
        Self::new(kind, why.to_string())
    }
}

impl From<PlayerEnd> for Refusal {
    fn from(end: PlayerEnd) -> Self {
        let PlayerEnd::TooSlow(_) = end;
        Self::new(RefusalKind::TooSlow, end.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_an_end_is_in_the_interface() {
        let interface = include_str!("../../../../wit/0.1/types.wit");
        let comment = interface
            .split_once("/// How a publish, a playback")
            .unwrap()
            .1;
        let comment = comment.split_once("record session-end").unwrap().0;
        for kind in [
            RefusalKind::NotFound,
            RefusalKind::Silent,
            RefusalKind::Unavailable,
            RefusalKind::Expired,
            RefusalKind::TooFast,
            RefusalKind::TooSlow,
            RefusalKind::Replaced,
            RefusalKind::Stopped,
        ] {
            let is_listed = comment
                .split(|c: char| !c.is_alphanumeric() && c != '-')
                .any(|word| word == kind.reason());
            assert!(is_listed, "{kind:?}: {}", kind.reason());
        }
    }
}
