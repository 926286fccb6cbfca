//! An accepted publish: packets to the hub, events to the application.

use std::sync::Arc;
use std::time::Duration;

use livehost_hub::{Publication, Pushed, Revocation};
use livehost_media::{Kind, NotAPacket, Packet, Role};
use livehost_policy::{Awaited, Event, Gate, SessionEnd, StreamId};
use livehost_telemetry::limited;
use livehost_telemetry::log::PUBLISHERS;
use tokio::time::Instant;
use tracing::{Span, debug};

use super::rate::RateLimit;
use crate::claims::{Claimed, Lease};
use crate::lineage::Lineage;
use crate::refusal::{Refusal, RefusalKind};
use crate::relays::{RelayService, Removed};

/// How long `on-ready` waits for the codec of a second kind of media.
const READY_AFTER: Duration = Duration::from_secs(1);

/// What a publisher was granted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PublishTerms {
    /// Without media for so long it is lost.
    pub(crate) silence: Duration,
    /// Closed when it sends more, kilobits a second.
    pub(crate) max_kbps: Option<u32>,
}

/// Where a stream goes, beside its players.
#[derive(Debug)]
pub(crate) struct Pushes {
    pub(crate) relays: Arc<dyn RelayService>,
    /// Granted by the policy.
    pub(crate) forward_to: Vec<String>,
    pub(crate) lineage: Lineage,
}

/// A publication with the duty to say exactly once that it ended.
#[derive(Debug)]
pub struct Publishing {
    /// Taken when it ends.
    publication: Option<Publication>,
    /// Given up when it has ended.
    lease: Option<Lease>,
    gate: Gate,
    span: Span,
    terms: PublishTerms,
    rate: Option<RateLimit>,
    /// When media came, or a part of it.
    last_media: Instant,
    /// Since when it is not read from.
    held_up_since: Option<Instant>,
    first_media: Option<Instant>,
    is_ready: bool,
    /// False while another publisher is ahead of this one.
    is_active: bool,
    /// Started when it is the active one.
    pushes: Option<Box<Pushes>>,
    /// What [`Publishing::answer_question`] answers.
    question: Option<u64>,
    refused: u64,
}

impl Publishing {
    /// Announces the publish.
    pub(crate) fn start(claimed: Claimed, gate: Gate, span: Span, terms: PublishTerms) -> Self {
        let Claimed { publication, lease } = claimed;
        let now = Instant::now();
        let is_active = publication.is_active();
        span.in_scope(|| {
            if is_active {
                limited!(INFO, gate.admits_publisher(), "publishing");
            } else {
                limited!(
                    INFO,
                    gate.admits_publisher(),
                    "standing by behind the stream's publisher"
                );
            }
        });
        gate.notify(Event::Published(publication.info()));
        Self {
            publication: Some(publication),
            lease,
            gate,
            span,
            terms,
            rate: terms.max_kbps.map(|kbps| RateLimit::new(kbps, now)),
            last_media: now,
            held_up_since: None,
            first_media: None,
            is_ready: false,
            is_active,
            pushes: None,
            question: None,
            refused: 0,
        }
    }

    /// Has it pushed while it is the stream's publisher: at once, or, if it stands
    /// by, when it takes over.
    pub(crate) fn push_to(&mut self, pushes: Pushes) {
        match self.is_active {
            true => self.start_pushes(&pushes),
            false => self.pushes = Some(Box::new(pushes)),
        }
    }

    fn start_pushes(&self, pushes: &Pushes) {
        let Some(publication) = &self.publication else {
            return;
        };
        let Pushes {
            relays,
            forward_to,
            lineage,
        } = pushes;
        let (key, id) = (publication.key(), publication.id());
        if let Err(Removed) = relays.published(key, id, forward_to, lineage)
            && !forward_to.is_empty()
        {
            self.span.in_scope(|| {
                limited!(
                    WARN,
                    self.gate.admits_failure(),
                    grant = "forward-to",
                    "the application is removed: this part of the grant is ignored"
                );
            });
        }
    }

    /// The publisher ahead of it may have left.
    fn check_active(&mut self) {
        let is_active = self
            .publication
            .as_ref()
            .is_some_and(Publication::is_active);
        if is_active && !self.is_active {
            self.is_active = true;
            self.span
                .in_scope(|| limited!(INFO, self.gate.admits_publisher(), "publishing"));
            if let Some(pushes) = self.pushes.take() {
                self.start_pushes(&pushes);
            }
        }
    }

    /// Forwards one packet; its time is on the publisher's clock.
    ///
    /// # Errors
    /// When the publisher keeps sending more than was granted: it is to be ended.
    pub fn push(&mut self, packet: Packet) -> Result<(), Refusal> {
        let now = self.hear_bytes(packet.len())?;
        let Some(publication) = &self.publication else {
            return Ok(());
        };
        let kind = packet.kind();
        if let Pushed::Forwarded(role) = publication.push(packet)
            && !self.is_ready
            && kind != Kind::Data
        {
            self.check_ready(role, now);
        }
        Ok(())
    }

    /// Counts what came of so many bytes, and is no packet.
    ///
    /// # Errors
    /// As [`Publishing::push`].
    pub fn ignore(&mut self, kind: Kind, bytes: usize, error: &NotAPacket) -> Result<(), Refusal> {
        self.hear_bytes(bytes)?;
        if let Some(publication) = &self.publication {
            publication.ignore(bytes);
        }
        // The first is worth a line; an encoder that sends them all the time would
        // fill the log.
        if self.refused == 0 {
            self.span.in_scope(|| {
                limited!(WARN, PUBLISHERS.admits(), ?kind, %error,
                    "dropping a message that is no frame");
            });
        } else {
            self.span
                .in_scope(|| debug!(?kind, %error, "dropping a message that is no frame"));
        }
        self.refused = self.refused.saturating_add(1);
        Ok(())
    }

    /// The publisher has sent so much, now.
    fn hear_bytes(&mut self, bytes: usize) -> Result<Instant, Refusal> {
        // Before the first frame that is forwarded: pushes begin with it.
        if !self.is_active {
            self.check_active();
        }
        let now = Instant::now();
        self.last_media = now;
        if let (Some(rate), Some(kbps)) = (&mut self.rate, self.terms.max_kbps)
            && rate.is_exceeded_by(bytes, now)
        {
            let text = format!("the publisher sends more than its {kbps} kbit/s");
            return Err(Refusal::new(RefusalKind::TooFast, text));
        }
        Ok(now)
    }

    /// A part of its next message has come.
    pub fn hear(&mut self, now: Instant) {
        self.last_media = now;
    }

    /// Codecs are known when both kinds have come, or one came and the other
    /// did not for a while.
    fn check_ready(&mut self, role: Role, now: Instant) {
        let first = *self.first_media.get_or_insert(now);
        if matches!(role, Role::Configuration | Role::Metadata) {
            return;
        }
        let Some(publication) = &self.publication else {
            return;
        };
        let stream = publication.info();
        let both = stream.video.is_some() && stream.audio.is_some();
        if both || now.saturating_duration_since(first) >= READY_AFTER {
            self.is_ready = true;
            self.span.in_scope(|| {
                limited!(
                    INFO,
                    self.gate.admits_publisher(),
                    video = stream.video.as_deref().unwrap_or("none"),
                    audio = stream.audio.as_deref().unwrap_or("none"),
                    "ready"
                );
            });
            self.gate.notify(Event::Ready(stream));
        }
    }

    /// Its number among publications.
    pub fn id(&self) -> StreamId {
        self.publication.as_ref().map_or(0, Publication::id)
    }

    /// When it is lost unless media comes. One that is not read from can't be
    /// called silent.
    pub fn deadline(&self) -> Instant {
        let heard = self
            .held_up_since
            .map_or(self.last_media, |_| Instant::now());
        heard + self.terms.silence
    }

    /// Whether nothing more should be read from the publisher for now. What it
    /// sends meanwhile comes at once later, and is not too much because of that.
    pub fn is_held_up(&mut self) -> bool {
        let is_held_up = self
            .publication
            .as_ref()
            .is_some_and(Publication::is_held_up);
        match self.held_up_since {
            None if is_held_up => self.held_up_since = Some(Instant::now()),
            Some(since) if !is_held_up => {
                let now = Instant::now();
                self.held_up_since = None;
                self.last_media = now;
                if let Some(rate) = &mut self.rate {
                    rate.was_held_up(now.saturating_duration_since(since));
                }
            }
            _ => {}
        }
        is_held_up
    }

    /// Why it is over at `now`, if it is, though its publisher did not say so.
    pub fn over(&self, now: Instant) -> Option<Refusal> {
        if let Some(why) = self.revoked() {
            return Some(why.into());
        }
        (now >= self.deadline()).then(|| {
            let text = format!("no media for {} s", self.terms.silence.as_secs_f32());
            Refusal::new(RefusalKind::Silent, text)
        })
    }

    /// Why the hub took it away, if it did.
    pub fn revoked(&self) -> Option<Revocation> {
        self.publication.as_ref()?.revoked()
    }

    /// Somebody else wants the name: has the publisher left?
    pub fn hear_question(&mut self) -> bool {
        self.question = self.publication.as_ref().and_then(Publication::question);
        self.question.is_some()
    }

    /// It has not, as was found out since [`Publishing::hear_question`] said so.
    pub fn answer_question(&self) {
        if let (Some(publication), Some(question)) = (&self.publication, self.question) {
            publication.answer(question);
        }
    }

    /// Ends it. `lost`: the publisher did not say that it is done.
    pub fn end(mut self, reason: &str, lost: bool) {
        self.finish(reason, lost);
    }

    fn finish(&mut self, reason: &str, lost: bool) {
        let Some(publication) = self.publication.take() else {
            return;
        };
        let end = SessionEnd {
            reason: reason.to_owned(),
            duration_ms: u64::try_from(publication.age().as_millis()).unwrap_or(u64::MAX),
            bytes_in: publication.bytes_in(),
            ..SessionEnd::default()
        };
        self.span.in_scope(|| {
            limited!(
                INFO,
                self.gate.admits_publisher(),
                reason,
                duration_ms = end.duration_ms,
                bytes_in = end.bytes_in,
                messages_dropped = self.refused,
                "unpublished"
            );
        });
        let gate = &self.gate;
        let event = Event::Unpublished(publication.info(), end);
        // The name is free before anybody hears that it is, and no event of
        // the next publisher comes before this.
        publication.finish(lost, |left| {
            gate.notify(with_awaited(event, left));
        });
        self.lease = None;
    }
}

/// Tells in the event's `extra` who waits for another publisher.
fn with_awaited(mut event: Event, left: Option<Awaited>) -> Event {
    if let (Event::Unpublished(info, _), Some(left)) = (&mut event, left) {
        let key = if left.held { "held" } else { "waiting" };
        info.extra.push((key.to_owned(), left.players.to_string()));
    }
    event
}

impl Drop for Publishing {
    fn drop(&mut self) {
        self.finish("aborted", true);
    }
}
