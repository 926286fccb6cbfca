//! The locks, atomics and tasks of streams, lanes and outlets: of parking_lot, std
//! and tokio.
//!
//! With the feature `shuttle` they are that crate's, whose scheduler decides at
//! each of them who goes on: a model of the very code that runs (`tests/model` of
//! the crate `app`). It sees every order of operations, not those that a processor
//! with weakly ordered memory adds. Such a build works in a model alone.

#[cfg(not(feature = "shuttle"))]
mod real {
    pub use std::sync::atomic;

    pub use parking_lot::{Mutex, MutexGuard};
    pub(crate) use tokio::task::{AbortHandle, yield_now};
    pub(crate) use tokio::time::sleep;
    pub(crate) use tokio_util::task::TaskTracker;

    use tokio::runtime::Handle;

    /// Threads that run tasks.
    pub(crate) fn workers() -> usize {
        Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers())
    }

    /// The `real` limit. A model has a smaller one, which its few players and frames
    /// reach.
    pub(crate) const fn limit(real: usize, _model: usize) -> usize {
        real
    }
}

#[cfg(feature = "shuttle")]
mod model;

#[cfg(feature = "shuttle")]
pub use model::*;
#[cfg(not(feature = "shuttle"))]
pub use real::*;
