//! An accepted playback: items of its queue for a protocol's session, its end for
//! the application.

use std::sync::Arc;
use std::time::Duration;

use livehost_hub::{Item, Subscription};
use livehost_policy::{Event, Gate, SessionEnd, StreamRequest};
use livehost_telemetry::limited;
use tokio::time::Instant;
use tracing::Span;

use crate::refusal::{Refusal, RefusalKind};
use crate::relays::{PendingPull, PullFailure};

/// How long a playback may go on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// Without a publisher.
    pub(crate) wait: Duration,
    /// In all.
    pub(crate) total: Option<Duration>,
}

/// A playback with the duty to say exactly once that it ended.
#[derive(Debug)]
pub struct Playing {
    /// Taken when it ends.
    subscription: Option<Subscription>,
    /// Its name is the granted one, which the player may not know: it is told
    /// the raw one, as it asked.
    request: StreamRequest,
    gate: Gate,
    span: Span,
    times: Times,
    started: Instant,
    /// Since when there is no publisher.
    waiting_since: Option<Instant>,
    /// What it waits for.
    pull: Option<Arc<PendingPull>>,
    /// Bytes that went past the hub's outlet.
    bytes_out: u64,
}

impl Playing {
    /// Announces the playback.
    pub(crate) fn start(
        subscription: Subscription,
        request: StreamRequest,
        gate: Gate,
        span: Span,
        times: Times,
        pull: Option<Arc<PendingPull>>,
    ) -> Self {
        let now = Instant::now();
        let is_live = subscription.is_live();
        span.in_scope(|| {
            if is_live {
                limited!(INFO, gate.admits_client(), "playing");
            } else {
                limited!(
                    INFO,
                    gate.admits_client(),
                    "playing: waiting for a publisher"
                );
            }
        });
        Self {
            subscription: Some(subscription),
            request,
            gate,
            span,
            times,
            started: now,
            waiting_since: (!is_live).then_some(now),
            pull,
            bytes_out: 0,
        }
    }

    /// The name that the player asked for.
    pub fn raw_name(&self) -> &str {
        &self.request.raw_name
    }

    /// The player as the hub has it, until its end.
    pub fn subscription(&self) -> Option<&Subscription> {
        self.subscription.as_ref()
    }

    /// The oldest item that waits. After `None` the session is woken for the next.
    #[allow(clippy::should_implement_trait, reason = "not an end: more may come")]
    pub fn next(&mut self) -> Option<Item> {
        let item = self.subscription.as_mut()?.next()?;
        match &item {
            Item::Frame(_) => {}
            Item::Published => {
                self.waiting_since = None;
                self.span.in_scope(|| {
                    limited!(
                        INFO,
                        self.gate.admits_client(),
                        "the publisher has appeared"
                    );
                });
            }
            Item::Unpublished => {
                self.waiting_since = Some(Instant::now());
                self.span.in_scope(|| {
                    limited!(
                        INFO,
                        self.gate.admits_client(),
                        "the publisher has left; waiting for another"
                    );
                });
            }
        }
        Some(item)
    }

    /// So many bytes are on their way to the player, apart from those that the hub
    /// gave its outlet.
    pub fn count(&mut self, bytes: usize) {
        self.bytes_out = self.bytes_out.saturating_add(bytes as u64);
    }

    /// When something is due if nothing changes.
    pub fn deadline(&self) -> Option<Instant> {
        let wait = self.waiting_since.map(|since| since + self.times.wait);
        let total = self.times.total.map(|total| self.started + total);
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

    /// Why the playback is over at `now`, if it is.
    pub fn over(&self, now: Instant) -> Option<Refusal> {
        if let Some(end) = self.subscription.as_ref().and_then(Subscription::end) {
            return Some(end.into());
        }
        if let Some(failure) = self.failure() {
            return Some(failure.into());
        }
        if let Some(since) = self.waiting_since
            && now.saturating_duration_since(since) >= self.times.wait
        {
            let wait = self.times.wait.as_secs_f32();
            let text = format!("nobody published within {wait} s");
            return Some(Refusal::new(RefusalKind::NotFound, text));
        }
        if let Some(total) = self.times.total
            && now.saturating_duration_since(self.started) >= total
        {
            let text = format!("the granted {} s are over", total.as_secs());
            return Some(Refusal::new(RefusalKind::Expired, text));
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
            limited!(
                INFO,
                self.gate.admits_client(),
                reason,
                duration_ms = end.duration_ms,
                bytes_out = end.bytes_out,
                frames_dropped = end.frames_dropped,
                "play ended"
            );
        });
        let request = self.request.clone();
        self.gate.notify(Event::PlayEnded(request, end));
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        self.finish("aborted");
    }
}
