//! `timers`: they belong to the application, so they outlive instances and
//! generations, and each fires once, on one instance.
//!
//! Flows in: keys with delays. Flows out: keys that are due, to the one task
//! that calls `on-timer`.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::Clock;
use crate::bindings::livehost::app::timers::Host;
use crate::instance::HostState;

/// Bytes of a key.
const MAX_KEY: usize = 512;
/// A timer that repeats does so no faster.
const MIN_PERIOD: Duration = Duration::from_millis(10);
/// Further than this is never; keeps clear of the clock's end.
const MAX_DELAY: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// One application's timers.
#[derive(Debug)]
pub(crate) struct Timers {
    queue: Mutex<TimerQueue>,
    changed: Notify,
    clock: Clock,
}

impl Timers {
    /// No timers yet, and never more than `limit`.
    pub(crate) fn new(limit: usize, clock: Clock) -> Self {
        Self {
            queue: Mutex::new(TimerQueue::new(limit)),
            changed: Notify::new(),
            clock,
        }
    }

    /// The next timer that is due, without waiting for one.
    pub(crate) fn due(&self) -> Option<String> {
        match self.with(|queue| queue.pop_due(self.clock.instant())) {
            NextTimer::Due(key) => Some(key),
            NextTimer::At(_) | NextTimer::Never => None,
        }
    }

    /// How long until the first timer is due; none without timers.
    pub(crate) fn until_next(&self) -> Option<Duration> {
        let due = self.with(|queue| queue.order.first_key_value().map(|((at, _), _)| *at));
        due.map(|due| due.saturating_duration_since(self.clock.instant()))
    }

    /// Cancels every timer.
    pub(crate) fn clear(&self) {
        self.with(|queue| {
            queue.timers.clear();
            queue.order.clear();
        });
    }

    /// The keys of the timers, in order.
    pub(crate) fn keys(&self) -> Vec<String> {
        let mut keys: Vec<_> = self.with(|queue| queue.timers.keys().cloned().collect());
        keys.sort_unstable();
        keys
    }

    /// Another limit from now on.
    pub(crate) fn set_limit(&self, limit: usize) {
        self.with(|queue| queue.limit = limit);
    }

    fn with<R>(&self, f: impl FnOnce(&mut TimerQueue) -> R) -> R {
        f(&mut self.queue.lock())
    }

    /// A timer that [`Timers::next`] gave did not fire: it is due again after
    /// `delay`, unless it was set anew meanwhile.
    pub(crate) fn put_back(&self, key: String, delay: Duration) {
        self.with(|queue| queue.put_back(key, delay, self.clock.instant()));
    }

    /// Waits until a timer is due. One task calls this.
    pub(crate) async fn next(&self) -> String {
        loop {
            let wake = match self.with(|queue| queue.pop_due(self.clock.instant())) {
                NextTimer::Due(key) => return key,
                NextTimer::At(due) => Some(due),
                NextTimer::Never => None,
            };
            match wake {
                Some(due) => {
                    // Either way the queue is looked at again.
                    let _ = tokio::time::timeout_at(due.into(), self.changed.notified()).await;
                }
                None => self.changed.notified().await,
            }
        }
    }
}

impl Host for HostState {
    fn set(&mut self, key: String, delay_ms: u64, every_ms: Option<u64>) {
        let delay = Duration::from_millis(delay_ms);
        let every = every_ms.map(Duration::from_millis);
        let timers = &self.app.timers;
        match timers.with(|queue| queue.set(key, delay, every, timers.clock.instant())) {
            Ok(()) => timers.changed.notify_one(),
            Err(reason) => {
                self.app.stats.timers_refused.add();
                self.warn(&reason);
            }
        }
    }

    fn cancel(&mut self, key: String) {
        if key.len() > MAX_KEY {
            let found = key.len();
            let message = format!(
                "no timer was cancelled: expected a key of at most {MAX_KEY} bytes, found {found}"
            );
            return self.warn(&message);
        }
        // The task may wake once for nothing.
        self.app.timers.with(|queue| queue.cancel(&key));
    }
}

#[derive(Debug)]
struct Timer {
    at: (Instant, u64),
    every: Option<Duration>,
}

/// The timers themselves: no clock, no lock.
#[derive(Debug)]
struct TimerQueue {
    limit: usize,
    timers: HashMap<String, Timer>,
    /// By time, then by the order in which they were set.
    order: BTreeMap<(Instant, u64), String>,
    sequence: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum NextTimer {
    Due(String),
    At(Instant),
    Never,
}

impl TimerQueue {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            timers: HashMap::new(),
            order: BTreeMap::new(),
            sequence: 0,
        }
    }

    /// Sets or replaces a timer; the error is a line for the log.
    fn set(
        &mut self,
        key: String,
        delay: Duration,
        every: Option<Duration>,
        now: Instant,
    ) -> Result<(), String> {
        if key.len() > MAX_KEY {
            return Err(format!(
                "a timer was not set: its key has {} bytes, expected at most {MAX_KEY}",
                key.len()
            ));
        }
        // One that is replaced is there already, also above a limit that has become
        // lower.
        if !self.timers.contains_key(&key) && self.timers.len() >= self.limit {
            return Err(format!(
                "a timer was not set: the application has {} timers, the most it may have",
                self.limit
            ));
        }
        self.cancel(&key);
        self.insert(key, delay, every, now);
        Ok(())
    }

    fn insert(&mut self, key: String, delay: Duration, every: Option<Duration>, now: Instant) {
        self.sequence = self.sequence.saturating_add(1);
        let at = (now + delay.min(MAX_DELAY), self.sequence);
        self.order.insert(at, key.clone());
        self.timers.insert(key, Timer { at, every });
    }

    /// One that does not repeat is none any more by now; one that does has been
    /// set already, for too early.
    fn put_back(&mut self, key: String, delay: Duration, now: Instant) {
        let (every, at) = match self.timers.get(&key) {
            Some(timer) => (timer.every, timer.at.0),
            None => (None, now),
        };
        if at < now + delay {
            self.cancel(&key);
            self.insert(key, delay, every, now);
        }
    }

    fn cancel(&mut self, key: &str) {
        if let Some(timer) = self.timers.remove(key) {
            self.order.remove(&timer.at);
        }
    }

    /// The first timer that is due. One that repeats is set again from now, so
    /// late firings don't pile up.
    fn pop_due(&mut self, now: Instant) -> NextTimer {
        let Some((&(due, _), _)) = self.order.first_key_value() else {
            return NextTimer::Never;
        };
        if due > now {
            return NextTimer::At(due);
        }
        let Some((_, key)) = self.order.pop_first() else {
            return NextTimer::Never;
        };
        if let Some(Timer {
            every: Some(every), ..
        }) = self.timers.remove(&key)
        {
            self.insert(key.clone(), every.max(MIN_PERIOD), Some(every), now);
        }
        NextTimer::Due(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn queue() -> (TimerQueue, Instant) {
        (TimerQueue::new(3), Instant::now())
    }

    fn due(key: &str) -> NextTimer {
        NextTimer::Due(key.into())
    }

    #[test]
    fn timers_fire_in_order_and_once() {
        let (mut queue, now) = queue();
        queue.set("late".into(), 2 * SECOND, None, now).unwrap();
        queue.set("soon".into(), SECOND, None, now).unwrap();
        queue.set("too".into(), SECOND, None, now).unwrap();
        assert_eq!(queue.pop_due(now), NextTimer::At(now + SECOND));
        let later = now + 3 * SECOND;
        assert_eq!(queue.pop_due(later), due("soon"));
        assert_eq!(queue.pop_due(later), due("too"));
        assert_eq!(queue.pop_due(later), due("late"));
        assert_eq!(queue.pop_due(later), NextTimer::Never);
    }

    #[test]
    fn the_same_key_replaces() {
        let (mut queue, now) = queue();
        queue.set("a".into(), SECOND, None, now).unwrap();
        queue.set("a".into(), 5 * SECOND, None, now).unwrap();
        assert_eq!(queue.pop_due(now + SECOND), NextTimer::At(now + 5 * SECOND));
        queue.cancel("a");
        assert_eq!(queue.pop_due(now + 9 * SECOND), NextTimer::Never);
    }

    #[test]
    fn a_repeating_timer_does_not_pile_up() {
        let (mut queue, now) = queue();
        queue.set("a".into(), SECOND, Some(SECOND), now).unwrap();
        let late = now + 10 * SECOND;
        assert_eq!(queue.pop_due(late), due("a"));
        assert_eq!(queue.pop_due(late), NextTimer::At(late + SECOND));
    }

    #[test]
    fn a_period_of_nothing_does_not_spin() {
        let (mut queue, now) = queue();
        queue
            .set("a".into(), Duration::ZERO, Some(Duration::ZERO), now)
            .unwrap();
        assert_eq!(queue.pop_due(now), due("a"));
        assert_eq!(queue.pop_due(now), NextTimer::At(now + MIN_PERIOD));
    }

    #[test]
    fn a_timer_that_may_not_fire_is_due_later() {
        let (mut queue, now) = queue();
        queue.set("once".into(), SECOND, None, now).unwrap();
        queue
            .set("often".into(), 2 * SECOND, Some(SECOND), now)
            .unwrap();
        let mut now = now + 2 * SECOND;
        for key in ["once", "often"] {
            assert_eq!(queue.pop_due(now), due(key));
            queue.put_back(key.into(), 5 * SECOND, now);
        }
        assert_eq!(queue.pop_due(now), NextTimer::At(now + 5 * SECOND));
        now += 5 * SECOND;
        assert_eq!(queue.pop_due(now), due("once"));
        // It was set again, for later: that is kept.
        queue.set("once".into(), 9 * SECOND, None, now).unwrap();
        queue.put_back("once".into(), SECOND, now);
        assert_eq!(queue.pop_due(now), due("often"));
        assert_eq!(
            queue.pop_due(now),
            NextTimer::At(now + SECOND),
            "it repeats"
        );
        queue.cancel("often");
        assert_eq!(queue.pop_due(now), NextTimer::At(now + 9 * SECOND));
    }

    #[test]
    fn the_number_of_timers_is_bounded() {
        let (mut queue, now) = queue();
        for key in ["a", "b", "c"] {
            queue.set(key.into(), SECOND, None, now).unwrap();
        }
        assert!(queue.set("d".into(), SECOND, None, now).is_err());
        queue.set("a".into(), SECOND, None, now).unwrap();
        assert_eq!(queue.order.len(), 3);
        queue.limit = 1;
        queue.set("b".into(), SECOND, None, now).unwrap();
        assert_eq!(queue.order.len(), 3);
    }

    #[test]
    fn an_endless_delay_is_no_overflow() {
        let (mut queue, now) = queue();
        queue.set("a".into(), Duration::MAX, None, now).unwrap();
        assert_eq!(queue.pop_due(now), NextTimer::At(now + MAX_DELAY));
    }
}
