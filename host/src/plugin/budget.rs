//! What one instance may use: CPU time a call, memory in all.
//!
//! Flows in: when the call's future is polled, what the guest asks to grow.
//! Flows out: whether the guest may go on.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use wasmtime::ResourceLimiter;

use super::engine::TICK;

// One call at a time runs on an instance, on whatever thread; handing it over
// orders the accesses to its meter.
use Ordering::Relaxed;

/// CPU time of the running call. Shared by the call's future, which knows when
/// it runs, and the epoch callback, which can stop the guest.
///
/// Neither ticks nor the clock on the wall would do: a guest that yields to
/// other tasks must not be charged for theirs, and on a busy machine a call of
/// a microsecond may be preempted for longer than its budget. The thread's CPU
/// time costs a system call, so it is read only once a call has seen a tick;
/// until then there is nothing worth measuring.
#[derive(Debug)]
pub(super) struct CpuMeter {
    /// Nanoseconds this call may take.
    budget: AtomicU64,
    /// Nanoseconds that the call took until its last yield.
    spent: AtomicU64,
    /// The call has seen a tick.
    ticked: AtomicBool,
    /// The thread's CPU time, in nanoseconds, when the present poll began; only
    /// after the first tick.
    polled_at: AtomicU64,
}

impl CpuMeter {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            budget: AtomicU64::new(0),
            spent: AtomicU64::new(0),
            ticked: AtomicBool::new(false),
            polled_at: AtomicU64::new(0),
        })
    }

    /// A new call starts.
    pub(super) fn start(&self, budget: Duration) {
        self.budget.store(nanos(budget), Relaxed);
        self.spent.store(0, Relaxed);
        self.ticked.store(false, Relaxed);
    }

    /// A tick while the guest runs; true when the budget is used up. Otherwise
    /// the guest yields.
    pub(super) fn tick(&self) -> bool {
        if self.ticked.swap(true, Relaxed) {
            self.charge();
        } else {
            self.spent.fetch_add(nanos(TICK), Relaxed);
            self.polled_at.store(thread_cpu_time(), Relaxed);
        }
        self.spent.load(Relaxed) >= self.budget.load(Relaxed)
    }

    /// Charges what the present poll took since it began or was last charged.
    fn charge(&self) {
        let now = thread_cpu_time();
        let then = self.polled_at.swap(now, Relaxed);
        self.spent.fetch_add(now.saturating_sub(then), Relaxed);
    }
}

/// CPU time of this thread, in nanoseconds.
fn thread_cpu_time() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
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
        if self.meter.ticked.load(Relaxed) {
            // Perhaps another thread than last time.
            self.meter.polled_at.store(thread_cpu_time(), Relaxed);
        }
        let result = Pin::new(&mut self.call).poll(cx);
        if result.is_pending() && self.meter.ticked.load(Relaxed) {
            self.meter.charge();
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
