//! The registry of live streams: links publishers to players.
//!
//! Flows in: frames, through the [`Publication`] that holds a name. Flows out:
//! the same frames, to every [`Subscription`] to that name: straight to the
//! player's [`Outlet`], or, when something waits there, through its bounded
//! queue. The hub never names a session; it wakes one through a [`Wake`].
//!
//! A name is claimed atomically and process-wide. Lock order is hub, stream,
//! mailbox of a lane; and apart from those: roster of a lane, outlet, player
//! queue.

mod batch;
mod cache;
mod counters;
mod frame;
mod group;
mod lane;
mod lanes;
mod meter;
mod outlet;
mod publication;
mod queue;
mod registry;
mod stream;
mod subscription;
mod timeline;
mod tracks;
mod video;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

pub use frame::{Frame, Kind, NotAFrame, Role, SHARED_MESSAGE_STREAM};
pub use outlet::{Offer, Outlet, PlayerId};
pub use publication::{Publication, Pushed, Revocation};
pub use queue::{Item, PlayerEnd};
pub use subscription::{Subscription, Totals};

use crate::policy::{Client, DuplicateRule, StreamId};
use counters::Counters;
use publication::Publisher;
use stream::Stream;

/// Wakes the session that owns a publication or a subscription.
pub type Wake = Arc<Notify>;

/// Longest name of a stream with its instance, in bytes: nobody claims or plays
/// one that is longer.
pub const MAX_PATH: usize = 512;

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
        match &self.instance {
            Some(instance) => format!("{instance}/{}", self.name),
            None => self.name.to_string(),
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
pub struct Settings {
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
    /// RTMP chunk size that frames are cut for, in bytes.
    pub chunk_size: u32,
    /// Frames of so long are gathered and written together; zero sends each at
    /// once.
    pub gather: Duration,
}

/// What a publisher asks the hub for, after the policy has granted it.
#[derive(Debug)]
pub struct Claim {
    /// The name to claim.
    pub key: StreamKey,
    /// What happens when it is taken.
    pub on_duplicate: DuplicateRule,
    /// How long players are kept after this publisher is lost.
    pub hold: Duration,
    /// Who publishes.
    pub client: Client,
    /// The application's media settings.
    pub settings: Settings,
    /// Woken when the publication is revoked.
    pub wake: Wake,
}

/// What a player asks the hub for, after the policy has granted it.
#[derive(Debug)]
pub struct Listener {
    /// The application's media settings.
    pub settings: Settings,
    /// Woken when something waits for the player.
    pub wake: Wake,
    /// Where frames go while nothing waits; without it all of them wait. Not
    /// for two players at once.
    pub outlet: Option<Arc<dyn Outlet>>,
}

/// Why a name could not be claimed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// Someone publishes under the name and the rule is to refuse.
    #[error("{key} is already being published by {publisher} (connection {conn})")]
    Busy {
        /// The name.
        key: StreamKey,
        /// Remote address of its publisher.
        publisher: String,
        /// Connection of its publisher.
        conn: u64,
    },
    /// Too many publishers wait behind the current one.
    #[error("{key} already has {waiting} publishers standing by, the most that are allowed")]
    StandbyFull {
        /// The name.
        key: StreamKey,
        /// How many wait.
        waiting: usize,
    },
}

/// The process-wide registry of streams.
#[derive(Debug, Default)]
pub struct Hub {
    streams: Mutex<HashMap<StreamKey, Arc<Stream>>>,
    next_id: AtomicU64,
    counters: Arc<Counters>,
    /// Owns the timers of held streams, and the tasks that run their lanes.
    tasks: TaskTracker,
}

impl Hub {
    /// An empty registry.
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Claims a name for a publisher, by the duplicate rule of its grant.
    pub fn publish(self: &Arc<Self>, claim: Claim) -> Result<Publication, ClaimError> {
        let id: StreamId = self.next_id.fetch_add(1, Ordering::Relaxed) + 1;
        let publisher = Arc::new(Publisher::new(id, &claim));
        let mut streams = self.streams.lock();
        let stream = self.entry(&mut streams, &claim.key);
        let claimed = stream.claim(&publisher, claim.on_duplicate);
        drop(streams);
        match &claimed {
            Ok(()) => self.counters.publishes.add(),
            Err(ClaimError::Busy { .. }) => self.counters.publishes_busy.add(),
            Err(ClaimError::StandbyFull { .. }) => self.counters.publishes_standby_full.add(),
        }
        claimed?;
        stream.settle();
        Ok(Publication::new(self.clone(), stream, publisher))
    }

    /// Subscribes a player. Without a publisher the player waits.
    pub fn play(self: &Arc<Self>, key: &StreamKey, listener: Listener) -> Subscription {
        let taken_before = listener.outlet.as_ref().map_or(0, |outlet| outlet.taken());
        let mut streams = self.streams.lock();
        let stream = self.entry(&mut streams, key);
        let queue = stream.join(listener);
        drop(streams);
        self.counters.plays.add();
        stream.settle();
        Subscription::new(self.clone(), stream, queue, taken_before)
    }

    fn entry(&self, streams: &mut HashMap<StreamKey, Arc<Stream>>, key: &StreamKey) -> Arc<Stream> {
        streams
            .entry(key.clone())
            .or_insert_with(|| {
                let (tasks, counters) = (self.tasks.clone(), self.counters.clone());
                Arc::new(Stream::new(key.clone(), tasks, counters))
            })
            .clone()
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
        let hub = self.clone();
        self.tasks.spawn(async move {
            tokio::time::sleep(hold).await;
            stream.end_hold(id);
            hub.sweep(&stream);
        });
    }
}
