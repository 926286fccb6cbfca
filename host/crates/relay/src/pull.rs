//! One attempt to pull a stream: another server's frames into the hub.
//!
//! The name is claimed when media comes, not before: many servers accept a
//! `play` of what they don't have.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use livehost_app::application::Application;
use livehost_app::broker::Granted;
use livehost_app::input::Publishing;
use livehost_hub::{Hub, StreamKey, Wake};
use livehost_media::time::from_ms;
use livehost_media::{Kind, Packet};
use livehost_net::driver::{Lost, Session};
use livehost_policy::{Client, ConnId, DuplicateRule, PublishGrant, StreamId};
use livehost_rtmp::data::relayed_payload;
use livehost_rtmp::message::Message;
use livehost_rtmp::session::client::ClientEvent;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::Span;

use super::error::RelayError;
use super::peer::{Peer, PeerTerms, Purpose};
use super::report::Report;
use super::url::RelayUrl;

/// Data that came before any media, until the name is claimed.
const MAX_EARLY: usize = 16;
/// Beginnings of data messages that are a server's own words to its players.
const NOT_OF_THE_STREAM: [&[u8]; 2] = [b"\x02\x00\x08onStatus", b"\x02\x00\x11|RtmpSampleAccess"];

/// What is pulled, and whereto.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) hub: &'a Arc<Hub>,
    pub(super) application: &'a Arc<Application>,
    pub(super) key: &'a StreamKey,
    pub(super) url: &'a RelayUrl,
    pub(super) terms: &'a PeerTerms,
    /// The publisher's number.
    pub(super) conn: ConnId,
    /// How long players are kept when the server is lost.
    pub(super) hold: Duration,
    /// Told of the publication before any of its media is there.
    pub(super) started: &'a (dyn Fn(StreamId) + Send + Sync),
}

/// A pull whose server has accepted it.
pub(super) struct Pulling<'a> {
    source: Source<'a>,
    pub(super) peer: Peer,
    pub(super) wake: Wake,
    report: &'a mut Report,
    /// When it was accepted, or when a part of its first media came.
    since: Instant,
    /// Data before it: timestamps and bodies.
    early: Vec<(u32, Bytes)>,
    /// From the first media on.
    publishing: Option<Publishing>,
}

impl Session for Pulling<'_> {
    type End = RelayError;

    fn lost(&self, lost: Lost) -> RelayError {
        lost.into()
    }

    fn advance(&mut self, now: Instant) -> Result<(), RelayError> {
        while let Some(event) = self.peer.poll() {
            match event {
                ClientEvent::Audio(message) => self.media(Kind::Audio, message)?,
                ClientEvent::Video(message) => self.media(Kind::Video, message)?,
                ClientEvent::Data(message) => self.data(&message),
                ClientEvent::StreamEof(stream) if stream == self.peer.stream => {
                    return Err(RelayError::Ended {
                        is_not_found: true,
                        said: "the end of the stream".to_owned(),
                    });
                }
                other => self.peer.check(&other)?,
            }
        }
        let Some(publishing) = &mut self.publishing else {
            return Ok(());
        };
        // Its end is noticed as soon as it is there.
        if publishing.hear_question() {
            publishing.answer_question();
        }
        match publishing.revoked() {
            Some(_) => self.handle_timeout(now),
            None => Ok(()),
        }
    }

    fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> Result<usize, RelayError> {
        let taken = self.peer.feed(bytes)?;
        // A frame that comes slowly is a sign of life.
        if self.peer.machine.media_in_progress().count() > 0 {
            match &mut self.publishing {
                Some(publishing) => publishing.hear(now),
                None => self.since = now,
            }
        }
        Ok(taken)
    }

    fn next_deadline(&self) -> Option<Instant> {
        Some(match &self.publishing {
            Some(publishing) => publishing.deadline(),
            None => self.since + self.source.terms.answer,
        })
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), RelayError> {
        let patience = self.source.terms.answer;
        match &self.publishing {
            Some(publishing) => match publishing.over(now) {
                Some(refusal) => Err(RelayError::Over(refusal)),
                None => Ok(()),
            },
            None if now.saturating_duration_since(self.since) >= patience => {
                Err(RelayError::NoMedia(patience.as_secs_f32()))
            }
            None => Ok(()),
        }
    }

    fn may_read(&mut self, _: usize) -> bool {
        !self.publishing.as_mut().is_some_and(Publishing::is_held_up)
    }
}

impl<'a> Pulling<'a> {
    pub(super) async fn open(
        source: Source<'a>,
        report: &'a mut Report,
    ) -> Result<Self, RelayError> {
        let peer = Peer::open(source.url, Purpose::Play, source.terms).await?;
        Ok(Self::of(source, peer, report))
    }

    /// Of a server that has accepted it.
    pub(super) fn of(source: Source<'a>, peer: Peer, report: &'a mut Report) -> Self {
        Self {
            source,
            peer,
            wake: Arc::new(Notify::new()),
            report,
            since: Instant::now(),
            early: Vec::new(),
            publishing: None,
        }
    }

    fn media(&mut self, kind: Kind, message: Message) -> Result<(), RelayError> {
        if message.payload.is_empty() {
            return Ok(());
        }
        if self.publishing.is_none() {
            let publishing = self.claim()?;
            (self.source.started)(publishing.id());
            self.publishing = Some(publishing);
            for (timestamp, body) in std::mem::take(&mut self.early) {
                self.push(Kind::Data, timestamp, body);
            }
        }
        self.push(kind, message.timestamp, message.payload);
        Ok(())
    }

    fn data(&mut self, message: &Message) {
        let payload = relayed_payload(message);
        let is_own = NOT_OF_THE_STREAM
            .iter()
            .any(|beginning| payload.starts_with(beginning));
        if is_own || payload.is_empty() {
            return;
        }
        if self.publishing.is_some() {
            self.push(Kind::Data, message.timestamp, payload);
        } else if self.early.len() < MAX_EARLY {
            self.early.push((message.timestamp, payload));
        }
    }

    fn push(&mut self, kind: Kind, timestamp: u32, body: Bytes) {
        let Some(publishing) = &mut self.publishing else {
            return;
        };
        let bytes = body.len();
        // There is no limit of its rate that could be exceeded.
        let _ = match Packet::from_flv(kind, from_ms(timestamp), body) {
            Ok(packet) => publishing.push(packet),
            Err(error) => publishing.ignore(kind, bytes, &error),
        };
    }

    fn claim(&mut self) -> Result<Publishing, RelayError> {
        let protocol = match self.peer.url.is_secure() {
            true => "rtmps",
            false => "rtmp",
        };
        let client = Client {
            conn: self.source.conn,
            remote: self.peer.remote.to_string(),
            protocol: protocol.to_owned(),
            attrs: vec![("relay".to_owned(), "pull".to_owned())],
            ..Client::default()
        };
        let hold = self.source.hold.as_millis();
        let granted = Granted {
            application: self.source.application.clone(),
            key: self.source.key.clone(),
            client,
            grant: PublishGrant {
                on_duplicate: DuplicateRule::Reject,
                hold_ms: Some(u32::try_from(hold).unwrap_or(u32::MAX)),
                ..PublishGrant::default()
            },
            span: Span::current(),
            wake: self.wake.clone(),
        };
        let claimed = granted.claim(self.source.hub);
        let publication = claimed.map_err(|taken| RelayError::Taken(taken.refuse()))?;
        self.report.up(self.peer.remote);
        Ok(granted.start(publication))
    }

    /// Gives the name back, for this reason. `lost`: the server did not say
    /// that the stream is over.
    pub(super) fn unpublish(&mut self, reason: &str, lost: bool) {
        if let Some(publishing) = self.publishing.take() {
            publishing.end(reason, lost);
        }
    }

    /// Tells the server that nobody wants the stream any more.
    pub(super) async fn close(self) {
        self.peer.close().await;
    }
}
