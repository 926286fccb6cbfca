//! Every bound on a plugin in one place.
//!
//! Flows in: the application's configuration. Flows out: to the pool, the
//! imports, reload and shutdown, which enforce them.

use std::time::Duration;

/// What an application's plugin may use. [`PluginLimits::default`] suits a policy
/// that decides from its configuration, the kv store or one HTTP call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginLimits {
    /// Instances alive at once, so also calls that run at once.
    pub max_instances: usize,
    /// Time a decision or an event may run on a CPU. Waiting does not count.
    pub cpu: Duration,
    /// Time a decision or an event may take in all, waiting for a free
    /// instance included.
    pub wall: Duration,
    /// CPU time of `configure`, `on-start`, `snapshot` and `on-stop` each.
    pub start_cpu: Duration,
    /// Wall time of `configure`, `on-start`, `snapshot` and `on-stop` each.
    pub start: Duration,
    /// Linear memory of one instance, in bytes.
    pub memory_bytes: usize,
    /// An instance is replaced by a fresh one after so many calls.
    pub recycle_after_calls: u64,
    /// Keys and values of the application's kv store, in bytes.
    pub kv_bytes: usize,
    /// Events waiting to be delivered, and as many again whose function is left
    /// alone. Ends of streams whose start was queued
    /// are always taken, so the queue may exceed this by the live streams.
    pub event_queue: usize,
    /// Timers of the application.
    pub timers: usize,
    /// How long a replaced generation may finish its running calls.
    pub drain: Duration,
    /// The guest's log lines a second, its standard output and error included.
    pub log_lines_per_second: u32,
    /// What `snapshot` may hand to the next generation, in bytes.
    pub handoff_bytes: usize,
    /// So many failed calls (traps, exceeded budgets) of one function within
    /// [`PluginLimits::failure_window`] end the calls to it for a back-off: those for
    /// everybody, or for the one address that they come from; unless more calls
    /// than these went well in that time.
    pub failures: usize,
    /// See [`PluginLimits::failures`].
    pub failure_window: Duration,
    /// When that happens to a generation that has served for less than this,
    /// the one before it comes back.
    pub roll_back_within: Duration,
    /// What one call may pass from the guest to the host, in bytes: its
    /// answer, or the arguments of one import.
    pub transfer_bytes: usize,
}

impl Default for PluginLimits {
    fn default() -> Self {
        Self {
            max_instances: 16,
            cpu: Duration::from_millis(50),
            wall: Duration::from_secs(3),
            start_cpu: Duration::from_secs(1),
            start: Duration::from_secs(5),
            memory_bytes: 64 << 20,
            recycle_after_calls: 100_000,
            kv_bytes: 16 << 20,
            event_queue: 1024,
            timers: 1024,
            drain: Duration::from_secs(5),
            log_lines_per_second: 100,
            handoff_bytes: 1 << 20,
            failures: 5,
            failure_window: Duration::from_secs(60),
            roll_back_within: Duration::from_secs(60),
            transfer_bytes: 4 << 20,
        }
    }
}
