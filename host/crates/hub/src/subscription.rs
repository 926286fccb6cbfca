//! The player's side: one playback, from join to leave.

use std::sync::Arc;

use super::queue::{Item, PlayerEnd, PlayerQueue};
use super::stream::Stream;
use super::{Hub, StreamKey};

/// A player of a stream. Dropping it leaves the stream.
#[derive(Debug)]
pub struct Subscription {
    hub: Arc<Hub>,
    stream: Arc<Stream>,
    queue: Arc<PlayerQueue>,
    /// What the outlet had taken before.
    taken_before: u64,
}

/// What a playback came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// Bytes that went to the outlet past the session.
    pub written: u64,
    /// Frames dropped because the player was behind.
    pub dropped: u64,
}

impl Subscription {
    pub(super) fn new(
        hub: Arc<Hub>,
        stream: Arc<Stream>,
        queue: Arc<PlayerQueue>,
        taken_before: u64,
    ) -> Self {
        Self {
            hub,
            stream,
            queue,
            taken_before,
        }
    }

    /// The name that is played.
    pub fn key(&self) -> &StreamKey {
        self.stream.key()
    }

    /// False while the player waits for a publisher.
    pub fn is_live(&self) -> bool {
        self.stream.is_live()
    }

    /// The oldest item that waits. After `None` the session is woken for the next.
    #[allow(clippy::should_implement_trait, reason = "not an end: more may come")]
    pub fn next(&mut self) -> Option<Item> {
        self.queue.pop()
    }

    /// Why the hub ended the playback, if it did.
    pub fn end(&self) -> Option<PlayerEnd> {
        self.queue.end()
    }

    /// Whether frames may go to the outlet past the session, as soon as
    /// nothing waits. At first they may not.
    pub fn set_direct(&self, direct: bool) {
        self.queue.set_direct(direct);
    }

    /// After [`Subscription::next`] has returned `None`:
    /// [`Subscription::set_direct`], and whether the player's socket has taken
    /// everything, too. Then the player is not behind.
    pub fn rest(&self, direct: bool, caught_up: bool) {
        self.queue.rest(direct, caught_up);
    }

    /// The player's socket has taken everything, after [`Subscription::rest`]
    /// was told that it had not.
    pub fn caught_up(&self) {
        self.queue.caught_up();
    }

    /// Goes on at the next keyframe: some frames were left out.
    pub fn resync(&self) {
        self.queue.resync();
    }

    /// Goes on with video at the next keyframe, and with audio at once: video
    /// was left out.
    pub fn resync_video(&self) {
        self.queue.resync_video();
    }

    /// Frames dropped so far because the player was behind.
    pub fn dropped(&self) -> u64 {
        self.queue.dropped()
    }

    /// Leaves the stream; nothing more is written or counted.
    pub fn leave(self) -> Totals {
        let (taken, dropped) = self.queue.close();
        Totals {
            written: taken.saturating_sub(self.taken_before),
            dropped,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // The lane hears of it later; the connection may play another stream
        // by then.
        self.queue.close();
        self.stream.leave(self.queue.clone());
        self.hub.sweep(&self.stream);
    }
}
