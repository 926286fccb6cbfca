//! The lanes of a stream: one while players are few, one for each worker
//! thread when they are many.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Wake;
use super::lane::{Change, Lane, Post};
use super::queue::PlayerQueue;
use super::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use super::sync::{Mutex, TaskTracker, limit, sleep, workers, yield_now};

/// So many players are written to by whoever posts; for more, tasks are made,
/// and players are shared out to one lane more.
const INLINE_PLAYERS: usize = limit(32, 1);
/// Players written to before other tasks get their turn.
const TURN: usize = limit(64, 1);
/// Batches that whoever posts sends before a task takes over.
const INLINE_BATCHES: usize = limit(16, 2);
/// Lanes of one stream at most.
const MAX_LANES: usize = 16;
/// Gathered frames of so many bytes go out before their interval has ended.
const FULL: usize = limit(512 * 1024, 1_000);
/// What frames that wait for a lane may cost before the publisher is not read
/// from, bytes: the machine can't keep up.
const CONGESTED: usize = limit(4 << 20, 500);

/// All players of one stream, in shares. Clones are the same lanes.
#[derive(Clone)]
pub(super) struct Lanes(Arc<LanesInner>);

struct LanesInner {
    lanes: Box<[Lane]>,
    /// How many of the lanes have had players.
    used: AtomicUsize,
    players: AtomicUsize,
    joined: AtomicUsize,
    /// A task sleeps until the interval's end.
    is_gathering: AtomicBool,
    /// Publishers that are not read from: the active one, and one that was
    /// active until now.
    held_up: Mutex<Vec<Wake>>,
    tasks: TaskTracker,
}

impl fmt::Debug for Lanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lanes")
            .field("players", &self.players())
            .finish_non_exhaustive()
    }
}

impl Lanes {
    /// Tasks that run lanes are those of `tasks`.
    pub(super) fn new(tasks: TaskTracker) -> Self {
        Self(Arc::new(LanesInner {
            lanes: (0..workers().clamp(1, MAX_LANES))
                .map(|_| Lane::default())
                .collect(),
            used: AtomicUsize::new(1),
            players: AtomicUsize::new(0),
            joined: AtomicUsize::new(0),
            is_gathering: AtomicBool::new(false),
            held_up: Mutex::default(),
            tasks,
        }))
    }

    /// How many players there are.
    pub(super) fn players(&self) -> usize {
        self.0.players.load(Ordering::Relaxed)
    }

    /// The lane of a player that is about to join.
    pub(super) fn assign(&self) -> usize {
        let wanted = 1_usize.saturating_add(self.players() / INLINE_PLAYERS);
        let wanted = wanted.min(self.0.lanes.len());
        let used = self.0.used.fetch_max(wanted, Ordering::Relaxed).max(wanted);
        let number = self.0.joined.fetch_add(1, Ordering::Relaxed);
        number.checked_rem(used).unwrap_or(0)
    }

    /// For every player, in one order with all that is posted.
    pub(super) fn post(&self, post: Post) {
        let Some((last, others)) = self.used().split_last() else {
            return;
        };
        for lane in others {
            lane.post(post.clone());
        }
        last.post(post);
    }

    /// One more player; it gets what is posted after this.
    pub(super) fn join(&self, queue: Arc<PlayerQueue>) {
        self.0.players.fetch_add(1, Ordering::Relaxed);
        if let Some(lane) = self.0.lanes.get(queue.lane()) {
            lane.post(Post::Change(Change::Join(queue)));
        }
    }

    /// One player less.
    pub(super) fn leave(&self, queue: Arc<PlayerQueue>) {
        self.0.players.fetch_sub(1, Ordering::Relaxed);
        if let Some(lane) = self.0.lanes.get(queue.lane()) {
            lane.post(Post::Change(Change::Leave(queue)));
        }
    }

    /// Sends frames that were posted, with all that come within `interval`.
    pub(super) fn send(&self, interval: Duration) {
        if interval.is_zero() || self.used().iter().any(|lane| lane.backlog() > FULL) {
            return self.run();
        }
        if !self.0.is_gathering.swap(true, Ordering::AcqRel) {
            let lanes = self.clone();
            self.0.tasks.spawn(async move {
                sleep(interval).await;
                // With what was posted before any swap that found it true.
                lanes.0.is_gathering.swap(false, Ordering::AcqRel);
                lanes.run();
            });
        }
    }

    /// Acts on what was posted; frames that are being gathered keep their time.
    pub(super) fn settle(&self) {
        // A load could see the old value while the task does not see the posts.
        if !self.0.is_gathering.fetch_or(false, Ordering::AcqRel) {
            self.run();
        }
    }

    /// Whether the publisher should not be read from, since too much waits.
    /// If so, `wake` is notified when that is over; `begins` is called if it
    /// was not to be before.
    pub(super) fn hold_up(&self, wake: &Wake, begins: impl FnOnce()) -> bool {
        if !self.is_congested() {
            return false;
        }
        let mut held_up = self.0.held_up.lock();
        if !held_up.iter().any(|other| Arc::ptr_eq(other, wake)) {
            held_up.push(wake.clone());
            begins();
        }
        drop(held_up);
        // It may have ended before the wake was there to be notified.
        self.is_congested()
    }

    fn used(&self) -> &[Lane] {
        let used = self.0.used.load(Ordering::Relaxed);
        self.0.lanes.get(..used).unwrap_or_default()
    }

    /// Whether so much waits that publishers should wait, too.
    pub(super) fn is_congested(&self) -> bool {
        self.used().iter().any(|lane| lane.backlog() > CONGESTED)
    }

    fn run(&self) {
        let few = self.players() <= INLINE_PLAYERS;
        for (index, lane) in self.used().iter().enumerate() {
            if !lane.start() {
                continue;
            }
            if !few || (0..INLINE_BATCHES).all(|_| lane.step(usize::MAX)) {
                self.0.tasks.spawn(self.clone().run_lane(index));
            }
        }
        self.let_go();
    }

    /// Goes on with a lane that was started.
    async fn run_lane(self, index: usize) {
        let Some(lane) = self.0.lanes.get(index) else {
            return;
        };
        while lane.step(TURN) {
            self.let_go();
            yield_now().await;
        }
        self.let_go();
    }

    /// Publishers are read from again, unless too much waits still.
    fn let_go(&self) {
        let mut held_up = self.0.held_up.lock();
        if !held_up.is_empty() && !self.is_congested() {
            for publisher in held_up.drain(..) {
                publisher.notify_one();
            }
        }
    }
}
