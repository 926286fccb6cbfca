//! Who gives names to publishers: this process alone, or several that have to agree.
//!
//! Flows in: a claim that the policy has granted. Flows out: the publication, with
//! what is held for it elsewhere, or why there is none.

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use livehost_hub::{Claim, Hub, Publication};

use crate::refusal::Refusal;

/// Gives names to the publishers that ask the [`Broker`](crate::broker::Broker). A
/// pull does not: it claims its name in this process alone
/// ([`Granted::claim`](crate::broker::Granted::claim)), so each process may have a
/// pull of its own of the same stream.
pub trait Claims: fmt::Debug + Send + Sync + 'static {
    /// Claims a name in `hub`, once all that have a say agree. Dropping what waits
    /// gives the claim up.
    fn claim(&self, hub: &Arc<Hub>, claim: Claim) -> Claiming;
}

/// A claim's end, or what it waits for. Nothing is allocated for what waits for
/// nobody.
pub enum Claiming {
    /// Decided.
    Now(Result<Claimed, Refusal>),
    /// Decided later.
    Later(Pin<Box<dyn Future<Output = Result<Claimed, Refusal>> + Send>>),
}

impl fmt::Debug for Claiming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(outcome) => f.debug_tuple("Now").field(outcome).finish(),
            Self::Later(_) => f.write_str("Later(..)"),
        }
    }
}

impl Claiming {
    /// Waits for the end.
    pub(crate) async fn end(self) -> Result<Claimed, Refusal> {
        match self {
            Self::Now(outcome) => outcome,
            Self::Later(outcome) => outcome.await,
        }
    }
}

/// A name that was claimed.
#[derive(Debug)]
pub struct Claimed {
    /// The name in this process.
    pub publication: Publication,
    /// What is held elsewhere: dropped after the publication. Whoever loses it before
    /// that stops the publication.
    pub lease: Option<Lease>,
}

/// What is held elsewhere for a publication.
pub type Lease = Box<dyn Any + Send + Sync>;

impl From<Publication> for Claimed {
    fn from(publication: Publication) -> Self {
        Self {
            publication,
            lease: None,
        }
    }
}

/// This process asks nobody.
#[derive(Debug)]
pub struct Local;

impl Claims for Local {
    fn claim(&self, hub: &Arc<Hub>, claim: Claim) -> Claiming {
        match hub.publish(claim) {
            Ok(publication) => Claiming::Now(Ok(publication.into())),
            Err(contested) => Claiming::Later(Box::pin(async move {
                let publication = contested.settle().await?;
                Ok(publication.into())
            })),
        }
    }
}
