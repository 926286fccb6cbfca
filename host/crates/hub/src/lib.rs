//! The registry of live streams: links publishers to players.
//!
//! Flows in: packets, through the [`Publication`] that holds a name. Flows out:
//! [`Frame`]s of the same packets, with what a [`Renderer`] made of them for all
//! players of one [`Variant`], to every [`Subscription`] to that name: straight
//! to the player's [`Outlet`], or, when something waits there, through its
//! bounded queue. The hub never names a session; it wakes one through a [`Wake`].
//!
//! A name is claimed atomically and process-wide. Lock order is hub, stream,
//! mailbox of a lane; and apart from those: roster of a lane, outlet, player
//! queue.

mod batch;
mod cache;
mod claim;
mod counters;
mod frame;
mod group;
mod headers;
mod lane;
mod lanes;
mod meter;
mod names;
mod outlet;
mod presence;
mod publication;
mod queue;
mod registry;
mod renderer;
mod renderers;
mod stream;
mod subscription;
pub mod sync;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tracing::debug;

pub use claim::{Claim, ClaimError, Contested, Owner};
pub use frame::Frame;
pub use outlet::{Offer, Outlet, PlayerId};
pub use publication::{Publication, Pushed, Revocation};
pub use queue::{Item, PlayerEnd};
pub use renderer::{Format, Renderer, Rendering, Variant};
pub use subscription::{Subscription, Totals};

use livehost_policy::StreamId;

use claim::Attempt;
use counters::Counters;
use names::Names;
use publication::Publisher;
use queue::PlayerQueue;
use stream::Stream;
use sync::{Mutex, TaskTracker, sleep};

/// Wakes the session that owns a publication or a subscription.
pub type Wake = Arc<Notify>;

/// The identity of a stream: process-wide unique while claimed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamKey {
    /// The application's name.
    pub app: Arc<str>,
    /// The application instance, if the client asked for one.
    pub instance: Option<Arc<str>>,
    /// The stream's name as granted.
    pub name: Arc<str>,
}

impl StreamKey {
    /// `instance/name`, or the name alone: what an application calls it.
    pub fn path(&self) -> String {
        livehost_policy::names::path(self.instance.as_deref(), &self.name)
    }

    /// The stream that `app` calls `path`.
    pub fn called(app: &str, path: &str) -> Self {
        let (instance, name) = livehost_policy::names::split(path);
        Self {
            app: app.into(),
            instance: instance.map(Into::into),
            name: name.into(),
        }
    }
}

impl fmt::Display for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.instance {
            Some(instance) => write!(f, "{}/{instance}/{}", self.app, self.name),
            None => write!(f, "{}/{}", self.app, self.name),
        }
    }
}

/// Where a joining player starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Join {
    /// At the cached keyframe: a picture at once, some latency.
    #[default]
    Keyframe,
    /// At the next keyframe: lowest latency, a wait for the first picture.
    NextKeyframe,
}

/// An application's media settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaSettings {
    /// Bytes of frames kept since the last keyframe; 0 keeps none.
    pub keyframe_cache: usize,
    /// Where a joining player starts.
    pub join: Join,
    /// Bytes that may wait for one player before it drops to a keyframe.
    pub queue_bytes: usize,
    /// Media time that may wait for one player before it drops to a keyframe.
    pub queue_time: Duration,
    /// A player that never catches up for so long after a drop is closed.
    pub slow_close: Duration,
    /// Frames of so long are gathered and written together; zero sends each at
    /// once.
    pub gather: Duration,
}

/// What a player asks the hub for, after the policy has granted it.
#[derive(Debug)]
pub struct Subscriber {
    /// The application's media settings.
    pub settings: MediaSettings,
    /// Woken when something waits for the player.
    pub wake: Wake,
    /// What its bytes are like: made once for all players of that variant.
    /// Without it there are packets alone.
    pub format: Option<Arc<dyn Format>>,
    /// Where frames go while nothing waits, if they have a format; without it
    /// all of them wait. Not for two players at once.
    pub outlet: Option<Arc<dyn Outlet>>,
}

impl Subscriber {
    /// What its outlet has taken so far.
    fn taken(&self) -> u64 {
        self.outlet.as_ref().map_or(0, |outlet| outlet.taken())
    }
}

/// As many play a stream as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stream has {players} players, and {max} may play it")]
pub struct Full {
    /// Players now.
    pub players: usize,
    /// Players that may be.
    pub max: usize,
}

/// Names that are held at once for publishers that were lost. One that was lost
/// may publish another name, and lose that.
const MAX_HOLDS: usize = 10_000;

/// A stream, and one of those who publish it or stand by.
type Published = (Arc<Stream>, Arc<Publisher>);

/// The process-wide registry of streams.
#[derive(Debug)]
pub struct Hub {
    streams: Mutex<Names>,
    /// Those who publish or stand by, each with its stream. No other lock is
    /// taken under this one.
    publishers: Mutex<HashMap<StreamId, Published>>,
    next_id: AtomicU64,
    counters: Arc<Counters>,
    /// Owns the timers of held streams, and the tasks that run their lanes.
    tasks: TaskTracker,
    /// Names that may be held at once.
    holds: Arc<Semaphore>,
}

impl Default for Hub {
    fn default() -> Self {
        Self {
            streams: Mutex::default(),
            publishers: Mutex::default(),
            next_id: AtomicU64::default(),
            counters: Arc::default(),
            tasks: TaskTracker::default(),
            holds: Arc::new(Semaphore::new(MAX_HOLDS)),
        }
    }
}

impl Hub {
    /// An empty registry.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Claims a name for a publisher, by the duplicate rule of its grant.
    ///
    /// # Errors
    /// [`Contested`] when the name is taken and the rule does not give it away:
    /// for the caller to refuse, or to settle, which takes a moment.
    pub fn publish(self: &Arc<Self>, claim: Claim) -> Result<Publication, Contested> {
        let id: StreamId = self.next_id.fetch_add(1, Ordering::Relaxed) + 1;
        self.attempt(Attempt {
            publisher: Arc::new(Publisher::new(id, &claim)),
            key: claim.key,
            rule: claim.on_duplicate,
        })
    }

    fn attempt(self: &Arc<Self>, attempt: Attempt) -> Result<Publication, Contested> {
        let stream = self.approach(&attempt.key);
        let claimed = stream.claim(&attempt.publisher, attempt.rule);
        stream.arrive();
        if let Err(taken) = claimed {
            // Who was here may have left meanwhile.
            self.sweep(&stream);
            return Err(Contested::new(self.clone(), attempt, taken));
        }
        self.counters.publishes.add();
        let publisher = (stream.clone(), attempt.publisher.clone());
        (self.publishers.lock()).insert(attempt.publisher.id(), publisher);
        stream.settle();
        Ok(Publication::new(self.clone(), stream, attempt.publisher))
    }

    /// Subscribes a player. Without a publisher the player waits.
    pub fn play(self: &Arc<Self>, key: &StreamKey, subscriber: Subscriber) -> Subscription {
        let taken_before = subscriber.taken();
        let stream = self.approach(key);
        let queue = stream.join(subscriber);
        self.joined(stream, queue, taken_before)
    }

    /// Subscribes a player, unless `max` play the stream already, those that wait
    /// and those that are relays among them.
    ///
    /// # Errors
    /// [`Full`].
    pub fn play_within(
        self: &Arc<Self>,
        key: &StreamKey,
        subscriber: Subscriber,
        max: usize,
    ) -> Result<Subscription, Full> {
        let taken_before = subscriber.taken();
        let stream = self.approach(key);
        match stream.join_within(subscriber, max) {
            Ok(queue) => Ok(self.joined(stream, queue, taken_before)),
            Err(full) => {
                stream.arrive();
                // It may have been made for this.
                self.sweep(&stream);
                Err(full)
            }
        }
    }

    fn joined(
        self: &Arc<Self>,
        stream: Arc<Stream>,
        queue: Arc<PlayerQueue>,
        taken_before: u64,
    ) -> Subscription {
        stream.arrive();
        self.counters.plays.add();
        stream.settle();
        Subscription::new(self.clone(), stream, queue, taken_before)
    }

    /// The stream of that name, which stays in the registry until
    /// [`Stream::arrive`] and as long as anybody is there after that. What it
    /// does for who comes is not done under the lock that all streams share.
    fn approach(&self, key: &StreamKey) -> Arc<Stream> {
        let mut streams = self.streams.lock();
        let stream = streams.get_or_insert(key, || {
            let (tasks, counters) = (self.tasks.clone(), self.counters.clone());
            Arc::new(Stream::new(key.clone(), tasks, counters))
        });
        stream.approach();
        stream.clone()
    }

    /// How many tasks run lanes and hold names.
    pub fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// Forgets a stream that has neither publisher nor players.
    fn sweep(&self, stream: &Stream) {
        let mut streams = self.streams.lock();
        let current = streams
            .get(stream.key())
            .is_some_and(|entry| std::ptr::eq(&**entry, stream));
        if current && stream.is_abandoned() {
            streams.remove(stream.key());
        }
    }

    /// The publisher whose publication was `id` won't return: what is held for
    /// it is held no longer.
    pub fn end_hold(&self, key: &StreamKey, id: StreamId) {
        let stream = self.streams.lock().get(key).cloned();
        if let Some(stream) = stream {
            stream.end_hold(id);
            self.sweep(&stream);
        }
    }

    /// Ends the hold of a stream at its deadline, unless a publisher returned.
    fn end_hold_later(self: &Arc<Self>, stream: Arc<Stream>, id: StreamId, hold: Duration) {
        let Ok(place) = self.holds.clone().try_acquire_owned() else {
            debug!(stream = %stream.key(), most = MAX_HOLDS, "not held: too many names are");
            stream.end_hold(id);
            self.sweep(&stream);
            return;
        };
        let (hub, held) = (self.clone(), stream.clone());
        let timer = self.tasks.spawn(async move {
            let _place = place;
            sleep(hold).await;
            held.end_hold(id);
            hub.sweep(&held);
        });
        stream.time_hold(id, timer.abort_handle());
    }
}
