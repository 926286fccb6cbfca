//! The client's end of a connection: publishes, plays, or both.
//!
//! Flows in: received bytes ([`ClientSession::handle_input`]) and what the
//! owner wants ([`ClientSession::publish`], [`ClientSession::play`], media to
//! send). Flows out, through [`ClientSession::poll_output`]: bytes to send, and
//! events. What is asked for before the server accepted the connection waits
//! until it did.
//!
//! RTMP 1.0 section 7.2. The commands around `publish` (releaseStream,
//! FCPublish, FCUnpublish) are those of the Flash Media Live Encoder, which
//! servers have come to expect.

mod event;
mod incoming;

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use livehost_wire::amf0::{Properties, Value};

pub use event::{ClientEvent, Redirect, RefusedCommand, ServerRejection};

use super::{Link, Output, SessionError};
use crate::{
    chunk::ReaderLimits,
    command::Command,
    control::{ProtocolControl, UserControl},
    data::DataMessage,
    handshake::{ClientHandshake, HandshakeKind, Progress, RANDOM_LEN},
    message::{Message, type_id},
};

/// Chunk streams of what a client sends; 2 is for protocol control.
mod chunk_stream {
    pub(super) const COMMAND: u32 = 3;
    pub(super) const AUDIO: u32 = 4;
    pub(super) const DATA: u32 = 5;
    pub(super) const VIDEO: u32 = 6;
}

/// What a client says of itself, and what it allows its server.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    /// Application, with instance if there is one.
    pub app: String,
    /// The URL up to and including the application.
    pub tc_url: String,
    /// Name and version of the client.
    pub flash_ver: String,
    /// More properties of `connect`, after the usual ones.
    pub properties: Properties,
    /// Which handshake to start.
    pub handshake: HandshakeKind,
    /// Outbound chunk size in bytes, set once connected.
    pub chunk_size: u32,
    /// The server acknowledges after so many bytes, and is acknowledged after
    /// no more.
    pub window_ack_size: u32,
    /// Limits on what is read.
    pub limits: ReaderLimits,
}

impl ClientConfig {
    /// The usual configuration for an application at a URL, such as "live" at
    /// "rtmp://host/live".
    pub fn new(app: impl Into<String>, tc_url: impl Into<String>) -> Self {
        Self {
            app: app.into(),
            tc_url: tc_url.into(),
            // What encoders say; some servers look for the FMLE in it.
            flash_ver: "FMLE/3.0 (compatible; livehost)".to_owned(),
            properties: Properties::new(),
            handshake: HandshakeKind::Digest,
            chunk_size: 60_000,
            window_ack_size: 2_500_000,
            limits: ReaderLimits::default(),
        }
    }
}

/// What `play` asks for (section 7.2.2.1).
#[derive(Debug, Clone, PartialEq)]
pub struct PlayOptions {
    /// -2: live, else recorded. -1: live. From 0: recorded, from this position
    /// in seconds.
    pub start: f64,
    /// The player's buffer in milliseconds.
    pub buffer_millis: u32,
}

impl Default for PlayOptions {
    fn default() -> Self {
        Self {
            start: -2.0,
            buffer_millis: 3000,
        }
    }
}

/// The client's end of a connection: see the module's page.
#[derive(Debug)]
pub struct ClientSession {
    config: ClientConfig,
    phase: ClientPhase,
    connected: bool,
    /// What waits for the connection to be accepted.
    waiting: VecDeque<Intent>,
    /// What the answers to our calls are for.
    pending: BTreeMap<u32, Pending>,
    last_transaction: u32,
    streams: BTreeMap<u32, ClientStream>,
    events: VecDeque<ClientEvent>,
    /// Bytes of the handshake to send.
    out: BytesMut,
}

#[derive(Debug)]
enum ClientPhase {
    Handshake(Box<ClientHandshake>),
    Messages(Box<Link>),
}

/// What a message stream shall be created for.
#[derive(Debug, Clone, PartialEq)]
enum Intent {
    Publish { name: String, mode: String },
    Play { name: String, options: PlayOptions },
}

/// A call that isn't answered yet.
#[derive(Debug)]
enum Pending {
    Connect,
    CreateStream(Intent),
    /// Of the owner.
    Call,
}

/// What a message stream is for, and whether the server agreed.
#[derive(Debug)]
struct ClientStream {
    intent: Intent,
    started: bool,
}

impl ClientSession {
    /// A session that begins with C0 and C1. `random`: bytes from a good
    /// source; `epoch_ms`: this client's clock in milliseconds.
    pub fn new(config: ClientConfig, random: &[u8; RANDOM_LEN], epoch_ms: u32) -> Self {
        let mut handshake = ClientHandshake::new(config.handshake, random, epoch_ms);
        let mut out = BytesMut::new();
        // Without input there is nothing that could fail.
        let _ = handshake.handle_input(&mut &[][..], &mut out);
        Self {
            config,
            phase: ClientPhase::Handshake(Box::new(handshake)),
            connected: false,
            waiting: VecDeque::new(),
            pending: BTreeMap::new(),
            last_transaction: 0,
            streams: BTreeMap::new(),
            events: VecDeque::new(),
            out,
        }
    }

    /// Reads all of `input`.
    ///
    /// # Errors
    /// The connection must be closed: its bytes can't be understood any more,
    /// or the server broke the protocol.
    pub fn handle_input(&mut self, input: &mut &[u8]) -> Result<(), SessionError> {
        loop {
            match &mut self.phase {
                ClientPhase::Handshake(handshake) => {
                    match handshake.handle_input(input, &mut self.out)? {
                        Progress::NeedMore => return Ok(()),
                        Progress::Done => {
                            let mut link = Link::new(self.config.limits);
                            // Servers that announce no window are acknowledged
                            // all the same, as librtmp and FFmpeg do it.
                            link.acknowledge_within(self.config.window_ack_size);
                            self.phase = ClientPhase::Messages(Box::new(link));
                            self.connect();
                        }
                    }
                }
                ClientPhase::Messages(link) => match link.handle_input(input)? {
                    Some(message) => self.handle_message(message)?,
                    None => return Ok(()),
                },
            }
        }
    }

    /// The next thing to do. Bytes come first.
    pub fn poll_output(&mut self) -> Option<Output<ClientEvent>> {
        if !self.out.is_empty() {
            return Some(Output::Send(std::mem::take(&mut self.out).freeze()));
        }
        if let ClientPhase::Messages(link) = &mut self.phase
            && let Some(bytes) = link.take_output()
        {
            return Some(Output::Send(bytes));
        }
        self.events.pop_front().map(Output::Event)
    }

    /// True once the server accepted `connect`.
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// The message streams of whose next message of media some bytes came since
    /// this was asked last, but not all.
    pub fn media_in_progress(&mut self) -> impl Iterator<Item = u32> + '_ {
        let link = match &mut self.phase {
            ClientPhase::Handshake(_) => None,
            ClientPhase::Messages(link) => Some(link),
        };
        link.into_iter().flat_map(|link| link.media_in_progress())
    }

    /// Bytes held for the peer: messages in the making, and what waits for
    /// [`ClientSession::poll_output`]. Bounded by the limits of the configuration
    /// as long as the output is taken.
    pub fn buffered_bytes(&self) -> usize {
        match &self.phase {
            ClientPhase::Handshake(_) => self.out.len(),
            ClientPhase::Messages(link) => self.out.len().saturating_add(link.buffered_bytes()),
        }
    }

    /// Asks to publish `name`; `mode` is "live", "record" or "append". The
    /// answer is [`ClientEvent::PublishStarted`] or [`ClientEvent::Rejected`].
    pub fn publish(&mut self, name: impl Into<String>, mode: impl Into<String>) {
        self.want(Intent::Publish {
            name: name.into(),
            mode: mode.into(),
        });
    }

    /// Asks to play `name`. The answer is [`ClientEvent::PlayStarted`] or
    /// [`ClientEvent::Rejected`].
    pub fn play(&mut self, name: impl Into<String>, options: PlayOptions) {
        self.want(Intent::Play {
            name: name.into(),
            options,
        });
    }

    /// Ends a publish or a playback and gives its message stream back.
    pub fn delete_stream(&mut self, stream: u32) {
        let Some(state) = self.streams.remove(&stream) else {
            return;
        };
        if let Intent::Publish { name, .. } = state.intent {
            self.call_unanswered("FCUnpublish", vec![name.into()]);
        }
        // Transaction 0: no answer is wanted (section 7.2.2.3).
        let delete = Command::new("deleteStream", 0.0, vec![f64::from(stream).into()]);
        self.send_command(0, &delete);
    }

    /// Calls a procedure of the server; its answer is
    /// [`ClientEvent::CallAnswered`] with the number returned. Call once
    /// connected: before the handshake is done nothing is sent.
    pub fn call(&mut self, name: &str, arguments: Vec<Value>) -> u32 {
        let transaction = self.next_transaction();
        self.pending.insert(transaction, Pending::Call);
        self.send_command(0, &Command::new(name, f64::from(transaction), arguments));
        transaction
    }

    /// Sends an FLV audio tag body, with its time in milliseconds.
    pub fn send_audio(&mut self, stream: u32, timestamp: u32, payload: Bytes) {
        self.send(&Message {
            chunk_stream_id: chunk_stream::AUDIO,
            timestamp,
            type_id: type_id::AUDIO,
            message_stream_id: stream,
            payload,
        });
    }

    /// Sends an FLV video tag body, with its decoding time in milliseconds.
    pub fn send_video(&mut self, stream: u32, timestamp: u32, payload: Bytes) {
        self.send(&Message {
            chunk_stream_id: chunk_stream::VIDEO,
            timestamp,
            type_id: type_id::VIDEO,
            message_stream_id: stream,
            payload,
        });
    }

    /// Sends data, with its time in milliseconds. Metadata that players shall
    /// get goes to `@setDataFrame`, with "onMetaData" as the first value.
    pub fn send_data(&mut self, stream: u32, timestamp: u32, data: &DataMessage) {
        self.send(&data.to_message(chunk_stream::DATA, stream, timestamp));
    }

    /// Asks the server for a sign of life; `millis` comes back in
    /// [`ClientEvent::Pong`].
    pub fn send_ping(&mut self, millis: u32) {
        if let ClientPhase::Messages(link) = &mut self.phase {
            link.send_ping(millis);
        }
    }

    /// The handshake is done: `connect` (section 7.2.1.1).
    fn connect(&mut self) {
        let mut properties = Properties::from([
            ("app", Value::from(self.config.app.as_str())),
            ("type", Value::from("nonprivate")),
            ("flashVer", Value::from(self.config.flash_ver.as_str())),
            ("tcUrl", Value::from(self.config.tc_url.as_str())),
        ]);
        for (name, value) in self.config.properties.iter() {
            properties.push(name, value.clone());
        }
        let transaction = self.next_transaction();
        self.pending.insert(transaction, Pending::Connect);
        let mut connect = Command::new("connect", f64::from(transaction), Vec::new());
        connect.object = properties.into();
        self.send_command(0, &connect);
    }

    /// The server accepted the connection.
    fn start(&mut self) {
        self.connected = true;
        let window = ProtocolControl::WindowAckSize(self.config.window_ack_size);
        if let ClientPhase::Messages(link) = &mut self.phase {
            link.send_control(&window);
            link.set_out_chunk_size(self.config.chunk_size);
        }
        for intent in std::mem::take(&mut self.waiting) {
            self.want(intent);
        }
    }

    fn want(&mut self, intent: Intent) {
        if !self.connected {
            self.waiting.push_back(intent);
            return;
        }
        if let Intent::Publish { name, .. } = &intent {
            let name = Value::from(name.as_str());
            self.call_unanswered("releaseStream", vec![name.clone()]);
            self.call_unanswered("FCPublish", vec![name]);
        }
        let transaction = self.next_transaction();
        self.pending
            .insert(transaction, Pending::CreateStream(intent));
        let create = Command::new("createStream", f64::from(transaction), Vec::new());
        self.send_command(0, &create);
    }

    /// The server created a message stream for this.
    fn use_stream(&mut self, stream: u32, intent: Intent) {
        match &intent {
            Intent::Publish { name, mode } => {
                let arguments = vec![name.as_str().into(), mode.as_str().into()];
                self.send_command(stream, &Command::new("publish", 0.0, arguments));
            }
            Intent::Play { name, options } => {
                let arguments = vec![name.as_str().into(), options.start.into()];
                let buffer = UserControl::SetBufferLength {
                    stream,
                    millis: options.buffer_millis,
                };
                self.send_command(stream, &Command::new("play", 0.0, arguments));
                self.send(&buffer.to_message());
            }
        }
        let started = false;
        self.streams
            .insert(stream, ClientStream { intent, started });
    }

    /// A call whose answer, whatever it is, changes nothing.
    fn call_unanswered(&mut self, name: &str, arguments: Vec<Value>) {
        let transaction = f64::from(self.next_transaction());
        self.send_command(0, &Command::new(name, transaction, arguments));
    }

    fn next_transaction(&mut self) -> u32 {
        self.last_transaction = self.last_transaction.checked_add(1).unwrap_or(1);
        self.last_transaction
    }

    fn send_command(&mut self, stream: u32, command: &Command) {
        self.send(&command.to_message(chunk_stream::COMMAND, stream));
    }

    fn send(&mut self, message: &Message) {
        if let ClientPhase::Messages(link) = &mut self.phase {
            link.send(message);
        }
    }
}
