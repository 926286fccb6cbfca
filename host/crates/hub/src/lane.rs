//! A share of a stream's players, and the way of every frame to them.
//!
//! What happens to a stream is posted in order, under the stream's lock, and
//! costs nothing there. Whoever finds the lane idle then works through the
//! posts, writing to one player's socket after the other: the publisher's own
//! task when players are few, a task per lane when they are many. So a player
//! that joins, or a plugin that asks for a snapshot, never waits for a fan-out.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use livehost_media::Video;

use super::batch::{Batch, Delivery, Shared};
use super::frame::Frame;
use super::outlet::{Offer, Outlet, PlayerId};
use super::queue::{Item, PlayerQueue};
use super::renderer::Variant;
use super::sync::Mutex;

/// So many players are looked at, then written to. Looking at one after the
/// other, with nothing in between, lets their memory be fetched at once.
const AHEAD: usize = 8;

/// What a lane does, in this order with all else.
#[derive(Debug, Clone)]
pub(super) enum Post {
    /// For every player; those in a row may go out together.
    Frame { frame: Arc<Frame>, video: Video },
    /// Between frames.
    Change(Change),
}

/// What the players of a lane hear or become.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Announce(Item),
    /// What players have is no base for what follows.
    Desync,
    /// Video begins, or is back: players without a base for it wait for its
    /// keyframe.
    AwaitVideo,
    Join(Arc<PlayerQueue>),
    Leave(Arc<PlayerQueue>),
}

#[derive(Debug, Default)]
pub(super) struct Lane {
    mailbox: Mutex<Posts>,
    roster: Mutex<Roster>,
}

#[derive(Debug, Default)]
struct Posts {
    posts: VecDeque<Post>,
    /// How many of them may be acted on: frames that are being gathered may
    /// not yet.
    due: usize,
    /// What the frames among them cost, in bytes.
    cost: usize,
    is_running: bool,
}

/// Touched only by the one who runs the lane.
#[derive(Debug, Default)]
struct Roster {
    players: Vec<Seat>,
    /// The variants of its players with an outlet, each in a place that it
    /// keeps while it has any.
    variants: Vec<Shared>,
    batch: Batch,
    /// The player that is next to get the batch.
    next: usize,
}

/// A player, with what its frames need when nothing waits for it.
#[derive(Debug)]
struct Seat {
    /// The player's, if there are bytes for it.
    outlet: Option<Arc<dyn Outlet>>,
    id: PlayerId,
    /// Which bytes it takes as they are: a place among the lane's variants.
    place: usize,
    queue: Arc<PlayerQueue>,
}

impl Lane {
    /// Appends a post; the caller sees to it that the lane runs.
    pub(super) fn post(&self, post: Post) {
        let mut mailbox = self.mailbox.lock();
        if let Post::Frame { frame, .. } = &post {
            mailbox.cost = mailbox.cost.saturating_add(frame.cost());
        }
        mailbox.posts.push_back(post);
    }

    /// What the frames that wait for the lane cost, in bytes.
    pub(super) fn backlog(&self) -> usize {
        self.mailbox.lock().cost
    }

    /// What was posted until now is due. True for the one who has to run the
    /// lane: something is due, and nobody is at it.
    pub(super) fn start(&self) -> bool {
        let mut mailbox = self.mailbox.lock();
        mailbox.due = mailbox.posts.len();
        let start = !mailbox.is_running && mailbox.due > 0;
        mailbox.is_running |= start;
        start
    }

    /// Hands what is next to at most `players` players. False when nothing is
    /// left, and the lane has stopped.
    pub(super) fn step(&self, players: usize) -> bool {
        let mut roster = self.roster.lock();
        if roster.batch.is_empty() && !self.take_posts(&mut roster) {
            return false;
        }
        roster.deliver(players);
        true
    }

    /// Takes frames that can go out together, and what is before them.
    fn take_posts(&self, roster: &mut Roster) -> bool {
        let mut mailbox = self.mailbox.lock();
        while !roster.batch.is_full() {
            match mailbox.pop_due() {
                Some(Post::Frame { frame, video }) if roster.batch.fits(&frame) => {
                    mailbox.cost = mailbox.cost.saturating_sub(frame.cost());
                    roster.batch.push(frame, video);
                }
                Some(Post::Change(change)) if roster.batch.is_empty() => {
                    drop(mailbox);
                    roster.apply(change);
                    mailbox = self.mailbox.lock();
                }
                Some(other) => {
                    mailbox.put_back(other);
                    break;
                }
                None => break,
            }
        }
        #[cfg(feature = "shuttle")]
        super::sync::slip(super::sync::Slip::Stop, &mut mailbox);
        mailbox.is_running = !roster.batch.is_empty();
        mailbox.is_running
    }
}

impl Posts {
    fn pop_due(&mut self) -> Option<Post> {
        self.due = self.due.checked_sub(1)?;
        self.posts.pop_front()
    }

    fn put_back(&mut self, post: Post) {
        self.due = self.due.saturating_add(1);
        self.posts.push_front(post);
    }
}

impl Roster {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Announce(item) => {
                for player in &self.players {
                    player.queue.announce(item.clone());
                }
            }
            Change::Desync => {
                for player in &self.players {
                    player.queue.desync();
                }
            }
            Change::AwaitVideo => {
                for player in &self.players {
                    player.queue.await_video();
                }
            }
            Change::Join(queue) => {
                let variant = queue.outlet().and(queue.variant());
                let place = variant.map(|variant| self.place_of(variant));
                self.players.push(Seat::new(queue, place));
            }
            Change::Leave(queue) => {
                let same = |seat: &Seat| Arc::ptr_eq(&seat.queue, &queue);
                if let Some(at) = self.players.iter().position(same) {
                    let seat = self.players.swap_remove(at);
                    if let Some(shared) = self.variants.get_mut(seat.place) {
                        shared.players = shared.players.saturating_sub(1);
                    }
                }
            }
        }
    }

    /// The place of a variant that has one player more. One that has lost all of
    /// its players leaves its own to another.
    fn place_of(&mut self, variant: Variant) -> usize {
        let mut places = self.variants.iter();
        let known = places.position(|shared| shared.variant == variant);
        let mut places = self.variants.iter();
        let place = known.or_else(|| places.position(|shared| shared.players == 0));
        let place = place.unwrap_or_else(|| {
            self.variants.push(Shared::new(variant));
            self.variants.len().saturating_sub(1)
        });
        if let Some(shared) = self.variants.get_mut(place) {
            shared.variant = variant;
            shared.players = shared.players.saturating_add(1);
        }
        place
    }

    fn deliver(&mut self, count: usize) {
        if self.players.is_empty() {
            return self.finish();
        }
        if self.next == 0 {
            for shared in &mut self.variants {
                shared.join(&self.batch);
            }
        }
        let end = self.next.saturating_add(count).min(self.players.len());
        if let Some(players) = self.players.get(self.next..end) {
            let delivery = self.batch.delivery(&self.variants);
            match delivery.only() {
                // As usual: there is nothing to look up for each of them.
                Some(bytes) => hand_out(players, &delivery, |_| Some(bytes)),
                None => hand_out(players, &delivery, |place| delivery.bytes(place)),
            }
        }
        self.next = end;
        if end >= self.players.len() {
            self.finish();
        }
    }

    /// All players have the batch.
    fn finish(&mut self) {
        self.batch.clear();
        self.next = 0;
        for shared in &mut self.variants {
            shared.clear();
        }
    }
}

/// `bytes_of` says what players in a place among the variants get.
#[inline]
fn hand_out<'a>(
    players: &[Seat],
    delivery: &Delivery<'a>,
    bytes_of: impl Fn(usize) -> Option<&'a Bytes>,
) {
    for players in players.chunks(AHEAD) {
        let mut open = [None; AHEAD];
        for (open, player) in open.iter_mut().zip(players) {
            *open = player.open_outlet();
        }
        for (open, player) in open.iter().zip(players) {
            match open.and_then(|outlet| Some((outlet, bytes_of(player.place)?))) {
                Some((outlet, bytes)) => player.pass(outlet, bytes, delivery),
                None => player.queue.deliver(delivery),
            }
        }
    }
}

impl Seat {
    fn new(queue: Arc<PlayerQueue>, place: Option<usize>) -> Self {
        Self {
            outlet: place.and(queue.outlet().cloned()),
            id: queue.id(),
            place: place.unwrap_or(usize::MAX),
            queue,
        }
    }

    #[inline]
    fn open_outlet(&self) -> Option<&dyn Outlet> {
        let outlet = self.outlet.as_deref()?;
        outlet.is_open(self.id).then_some(outlet)
    }

    #[inline]
    fn pass(&self, outlet: &dyn Outlet, bytes: &Bytes, delivery: &Delivery<'_>) {
        match outlet.pass(self.id, bytes) {
            Offer::Written => {}
            Offer::Taken => self.queue.wake_for_rest(),
            Offer::Refused => self.queue.deliver(delivery),
        }
    }
}
