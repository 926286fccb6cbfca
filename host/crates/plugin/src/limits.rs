//! Every bound on a plugin in one place.
//!
//! Flows in: the application's configuration. Flows out: to the pool, the
//! imports, reload and shutdown, which enforce them.

use std::time::Duration;

use livehost_settings::{GIB, HOUR, KIB, MIB, MIN, MS, SEC, settings};

settings! {
    /// What an application's plugin may use. [`PluginLimits::default`] suits a policy
    /// that decides from its configuration, the kv store or one HTTP call.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct PluginLimits {
        /// Instances of the plugin that may run at once.
        pub max_instances as "instances": usize = number(16, 1..=1024),
        /// Computing time of one decision, event or timer, waiting apart; not above
        /// `decision`.
        pub cpu: Duration = duration(50 * MS, MS..=10 * SEC),
        /// Time from question to decision, with all waiting.
        pub wall as "decision": Duration = duration(3 * SEC, 10 * MS..=MIN),
        /// Computing time of each of `configure`, `on-start`, `snapshot`, `on-stop`; not
        /// above `start`.
        pub start_cpu: Duration = duration(SEC, MS..=MIN),
        /// Time that each of these may take in all.
        pub start: Duration = duration(5 * SEC, 10 * MS..=5 * MIN),
        /// How long a replaced version may finish its calls, and a stopping one its
        /// events.
        pub drain: Duration = duration(5 * SEC, Duration::ZERO..=MIN),
        /// Memory of one instance: its linear memories, and 16 B for each element of its
        /// tables.
        pub memory_bytes as "memory": usize = size(64 * MIB, MIB..=4 * GIB),
        /// Calls after which an instance is replaced by a fresh one.
        pub recycle_after_calls as "recycle": u64 = number(100_000, 1..=1_000_000_000),
        /// What one call may pass from the plugin to the server: an answer, or the
        /// arguments of an import.
        pub transfer_bytes as "transfer": usize = size(4 * MIB, 64 * KIB..=256 * MIB),
        /// What a version may hand to its successor (`snapshot`).
        pub handoff_bytes as "handoff": usize = size(MIB, 0..=64 * MIB),
        /// What the plugin may store in `kv`: keys, values and 128 B for each.
        pub kv_bytes as "kv": usize = size(16 * MIB, 0..=4 * GIB),
        /// Timers that may be set at once.
        pub timers: usize = number(1024, 0..=100_000),
        /// Events that may wait for the plugin, and as many again for functions that are
        /// [left alone](#a-function-that-keeps-failing); beyond it they are dropped, ends
        /// of streams and relays apart.
        pub event_queue as "events": usize = number(1024, 1..=1_000_000),
        /// Lines a second that the plugin writes itself; the rest is counted. What the
        /// server says about the plugin counts apart, 60 lines a minute.
        pub log_lines_per_second as "log_lines": u32 = number(100, 0..=10_000),
        /// Calls of one function that fail within `failure_window`, and at least as many
        /// as go well, after which that function, or the one address that fails, has to
        /// wait; see [below](#a-function-that-keeps-failing).
        pub failures: usize = number(5, 1..=1000),
        /// See `failures`.
        pub failure_window: Duration = duration(MIN, SEC..=HOUR),
        /// A version with a function that fails so within this time of its start is
        /// replaced by the one before.
        pub roll_back_within as "roll_back": Duration = duration(MIN, Duration::ZERO..=24 * HOUR),
    }
}
