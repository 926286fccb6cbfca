//! The bounded queue between a stream and one player.
//!
//! Flows in: every frame of the stream. Flows out: those the player can
//! decode, in order. While nothing waits they go straight to the player's
//! outlet, and past this queue once the outlet is open; otherwise the session
//! takes them from here. A player that falls behind loses what waits for it and
//! goes on at the next keyframe; one that never catches up is ended.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::batch::Delivery;
use super::counters::Counters;
use super::frame::{Frame, Kind, Role};
use super::outlet::{Offer, Outlet, PlayerId};
use super::tracks::Covered;
use super::{Listener, Settings, Wake};

/// What a player's session takes from its queue, in order.
#[derive(Debug, Clone)]
pub enum Item {
    /// A publisher has appeared; its frames follow.
    Published,
    /// The publisher has left; the player is waiting again.
    Unpublished,
    /// A frame to send.
    Frame(Arc<Frame>),
}

/// Why the hub ended a playback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlayerEnd {
    /// The player stayed behind for longer than its application allows.
    #[error("the player was behind for more than {} s", .0.as_secs())]
    TooSlow(Duration),
}

#[derive(Debug)]
struct Entry {
    item: Item,
    /// Counted against the limits; the first burst from the cache is not.
    counted: bool,
}

#[derive(Debug, Default)]
struct State {
    entries: VecDeque<Entry>,
    /// What counted frames cost, in bytes.
    bytes: usize,
    /// The player has a keyframe to build on.
    synced: bool,
    dropped: u64,
    /// Dropping until the next keyframe.
    dropping: bool,
    behind_since: Option<Instant>,
    end: Option<PlayerEnd>,
    /// The player has left; its lane may not know yet.
    left: bool,
    /// The session was woken and has not looked yet.
    woken: bool,
    /// Frames may go to the outlet: the session wants them as they are.
    direct: bool,
    /// The outlet is open: frames need not come here. True as long as
    /// [`State::is_idle`] is.
    open: bool,
}

/// The limit that a queue has reached.
#[derive(Debug, Clone, Copy)]
enum Overflow {
    Bytes,
    Time,
}

#[derive(Debug)]
pub(super) struct PlayerQueue {
    id: PlayerId,
    settings: Settings,
    wake: Wake,
    outlet: Option<Arc<dyn Outlet>>,
    /// What the outlet had taken before.
    taken_before: u64,
    lane: usize,
    counters: Arc<Counters>,
    state: Mutex<State>,
}

impl PlayerQueue {
    pub(super) fn new(listener: Listener, lane: usize, counters: Arc<Counters>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let outlet = listener.outlet;
        Self {
            id: PlayerId(NEXT.fetch_add(1, Ordering::Relaxed)),
            settings: listener.settings,
            wake: listener.wake,
            taken_before: outlet.as_ref().map_or(0, |outlet| outlet.taken()),
            outlet,
            lane,
            counters,
            state: Mutex::default(),
        }
    }

    pub(super) fn id(&self) -> PlayerId {
        self.id
    }

    pub(super) fn outlet(&self) -> Option<&Arc<dyn Outlet>> {
        self.outlet.as_ref()
    }

    /// Its lane in the stream.
    pub(super) fn lane(&self) -> usize {
        self.lane
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Tells the session that a publisher came or went.
    pub(super) fn announce(&self, item: Item) {
        let mut state = self.state.lock();
        if state.left {
            return;
        }
        state.entries.push_back(Entry {
            item,
            counted: false,
        });
        self.adjust(&mut state);
        self.wake(&mut state);
    }

    /// Frames that may exceed the limits: headers, and the cached group of
    /// pictures of a player that joins.
    pub(super) fn push_uncounted(&self, frames: impl IntoIterator<Item = Arc<Frame>>) {
        let mut state = self.state.lock();
        if state.left {
            return;
        }
        for frame in frames {
            state.synced |= frame.role() == Role::Keyframe;
            state.entries.push_back(Entry {
                item: Item::Frame(frame),
                counted: false,
            });
        }
        self.adjust(&mut state);
        self.wake(&mut state);
    }

    /// Live frames: to the outlet if nothing is before them, or queued.
    pub(super) fn deliver(&self, delivery: &Delivery<'_>) {
        let mut state = self.state.lock();
        if state.left || state.end.is_some() {
            return;
        }
        if let Some(outlet) = &self.outlet
            && state.takes_directly(delivery)
            && delivery.chunk_size == self.settings.chunk_size
        {
            match outlet.offer(delivery.chunks) {
                Offer::Refused => {}
                offer => {
                    state.synced |= delivery.has_keyframe;
                    state.behind_since = None;
                    self.adjust(&mut state);
                    if offer == Offer::Taken {
                        self.wake(&mut state);
                    }
                    return;
                }
            }
        }
        for frame in delivery.frames {
            self.push(&mut state, frame, delivery.has_video, delivery.now);
        }
        self.adjust(&mut state);
    }

    /// The outlet has taken frames, and could not write all of them.
    pub(super) fn wake_for_rest(&self) {
        self.wake(&mut self.state.lock());
    }

    /// One live frame. `has_video` says whether the stream has video, so that
    /// audio waits for the keyframe.
    fn push(&self, state: &mut State, frame: &Arc<Frame>, has_video: bool, now: Instant) {
        if state.end.is_some() {
            return;
        }
        if let Some(overflow) = self.overflow(state, frame) {
            match overflow {
                Overflow::Bytes => self.counters.drops_for_bytes.add(),
                Overflow::Time => self.counters.drops_for_time.add(),
            }
            self.counters.frames_dropped.add_many(state.drop_waiting());
            state.dropping = true;
            state.behind_since.get_or_insert(now);
        }
        if let Some(since) = state.behind_since
            && now.saturating_duration_since(since) > self.settings.slow_close
        {
            self.counters.players_too_slow.add();
            state.end = Some(PlayerEnd::TooSlow(self.settings.slow_close));
            state.entries.clear();
            state.bytes = 0;
            // Even if it was woken: one whose socket takes nothing does not
            // look at what waits.
            state.woken = true;
            self.wake.notify_one();
            return;
        }
        match frame.role() {
            Role::Keyframe => {
                state.synced = true;
                state.dropping = false;
            }
            Role::Dependent if !state.synced && (has_video || frame.kind() == Kind::Video) => {
                if state.dropping {
                    state.dropped = state.dropped.saturating_add(1);
                    self.counters.frames_dropped.add();
                }
                return;
            }
            _ => {}
        }
        state.bytes = state.bytes.saturating_add(frame.cost());
        state.entries.push_back(Entry {
            item: Item::Frame(frame.clone()),
            counted: true,
        });
        self.wake(state);
    }

    /// What the player has is no base for what follows: another publisher.
    pub(super) fn desync(&self) {
        let mut state = self.state.lock();
        state.synced = false;
        self.adjust(&mut state);
    }

    /// Goes on at the next keyframe, without what waits.
    pub(super) fn resync(&self) {
        let mut state = self.state.lock();
        let dropped = state.dropped;
        state.drop_waiting();
        state.dropped = dropped;
        self.adjust(&mut state);
    }

    /// Nothing waits for the player, here or at its socket.
    pub(super) fn caught_up(&self) {
        let mut state = self.state.lock();
        state.behind_since = None;
        self.adjust(&mut state);
    }

    /// The player has left: once this returns nothing more is written.
    pub(super) fn close(&self) {
        let mut state = self.state.lock();
        state.left = true;
        state.entries = VecDeque::new();
        state.bytes = 0;
        self.adjust(&mut state);
        drop(state);
        if let Some(outlet) = &self.outlet {
            outlet.finish_write();
        }
    }

    fn overflow(&self, state: &State, frame: &Frame) -> Option<Overflow> {
        if state.bytes.saturating_add(frame.cost()) > self.settings.queue_bytes && state.bytes > 0 {
            return Some(Overflow::Bytes);
        }
        let oldest = state.entries.iter().find_map(|entry| match &entry.item {
            // Of media: what stays when the rest is dropped says nothing.
            Item::Frame(oldest) if oldest.kind() != Kind::Data && oldest.role() != Role::Header => {
                Some(entry.counted.then(|| oldest.timestamp()))
            }
            _ => None,
        });
        // While the first burst is going out only bytes count.
        let oldest = oldest??;
        let waiting = frame.timestamp().wrapping_sub(oldest);
        let is_late =
            waiting < u32::MAX / 2 && u128::from(waiting) > self.settings.queue_time.as_millis();
        is_late.then_some(Overflow::Time)
    }

    /// The oldest item. `None` means that the session will be woken for the next.
    pub(super) fn pop(&self) -> Option<Item> {
        let mut state = self.state.lock();
        state.woken = false;
        let entry = state.entries.pop_front();
        match &entry {
            Some(Entry {
                item: Item::Frame(frame),
                counted: true,
            }) => state.bytes = state.bytes.saturating_sub(frame.cost()),
            Some(_) => {}
            None => {
                if state.synced {
                    state.behind_since = None;
                }
                // The burst of a join leaves a large buffer behind.
                state.entries = VecDeque::new();
                self.adjust(&mut state);
            }
        }
        entry.map(|entry| entry.item)
    }

    /// Whether frames may go straight to the outlet once nothing waits.
    pub(super) fn set_direct(&self, direct: bool) {
        let mut state = self.state.lock();
        state.direct = direct;
        self.adjust(&mut state);
    }

    /// Bytes that went straight to the outlet.
    pub(super) fn written(&self) -> u64 {
        let taken = self.outlet.as_ref().map_or(0, |outlet| outlet.taken());
        taken.saturating_sub(self.taken_before)
    }

    pub(super) fn end(&self) -> Option<PlayerEnd> {
        self.state.lock().end
    }

    pub(super) fn dropped(&self) -> u64 {
        self.state.lock().dropped
    }

    /// Opens or closes the outlet as the state wants it. To be called after
    /// every change, before the lock is free.
    fn adjust(&self, state: &mut State) {
        let open = state.is_idle();
        if open != state.open
            && let Some(outlet) = &self.outlet
        {
            state.open = open;
            outlet.set_open(self.id, open);
        }
    }

    fn wake(&self, state: &mut State) {
        if !std::mem::replace(&mut state.woken, true) {
            self.wake.notify_one();
        }
    }
}

impl State {
    /// Whatever comes can go to the outlet, and changes nothing here.
    fn is_idle(&self) -> bool {
        self.direct
            && self.synced
            && self.entries.is_empty()
            && self.behind_since.is_none()
            && self.end.is_none()
            && !self.left
    }

    fn takes_directly(&self, delivery: &Delivery<'_>) -> bool {
        self.direct && self.entries.is_empty() && (self.synced || delivery.starts_anew)
    }

    /// Drops media that waits; announcements and the newest headers stay.
    /// Returns how many frames were dropped.
    fn drop_waiting(&mut self) -> u64 {
        let before = self.dropped;
        let mut covered = Covered::default();
        let mut kept = VecDeque::new();
        while let Some(entry) = self.entries.pop_back() {
            let keep = match &entry.item {
                Item::Published | Item::Unpublished => true,
                Item::Frame(frame) => match frame.role() {
                    Role::Header | Role::Metadata => covered.add(frame.slot()),
                    _ => false,
                },
            };
            if keep {
                kept.push_front(entry);
            } else {
                self.dropped = self.dropped.saturating_add(1);
            }
        }
        self.entries = kept;
        self.bytes = self
            .entries
            .iter()
            .filter(|entry| entry.counted)
            .map(|entry| match &entry.item {
                Item::Frame(frame) => frame.cost(),
                _ => 0,
            })
            .sum();
        self.synced = false;
        self.dropped.saturating_sub(before)
    }
}
