//! An RTMP player: items of its queue in, chunks for its socket out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use livehost_rtmp::session::server::{MediaKind, ServerSession};
use tracing::{Span, info};

use super::Outbound;
use super::chunks::chunks_for;
use crate::relays::{PendingPull, PullFailure};
use livehost_hub::{Frame, Item, PlayerEnd, Subscription, Variant};
use livehost_media::{Kind, Role};
use livehost_policy::{Event, Gate, Occasion, SessionEnd, StreamRequest};

/// How a player's bytes are written.
#[derive(Debug, Clone, Copy)]
pub struct Framing {
    /// The message stream of the playback.
    pub stream: u32,
    /// The chunk size the connection was told, bytes.
    pub chunk_size: u32,
    /// The variant that it subscribed to, if it shares its chunks.
    pub shared: Option<Variant>,
}

/// How long a playback may go on.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Without a publisher.
    pub wait: Duration,
    /// In all.
    pub total: Option<Duration>,
}

/// An accepted playback with the duty to say exactly once that it ended.
#[derive(Debug)]
pub struct Player {
    /// Taken when it ends.
    subscription: Option<Subscription>,
    /// Its name is the granted one, which the player may not know: it is told
    /// the raw one, as it asked.
    request: StreamRequest,
    gate: Gate,
    span: Span,
    framing: Framing,
    patience: Patience,
    started: Instant,
    /// Since when there is no publisher.
    waiting_since: Option<Instant>,
    /// What it waits for.
    pull: Option<Arc<PendingPull>>,
    paused: bool,
    wants_audio: bool,
    wants_video: bool,
    bytes_out: u64,
}

impl Player {
    /// Starts to play.
    pub fn start(
        subscription: Subscription,
        request: StreamRequest,
        gate: Gate,
        span: Span,
        framing: Framing,
        patience: Patience,
        pull: Option<Arc<PendingPull>>,
    ) -> Self {
        let now = Instant::now();
        let is_live = subscription.is_live();
        span.in_scope(|| {
            if is_live {
                info!("playing");
            } else {
                info!("playing: waiting for a publisher");
            }
        });
        Self {
            subscription: Some(subscription),
            request,
            gate,
            span,
            framing,
            patience,
            started: now,
            waiting_since: (!is_live).then_some(now),
            pull,
            paused: false,
            wants_audio: true,
            wants_video: true,
            bytes_out: 0,
        }
    }

    /// Moves what waits into `out` as far as there is room. After that the
    /// hub writes frames itself, while nothing waits and they are wanted as
    /// they are.
    pub fn fill(&mut self, machine: &mut ServerSession, out: &Outbound) {
        // Held to the end: a frame that the hub wrote between two that waited
        // here would be out of order.
        let mut out = out.lock();
        while out.has_room() {
            let Some(item) = self.subscription.as_mut().and_then(Subscription::next) else {
                if let Some(subscription) = &self.subscription {
                    subscription.rest(self.takes_all(), out.is_empty());
                }
                return;
            };
            match item {
                Item::Frame(frame) => {
                    if let Some(chunks) = self.chunks_of(&frame) {
                        self.bytes_out = self.bytes_out.saturating_add(chunks.len() as u64);
                        out.push(chunks);
                    }
                }
                Item::Published => {
                    self.waiting_since = None;
                    self.span.in_scope(|| info!("the publisher has appeared"));
                    machine.notify_published(self.framing.stream, &self.request.raw_name);
                }
                Item::Unpublished => {
                    self.waiting_since = Some(Instant::now());
                    self.span
                        .in_scope(|| info!("the publisher has left; waiting for another"));
                    machine.notify_unpublished(self.framing.stream, &self.request.raw_name);
                }
            }
            while let Some(bytes) = machine.poll_bytes() {
                out.push(bytes);
            }
        }
    }

    /// All that [`Player::fill`] has moved was written.
    pub fn caught_up(&self) {
        if let Some(subscription) = &self.subscription {
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
    pub fn pause(&mut self, paused: bool) {
        let was_paused = self.paused;
        self.paused = paused;
        if let Some(subscription) = &self.subscription {
            if was_paused && !paused {
                subscription.resync();
            }
            subscription.set_direct(self.takes_all());
        }
    }

    /// Leaves audio or video out, or in again: video from its next keyframe on.
    pub fn receive(&mut self, kind: MediaKind, wanted: bool) {
        let had_video = self.wants_video;
        match kind {
            MediaKind::Audio => self.wants_audio = wanted,
            MediaKind::Video => self.wants_video = wanted,
            MediaKind::Data => {}
        }
        if let Some(subscription) = &self.subscription {
            if self.wants_video && !had_video {
                subscription.resync_video();
            }
            subscription.set_direct(self.takes_all());
        }
    }

    /// When something is due if nothing changes.
    pub fn deadline(&self) -> Option<Instant> {
        let wait = self.waiting_since.map(|since| since + self.patience.wait);
        let total = self.patience.total.map(|total| self.started + total);
        wait.into_iter().chain(total).min()
    }

    /// True when the hub has ended the playback, or its stream can't be had.
    pub fn is_ended(&self) -> bool {
        let ended = self
            .subscription
            .as_ref()
            .is_some_and(|subscription| subscription.end().is_some());
        ended || self.failure().is_some()
    }

    fn failure(&self) -> Option<PullFailure> {
        self.waiting_since?;
        self.pull.as_ref()?.failure()
    }

    /// Status code and text, if the playback is over at `now`.
    pub fn over(&self, now: Instant) -> Option<(&'static str, String)> {
        if let Some(end) = self.subscription.as_ref().and_then(Subscription::end) {
            let PlayerEnd::TooSlow(_) = end;
            return Some(("NetStream.Play.InsufficientBW", end.to_string()));
        }
        if let Some(PullFailure { is_not_found, text }) = self.failure() {
            let code = match is_not_found {
                true => "NetStream.Play.StreamNotFound",
                false => "NetStream.Play.Failed",
            };
            return Some((code, text));
        }
        if let Some(since) = self.waiting_since
            && now.saturating_duration_since(since) >= self.patience.wait
        {
            let text = format!(
                "nobody published within {} s",
                self.patience.wait.as_secs_f32()
            );
            return Some(("NetStream.Play.StreamNotFound", text));
        }
        if let Some(total) = self.patience.total
            && now.saturating_duration_since(self.started) >= total
        {
            let text = format!("the granted {} s are over", total.as_secs());
            return Some(("NetStream.Play.Stop", text));
        }
        None
    }

    /// Ends it.
    pub fn end(mut self, reason: &str) {
        self.finish(reason);
    }

    fn finish(&mut self, reason: &str) {
        let Some(subscription) = self.subscription.take() else {
            return;
        };
        let totals = subscription.leave();
        let end = SessionEnd {
            reason: reason.to_owned(),
            duration_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            bytes_in: 0,
            bytes_out: self.bytes_out.saturating_add(totals.written),
            frames_dropped: totals.dropped,
        };
        self.span.in_scope(|| {
            info!(
                reason,
                duration_ms = end.duration_ms,
                bytes_out = end.bytes_out,
                frames_dropped = end.frames_dropped,
                "play ended"
            );
        });
        let request = &self.request;
        self.gate.tell(Occasion::PlayEnded, || {
            Event::PlayEnded(request.clone(), end)
        });
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.finish("aborted");
    }
}
