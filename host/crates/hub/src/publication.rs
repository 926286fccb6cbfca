//! The publisher's side: an accepted publish, from claim to release.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use livehost_media::{Packet, Role};
use livehost_policy::{Awaited, Client, StreamId, StreamInfo};
use parking_lot::Mutex;

use super::cache::Cache;
use super::frame::Frame;
use super::meter::{Meter, Rate};
use super::presence::Presence;
use super::stream::Stream;
use super::{Claim, Hub, MediaSettings, StreamKey, Wake};

/// Why the hub or an operator took a publication away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Revocation {
    /// Another publisher took the name, as its grant allowed.
    #[error("replaced by another publisher")]
    Replaced,
    /// Someone ordered it.
    #[error("{0}")]
    Stopped(String),
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// Cached and queued for every player.
    Forwarded(Role),
    /// The publisher stands by, or was revoked: only headers are remembered.
    Waiting,
}

/// A publisher as its stream knows it.
#[derive(Debug)]
pub(super) struct Publisher {
    id: StreamId,
    client: Client,
    settings: MediaSettings,
    hold: Duration,
    wake: Wake,
    started: SystemTime,
    bytes_in: AtomicU64,
    meter: Mutex<Meter>,
    revoked: Mutex<Option<Revocation>>,
    presence: Presence,
    /// Metadata and codec headers sent while standing by.
    headers: Mutex<Cache>,
}

impl Publisher {
    pub(super) fn new(id: StreamId, claim: &Claim) -> Self {
        Self {
            id,
            client: claim.client.clone(),
            settings: claim.settings,
            hold: claim.hold,
            wake: claim.wake.clone(),
            started: SystemTime::now(),
            bytes_in: AtomicU64::new(0),
            meter: Mutex::new(Meter::new(Instant::now())),
            revoked: Mutex::default(),
            presence: Presence::new(),
            headers: Mutex::default(),
        }
    }

    pub(super) fn id(&self) -> StreamId {
        self.id
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn settings(&self) -> &MediaSettings {
        &self.settings
    }

    pub(super) fn hold(&self) -> Duration {
        self.hold
    }

    pub(super) fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    /// A message with a body of `bytes` has come.
    pub(super) fn count(&self, bytes: usize, now: Instant) {
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
        self.meter.lock().count(bytes, now);
    }

    pub(super) fn rate(&self, now: Instant) -> Rate {
        self.meter.lock().read(now)
    }

    pub(super) fn started_unix_ms(&self) -> u64 {
        self.started
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| {
                u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
            })
    }

    /// Takes the publication away; its session learns why. The first reason counts.
    pub(super) fn revoke(&self, why: Revocation) {
        self.revoked.lock().get_or_insert(why);
        self.wake.notify_one();
    }

    /// Lets its session find out whether the client is still there. The wait is
    /// the caller's to bound.
    pub(super) async fn find_out(&self) {
        self.presence.ask(&self.wake).await;
    }

    /// A packet sent while standing by: what it says of the stream is
    /// remembered, and whether there is video; all else is not.
    pub(super) fn remember(&self, packet: &Packet) {
        let limit = self.settings.keyframe_cache;
        let mut headers = self.headers.lock();
        if packet.role() == Role::Data && headers.clears(packet) {
            return;
        }
        headers.retire_headers(packet);
        headers.note(packet, limit);
        if matches!(packet.role(), Role::Configuration | Role::Metadata) {
            let frame = Arc::new(Frame::new(packet.clone()));
            headers.keep(&frame, frame.cost(), limit);
        }
    }

    pub(super) fn take_headers(&self) -> Cache {
        std::mem::take(&mut self.headers.lock())
    }
}

/// A claimed name. Dropping it releases the name at once, and nothing is held: who
/// drops it has not begun to publish.
#[derive(Debug)]
pub struct Publication {
    hub: Arc<Hub>,
    stream: Arc<Stream>,
    publisher: Arc<Publisher>,
    claimed: Instant,
    is_released: bool,
}

impl Publication {
    pub(super) fn new(hub: Arc<Hub>, stream: Arc<Stream>, publisher: Arc<Publisher>) -> Self {
        Self {
            hub,
            stream,
            publisher,
            claimed: Instant::now(),
            is_released: false,
        }
    }

    /// Its number.
    pub fn id(&self) -> StreamId {
        self.publisher.id
    }

    /// The claimed name.
    pub fn key(&self) -> &StreamKey {
        self.stream.key()
    }

    /// Forwards one packet; its time is on the publisher's clock.
    pub fn push(&self, packet: Packet) -> Pushed {
        self.stream.push(&self.publisher, packet)
    }

    /// The publisher has sent so many bytes that are no packet: it is not idle.
    pub fn ignore(&self, bytes: usize) {
        self.stream.ignore(&self.publisher, bytes);
    }

    /// Whether to read nothing more from the publisher for now: its players
    /// are so many that the machine can't keep up. Its session is woken when
    /// that is over.
    pub fn is_held_up(&self) -> bool {
        self.stream.hold_up(self.publisher.id, &self.publisher.wake)
    }

    /// False while another publisher is ahead of this one.
    pub fn is_active(&self) -> bool {
        self.stream.is_active(self.publisher.id)
    }

    /// Why the publication was taken away, if it was.
    pub fn revoked(&self) -> Option<Revocation> {
        self.publisher.revoked.lock().clone()
    }

    /// Somebody else wants the name: is the client still there? To be answered
    /// with [`Publication::answer`], after a look at the socket that was made
    /// later than this; or by the end of the publication.
    pub fn question(&self) -> Option<u64> {
        self.publisher.presence.question()
    }

    /// The client is still there.
    pub fn answer(&self, question: u64) {
        self.publisher.presence.answer(question);
    }

    /// Bytes of message bodies received.
    pub fn bytes_in(&self) -> u64 {
        self.publisher.bytes_in()
    }

    /// Time since the claim.
    pub fn age(&self) -> Duration {
        self.claimed.elapsed()
    }

    /// The stream as it is now.
    pub fn info(&self) -> StreamInfo {
        self.stream.info_for(&self.publisher)
    }

    /// Ends it. A publisher that is `lost`, rather than one that says it is
    /// done, leaves its name and players held as its grant says. `tell` is
    /// called with what is left of the stream when the name is free, before anybody
    /// else can claim it; it must not wait, nor ask the hub.
    pub fn finish(mut self, lost: bool, tell: impl FnOnce(Option<Awaited>)) {
        self.release(lost, tell);
    }

    fn release(&mut self, lost: bool, tell: impl FnOnce(Option<Awaited>)) {
        self.is_released = true;
        self.hub.publishers.lock().remove(&self.publisher.id);
        match self.stream.release(&self.publisher, lost, tell) {
            Some(hold) => {
                self.hub
                    .end_hold_later(self.stream.clone(), self.publisher.id, hold);
            }
            None => self.hub.sweep(&self.stream),
        }
        self.publisher.presence.give_up();
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        if !self.is_released {
            self.release(false, |_| {});
        }
    }
}
