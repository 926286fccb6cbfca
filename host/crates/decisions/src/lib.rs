//! The decision log: what was asked, what was answered, how long it took.
//!
//! Flows in: each question to an application's policy with its reply, seen by one
//! wrapper around [`Policy::ask`](livehost_policy::Policy::ask) (`wrapper.rs`). Flows
//! out: a [`DecisionRecord`] of bounded size without secrets, in a ring, to live
//! feeds, and as JSON lines in a file that rotates.
//!
//! No decision waits for any of it, and while nobody wants records a question costs
//! one look at an atomic. What else is to see both sides of a decision (a second
//! version that is asked as well, a recording to be replayed) belongs into the
//! wrapper, beside the log: its `Exchange` has all of it, a record only what may be read.

mod exchange;
mod feed;
mod log;
mod record;
mod redact;
mod settings;
mod wrapper;
mod writer;

pub use feed::{DecisionFeed, FeedItem};
pub use log::{DecisionCounters, DecisionFilter, DecisionLog};
pub use record::{
    DecisionOutcome, DecisionRecord, ErrorRecord, GrantRecord, ObjectRecord, RecordingRecord,
    RejectionRecord,
};
pub use settings::DecisionSettings;
