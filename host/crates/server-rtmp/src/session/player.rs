//! An RTMP player: items of its queue in, chunks for its socket out.

use bytes::Bytes;
use livehost_app::output::chunks::chunks_for;
use livehost_app::output::{Outbound, Playing};
use livehost_app::refusal::Refusal;
use livehost_hub::{Frame, Item, Variant};
use livehost_media::{Kind, Role};
use livehost_rtmp::session::server::{MediaKind, ServerSession};
use tokio::time::Instant;

/// How a player's bytes are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Framing {
    /// The message stream of the playback.
    pub(super) stream: u32,
    /// The chunk size the connection was told, bytes.
    pub(super) chunk_size: u32,
    /// The variant that it subscribed to, if it shares its chunks.
    pub(super) shared: Option<Variant>,
}

/// A playback over RTMP.
#[derive(Debug)]
pub(super) struct Player {
    playing: Playing,
    framing: Framing,
    paused: bool,
    wants_audio: bool,
    wants_video: bool,
}

impl Player {
    pub(super) fn new(playing: Playing, framing: Framing) -> Self {
        Self {
            playing,
            framing,
            paused: false,
            wants_audio: true,
            wants_video: true,
        }
    }

    /// Moves what waits into `out` as far as there is room. After that the
    /// hub writes frames itself, while nothing waits and they are wanted as
    /// they are.
    pub(super) fn fill(&mut self, machine: &mut ServerSession, out: &Outbound) {
        // Held to the end: a frame that the hub wrote between two that waited
        // here would be out of order.
        let mut out = out.lock();
        while out.has_room() {
            let Some(item) = self.playing.next() else {
                if let Some(subscription) = self.playing.subscription() {
                    subscription.rest(self.takes_all(), out.is_empty());
                }
                return;
            };
            let raw_name = self.playing.raw_name();
            match item {
                Item::Frame(frame) => {
                    if let Some(chunks) = self.chunks_of(&frame) {
                        self.playing.count(chunks.len());
                        out.push(chunks);
                    }
                }
                Item::Published => machine.notify_published(self.framing.stream, raw_name),
                Item::Unpublished => machine.notify_unpublished(self.framing.stream, raw_name),
            }
            while let Some(bytes) = machine.poll_bytes() {
                out.push(bytes);
            }
        }
    }

    /// All that [`Player::fill`] has moved was written.
    pub(super) fn caught_up(&self) {
        if let Some(subscription) = self.playing.subscription() {
            subscription.caught_up();
        }
    }

    /// Frames are wanted as the hub has them.
    fn takes_all(&self) -> bool {
        self.framing.shared.is_some() && !self.paused && self.wants_audio && self.wants_video
    }

    fn chunks_of(&self, frame: &Frame) -> Option<Bytes> {
        let packet = frame.packet();
        let wanted = match packet.kind() {
            Kind::Audio => self.wants_audio,
            Kind::Video => self.wants_video,
            Kind::Data => true,
        };
        // Without the newest headers nothing that comes later can be decoded.
        let essential = matches!(packet.role(), Role::Configuration | Role::Metadata);
        if !essential && (self.paused || !wanted) {
            return None;
        }
        let shared = self.framing.shared.and_then(|of| frame.rendering(of));
        Some(
            shared.cloned().unwrap_or_else(|| {
                chunks_for(packet, self.framing.stream, self.framing.chunk_size)
            }),
        )
    }

    /// Stops or goes on; going on starts at the next keyframe. One that does
    /// already as it is told misses nothing.
    pub(super) fn pause(&mut self, paused: bool) {
        let was_paused = self.paused;
        self.paused = paused;
        if let Some(subscription) = self.playing.subscription() {
            if was_paused && !paused {
                subscription.resync();
            }
            subscription.set_direct(self.takes_all());
        }
    }

    /// Leaves audio or video out, or in again: video from its next keyframe on.
    pub(super) fn receive(&mut self, kind: MediaKind, wanted: bool) {
        let had_video = self.wants_video;
        match kind {
            MediaKind::Audio => self.wants_audio = wanted,
            MediaKind::Video => self.wants_video = wanted,
            MediaKind::Data => {}
        }
        if let Some(subscription) = self.playing.subscription() {
            if self.wants_video && !had_video {
                subscription.resync_video();
            }
            subscription.set_direct(self.takes_all());
        }
    }

    /// When something is due if nothing changes.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.playing.deadline()
    }

    /// True when the hub has ended the playback, or its stream can't be had.
    pub(super) fn is_ended(&self) -> bool {
        self.playing.is_ended()
    }

    /// Why the playback is over at `now`, if it is.
    pub(super) fn over(&self, now: Instant) -> Option<Refusal> {
        self.playing.over(now)
    }

    /// Ends it.
    pub(super) fn end(self, reason: &str) {
        self.playing.end(reason);
    }
}
