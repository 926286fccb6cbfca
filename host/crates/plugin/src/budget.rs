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
    /// The guest has yielded at a tick, and would go on if it could: it
    /// computes. False while it waits for an import.
    yielded: AtomicBool,
}

impl CpuMeter {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            budget: AtomicU64::new(0),
            spent: AtomicU64::new(0),
            ticked: AtomicBool::new(false),
            polled_at: AtomicU64::new(0),
            yielded: AtomicBool::new(false),
        })
    }

    /// A new call starts.
    pub(super) fn start(&self, budget: Duration) {
        self.budget.store(nanos(budget), Relaxed);
        self.spent.store(0, Relaxed);
        self.ticked.store(false, Relaxed);
        self.yielded.store(false, Relaxed);
    }

    /// Other tasks of this worker run before the guest goes on.
    pub(super) async fn yield_now(&self) {
        self.yielded.store(true, Relaxed);
        tokio::task::yield_now().await;
        self.yielded.store(false, Relaxed);
    }

    /// Of a call that is not being polled: it computes, and does not wait.
    pub(super) fn is_computing(&self) -> bool {
        self.yielded.load(Relaxed)
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

/// The memory of one instance: all linear memories and tables together.
#[derive(Debug)]
pub(super) struct MemoryLimit {
    limit: usize,
    used: usize,
    refused: bool,
}

/// What an element of a table takes at most, in bytes: a pointer, and as much
/// again where the table has grown.
const ELEMENT: usize = 16;

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

    /// Whether there is room for `more` bytes; they are in use from now on.
    fn take(&mut self, more: usize) -> bool {
        let used = self.used.saturating_add(more);
        if used > self.limit {
            self.refused = true;
            return false;
        }
        self.used = used;
        true
    }
}

impl ResourceLimiter for MemoryLimit {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let may_be = maximum.is_none_or(|maximum| desired <= maximum);
        Ok(may_be && self.take(desired.saturating_sub(current)))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let may_be = maximum.is_none_or(|maximum| desired <= maximum);
        let more = desired.saturating_sub(current).saturating_mul(ELEMENT);
        Ok(may_be && self.take(more))
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

#[cfg(test)]
mod tests {
    use wasmtime::{Engine, Instance, Module, Store};

    use super::*;

    /// A core module with a memory of `pages` and tables of so many elements.
    fn module(pages: u8, tables: &[u32]) -> Vec<u8> {
        // WebAssembly 5.5: sections with their id and length; funcref is 0x70,
        // and limits without a maximum begin with 0.
        let mut list = leb(u32::try_from(tables.len()).unwrap());
        for elements in tables {
            list.extend([0x70, 0]);
            list.extend(leb(*elements));
        }
        let mut bytes = b"\0asm\x01\0\0\0".to_vec();
        for (id, body) in [(4, list), (5, [&[1, 0][..], &leb(pages.into())].concat())] {
            bytes.push(id);
            bytes.extend(leb(u32::try_from(body.len()).unwrap()));
            bytes.extend(body);
        }
        bytes
    }

    fn leb(mut value: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        while value >= 0x80 {
            bytes.push((value & 0x7F) as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        bytes
    }

    /// What an instance has in use, or how much it was refused.
    fn instantiate(limit: usize, pages: u8, tables: &[u32]) -> Result<usize, Option<usize>> {
        let engine = Engine::default();
        let module = Module::new(&engine, module(pages, tables)).expect("a module");
        let mut store = Store::new(&engine, MemoryLimit::new(limit));
        store.limiter(|limit| limit);
        match Instance::new(&mut store, &module, &[]) {
            Ok(_) => Ok(store.data().used()),
            Err(_) => Err(store.data_mut().take_refused()),
        }
    }

    #[test]
    fn memories_and_tables_are_one_sum() {
        const MIB: usize = 1 << 20;
        let elements = 1 << 15;
        assert_eq!(instantiate(8 * MIB, 64, &[elements; 8]), Ok(8 * MIB));
        assert_eq!(instantiate(8 * MIB, 64, &[elements; 9]), Err(Some(8 * MIB)));
        assert_eq!(instantiate(8 * MIB, 65, &[elements; 8]), Err(Some(8 * MIB)));
        // What took 512 MiB of a machine beside the limit.
        assert_eq!(
            instantiate(64 * MIB, 1, &[1 << 20; 60]),
            Err(Some(64 * MIB))
        );
    }

    #[test]
    fn what_may_not_be_is_refused_and_not_charged() {
        let mut memory = MemoryLimit::new(1 << 20);
        assert!(!memory.memory_growing(0, 1 << 16, Some(1)).unwrap());
        assert!(!memory.table_growing(0, 100, Some(99)).unwrap());
        assert_eq!((memory.used(), memory.take_refused()), (0, None));
        assert!(!memory.table_growing(0, usize::MAX, None).unwrap());
        assert!(memory.table_growing(0, 100, Some(100)).unwrap());
        assert_eq!(
            (memory.used(), memory.take_refused()),
            (1600, Some(1 << 20))
        );
    }
}
