//! A protocol in memory: two verbs, numbers for statuses. Nothing of it is RTMP's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use livehost_app::application::{Application, ApplicationSettings};
use livehost_app::broker::{Ask, Broker};
use livehost_app::claims::{Claims, Local};
use livehost_app::input::Publishing;
use livehost_app::lineage::{Identity, Lineage};
use livehost_app::names::StreamName;
use livehost_app::output::Playing;
use livehost_app::refusal::{Refusal, RefusalKind};
use livehost_app::shared_objects::{self, Forget, Objects};
use livehost_hub::{Hub, Item, Join, Wake};
use livehost_media::{Kind, NotAPacket, Packet};
use livehost_policy::{Client, Fallback, Gate, StreamRequest};
use tokio::time::Instant;
use tracing::{field, info_span};

use crate::script::{Script, ScriptedRelays};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// What a client is told: a number, as HTTP has it, and a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) number: u16,
    pub(crate) text: String,
    pub(crate) retry_after_ms: Option<u32>,
}

impl From<Refusal> for Status {
    /// The protocol's one table.
    fn from(refusal: Refusal) -> Self {
        let number = match refusal.kind {
            RefusalKind::BadName => 400,
            RefusalKind::Unauthenticated => 401,
            RefusalKind::Denied => match refusal.code.as_deref() {
                Some("NetStream.Play.StreamNotFound") => 404,
                _ => 403,
            },
            RefusalKind::NotFound => 404,
            RefusalKind::Silent => 408,
            RefusalKind::Busy => 409,
            RefusalKind::Expired | RefusalKind::Replaced | RefusalKind::Stopped => 410,
            RefusalKind::TooFast => 413,
            RefusalKind::TooMany => 429,
            RefusalKind::Unusable => 500,
            RefusalKind::Unavailable | RefusalKind::TooSlow => 503,
            RefusalKind::Loop => 508,
        };
        Self {
            number,
            text: refusal.text,
            retry_after_ms: refusal.retry_after_ms,
        }
    }
}

/// A server with one application, `live`.
pub(crate) struct Server {
    pub(crate) broker: Arc<Broker>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) live: Arc<Application>,
    pub(crate) policy: Arc<Script>,
    pub(crate) relays: Arc<ScriptedRelays>,
    conns: AtomicU64,
}

/// Who asks, and how.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller {
    /// Its address; none: one of its own.
    pub(crate) address: Option<&'static str>,
    pub(crate) lineage: Lineage,
}

pub(crate) struct Publisher {
    pub(crate) publishing: Publishing,
    wake: Wake,
}

pub(crate) struct Player {
    pub(crate) playing: Playing,
    wake: Wake,
}

/// What a player gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Frame,
    Published,
    Unpublished,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self::with_claims(Arc::new(Local))
    }

    /// Names are given by `claims`.
    pub(crate) fn with_claims(claims: Arc<dyn Claims>) -> Self {
        let hub = Hub::new();
        let identity = Arc::<Identity>::default();
        let policy = Arc::new(Script::default());
        let relays = Arc::new(ScriptedRelays::new(hub.clone()));
        let settings = ApplicationSettings {
            media: livehost_hub::MediaSettings {
                keyframe_cache: 1 << 20,
                join: Join::Keyframe,
                queue_bytes: 1 << 20,
                queue_time: HOUR,
                slow_close: HOUR,
                gather: Duration::ZERO,
            },
            chunk_size: 60_000,
            message: 1 << 20,
            publisher_timeout: HOUR,
            wait_for_publisher: HOUR,
        };
        let gate = Gate::new("live", policy.clone(), Fallback::Reject);
        let objects = Objects::new(shared_objects::ObjectSettings::default(), Arc::new(Forget));
        Self {
            broker: Broker::new(hub, identity.clone(), relays.clone(), claims),
            identity,
            live: Application::new("live", gate, settings, objects),
            policy,
            relays,
            conns: AtomicU64::new(1),
        }
    }

    fn ask(&self, caller: Caller, text: &str) -> Result<Ask, Refusal> {
        let conn = self.conns.fetch_add(1, Ordering::Relaxed);
        let named = StreamName::parse(None, text)?;
        let remote = match caller.address {
            Some(address) => format!("{address}:{}", 1000 + conn),
            None => format!("192.0.2.{conn}:1000"),
        };
        Ok(Ask {
            application: self.live.clone(),
            span: info_span!("stream", renamed = field::Empty),
            request: StreamRequest {
                client: Client {
                    conn,
                    remote,
                    protocol: "memory".to_owned(),
                    ..Client::default()
                },
                app: "live".to_owned(),
                instance: named.place.instance,
                name: named.place.name,
                raw_name: text.to_owned(),
                query: named.query,
                mode: "live".to_owned(),
                start_seconds: None,
                extra: Vec::new(),
            },
            lineage: caller.lineage,
        })
    }

    pub(crate) async fn publish_as(&self, caller: Caller, text: &str) -> Result<Publisher, Status> {
        let (ask, wake) = (self.ask(caller, text)?, Wake::default());
        let publishing = self.broker.publish(ask, wake.clone()).await?;
        Ok(Publisher { publishing, wake })
    }

    pub(crate) async fn publish(&self, text: &str) -> Result<Publisher, Status> {
        self.publish_as(Caller::default(), text).await
    }

    pub(crate) async fn play_as(&self, caller: Caller, text: &str) -> Result<Player, Status> {
        let (ask, wake) = (self.ask(caller, text)?, Wake::default());
        let playing = self.broker.play(ask, wake.clone(), None, None).await?;
        Ok(Player { playing, wake })
    }

    pub(crate) async fn play(&self, text: &str) -> Result<Player, Status> {
        self.play_as(Caller::default(), text).await
    }
}

impl Publisher {
    /// One keyframe with so many bytes.
    pub(crate) fn send(&mut self, bytes: usize) -> Result<(), Status> {
        let payload: Bytes = [&[0x17, 1, 0, 0, 0][..], &vec![1; bytes]].concat().into();
        match Packet::from_flv(Kind::Video, 0, payload) {
            Ok(packet) => Ok(self.publishing.push(packet)?),
            Err(error) => self.send_nonsense(bytes, &error),
        }
    }

    /// So many bytes that are no packet.
    pub(crate) fn send_nonsense(&mut self, bytes: usize, why: &NotAPacket) -> Result<(), Status> {
        Ok(self.publishing.ignore(Kind::Video, bytes, why)?)
    }

    /// Waits until somebody wants its name.
    pub(crate) async fn asked(&mut self) {
        while !self.publishing.hear_question() {
            self.wake.notified().await;
        }
    }

    /// It is over at that time.
    pub(crate) fn over(&self, now: Instant) -> Option<Status> {
        self.publishing.over(now).map(Status::from)
    }

    /// Says that it is done.
    pub(crate) fn leave(self) {
        self.publishing.end("unpublish", false);
    }

    /// Its connection breaks.
    pub(crate) fn lose(self) {
        self.publishing.end("lost", true);
    }
}

impl Player {
    /// What comes next.
    pub(crate) async fn next(&mut self) -> Result<Heard, Status> {
        loop {
            match self.playing.next() {
                Some(Item::Frame(_)) => return Ok(Heard::Frame),
                Some(Item::Published) => return Ok(Heard::Published),
                Some(Item::Unpublished) => return Ok(Heard::Unpublished),
                None => {}
            }
            if let Some(refusal) = self.playing.over(Instant::now()) {
                return Err(refusal.into());
            }
            self.wake.notified().await;
        }
    }

    /// Nothing waits for it.
    pub(crate) fn hears_nothing(&mut self) -> bool {
        self.playing.next().is_none()
    }

    /// It is over at that time.
    pub(crate) fn over(&self, now: Instant) -> Option<Status> {
        self.playing.over(now).map(Status::from)
    }
}
