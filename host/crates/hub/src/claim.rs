//! Claims of a name: granted, refused, or held back until it is known whether
//! the present publisher is still there.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use livehost_policy::{Client, DuplicateRule};
use tracing::debug;

use super::publication::{Publication, Publisher};
use super::{Hub, MediaSettings, StreamKey, Wake};

/// For those who have the name to find out whether their clients are there. No
/// test is decided by a clock.
const LOOK: Duration = Duration::from_secs(if cfg!(test) { 3600 } else { 1 });

/// What a publisher asks the hub for, after the policy has granted it.
#[derive(Debug)]
pub struct Claim {
    /// The name to claim.
    pub key: StreamKey,
    /// What happens when it is taken.
    pub on_duplicate: DuplicateRule,
    /// How long players are kept after this publisher is lost.
    pub hold: Duration,
    /// Who publishes.
    pub client: Client,
    /// The application's media settings.
    pub settings: MediaSettings,
    /// Woken when the publication is revoked, and when somebody else wants its
    /// name: see [`Publication::question`].
    pub wake: Wake,
}

/// Why a name could not be claimed. The text is fit for clients; who has the
/// name is for the log alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// Someone publishes under the name and the rule is to refuse.
    #[error("the stream is busy: it is already being published")]
    Busy(Owner),
    /// Someone published under the name, was lost, and may return; the rule is to
    /// refuse others.
    #[error("the stream is busy: it is held for the return of its publisher")]
    Held(Owner),
    /// Too many publishers wait behind the current one.
    #[error("the stream is busy: {waiting} publishers already stand by, the most that may")]
    StandbyFull {
        /// Who publishes.
        owner: Owner,
        /// How many wait.
        waiting: usize,
    },
}

impl ClaimError {
    /// Who has the name.
    pub fn owner(&self) -> &Owner {
        match self {
            Self::Busy(owner) | Self::Held(owner) | Self::StandbyFull { owner, .. } => owner,
        }
    }
}

/// Who has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Its remote address.
    pub remote: String,
    /// Its connection.
    pub conn: u64,
}

impl From<&Publisher> for Owner {
    fn from(publisher: &Publisher) -> Self {
        let client = publisher.client();
        Self {
            remote: client.remote.clone(),
            conn: client.conn,
        }
    }
}

/// A claim that is made, and may be made again.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) key: StreamKey,
    pub(super) rule: DuplicateRule,
    pub(super) publisher: Arc<Publisher>,
}

/// A claim that met a taken name: to be refused, or settled.
#[derive(Debug)]
pub struct Contested {
    hub: Arc<Hub>,
    attempt: Attempt,
    taken: Box<Taken>,
}

/// What a claim found at the stream.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) error: ClaimError,
    /// Whose leaving would make room.
    pub(super) in_the_way: Vec<Arc<Publisher>>,
}

impl Contested {
    pub(super) fn new(hub: Arc<Hub>, attempt: Attempt, taken: Taken) -> Self {
        Self {
            hub,
            attempt,
            taken: Box::new(taken),
        }
    }

    /// Decides by what is known now.
    pub fn refuse(self) -> ClaimError {
        let counters = &self.hub.counters;
        match &self.taken.error {
            ClaimError::Busy(_) | ClaimError::Held(_) => counters.publishes_busy.add(),
            ClaimError::StandbyFull { .. } => counters.publishes_standby_full.add(),
        }
        self.taken.error
    }

    /// Lets those who are in the way find out whether their clients have left,
    /// for a second at most, then decides. An encoder that closes its
    /// connection and comes back at once may be read from before the end of the
    /// old connection is.
    ///
    /// # Errors
    /// [`ClaimError`] when the name is still taken.
    pub async fn settle(self) -> Result<Publication, ClaimError> {
        self.settle_within(LOOK).await
    }

    pub(super) async fn settle_within(
        mut self,
        patience: Duration,
    ) -> Result<Publication, ClaimError> {
        let mut late = pin!(tokio::time::sleep(patience));
        let mut asked = Vec::new();
        loop {
            let conn = self.attempt.publisher.client().conn;
            let next = self.taken.in_the_way.iter().find(|other| {
                // A client that asks for its own name is there.
                other.client().conn != conn && !asked.contains(&other.id())
            });
            let Some(other) = next.cloned() else {
                return Err(self.refuse());
            };
            asked.push(other.id());
            let in_time = tokio::select! {
                () = other.find_out() => true,
                () = &mut late => false,
            };
            match self.hub.attempt(self.attempt) {
                Ok(publication) => return Ok(publication),
                Err(contested) if in_time => self = contested,
                Err(contested) => {
                    debug!("a publisher did not say in time whether its client is there");
                    return Err(contested.refuse());
                }
            }
        }
    }
}
