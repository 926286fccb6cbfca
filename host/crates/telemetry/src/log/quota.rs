//! Lines that anybody can cause: so many a minute, the rest as a count.
//!
//! Those about who was let in pass one, too, since anybody may be: it is so large that
//! only a flood meets it.
//!
//! A port scan or a broken client must neither fill the disk nor hide what
//! matters. Whoever looks for those that guess passwords (fail2ban) has to see
//! them all the same: a verdict (a log-in that failed, a policy's no) is written
//! beyond the quota, too, once for each address and ten seconds.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::network::network;

/// Lines in a window, about what is no client's right.
const LINES: u32 = 60;
/// About publishers, and about relays.
pub const PUBLISHER_LINES: u32 = 600;
/// About connections and players.
pub const CLIENT_LINES: u32 = 6000;
const WINDOW: Duration = Duration::from_secs(60);
/// How long an address has no second line beyond the quota.
const PAUSE: Duration = Duration::from_secs(10);
/// Addresses that are remembered for it; those of more have no such line.
const MAX_ADDRESSES: usize = 1024;

/// Lines about clients that were not let in.
pub static STRANGERS: Quota = Quota::with("clients that were not let in", LINES);
/// Lines about what publishers that were let in send, and who takes over from whom.
pub static PUBLISHERS: Quota = Quota::with("media of publishers", PUBLISHER_LINES);

/// A limit on lines.
#[derive(Debug)]
pub struct Quota {
    about: Cow<'static, str>,
    /// In a window.
    lines: u32,
    state: Mutex<Option<QuotaState>>,
    /// A first line was left out.
    exceeded: Notify,
}

#[derive(Debug)]
struct QuotaState {
    /// When the present window began.
    since: Instant,
    /// Written in it.
    lines: u32,
    /// Since it was last said.
    left_out: u64,
    /// Whose refusal was written within the last `PAUSE`.
    refused: HashSet<IpAddr>,
    /// The same, the oldest first.
    order: VecDeque<(Instant, IpAddr)>,
}

impl Quota {
    /// A quota of lines `about` something.
    pub fn new(about: String) -> Self {
        Self::of(about, LINES)
    }

    /// The same with another number of `lines` a minute.
    pub fn of(about: String, lines: u32) -> Self {
        Self {
            about: Cow::Owned(about),
            ..Self::with("", lines)
        }
    }

    const fn with(about: &'static str, lines: u32) -> Self {
        Self {
            about: Cow::Borrowed(about),
            lines,
            state: Mutex::new(None),
            exceeded: Notify::const_new(),
        }
    }

    /// Whether one more line may be written; if not, it is counted.
    pub fn admits(&self) -> bool {
        self.admits_at(Instant::now(), None)
    }

    /// The same of a quota for which nobody runs [`Quota::report`]: a task does
    /// while there is something to say.
    pub fn admits_and_reports(self: &Arc<Self>) -> bool {
        let is_admitted = self.admits();
        let has_more = self.exceeded.notified().now_or_never().is_some();
        if has_more && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let quota = Arc::clone(self);
            runtime.spawn(async move { quota.say_at_end().await });
        }
        is_admitted
    }

    /// The same as [`Quota::admits`] for a line with a verdict on a client at
    /// `address`. Other refusals must not come here: they would take the
    /// verdict's place.
    pub fn admits_refusal(&self, address: Option<IpAddr>) -> bool {
        self.admits_at(Instant::now(), address)
    }

    fn admits_at(&self, now: Instant, address: Option<IpAddr>) -> bool {
        let mut state = self.state.lock();
        let state = state.get_or_insert_with(|| QuotaState::new(now));
        if now.saturating_duration_since(state.since) >= WINDOW {
            state.since = now;
            state.lines = 0;
        }
        let is_within = state.lines < self.lines;
        let is_first = address.is_some_and(|address| state.is_first(network(address), now));
        if is_within {
            state.lines = state.lines.saturating_add(1);
        } else if !is_first {
            if state.left_out == 0 {
                self.exceeded.notify_one();
            }
            state.left_out = state.left_out.saturating_add(1);
        }
        is_within || is_first
    }

    /// Says at the end of each window how many lines were left out, until
    /// `stop`.
    pub async fn report(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = self.exceeded.notified() => {}
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = self.say_at_end() => {}
                () = stop.cancelled() => return,
            }
        }
    }

    async fn say_at_end(&self) {
        let since = self.state.lock().as_ref().map(|state| state.since);
        let end = since.unwrap_or_else(Instant::now) + WINDOW;
        sleep_until(end.into()).await;
        self.say();
    }

    /// Says how many lines were left out, if any were.
    pub fn say(&self) {
        let mut state = self.state.lock();
        let left_out = state
            .as_mut()
            .map(|state| std::mem::take(&mut state.left_out));
        drop(state);
        if let Some(lines @ 1..) = left_out {
            warn!(lines, about = &*self.about, "lines left out");
        }
    }
}

impl QuotaState {
    fn new(now: Instant) -> Self {
        Self {
            since: now,
            lines: 0,
            left_out: 0,
            refused: HashSet::new(),
            order: VecDeque::new(),
        }
    }

    /// Whether nothing was written about `network` for a while; remembers that
    /// something is now.
    fn is_first(&mut self, network: IpAddr, now: Instant) -> bool {
        while let Some((at, oldest)) = self.order.front()
            && now.saturating_duration_since(*at) >= PAUSE
        {
            self.refused.remove(oldest);
            self.order.pop_front();
        }
        if self.order.len() >= MAX_ADDRESSES || !self.refused.insert(network) {
            return false;
        }
        self.order.push_back((now, network));
        true
    }
}

/// A line that anybody can cause: `limited!(WARN, quota.admits(), ...)`. One
/// that the filter leaves out anyway takes nothing of the quota.
#[macro_export]
macro_rules! limited {
    ($level:ident, $admitted:expr, $($line:tt)+) => {
        if tracing::enabled!(tracing::Level::$level) && $admitted {
            tracing::event!(tracing::Level::$level, $($line)+);
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(quota: &Quota, now: Instant, address: Option<IpAddr>, lines: usize) -> usize {
        (0..lines).filter(|_| quota.admits_at(now, address)).count()
    }

    fn left_out(quota: &Quota) -> u64 {
        quota.state.lock().as_ref().unwrap().left_out
    }

    #[test]
    fn a_window_has_so_many_lines() {
        let quota = Quota::with("tests", LINES);
        let start = Instant::now();
        assert_eq!(admitted(&quota, start, None, 1000), 60);
        let late = start + Duration::from_secs(59);
        assert_eq!(admitted(&quota, late, None, 10), 0);
        assert_eq!(left_out(&quota), 950);
        quota.say();
        assert_eq!(left_out(&quota), 0);
        let next = start + WINDOW;
        assert_eq!(admitted(&quota, next, None, 100), 60);
    }

    #[test]
    fn beyond_it_each_address_has_one_refusal_in_ten_seconds() {
        let quota = Quota::with("tests", LINES);
        let start = Instant::now();
        assert_eq!(admitted(&quota, start, None, 60), 60);
        let [a, b, c, d] = ["192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"]
            .map(|address| address.parse::<IpAddr>().ok());
        for (address, lines) in [(a, 1), (b, 1), (c, 1), (d, 0)] {
            assert_eq!(admitted(&quota, start, address, 50), lines, "{address:?}");
        }
        let late = start + Duration::from_secs(9);
        assert_eq!(admitted(&quota, late, a, 50), 0);
        assert_eq!(admitted(&quota, start + PAUSE, a, 50), 1);
    }

    #[test]
    fn a_flood_of_addresses_takes_bounded_memory_and_lines() {
        let quota = Quota::with("tests", LINES);
        let start = Instant::now();
        let address = |n: u32| Some(IpAddr::from(n.to_be_bytes()));
        let flood = (0..10_000).filter(|n| quota.admits_at(start, address(*n)));
        assert_eq!(flood.count(), MAX_ADDRESSES);
        let later = start + PAUSE;
        let flood = (20_000..30_000).filter(|n| quota.admits_at(later, address(*n)));
        assert_eq!(flood.count(), MAX_ADDRESSES);
        let state = quota.state.lock();
        let state = state.as_ref().unwrap();
        assert_eq!(state.refused.len(), MAX_ADDRESSES);
        assert_eq!(state.order.len(), MAX_ADDRESSES);
    }

    #[tokio::test]
    async fn what_was_left_out_is_said_at_the_end_of_the_window() {
        let quota = Quota::with("tests", LINES);
        let start = Instant::now().checked_sub(WINDOW).unwrap();
        assert_eq!(admitted(&quota, start, None, 100), 60);
        assert_eq!(left_out(&quota), 40);
        let stop = CancellationToken::new();
        let said = async {
            while left_out(&quota) > 0 {
                tokio::task::yield_now().await;
            }
            stop.cancel();
        };
        tokio::join!(quota.report(stop.clone()), said);
    }

    #[tokio::test]
    async fn a_quota_that_nobody_reports_does_so_itself() {
        let quota = Arc::new(Quota::new("tests".to_owned()));
        let start = Instant::now().checked_sub(WINDOW - Duration::from_millis(500));
        *quota.state.lock() = Some(QuotaState::new(start.unwrap()));
        while quota.admits_and_reports() {}
        assert!(left_out(&quota) > 0);
        while left_out(&quota) > 0 {
            tokio::task::yield_now().await;
        }
    }
}
