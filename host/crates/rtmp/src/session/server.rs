//! The server's end of a connection.
//!
//! Flows in: received bytes ([`ServerSession::handle_input`]) and the owner's
//! answers (`accept_*`, `reject_*`, ...). Flows out, through
//! [`ServerSession::poll_output`]: bytes to send, and events to act on.
//!
//! An event that asks for a decision ([`ServerEvent::is_question`]) stops the
//! reading: input is not consumed until it is answered, so commands that a
//! client sends ahead are handled in order and cost the server nothing but
//! the bytes that the owner agrees to hold.

mod commands;
mod event;
mod replies;

use std::{collections::VecDeque, sync::Arc};

use bytes::{Bytes, BytesMut};
use litemap::LiteMap;

pub use event::{Connect, Media, MediaKind, Play, Publish, ServerEvent, StreamStop};

use super::capabilities::Capabilities;
use super::{Link, Output, SessionError};
use crate::aggregate;
use crate::chunk::ReaderLimits;
use crate::command::Command;
use crate::control::{ProtocolControl, UserControl};
use crate::data;
use crate::handshake::{Progress, RANDOM_LEN, ServerHandshake};
use crate::message::{Message, type_id};

/// What may be held of the messages of a client that was not let in yet, in
/// bytes. The longest is its `connect`.
const MAX_BEFORE_CONNECT: u32 = 64 << 10;

/// What the server tells and allows its clients.
#[derive(Debug, Clone, Copy)]
pub struct ServerConfig {
    /// Limits on what is read from a client that publishes.
    pub limits: ReaderLimits,
    /// The longest message of one that was let in and does not publish, in
    /// bytes: calls and shared objects.
    pub max_call_size: u32,
    /// Outbound chunk size in bytes, unless a connection is granted another.
    pub chunk_size: u32,
    /// The client acknowledges after so many bytes, and the server's own
    /// sending is announced as limited to the same (RTMP 1.0 section 5.4.4).
    pub window_ack_size: u32,
    /// Message streams a client may hold at once.
    pub max_streams: usize,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            limits: ReaderLimits::default(),
            max_call_size: 512 << 10,
            chunk_size: 60_000,
            window_ack_size: 2_500_000,
            max_streams: 32,
        }
    }
}

impl ServerConfig {
    /// Limits on what is read until `connect` is accepted.
    fn before_connect(&self) -> ReaderLimits {
        let size = MAX_BEFORE_CONNECT.min(self.without_publication().max_message_size);
        ReaderLimits {
            max_message_size: size,
            max_ignored_size: 0,
            max_held_bytes: size as usize,
            ..self.limits
        }
    }

    /// Limits on what is read of a client that publishes nothing. Media is
    /// nothing to it, but encoders send some before they hear that they may
    /// not, and after they were told that it is over.
    fn without_publication(&self) -> ReaderLimits {
        let size = self.max_call_size.min(self.limits.max_message_size);
        let held = ReaderLimits::of_messages(size).max_held_bytes;
        ReaderLimits {
            max_message_size: size,
            max_ignored_size: self.limits.max_message_size,
            max_held_bytes: held.min(self.limits.max_held_bytes),
            ..self.limits
        }
    }
}

/// The server's end of a connection: see the module's page.
#[derive(Debug)]
pub struct ServerSession {
    config: ServerConfig,
    phase: ServerPhase,
    connection: ConnectState,
    /// None if the client announced nothing of Enhanced RTMP.
    capabilities: Option<Box<Capabilities>>,
    streams: LiteMap<u32, ServerStream>,
    next_stream: u32,
    /// It speaks of shared objects in AMF3.
    shares_in_amf3: bool,
    /// The answer the client waits for; nothing is read until it is given.
    question: Option<PendingQuestion>,
    /// Players alone are told the chunk size, see [`Self::after_handshake`].
    spares_publishers: bool,
    /// The one that a player is still to be told.
    chunk_size_of_players: Option<u32>,
    events: VecDeque<ServerEvent>,
    out: BytesMut,
}

#[derive(Debug)]
enum ServerPhase {
    Handshake(Box<ServerHandshake>),
    Messages(Box<Link>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConnectState {
    Unconnected,
    Connected,
    Closed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum ServerStream {
    Idle,
    Publishing { name: String },
    Playing,
}

#[derive(Debug, Clone, PartialEq)]
enum PendingQuestion {
    Connect {
        transaction: f64,
        object_encoding: f64,
    },
    Publish {
        stream: u32,
        name: String,
    },
    Play {
        stream: u32,
        name: String,
        reset: bool,
    },
    Call {
        transaction: f64,
        name: String,
    },
    SharedObject,
}

impl ServerSession {
    /// A session that waits for C0. `random` seeds the handshake, `epoch_ms`
    /// is the server's timestamp in S1.
    pub fn new(
        config: ServerConfig,
        random: impl Into<Arc<[u8; RANDOM_LEN]>>,
        epoch_ms: u32,
    ) -> Self {
        let handshake = ServerHandshake::new(random, epoch_ms);
        Self::in_phase(config, ServerPhase::Handshake(Box::new(handshake)))
    }

    /// A session whose handshake was done below it: that of RTMPE.
    ///
    /// Its publishers are told no chunk size: FFmpeg echoes the message, and
    /// having encrypted it in place reads the size out of what that left
    /// (`rtmpproto.c`: `handle_chunk_size`).
    pub fn after_handshake(config: ServerConfig) -> Self {
        let link = Link::new(config.before_connect());
        Self {
            spares_publishers: true,
            ..Self::in_phase(config, ServerPhase::Messages(Box::new(link)))
        }
    }

    fn in_phase(config: ServerConfig, phase: ServerPhase) -> Self {
        Self {
            config,
            phase,
            connection: ConnectState::Unconnected,
            capabilities: None,
            streams: LiteMap::new(),
            next_stream: 1,
            shares_in_amf3: false,
            question: None,
            spares_publishers: false,
            chunk_size_of_players: None,
            events: VecDeque::new(),
            out: BytesMut::new(),
        }
    }

    /// Reads from the front of `input` until it is used up or a question is
    /// open. What is left belongs to the caller, to be given again.
    ///
    /// # Errors
    /// The connection must be closed: its bytes can't be understood any more.
    pub fn handle_input(&mut self, input: &mut &[u8]) -> Result<(), SessionError> {
        while self.question.is_none() && self.connection != ConnectState::Closed {
            match &mut self.phase {
                ServerPhase::Handshake(handshake) => {
                    match handshake.handle_input(input, &mut self.out)? {
                        Progress::NeedMore => return Ok(()),
                        Progress::Done => {
                            let link = Link::new(self.config.before_connect());
                            self.phase = ServerPhase::Messages(Box::new(link));
                        }
                    }
                }
                ServerPhase::Messages(link) => match link.handle_input(input)? {
                    Some(message) => self.handle_message(message)?,
                    None => return Ok(()),
                },
            }
        }
        Ok(())
    }

    /// The next thing to do. Bytes come first.
    pub fn poll_output(&mut self) -> Option<Output<ServerEvent>> {
        if let Some(bytes) = self.poll_bytes() {
            return Some(Output::Send(bytes));
        }
        let event = self.events.pop_front().map(Output::Event);
        if event.is_none() && !self.is_publishing() {
            // One that only plays needs no room for events.
            self.events = VecDeque::new();
        }
        event
    }

    /// The bytes to send, without the events: what the owner's own answers
    /// and notifications have just queued.
    pub fn poll_bytes(&mut self) -> Option<Bytes> {
        if !self.out.is_empty() {
            return Some(std::mem::take(&mut self.out).freeze());
        }
        match &mut self.phase {
            ServerPhase::Handshake(_) => None,
            ServerPhase::Messages(link) => link.take_output(),
        }
    }

    /// True once the handshake is done.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, ServerPhase::Messages(_))
    }

    /// True once `connect` was accepted.
    pub fn is_connected(&self) -> bool {
        self.connection == ConnectState::Connected
    }

    /// What of Enhanced RTMP the client announced with its `connect`; none if
    /// nothing.
    pub fn capabilities(&self) -> Option<&Capabilities> {
        self.capabilities.as_deref()
    }

    /// True while an answer is due.
    pub fn is_waiting(&self) -> bool {
        self.question.is_some()
    }

    /// The message streams that are published, and of whose next message some
    /// bytes came since this was asked last, but not all.
    pub fn media_in_progress(&mut self) -> impl Iterator<Item = u32> + '_ {
        let link = match &mut self.phase {
            ServerPhase::Handshake(_) => None,
            ServerPhase::Messages(link) => Some(link),
        };
        let streams = &self.streams;
        let progress = link.into_iter().flat_map(|link| link.media_in_progress());
        progress
            .filter(|stream| matches!(streams.get(stream), Some(ServerStream::Publishing { .. })))
    }

    /// Reads within the limits that belong to what the client was granted.
    fn follow_trust(&mut self) {
        let limits = if self.is_publishing() {
            self.config.limits
        } else {
            self.config.without_publication()
        };
        if let ServerPhase::Messages(link) = &mut self.phase {
            link.set_limits(limits);
        }
    }

    fn is_publishing(&self) -> bool {
        self.streams
            .values()
            .any(|state| matches!(state, ServerStream::Publishing { .. }))
    }

    /// Bytes of messages whose end has not come yet.
    pub fn partial_bytes(&self) -> usize {
        match &self.phase {
            ServerPhase::Handshake(_) => 0,
            ServerPhase::Messages(link) => link.partial_bytes(),
        }
    }

    /// Bytes held for the peer: messages in the making, and what waits for
    /// [`ServerSession::poll_output`]. Bounded by the limits of the configuration
    /// as long as the output is taken.
    pub fn buffered_bytes(&self) -> usize {
        match &self.phase {
            ServerPhase::Handshake(_) => self.out.len(),
            ServerPhase::Messages(link) => self.out.len().saturating_add(link.buffered_bytes()),
        }
    }

    fn handle_message(&mut self, message: Message) -> Result<(), SessionError> {
        match message.type_id {
            type_id::COMMAND_AMF0 | type_id::COMMAND_AMF3 => {
                let command = Command::decode(&message)?;
                self.handle_command(message.message_stream_id, command)
            }
            type_id::AUDIO => {
                self.handle_media(MediaKind::Audio, &message, message.payload.clone());
                Ok(())
            }
            type_id::VIDEO => {
                self.handle_media(MediaKind::Video, &message, message.payload.clone());
                Ok(())
            }
            type_id::DATA_AMF0 | type_id::DATA_AMF3 => {
                self.handle_data(&message);
                Ok(())
            }
            type_id::AGGREGATE => {
                for part in aggregate::split(&message)? {
                    // An aggregate holds media only: no recursion, no commands.
                    if part.type_id != type_id::AGGREGATE {
                        self.handle_message_of_aggregate(&part);
                    }
                }
                Ok(())
            }
            type_id::USER_CONTROL => {
                if let Ok(ProtocolControl::UserControl(control)) =
                    ProtocolControl::decode(message.type_id, &message.payload)
                {
                    self.handle_user_control(&control);
                }
                Ok(())
            }
            type_id::SHARED_OBJECT_AMF0 | type_id::SHARED_OBJECT_AMF3 => {
                self.handle_shared_object(message)
            }
            // Protocol control was applied by the link; types nobody defined
            // are passed over.
            _ => Ok(()),
        }
    }

    fn handle_message_of_aggregate(&mut self, part: &Message) {
        match part.type_id {
            type_id::AUDIO => self.handle_media(MediaKind::Audio, part, part.payload.clone()),
            type_id::VIDEO => self.handle_media(MediaKind::Video, part, part.payload.clone()),
            type_id::DATA_AMF0 | type_id::DATA_AMF3 => self.handle_data(part),
            _ => {}
        }
    }

    fn handle_data(&mut self, message: &Message) {
        self.handle_media(MediaKind::Data, message, data::relayed_payload(message));
    }

    fn handle_media(&mut self, kind: MediaKind, message: &Message, payload: Bytes) {
        // Encoders may go on sending for a moment after their publish ended.
        if let Some(ServerStream::Publishing { .. }) = self.streams.get(&message.message_stream_id)
        {
            self.events.push_back(ServerEvent::Media(Media {
                stream: message.message_stream_id,
                kind,
                timestamp: message.timestamp,
                payload,
            }));
        }
    }

    fn handle_shared_object(&mut self, message: Message) -> Result<(), SessionError> {
        if self.connection != ConnectState::Connected {
            return Err(SessionError::Violation {
                expected: "connect as the first command",
                found: "a shared object message".to_owned(),
            });
        }
        self.shares_in_amf3 = message.type_id == type_id::SHARED_OBJECT_AMF3;
        self.question = Some(PendingQuestion::SharedObject);
        self.events.push_back(ServerEvent::SharedObject(message));
        Ok(())
    }

    fn handle_user_control(&mut self, control: &UserControl) {
        match control {
            UserControl::PingResponse(_) => self.events.push_back(ServerEvent::Pong),
            UserControl::SetBufferLength { stream, millis } => {
                self.events.push_back(ServerEvent::BufferLength {
                    stream: *stream,
                    millis: *millis,
                });
            }
            _ => {}
        }
    }
}
