//! One name: its publisher, those that stand by, its players, its cache.
//!
//! What happens to the stream is ordered by its lock; what follows from it for
//! the players is posted to their lanes, and done after the lock is free.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use livehost_media::time::to_ms;
use livehost_media::{Kind, Packet, Placed, Role, Timeline, Video, VideoTurn};
use livehost_policy::{Awaited, DuplicateRule, StreamId, StreamInfo};
use livehost_telemetry::limited;
use livehost_telemetry::log::PUBLISHERS;
use tracing::debug;

use super::cache::Cache;
use super::claim::Taken;
use super::counters::Counters;
use super::frame::Frame;
use super::lane::{Change, Post};
use super::lanes::Lanes;
use super::publication::{Publisher, Pushed, Revocation};
use super::queue::{Item, PlayerQueue};
use super::renderers::Renderers;
use super::sync::atomic::{AtomicUsize, Ordering};
use super::sync::{AbortHandle, Mutex, TaskTracker};
use super::{ClaimError, Full, Join, StreamKey, Subscriber, Wake};

/// Publishers that may wait behind the active one.
const MAX_STANDBY: usize = 4;

#[derive(Debug)]
pub(super) struct Stream {
    key: StreamKey,
    lanes: Lanes,
    counters: Arc<Counters>,
    /// Those that have found it in the registry, and have not claimed or joined
    /// yet. Counted up under the registry's lock alone.
    approaching: AtomicUsize,
    state: Mutex<StreamState>,
}

#[derive(Debug)]
struct StreamState {
    active: Option<Arc<Publisher>>,
    standby: VecDeque<Arc<Publisher>>,
    held: Option<Held>,
    lanes: Lanes,
    cache: Cache,
    /// The cache's headers came from a standby publisher: players get them
    /// with its first keyframe.
    preamble_due: bool,
    timeline: Timeline,
    /// Fed with what is posted to the lanes, in that order.
    renderers: Renderers,
}

/// A lost publisher for whose return name and players are kept.
#[derive(Debug)]
struct Held {
    lost: Arc<Publisher>,
    /// Set once the hold is timed, which ends with it.
    timer: Option<AbortHandle>,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(timer) = &self.timer {
            timer.abort();
        }
    }
}

impl Stream {
    /// Tasks that serve its players are those of `tasks`.
    pub(super) fn new(key: StreamKey, tasks: TaskTracker, counters: Arc<Counters>) -> Self {
        let lanes = Lanes::new(tasks);
        Self {
            key,
            lanes: lanes.clone(),
            counters,
            approaching: AtomicUsize::new(0),
            state: Mutex::new(StreamState::new(lanes)),
        }
    }

    pub(super) fn key(&self) -> &StreamKey {
        &self.key
    }

    /// Somebody is going to claim or join: it is not abandoned until
    /// [`Stream::arrive`] at least.
    pub(super) fn approach(&self) {
        self.approaching.fetch_add(1, Ordering::Relaxed);
    }

    /// The claim or join is done, or was refused.
    pub(super) fn arrive(&self) {
        // Whoever sees this sees the player or publisher that came.
        self.approaching.fetch_sub(1, Ordering::Release);
    }

    /// Nobody is here, nor coming. Asked under the registry's lock: it waits
    /// for this stream's only when all players have left.
    pub(super) fn is_abandoned(&self) -> bool {
        if self.approaching.load(Ordering::Acquire) > 0 || self.lanes.players() > 0 {
            return false;
        }
        let state = self.state.lock();
        state.active.is_none() && state.standby.is_empty() && state.held.is_none()
    }

    /// How many publishers (those that stand by, too) and players there are.
    pub(super) fn population(&self) -> (usize, usize) {
        let state = self.state.lock();
        let active = usize::from(state.active.is_some());
        let publishers = state.standby.len().saturating_add(active);
        (publishers, self.lanes.players())
    }

    /// Makes `publisher` the active one, or lets it stand by, or refuses.
    pub(super) fn claim(
        &self,
        publisher: &Arc<Publisher>,
        rule: DuplicateRule,
    ) -> Result<(), Taken> {
        let mut state = self.state.lock();
        match (&state.active, rule) {
            (None, DuplicateRule::Reject)
                if let Some(held) = &state.held
                    && !held.lost.client().is_same_as(publisher.client()) =>
            {
                return Err(Taken {
                    error: ClaimError::Held((&*held.lost).into()),
                    in_the_way: Vec::new(),
                });
            }
            (None, _) => {
                if state.held.take().is_some() {
                    self.counters.takeovers.add();
                    state.take_over();
                } else {
                    state.timeline.restart();
                    state.renderers.begin();
                    state.change(Change::Announce(Item::Published));
                }
            }
            (Some(active), DuplicateRule::Reject) => {
                return Err(Taken {
                    error: ClaimError::Busy((&**active).into()),
                    in_the_way: vec![active.clone()],
                });
            }
            (Some(active), DuplicateRule::Replace) => {
                active.revoke(Revocation::Replaced);
                self.counters.publishers_replaced.add();
                self.counters.takeovers.add();
                state.take_over();
            }
            (Some(active), DuplicateRule::Standby) => {
                if state.standby.len() >= MAX_STANDBY {
                    let (owner, waiting) = ((&**active).into(), state.standby.len());
                    let all = std::iter::once(active).chain(&state.standby);
                    return Err(Taken {
                        error: ClaimError::StandbyFull { owner, waiting },
                        in_the_way: all.cloned().collect(),
                    });
                }
                state.standby.push_back(publisher.clone());
                return Ok(());
            }
        }
        state.active = Some(publisher.clone());
        Ok(())
    }

    /// Gives the name up and calls `tell`, with what is left of the stream, before
    /// anybody can claim it. Returns the hold to time, if one begins.
    pub(super) fn release(
        &self,
        publisher: &Arc<Publisher>,
        lost: bool,
        tell: impl FnOnce(Option<Awaited>),
    ) -> Option<Duration> {
        let mut state = self.state.lock();
        let hold = self.release_name(&mut state, publisher, lost);
        tell(state.awaited(&self.key));
        drop(state);
        self.settle();
        hold
    }

    fn release_name(
        &self,
        state: &mut StreamState,
        publisher: &Arc<Publisher>,
        lost: bool,
    ) -> Option<Duration> {
        state.standby.retain(|other| other.id() != publisher.id());
        if state.active.as_ref()?.id() != publisher.id() {
            return None;
        }
        state.active = None;
        if let Some(next) = state.standby.pop_front() {
            limited!(INFO, PUBLISHERS.admits(), stream = %self.key,
                publisher = %next.client().remote, conn = next.client().conn,
                "the publisher standing by takes over");
            self.counters.takeovers.add();
            state.take_over();
            state.cache = next.take_headers();
            state.preamble_due = true;
            state.active = Some(next);
            return None;
        }
        if lost && !publisher.hold().is_zero() {
            self.counters.holds.add();
            state.held = Some(Held {
                lost: publisher.clone(),
                timer: None,
            });
            state.keep_for_players();
            return Some(publisher.hold());
        }
        state.publisher_is_gone();
        None
    }

    /// The hold of publisher `id` has this timer.
    pub(super) fn time_hold(&self, id: StreamId, timer: AbortHandle) {
        let mut state = self.state.lock();
        match &mut state.held {
            Some(held) if held.lost.id() == id => held.timer = Some(timer),
            // It has ended meanwhile.
            _ => timer.abort(),
        }
    }

    /// The hold of publisher `id` is over.
    pub(super) fn end_hold(&self, id: StreamId) {
        let mut state = self.state.lock();
        if state.held.as_ref().is_some_and(|held| held.lost.id() == id) {
            self.counters.holds_over.add();
            state.held = None;
            state.publisher_is_gone();
        }
        drop(state);
        self.settle();
    }

    /// One packet of a publisher, with its time: cached, and queued for every
    /// player.
    pub(super) fn push(&self, publisher: &Publisher, mut packet: Packet) -> Pushed {
        let settings = *publisher.settings();
        let now = Instant::now();
        publisher.count(packet.len(), now);
        let mut state = self.state.lock();
        if !state.is_active(publisher.id()) {
            // Not under the lock that the active publisher's packets wait for.
            drop(state);
            publisher.remember(&packet);
            state = self.state.lock();
            // It may have become the active one before its header was
            // remembered: then the packet is one like any other.
            if !state.is_active(publisher.id()) {
                return Pushed::Waiting;
            }
        }
        self.count(packet.len());
        if state.cache.clears(&packet) {
            return Pushed::Forwarded(Role::Metadata);
        }
        state.cache.classify(&mut packet);
        let placed = state
            .timeline
            .place(packet.kind(), packet.coded_track(), packet.dts(), now);
        tell_jump(&packet, placed);
        packet.set_dts(placed.dts);
        let (kind, role) = (packet.kind(), packet.role());
        match state.cache.note(&packet, settings.keyframe_cache) {
            Some(VideoTurn::Begins) => state.change(Change::AwaitVideo),
            Some(VideoTurn::Returns) => {
                debug!(stream = %self.key, "video is back");
                state.change(Change::AwaitVideo);
            }
            Some(VideoTurn::Stops) => debug!(stream = %self.key,
                "video has stopped: audio waits for it no more"),
            Some(VideoTurn::LosesKeyframes) => limited!(INFO, PUBLISHERS.admits(),
                stream = %self.key, "no keyframe is expected any more: players wait for none"),
            None => {}
        }
        let video = state.cache.video();
        if state.preamble_due && (role == Role::Keyframe || video != Video::Going) {
            state.preamble_due = false;
            for header in state.cache.preamble(placed.dts) {
                state.post(header.packet().at(placed.dts), video);
            }
        }
        let noted = Frame::cost_of(&packet);
        // A command to those that decode video is nothing to those that don't.
        let frame = if video == Video::Never && kind == Kind::Video {
            Arc::new(Frame::new(packet))
        } else {
            state.post(packet, video)
        };
        state.cache.keep(&frame, noted, settings.keyframe_cache);
        drop(state);
        self.lanes.send(settings.gather);
        Pushed::Forwarded(role)
    }

    /// A message of a publisher that is no packet: it has come all the same.
    pub(super) fn ignore(&self, publisher: &Publisher, bytes: usize) {
        publisher.count(bytes, Instant::now());
        if self.is_active(publisher.id()) {
            self.count(bytes);
        }
    }

    fn count(&self, bytes: usize) {
        self.counters.frames_in.add();
        self.counters.bytes_in.add_many(bytes as u64);
    }

    /// A data message of the host's own making, as if `publisher` had sent it:
    /// for the players of now, and metadata for those that come, too.
    pub(super) fn push_data(&self, publisher: &Publisher, mut packet: Packet) {
        let mut state = self.state.lock();
        if !state.is_active(publisher.id()) || state.cache.clears(&packet) {
            return;
        }
        let settings = *publisher.settings();
        packet.set_dts(state.timeline.newest());
        let noted = Frame::cost_of(&packet);
        let is_kept = packet.role() == Role::Metadata;
        if is_kept {
            state.cache.note(&packet, settings.keyframe_cache);
        }
        let video = state.cache.video();
        let frame = state.post(packet, video);
        if is_kept {
            state.cache.keep(&frame, noted, settings.keyframe_cache);
        }
        drop(state);
        self.lanes.send(settings.gather);
    }

    /// Adds a player; a live stream gives it the cache first. To be followed
    /// by [`Stream::settle`].
    pub(super) fn join(&self, subscriber: Subscriber) -> Arc<PlayerQueue> {
        self.join_in(&mut self.state.lock(), &subscriber)
    }

    /// The same, unless there are `max` players.
    pub(super) fn join_within(
        &self,
        subscriber: Subscriber,
        max: usize,
    ) -> Result<Arc<PlayerQueue>, Full> {
        // All that join do so under this lock.
        let mut state = self.state.lock();
        let players = self.lanes.players();
        if players >= max {
            self.counters.plays_full.add();
            return Err(Full { players, max });
        }
        Ok(self.join_in(&mut state, &subscriber))
    }

    fn join_in(&self, state: &mut StreamState, subscriber: &Subscriber) -> Arc<PlayerQueue> {
        let format = subscriber.format.as_ref();
        let format = format.map(|format| state.renderers.subscribe(format));
        let (lane, counters) = (self.lanes.assign(), self.counters.clone());
        let queue = Arc::new(PlayerQueue::new(subscriber, format, lane, counters));
        let burst = state.burst(subscriber.settings.join);
        if !burst.is_empty() {
            queue.push_uncounted(burst);
        }
        self.lanes.join(queue.clone());
        queue
    }

    pub(super) fn leave(&self, queue: Arc<PlayerQueue>) {
        self.lanes.leave(queue);
        if self.lanes.players() == 0 {
            self.state.lock().keep_for_players();
        }
        self.settle();
    }

    /// Acts on what was posted to the lanes. Not under any lock.
    pub(super) fn settle(&self) {
        self.lanes.settle();
    }

    /// Whether publisher `id` should not be read from; if so, `wake` is
    /// notified when that is over.
    pub(super) fn hold_up(&self, id: StreamId, wake: &Wake) -> bool {
        self.lanes.is_congested()
            && self.is_active(id)
            && (self.lanes).hold_up(wake, || self.counters.publishers_held_up.add())
    }

    /// Whose publication it is, though its publisher may be lost and held for.
    pub(super) fn live(&self) -> Option<StreamId> {
        let state = self.state.lock();
        let held = state.held.as_ref().map(|held| &held.lost);
        let publisher = state.active.as_ref().or(held)?;
        Some(publisher.id())
    }

    /// True while someone publishes, or the name is held for a return.
    pub(super) fn is_live(&self) -> bool {
        self.live().is_some()
    }

    pub(super) fn players(&self) -> usize {
        self.lanes.players()
    }

    pub(super) fn is_active(&self, id: StreamId) -> bool {
        self.state.lock().is_active(id)
    }

    pub(super) fn active(&self) -> Option<Arc<Publisher>> {
        self.state.lock().active.clone()
    }

    /// The stream as its active publisher has it.
    pub(super) fn info(&self) -> Option<StreamInfo> {
        let state = self.state.lock();
        let active = state.active.as_ref()?;
        Some(state.info(&self.key, active))
    }

    /// The stream while nobody publishes it, if anybody plays it or it is held.
    pub(super) fn awaited(&self) -> Option<Awaited> {
        self.state.lock().awaited(&self.key)
    }

    /// The stream as `publisher` has it, active or not.
    pub(super) fn info_for(&self, publisher: &Publisher) -> StreamInfo {
        self.state.lock().info(&self.key, publisher)
    }
}

impl StreamState {
    fn new(lanes: Lanes) -> Self {
        Self {
            active: None,
            standby: VecDeque::new(),
            held: None,
            lanes,
            cache: Cache::default(),
            preamble_due: false,
            timeline: Timeline::default(),
            renderers: Renderers::default(),
        }
    }

    fn is_active(&self, id: StreamId) -> bool {
        self.active.as_ref().is_some_and(|active| active.id() == id)
    }

    /// Another publisher continues for the players that are here.
    fn take_over(&mut self) {
        self.cache.clear();
        self.preamble_due = false;
        self.timeline.splice();
        self.renderers.begin();
        self.change(Change::Desync);
    }

    /// A held name that nobody plays costs nothing but its entry.
    fn keep_for_players(&mut self) {
        if self.held.is_some() && self.lanes.players() == 0 {
            self.cache.clear();
        }
    }

    fn publisher_is_gone(&mut self) {
        self.cache.clear();
        self.preamble_due = false;
        self.timeline.restart();
        self.change(Change::Desync);
        self.change(Change::Announce(Item::Unpublished));
    }

    /// What a player begins with.
    fn burst(&mut self, join: Join) -> Vec<Arc<Frame>> {
        let newest = self.timeline.newest();
        match join {
            Join::Keyframe => self.cache.group(newest),
            Join::NextKeyframe => self.cache.preamble(newest),
        }
    }

    /// A packet for all players, rendered in the order in which they get it.
    fn post(&mut self, packet: Packet, video: Video) -> Arc<Frame> {
        let frame = self.renderers.render(packet);
        self.lanes.post(Post::Frame {
            frame: frame.clone(),
            video,
        });
        frame
    }

    fn change(&self, change: Change) {
        self.lanes.post(Post::Change(change));
    }

    fn awaited(&self, key: &StreamKey) -> Option<Awaited> {
        let held = self.held.is_some();
        let players = self.lanes.players();
        (self.active.is_none() && (held || players > 0)).then(|| Awaited {
            instance: key.instance.as_deref().map(str::to_owned),
            name: key.name.to_string(),
            players: u32::try_from(players).unwrap_or(u32::MAX),
            held,
        })
    }

    fn info(&self, key: &StreamKey, publisher: &Publisher) -> StreamInfo {
        let active = self.is_active(publisher.id());
        let codec = |kind| {
            active
                .then(|| self.cache.codec(kind))
                .flatten()
                .map(str::to_owned)
        };
        let rate = publisher.rate(Instant::now());
        StreamInfo {
            id: publisher.id(),
            app: key.app.to_string(),
            instance: key.instance.as_deref().map(str::to_owned),
            name: key.name.to_string(),
            publisher: publisher.client().clone(),
            video: codec(Kind::Video),
            audio: codec(Kind::Audio),
            started_unix_ms: publisher.started_unix_ms(),
            bytes_in: publisher.bytes_in(),
            idle_ms: u64::try_from(rate.idle.as_millis()).unwrap_or(u64::MAX),
            kbps: rate.kbps,
            players: u32::try_from(self.lanes.players()).unwrap_or(u32::MAX),
            extra: Vec::new(),
        }
    }
}

/// Says that the publisher's time jumps: once, since it might jump all the time.
fn tell_jump(packet: &Packet, placed: Placed) {
    let Some(number) = placed.jump else {
        return;
    };
    let kind = packet.kind();
    let (timestamp, placed) = (to_ms(packet.dts()), to_ms(placed.dts));
    if number == 1 {
        limited!(
            INFO,
            PUBLISHERS.admits(),
            ?kind,
            timestamp,
            placed,
            "the publisher's timestamps jumped; players see them continue"
        );
    } else {
        debug!(
            ?kind,
            timestamp, placed, "the publisher's timestamps jumped again"
        );
    }
}
