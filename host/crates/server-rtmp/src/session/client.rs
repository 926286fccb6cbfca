//! A client's state and what its commands do.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use litemap::LiteMap;
use livehost_app::application::Application;
use livehost_app::directory::Registration;
use livehost_app::input::Publishing;
use livehost_app::lineage::Lineage;
use livehost_app::output::Outbound;
use livehost_app::shared_objects::Member;
use livehost_hub::{Outlet, Wake};
use livehost_media::time::from_ms;
use livehost_media::{Kind, Packet};
use livehost_net::carrier::Carrier;
use livehost_policy::{Client, Event};
use livehost_rtmp::chunk::ReaderLimits;
use livehost_rtmp::handshake::RANDOM_LEN;
use livehost_rtmp::session::server::{
    Media, MediaKind, ServerConfig, ServerEvent, ServerSession, StreamStop,
};
use livehost_telemetry::limited;
use livehost_telemetry::log::STRANGERS;
use livehost_wire::amf0;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::debug;

use super::activity::Activity;
use super::answers::Settled;
use super::end::EndReason;
use super::player::Player;
use super::{Entrance, SessionLimits, Shared};

/// What runs on a message stream.
#[derive(Debug)]
pub(super) enum Slot {
    Publish(Box<Publishing>),
    Play(Box<Player>),
}

/// A question that the client waits for the answer to.
pub(super) struct Decision {
    pub(super) answer: BoxFuture<'static, Settled>,
    /// The answer does something even if the client has gone: it has called, or
    /// changed a shared object. Nobody who has gone is let in.
    pub(super) outlives_client: bool,
}

/// One client: see the module's page.
pub(super) struct RtmpSession {
    pub(super) shared: Arc<Shared>,
    pub(super) limits: SessionLimits,
    pub(super) registration: Registration,
    pub(super) entrance: Entrance,
    pub(super) client: Client,
    pub(super) machine: ServerSession,
    /// Set by an accepted connect.
    pub(super) application: Option<Arc<Application>>,
    pub(super) instance: Option<Arc<str>>,
    /// Where its streams have come through, if it is a relay.
    pub(super) lineage: Lineage,
    /// Outbound chunk size, bytes.
    pub(super) chunk_size: u32,
    pub(super) slots: LiteMap<u32, Slot>,
    /// Set by the first message about a shared object.
    pub(super) member: Option<Box<Member>>,
    /// The decision that the client waits for.
    pub(super) decision: Option<Decision>,
    pub(super) wake: Wake,
    pub(super) out: Arc<Outbound>,
    /// The same, as the hub sees it.
    pub(super) outlet: Arc<dyn Outlet>,
    /// Whether it is there.
    pub(super) activity: Activity,
    /// Set when the session is to end once its bytes are out.
    pub(super) end: Option<EndReason>,
    pub(super) started: Instant,
    /// Seconds that the policy granted, and when they are over.
    pub(super) lifetime: Option<(u32, Instant)>,
    /// Since when nothing is published, played or shared.
    pub(super) idle_since: Instant,
    /// When a client that was asked to leave is closed.
    pub(super) leave_by: Option<Instant>,
}

/// The handshake's random bytes. They protect nothing, so that every session may
/// send the same.
fn handshake_random() -> Arc<[u8; RANDOM_LEN]> {
    static RANDOM: LazyLock<Arc<[u8; RANDOM_LEN]>> = LazyLock::new(|| {
        let mut random = [0; RANDOM_LEN];
        if let Err(error) = getrandom::fill(&mut random) {
            debug!(%error, "no random bytes for the handshake");
        }
        Arc::new(random)
    });
    Arc::clone(&RANDOM)
}

impl RtmpSession {
    pub(super) fn new(
        registration: Registration,
        remote: SocketAddr,
        entrance: Entrance,
        shared: Arc<Shared>,
        out: Arc<Outbound<impl Carrier>>,
    ) -> Self {
        let limits = **shared.limits.load();
        let accepted = entrance.accepted;
        let bytes = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
        let config = ServerConfig {
            limits: ReaderLimits::of_messages(bytes(limits.message)),
            max_call_size: bytes(limits.call),
            chunk_size: limits.chunk,
            max_streams: limits.streams,
            ..ServerConfig::default()
        };
        let client = Client {
            conn: registration.conn,
            remote: remote.to_string(),
            protocol: entrance.protocol.to_owned(),
            tls_name: entrance.tls_name.clone(),
            ..Client::default()
        };
        let machine = match entrance.handshake_done {
            true => ServerSession::after_handshake(config),
            false => ServerSession::new(config, handshake_random(), 0),
        };
        let now = Instant::now();
        Self {
            machine,
            chunk_size: limits.chunk,
            limits,
            shared,
            registration,
            entrance,
            client,
            application: None,
            instance: None,
            lineage: Lineage::default(),
            slots: LiteMap::new(),
            member: None,
            decision: None,
            wake: Arc::new(Notify::new()),
            outlet: out.clone(),
            out,
            activity: Activity::new(now),
            end: None,
            started: accepted,
            lifetime: None,
            idle_since: now,
            leave_by: None,
        }
    }

    /// Acts on one event of the state machine.
    pub(super) fn handle_event(&mut self, event: ServerEvent) {
        match event {
            ServerEvent::Connect(connect) => self.ask_connect(&connect),
            ServerEvent::Publish(publish) => self.ask_publish(publish),
            ServerEvent::Play(play) => self.ask_play(play),
            ServerEvent::Call { name, arguments } => self.ask_call(name, &arguments),
            ServerEvent::SharedObject(message) => self.ask_shared_object(&message),
            ServerEvent::Media(media) => self.publish_media(media),
            ServerEvent::Unpublish { stream, reason }
            | ServerEvent::StopPlay { stream, reason } => {
                self.stop(stream, reason);
            }
            ServerEvent::Pause { stream, paused } => {
                if let Some(Slot::Play(player)) = self.slots.get_mut(&stream) {
                    player.pause(paused);
                }
            }
            ServerEvent::Receive {
                stream,
                kind,
                wanted,
            } => {
                if let Some(Slot::Play(player)) = self.slots.get_mut(&stream) {
                    player.receive(kind, wanted);
                }
            }
            ServerEvent::BufferLength { stream, millis } => {
                debug!(stream, millis, "the player told its buffer length");
            }
            ServerEvent::Pong => {}
        }
    }

    fn publish_media(&mut self, media: Media) {
        let (stream, bytes) = (media.stream, media.payload.len());
        let Some(Slot::Publish(publishing)) = self.slots.get_mut(&stream) else {
            return;
        };
        let kind = match media.kind {
            MediaKind::Audio => Kind::Audio,
            MediaKind::Video => Kind::Video,
            MediaKind::Data => Kind::Data,
        };
        let packet = Packet::from_flv(kind, from_ms(media.timestamp), media.payload);
        let pushed = match packet {
            Ok(packet) => publishing.push(packet),
            Err(error) => publishing.ignore(kind, bytes, &error),
        };
        if let Err(refusal) = pushed {
            self.end_stream(stream, refusal);
        }
    }

    /// A frame that comes slowly shows that its publisher is there.
    pub(super) fn hear_publishers(&mut self, now: Instant) {
        if self.slots.is_empty() {
            return;
        }
        for stream in self.machine.media_in_progress() {
            if let Some(Slot::Publish(publishing)) = self.slots.get_mut(&stream) {
                publishing.hear(now);
            }
        }
    }

    /// Publishers that are not listened to can't be called silent.
    pub(super) fn excuse_publishers(&mut self, now: Instant) {
        for (_, slot) in self.slots.iter_mut() {
            if let Slot::Publish(publishing) = slot {
                publishing.hear(now);
            }
        }
    }

    /// The client ended a stream.
    fn stop(&mut self, stream: u32, reason: StreamStop) {
        match self.remove(stream) {
            Some(Slot::Publish(publishing)) => publishing.end(reason.as_str(), false),
            Some(Slot::Play(player)) => player.end(reason.as_str()),
            None => {}
        }
    }

    pub(super) fn insert(&mut self, stream: u32, slot: Slot) {
        self.slots.insert(stream, slot);
    }

    pub(super) fn remove(&mut self, stream: u32) -> Option<Slot> {
        let slot = self.slots.remove(&stream)?;
        self.idle_since = Instant::now();
        Some(slot)
    }

    /// Looks at what others have for this session: changes of shared objects;
    /// frames of the hub, and what it took away.
    pub(super) fn collect(&mut self, now: Instant) {
        self.tell_of_objects();
        let mut overdue = false;
        for (_, slot) in self.slots.iter_mut() {
            match slot {
                Slot::Publish(publishing) => overdue |= publishing.revoked().is_some(),
                Slot::Play(player) => {
                    player.fill(&mut self.machine, &self.out);
                    overdue |= player.is_ended();
                }
            }
        }
        if overdue {
            self.check_deadlines(now);
        }
    }

    /// Somebody else wants the name of a stream that this client publishes.
    pub(super) fn hear_question(&mut self) -> bool {
        let mut asked = false;
        for (_, slot) in self.slots.iter_mut() {
            if let Slot::Publish(publishing) = slot {
                asked |= publishing.hear_question();
            }
        }
        asked
    }

    /// The client has not left, as a look at its socket has shown since then.
    pub(super) fn answer_question(&self) {
        for slot in self.slots.values() {
            if let Slot::Publish(publishing) = slot {
                publishing.answer_question();
            }
        }
    }

    /// Tells the client that the server ends the connection.
    pub(super) fn say_goodbye(&mut self, end: &EndReason) {
        let text = end.to_string();
        let code = match end {
            EndReason::Shutdown => "NetConnection.Connect.AppShutdown",
            _ => "NetConnection.Connect.Closed",
        };
        for (stream, slot) in self.slots.iter() {
            match slot {
                Slot::Publish(_) => {
                    self.machine
                        .end_stream(*stream, "status", "NetStream.Unpublish.Success", &text)
                }
                Slot::Play(_) => {
                    self.machine
                        .end_stream(*stream, "status", "NetStream.Play.Stop", &text);
                }
            }
        }
        self.machine.announce_close(code, &text);
    }

    /// Releases everything the session holds and says that it is over.
    pub(super) fn finish(mut self: Box<Self>, end: &EndReason, bytes_in: u64, bytes_out: u64) {
        self.decision = None;
        let reason = end.reason();
        self.shared.directory.count_end(reason);
        for (_, slot) in std::mem::take(&mut self.slots) {
            match slot {
                Slot::Publish(publishing) => {
                    publishing.end(reason, end.is_loss());
                }
                Slot::Play(player) => player.end(reason),
            }
        }
        // Before it is said: who reads that it has ended finds it nowhere.
        drop(self.registration);
        let duration = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let admitted = || match &self.application {
            Some(application) => application.gate().admits_client(),
            None => STRANGERS.admits(),
        };
        let instance = self.instance.as_deref();
        if end.is_failure() {
            limited!(WARN, admitted(), reason, detail = %end, duration_ms = duration, bytes_in,
                bytes_out, instance, "session ended");
        } else if matches!(end, EndReason::Unauthenticated) {
            // Each step of a challenge has a connection, and its line already.
            debug!(reason, detail = %end, "session ended");
        } else {
            limited!(INFO, admitted(), reason, detail = %end, duration_ms = duration, bytes_in,
                bytes_out, instance, "session ended");
        }
        if let Some(application) = &self.application {
            let gate = application.gate();
            let client = self.client;
            let end = livehost_policy::SessionEnd {
                reason: reason.to_owned(),
                duration_ms: duration,
                bytes_in,
                bytes_out,
                frames_dropped: 0,
            };
            gate.notify(Event::Disconnected(client, end));
        }
    }

    /// Its socket has taken all that it was given.
    pub(super) fn players_caught_up(&self) {
        for slot in self.slots.values() {
            if let Slot::Play(player) = slot {
                player.caught_up();
            }
        }
    }

    /// It publishes or plays.
    pub(super) fn has_streams(&self) -> bool {
        !self.slots.is_empty()
    }

    /// Whether to read nothing for now: the machine is behind with sending.
    pub(super) fn is_held_up(&mut self) -> bool {
        // Each is asked, since each notes it.
        self.slots
            .iter_mut()
            .fold(false, |any, (_, slot)| match slot {
                Slot::Publish(publishing) => publishing.is_held_up() || any,
                Slot::Play(_) => any,
            })
    }

    /// Moves the machine's bytes to `out` and acts on its events.
    pub(super) fn drain(&mut self) {
        use livehost_rtmp::session::Output;
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Send(bytes) => self.out.push(bytes),
                Output::Event(event) => self.handle_event(event),
            }
        }
    }

    /// Bytes of a call's result, decoded for the machine.
    pub(super) fn answer_call(&mut self, result: Result<Bytes, String>) {
        let admits = || match &self.application {
            Some(application) => application.gate().admits_failure(),
            None => STRANGERS.admits(),
        };
        let values = result.and_then(|amf0| {
            amf0::decode_all(&amf0).map_err(|error| {
                limited!(WARN, admits(), %error,
                    "the plugin's result of a call is not AMF0");
                "the server's answer could not be encoded".to_owned()
            })
        });
        self.machine.answer_call(values);
    }
}
