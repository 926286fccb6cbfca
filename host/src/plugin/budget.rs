//! What one instance may use: CPU time a call, memory in all.
//!
//! Flows in: when the call's future is polled, what the guest asks to grow.
//! Flows out: whether the guest may go on.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use wasmtime::ResourceLimiter;

/// CPU time of the running call. Shared by the call's future, which knows when
/// it runs, and the epoch callback, which can stop the guest.
///
/// Ticks are not counted instead, since a guest that yields to other tasks
/// would be charged for theirs.
#[derive(Debug)]
pub(super) struct CpuMeter {
    base: Instant,
    /// Nanoseconds after `base` at which the present poll began.
    polled_at: AtomicU64,
    /// Nanoseconds that earlier polls of this call took.
    spent: AtomicU64,
    /// Nanoseconds this call may take.
    budget: AtomicU64,
}

impl CpuMeter {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            base: Instant::now(),
            polled_at: AtomicU64::new(0),
            spent: AtomicU64::new(0),
            budget: AtomicU64::new(0),
        })
    }

    /// Nanoseconds since this meter was made.
    fn now(&self) -> u64 {
        nanos(self.base.elapsed())
    }

    /// A new call starts. One call at a time runs on an instance, on whatever
    /// thread; handing the instance over orders these accesses.
    pub(super) fn start(&self, budget: Duration) {
        self.budget.store(nanos(budget), Ordering::Relaxed);
        self.spent.store(0, Ordering::Relaxed);
        self.polled_at.store(self.now(), Ordering::Relaxed);
    }

    /// The running call has used up its budget.
    pub(super) fn exceeded(&self) -> bool {
        let polled_at = self.polled_at.load(Ordering::Relaxed);
        let used = self
            .spent
            .load(Ordering::Relaxed)
            .saturating_add(self.now().saturating_sub(polled_at));
        used >= self.budget.load(Ordering::Relaxed)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A call's future that tells `meter` when it runs.
pub(super) struct Metered<F> {
    pub(super) meter: Arc<CpuMeter>,
    pub(super) call: F,
}

impl<F: Future + Unpin> Future for Metered<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let started = self.meter.now();
        self.meter.polled_at.store(started, Ordering::Relaxed);
        let result = Pin::new(&mut self.call).poll(cx);
        if result.is_pending() {
            let took = self.meter.now().saturating_sub(started);
            self.meter.spent.fetch_add(took, Ordering::Relaxed);
        }
        result
    }
}

/// The memory of one instance: all linear memories together.
#[derive(Debug)]
pub(super) struct MemoryLimit {
    limit: usize,
    used: usize,
    refused: bool,
}

/// Elements of one table. Tables hold function references, so even large
/// programs need tens of thousands.
const MAX_TABLE: usize = 1 << 20;

impl MemoryLimit {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            used: 0,
            refused: false,
        }
    }

    /// Bytes in use.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// The guest asked for more than its limit: the likely cause of a trap
    /// that follows. Asking clears it.
    pub(super) fn take_refused(&mut self) -> Option<usize> {
        std::mem::take(&mut self.refused).then_some(self.limit)
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired.saturating_sub(current));
        if used > self.limit {
            self.refused = true;
            return Ok(false);
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE && maximum.is_none_or(|maximum| desired <= maximum))
    }

    // A component may consist of several core modules, interpreters of dozens.
    fn instances(&self) -> usize {
        256
    }

    fn tables(&self) -> usize {
        64
    }

    fn memories(&self) -> usize {
        64
    }
}
