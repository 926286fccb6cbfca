//! The same of shuttle, and the faults that its model must find.

use std::cell::Cell;
use std::time::Duration;

pub use shuttle;
pub use shuttle::sync::atomic;
pub use shuttle_parking_lot::{Mutex, MutexGuard};

pub(crate) use shuttle::future::{AbortHandle, JoinHandle};

/// Starts tasks, and owns none: a model ends when all have.
#[derive(Debug, Clone, Default)]
pub(crate) struct TaskTracker(());

impl TaskTracker {
    pub(crate) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        shuttle::future::spawn(task)
    }

    pub(crate) fn len(&self) -> usize {
        0
    }
}

/// A model has no clock: whoever else can go on may do so first.
pub(crate) async fn sleep(_: Duration) {
    shuttle::future::yield_now().await;
}

/// Others may go on at the next lock. One that yields would be late always: the
/// order in which it is not must be tried, too.
pub(crate) async fn yield_now() {}

pub(crate) fn workers() -> usize {
    2
}

pub(crate) const fn limit(_real: usize, model: usize) -> usize {
    model
}

/// What is wrong on purpose: a lock that is free for a moment between a look and
/// what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slip {
    /// A lane's: no post is due; nobody is at it.
    Stop,
    /// A player's queue's: nothing waits; it is emptied, and the outlet opened.
    Rest,
    /// An outlet's: it is open for the player; the frame is written.
    Write,
}

thread_local! {
    static FAULT: Cell<Option<Slip>> = const { Cell::new(None) };
}

/// Puts a fault into the models of this thread, or none.
pub fn set_fault(fault: Option<Slip>) {
    FAULT.set(fault);
}

/// Where a fault can be: gives `guard` up for a moment if it was put in.
pub fn slip<T>(fault: Slip, guard: &mut MutexGuard<'_, T>) {
    if FAULT.get() == Some(fault) {
        MutexGuard::unlocked(guard, || ());
    }
}
