//! A server session with an owner that answers as the program says, and what
//! must hold whatever its client sends.

use std::collections::BTreeSet;

use bytes::{Buf as _, BytesMut};

use super::program::FuzzProgram;
use crate::{
    chunk::ReaderLimits,
    handshake::RANDOM_LEN,
    session::{
        Output, SessionError,
        server::{ServerConfig, ServerEvent, ServerSession},
    },
    shared_object::SharedObjectMessage,
};

/// Small, so that a short program passes them.
pub(super) const LIMITS: ReaderLimits = ReaderLimits {
    max_message_size: 1 << 16,
    max_ignored_size: 0,
    max_chunk_streams: 8,
    max_held_bytes: 1 << 17,
};
/// Smaller, so that a publication makes a difference.
const MAX_CALL: u32 = 1 << 14;

/// Most bytes held for a peer: what [`LIMITS`] say.
pub(super) const MAX_HELD: usize = LIMITS.max_held_bytes;

/// Bytes sent for one received, at most: a ping costs 7 and gives 12, the
/// shortest `play` gives some hundred.
const GAIN: usize = 64;

/// Bytes sent for an answer or an order of the owner, without its own texts.
const ORDER: usize = 4096;

/// The owner's next answers.
#[derive(Debug, Clone, Copy, Default)]
struct Manner {
    refuse: bool,
    /// Deliveries before an answer.
    patience: u8,
    chunk_size: Option<u32>,
}

/// A session, its owner's view of it, and what waits on both sides.
#[derive(Debug)]
pub(super) struct ServerEnd {
    session: ServerSession,
    manner: Manner,
    waited: u8,
    question: Option<ServerEvent>,
    publishing: BTreeSet<u32>,
    playing: BTreeSet<u32>,
    /// Received, and not read while an answer is due.
    held: BytesMut,
    /// Sent; taken by whoever needs it.
    pub(super) sent: BytesMut,
    sent_count: usize,
    allowed: usize,
    /// Bytes that the session took, and what it made of them.
    taken: usize,
    events: usize,
    pub(super) media: usize,
    /// Chunks of what is sent, once connected.
    pub(super) chunk_size: Option<u32>,
    pub(super) closed: bool,
}

impl ServerEnd {
    pub(super) fn new(seed: u8) -> Self {
        let config = ServerConfig {
            limits: LIMITS,
            max_call_size: MAX_CALL,
            max_streams: 4,
            ..ServerConfig::default()
        };
        Self {
            session: ServerSession::new(config, [seed; RANDOM_LEN], 1),
            manner: Manner::default(),
            waited: 0,
            question: None,
            publishing: BTreeSet::new(),
            playing: BTreeSet::new(),
            held: BytesMut::new(),
            sent: BytesMut::new(),
            sent_count: 0,
            allowed: ORDER,
            taken: 0,
            events: 0,
            media: 0,
            chunk_size: None,
            closed: false,
        }
    }

    /// An order of the owner, or how it answers from now on.
    pub(super) fn order(&mut self, program: &mut FuzzProgram<'_>) -> Option<()> {
        let kind = program.byte()? % 8;
        let stream = u32::from(program.byte()?);
        self.allowed += ORDER;
        match kind {
            0 => {
                let name = program.text()?;
                self.allowed += name.len();
                self.session.notify_published(stream, &name);
            }
            1 => {
                let name = program.text()?;
                self.allowed += name.len();
                self.session.notify_unpublished(stream, &name);
            }
            2 => {
                let code = "NetStream.Unpublish.Success";
                self.session.end_stream(stream, "status", code, "over");
                self.publishing.remove(&stream);
                self.playing.remove(&stream);
            }
            3 => {
                self.session
                    .announce_close("NetConnection.Connect.Closed", "over");
                self.closed = true;
            }
            4 => self.session.send_ping(stream),
            _ => {
                self.manner = Manner {
                    refuse: stream & 1 == 1,
                    patience: program.byte()? % 4,
                    chunk_size: program.pick(&[None, Some(1), Some(60_000), Some(1 << 20)])?,
                };
            }
        }
        self.drain(0);
        Some(())
    }

    /// Gives the session what came, at most `piece` bytes at a time, and
    /// answers what it asks.
    pub(super) fn receive(&mut self, bytes: &[u8], piece: usize) -> Result<(), SessionError> {
        self.held.extend_from_slice(bytes);
        loop {
            if self.question.is_some() {
                if self.waited < self.manner.patience {
                    self.waited += 1;
                    return Ok(());
                }
                self.answer();
            }
            let offered = self.held.len().min(piece);
            let mut input = self.held.get(..offered).unwrap_or_default();
            let outcome = self.session.handle_input(&mut input);
            let taken = offered - input.len();
            let left = input.len();
            self.held.advance(taken);
            self.allowed += GAIN * taken;
            self.drain(taken);
            outcome?;
            assert!(
                left == 0 || self.question.is_some() || self.closed,
                "input is left, and nothing is asked"
            );
            assert_eq!(self.session.is_waiting(), self.question.is_some());
            if self.closed || (self.held.is_empty() && self.question.is_none()) {
                return Ok(());
            }
        }
    }

    /// Takes what the session says after reading so many bytes.
    fn drain(&mut self, taken: usize) {
        self.taken += taken;
        let mut payload = 0;
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Send(bytes) => {
                    self.sent_count += bytes.len();
                    self.sent.extend_from_slice(&bytes);
                }
                Output::Event(event) => {
                    self.events += 1;
                    if let ServerEvent::Media(media) = &event {
                        payload += media.payload.len();
                    }
                    self.handle(event);
                }
            }
        }
        // A message has a header, and all of its body was sent, if not now:
        // the last byte of an aggregate makes all of its messages. What was
        // begun earlier is within the limits.
        let (events, read) = (self.events, self.taken);
        assert!(events <= read, "{events} events of {read} bytes");
        assert!(payload <= taken + LIMITS.max_held_bytes);
        assert!(
            self.sent_count <= self.allowed,
            "{} bytes sent, {} allowed",
            self.sent_count,
            self.allowed
        );
        let held = self.session.buffered_bytes();
        assert!(held <= MAX_HELD, "{held} bytes held");
    }

    fn handle(&mut self, event: ServerEvent) {
        match &event {
            ServerEvent::Unpublish { stream, .. } => {
                assert!(self.publishing.remove(stream), "unpublished unasked");
            }
            ServerEvent::StopPlay { stream, .. } => {
                assert!(self.playing.remove(stream), "stopped unasked");
            }
            ServerEvent::Media(media) => {
                assert!(self.publishing.contains(&media.stream), "not published");
                self.media += 1;
            }
            ServerEvent::Pause { stream, .. } | ServerEvent::Receive { stream, .. } => {
                assert!(self.playing.contains(stream), "not played");
            }
            _ => {}
        }
        if event.is_question() {
            assert!(self.question.is_none(), "two questions");
            self.question = Some(event);
        }
    }

    fn answer(&mut self) {
        self.waited = 0;
        self.allowed += ORDER;
        let refuse = self.manner.refuse;
        match self.question.take() {
            Some(ServerEvent::Connect(_)) if refuse => {
                self.session
                    .reject_connect("NetConnection.Connect.Rejected", "no", None);
                self.closed = true;
            }
            Some(ServerEvent::Connect(_)) => {
                let size = self.manner.chunk_size.unwrap_or(4096);
                self.chunk_size = Some(size);
                self.session.accept_connect(Some(size), None);
            }
            Some(ServerEvent::Publish(publish)) if !refuse => {
                assert!(self.publishing.insert(publish.stream), "published twice");
                assert!(!self.playing.contains(&publish.stream), "played as well");
                self.session.accept_publish();
            }
            Some(ServerEvent::Play(play)) if !refuse => {
                assert!(self.playing.insert(play.stream), "played twice");
                assert!(!self.publishing.contains(&play.stream), "published as well");
                self.session.accept_play();
            }
            Some(ServerEvent::Publish(_) | ServerEvent::Play(_)) => {
                self.session.reject_stream("NetStream.Failed", "no", None);
            }
            Some(ServerEvent::Call { arguments, .. }) => {
                let answer = if refuse {
                    Err("no".to_owned())
                } else {
                    Ok(arguments)
                };
                self.session.answer_call(answer);
            }
            Some(ServerEvent::SharedObject(message)) => {
                self.session.finish_shared_object();
                if !refuse && let Ok(message) = SharedObjectMessage::decode(&message) {
                    let body = message.encode();
                    self.allowed += body.len();
                    self.session.send_shared_object(body);
                }
            }
            _ => {}
        }
        self.drain(0);
        assert!(!self.session.is_waiting(), "an answer is still due");
    }
}
