//! The bounded queue between a stream and one player.
//!
//! Flows in: every frame of the stream. Flows out: those the player can
//! decode, in order. While nothing waits the player's outlet is open and they
//! go there, past this queue; otherwise the session takes them from here. A
//! player that falls behind loses what waits for it and goes on at the next
//! keyframe; one that never catches up is ended.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use livehost_media::{Covered, Kind, Packet, Role, Video};

use super::batch::Delivery;
use super::counters::Counters;
use super::frame::Frame;
use super::headers::{MAX_HEADER_BYTES, MAX_HEADERS};
use super::outlet::{Outlet, PlayerId};
use super::renderer::Variant;
use super::renderers::Subscribed;
use super::sync::Mutex;
use super::{MediaSettings, Subscriber, Wake};

/// How far the oldest media is looked for: for every frame, so that a publisher
/// of data alone does not make each frame dearer than the one before. More than
/// the headers that stay in front.
const MAX_LOOKED_AT: usize = 4 * MAX_HEADERS;

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
struct QueueEntry {
    item: Item,
    /// What it counts against the limits, in bytes; the first burst from the cache
    /// and announcements are 0.
    cost: usize,
}

/// What the player was given, or will find in its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Sync {
    /// Nothing to build on: the next keyframe is awaited.
    #[default]
    Waiting,
    /// The same, since the player was behind: what it misses is counted until it
    /// gets anything again.
    Dropping,
    /// All that audio needs, while there is no video.
    WithoutVideo,
    /// The same, since there is video: its next keyframe is awaited.
    AwaitingVideo,
    /// All that the next frame needs.
    Synced,
}

impl Sync {
    /// What it is with `packet`; `None` if the player can't use that yet.
    fn with(self, packet: &Packet, video: Video) -> Option<Self> {
        let is_video = packet.kind() == Kind::Video;
        match (packet.role(), video) {
            (Role::Configuration | Role::Metadata, _) => Some(self),
            (Role::Keyframe, _) | (_, Video::Endless) => Some(Self::Synced),
            _ if self == Self::Synced => Some(Self::Synced),
            (_, Video::Never | Video::Off) if !is_video => Some(Self::WithoutVideo),
            (_, Video::Large) if !is_video => Some(Self::AwaitingVideo),
            _ if !is_video && self.has_audio() => Some(self),
            _ => None,
        }
    }

    /// What the stream has now needs nothing that the player has missed.
    fn has_audio(self) -> bool {
        matches!(
            self,
            Self::WithoutVideo | Self::AwaitingVideo | Self::Synced
        )
    }
}

#[derive(Debug, Default)]
struct QueueState {
    entries: VecDeque<QueueEntry>,
    /// What counted frames cost, in bytes.
    bytes: usize,
    sync: Sync,
    dropped: u64,
    behind_since: Option<Instant>,
    end: Option<PlayerEnd>,
    /// The player has left; its lane may not know yet.
    left: bool,
    /// The session was woken and has not looked yet.
    woken: bool,
    /// Frames may go to the outlet: the session wants them as they are.
    direct: bool,
    /// The outlet is open: frames need not come here. True as long as
    /// [`QueueState::is_idle`] is.
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
    settings: MediaSettings,
    wake: Wake,
    /// What its bytes are like, and the renderer's reason to run.
    format: Option<Arc<Subscribed>>,
    outlet: Option<Arc<dyn Outlet>>,
    lane: usize,
    counters: Arc<Counters>,
    state: Mutex<QueueState>,
}

impl PlayerQueue {
    pub(super) fn new(
        subscriber: &Subscriber,
        format: Option<Arc<Subscribed>>,
        lane: usize,
        counters: Arc<Counters>,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self {
            id: PlayerId(NEXT.fetch_add(1, Ordering::Relaxed)),
            settings: subscriber.settings,
            wake: subscriber.wake.clone(),
            format,
            outlet: subscriber.outlet.clone(),
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

    /// The bytes that it wants of every frame.
    pub(super) fn variant(&self) -> Option<Variant> {
        self.format.as_ref().map(|format| format.variant())
    }

    /// Its lane in the stream.
    pub(super) fn lane(&self) -> usize {
        self.lane
    }

    /// Tells the session that a publisher came or went.
    pub(super) fn announce(&self, item: Item) {
        let mut state = self.state.lock();
        if state.left || state.end.is_some() {
            return;
        }
        state.push_announcement(item);
        self.adjust(&mut state);
        self.wake(&mut state);
    }

    /// Frames that may exceed the limits: what the cache has for a player that
    /// joins.
    pub(super) fn push_uncounted(&self, frames: Vec<Arc<Frame>>) {
        let mut state = self.state.lock();
        if state.left {
            return;
        }
        state.entries.reserve(frames.len());
        for frame in frames {
            if frame.role() == Role::Keyframe {
                state.sync = Sync::Synced;
            }
            state.entries.push_back(QueueEntry {
                item: Item::Frame(frame),
                cost: 0,
            });
        }
        self.adjust(&mut state);
        self.wake(&mut state);
    }

    /// Live frames that the outlet did not take.
    pub(super) fn deliver(&self, delivery: &Delivery<'_>) {
        let mut state = self.state.lock();
        if state.left {
            return;
        }
        for frame in delivery.frames {
            self.push(&mut state, frame, delivery.video, delivery.now());
        }
        self.adjust(&mut state);
    }

    /// The outlet has taken frames, and could not write all of them.
    pub(super) fn wake_for_rest(&self) {
        self.wake(&mut self.state.lock());
    }

    /// One live frame. `video` says whether audio waits for the keyframe.
    fn push(&self, state: &mut QueueState, frame: &Arc<Frame>, video: Video, now: Instant) {
        if state.end.is_some() {
            return;
        }
        let cost = frame.cost_for(self.variant());
        if let Some(overflow) = self.overflow(state, frame.packet(), cost) {
            match overflow {
                Overflow::Bytes => self.counters.drops_for_bytes.add(),
                Overflow::Time => self.counters.drops_for_time.add(),
            }
            self.count_dropped(state, |state| state.drop_waiting());
            state.sync = Sync::Dropping;
            state.behind_since.get_or_insert(now);
        }
        if let Some(since) = state.behind_since
            && now.saturating_duration_since(since) > self.settings.slow_close
        {
            self.count_dropped(state, |_| 1);
            self.end_too_slow(state);
            return;
        }
        let Some(sync) = state.sync.with(frame.packet(), video) else {
            if state.sync == Sync::Dropping {
                self.count_dropped(state, |_| 1);
            }
            return;
        };
        state.sync = sync;
        state.bytes = state.bytes.saturating_add(cost);
        state.entries.push_back(QueueEntry {
            item: Item::Frame(frame.clone()),
            cost,
        });
        self.wake(state);
    }

    fn count_dropped(&self, state: &mut QueueState, drop: impl FnOnce(&mut QueueState) -> u64) {
        let dropped = drop(state);
        state.dropped = state.dropped.saturating_add(dropped);
        self.counters.frames_dropped.add_many(dropped);
    }

    fn end_too_slow(&self, state: &mut QueueState) {
        self.count_dropped(state, |state| state.drop_waiting());
        state.entries.clear();
        state.bytes = 0;
        state.end = Some(PlayerEnd::TooSlow(self.settings.slow_close));
        self.counters.players_too_slow.add();
        // Even if it was woken: one whose socket takes nothing does not look
        // at what waits.
        state.woken = true;
        self.wake.notify_one();
    }

    /// What the player has is no base for what follows: another publisher.
    pub(super) fn desync(&self) {
        let mut state = self.state.lock();
        state.sync = Sync::Waiting;
        self.adjust(&mut state);
    }

    /// Video begins, or is back: who has no base for it goes on with audio
    /// until its keyframe.
    pub(super) fn await_video(&self) {
        let mut state = self.state.lock();
        if state.sync == Sync::WithoutVideo {
            state.sync = Sync::AwaitingVideo;
        }
        self.adjust(&mut state);
    }

    /// Goes on at the next keyframe, without what waits.
    pub(super) fn resync(&self) {
        let mut state = self.state.lock();
        state.drop_waiting();
        state.sync = Sync::Waiting;
        self.adjust(&mut state);
    }

    /// Video was left out until now: it goes on at the next keyframe, and audio
    /// goes on meanwhile.
    pub(super) fn resync_video(&self) {
        let mut state = self.state.lock();
        state.drop_waiting_video();
        if state.sync.has_audio() {
            state.sync = Sync::AwaitingVideo;
        }
        self.adjust(&mut state);
    }

    /// The session has taken all that waited. `direct` says whether it wants
    /// frames as they are, `caught_up` that its socket has taken all, too.
    pub(super) fn rest(&self, direct: bool, caught_up: bool) {
        let mut state = self.state.lock();
        state.direct = direct;
        if caught_up {
            state.behind_since = None;
        }
        self.adjust(&mut state);
    }

    /// The player has left: once this returns nothing more is written. Returns
    /// what the outlet has taken, of this player and those before, and how many
    /// frames were dropped.
    pub(super) fn close(&self) -> (u64, u64) {
        let mut state = self.state.lock();
        state.left = true;
        state.entries = VecDeque::new();
        state.bytes = 0;
        self.adjust(&mut state);
        let dropped = state.dropped;
        drop(state);
        let taken = self.outlet.as_ref().map_or(0, |outlet| outlet.finish());
        (taken, dropped)
    }

    /// The socket has taken all that the session had for it. If nothing waits
    /// here either, the player is not behind.
    pub(super) fn caught_up(&self) {
        let mut state = self.state.lock();
        if state.entries.is_empty() {
            state.behind_since = None;
            self.adjust(&mut state);
        }
    }

    fn overflow(&self, state: &QueueState, packet: &Packet, cost: usize) -> Option<Overflow> {
        if state.bytes.saturating_add(cost) > self.settings.queue_bytes && state.bytes > 0 {
            return Some(Overflow::Bytes);
        }
        let mut first = state.entries.iter().take(MAX_LOOKED_AT);
        let oldest = first.find_map(|entry| match &entry.item {
            // Of media: what stays when the rest is dropped says nothing.
            Item::Frame(oldest) if is_media(oldest.packet()) => {
                Some((entry.cost > 0).then(|| oldest.packet().dts()))
            }
            _ => None,
        });
        // While the first burst is going out only bytes count.
        let oldest = oldest??;
        let waiting = packet.dts().saturating_sub(oldest);
        let is_late = waiting > queue_time(&self.settings);
        is_late.then_some(Overflow::Time)
    }

    /// The oldest item. `None` means that the session will be woken for the next.
    pub(super) fn pop(&self) -> Option<Item> {
        let mut state = self.state.lock();
        state.woken = false;
        let entry = state.entries.pop_front();
        match &entry {
            Some(entry) => state.bytes = state.bytes.saturating_sub(entry.cost),
            None => {
                #[cfg(feature = "shuttle")]
                super::sync::slip(super::sync::Slip::Rest, &mut state);
                if state.sync.has_audio() {
                    state.behind_since = None;
                }
                // The burst of a join leaves a large buffer behind.
                state.entries = VecDeque::new();
                self.adjust(&mut state);
            }
        }
        drop(state);
        Some(match (entry?.item, &self.format) {
            (Item::Frame(frame), Some(format)) => Item::Frame(format.rendered(frame)),
            (item, _) => item,
        })
    }

    /// Whether frames may go straight to the outlet once nothing waits.
    pub(super) fn set_direct(&self, direct: bool) {
        let mut state = self.state.lock();
        state.direct = direct;
        self.adjust(&mut state);
    }

    pub(super) fn end(&self) -> Option<PlayerEnd> {
        self.state.lock().end
    }

    pub(super) fn dropped(&self) -> u64 {
        self.state.lock().dropped
    }

    /// Opens or closes the outlet as the state wants it. To be called after
    /// every change, before the lock is free.
    fn adjust(&self, state: &mut QueueState) {
        let open = state.is_idle();
        if open != state.open
            && let Some(outlet) = &self.outlet
        {
            state.open = open;
            outlet.set_open(self.id, open);
        }
    }

    fn wake(&self, state: &mut QueueState) {
        if !std::mem::replace(&mut state.woken, true) {
            self.wake.notify_one();
        }
    }
}

impl QueueState {
    /// Whatever comes can go to the outlet, and changes nothing here.
    fn is_idle(&self) -> bool {
        self.direct
            && matches!(self.sync, Sync::Synced | Sync::WithoutVideo)
            && self.entries.is_empty()
            && self.behind_since.is_none()
            && self.end.is_none()
            && !self.left
    }

    /// Publishers that come and go without a frame add nothing to what waits.
    fn push_announcement(&mut self, item: Item) {
        let mut newest = self.entries.iter().rev().map(|entry| &entry.item);
        if let (Item::Unpublished, Some(Item::Published), Some(Item::Unpublished)) =
            (&item, newest.next(), newest.next())
        {
            self.entries.pop_back();
            return;
        }
        self.entries.push_back(QueueEntry { item, cost: 0 });
    }

    fn drop_waiting_video(&mut self) {
        let bytes = &mut self.bytes;
        self.entries.retain(|entry| match &entry.item {
            Item::Frame(frame)
                if frame.packet().kind() == Kind::Video && is_media(frame.packet()) =>
            {
                *bytes = bytes.saturating_sub(entry.cost);
                false
            }
            _ => true,
        });
    }

    /// Drops media that waits; announcements and the newest headers stay, as
    /// many as are kept for players that join. Returns how many frames were
    /// dropped.
    fn drop_waiting(&mut self) -> u64 {
        let mut dropped = 0_u64;
        let mut covered = Covered::default();
        let (mut headers, mut header_bytes) = (0_usize, 0_usize);
        let mut fits = |frame: &Frame| {
            let bytes = header_bytes.saturating_add(frame.cost());
            let fits = headers < MAX_HEADERS && bytes <= MAX_HEADER_BYTES;
            if fits {
                (headers, header_bytes) = (headers.saturating_add(1), bytes);
            }
            fits
        };
        let mut kept = VecDeque::new();
        while let Some(entry) = self.entries.pop_back() {
            let keep = match &entry.item {
                Item::Published | Item::Unpublished => true,
                Item::Frame(frame) => match frame.role() {
                    Role::Metadata => {
                        let scope = frame.packet().scope();
                        covered.add(scope, scope.tracks) && fits(frame)
                    }
                    Role::Configuration => {
                        let (packet, configured) = (frame.packet(), frame.packet().configured());
                        let is_needed = !configured.is_empty();
                        is_needed && covered.add(packet.scope(), configured) && fits(frame)
                    }
                    _ => false,
                },
            };
            if keep {
                kept.push_front(entry);
            } else {
                dropped = dropped.saturating_add(1);
            }
        }
        self.bytes = 0;
        for entry in kept {
            self.bytes = self.bytes.saturating_add(entry.cost);
            match entry.item {
                Item::Frame(_) => self.entries.push_back(entry),
                announcement => self.push_announcement(announcement),
            }
        }
        dropped
    }
}

/// Audio or video that goes when the rest is dropped.
fn is_media(packet: &Packet) -> bool {
    packet.kind() != Kind::Data && packet.role() != Role::Configuration
}

/// Nanoseconds that may wait for a player.
fn queue_time(settings: &MediaSettings) -> i64 {
    i64::try_from(settings.queue_time.as_nanos()).unwrap_or(i64::MAX)
}
