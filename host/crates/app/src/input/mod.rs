//! An accepted publication, whoever sends it: a session or a pull.
//!
//! Flows in: packets. Flows out: the same for the hub, events for the
//! application.

mod publishing;
mod rate;

pub use publishing::Publishing;
pub(crate) use publishing::{PublishTerms, Pushes};
