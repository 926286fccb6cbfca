//! Numbers of connections: of those that come in and of those that relays make.

use std::sync::atomic::{AtomicU64, Ordering};

use livehost_policy::ConnId;

/// Gives every connection of the process a number of its own.
#[derive(Debug, Default)]
pub struct ConnIds(AtomicU64);

impl ConnIds {
    /// Counts from 1.
    pub fn next(&self) -> ConnId {
        self.0.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }
}
