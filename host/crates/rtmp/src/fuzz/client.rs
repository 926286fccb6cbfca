//! A client session with an owner that wants what the program says, and what
//! must hold whatever its server sends.

use bytes::BytesMut;

use super::{program::FuzzProgram, server::LIMITS, server::MAX_HELD, speech};
use crate::{
    data::DataMessage,
    handshake::{HandshakeKind, RANDOM_LEN},
    session::{
        Output, SessionError,
        client::{ClientConfig, ClientEvent, ClientSession, PlayOptions},
    },
};

/// Bytes sent for one received, at most, and for an order of the owner.
const GAIN: usize = 64;
const ORDER: usize = 4096;

/// A session, and what it sent.
#[derive(Debug)]
pub(super) struct ClientEnd {
    session: ClientSession,
    pub(super) sent: BytesMut,
    sent_count: usize,
    allowed: usize,
    /// Bytes that the session took, and what it made of them.
    taken: usize,
    events: usize,
    /// Media messages given to it to be sent.
    pub(super) media: usize,
    /// Whether the owner spoke values that the peer may not read: too deep, or
    /// too long.
    pub(super) called: bool,
}

impl ClientEnd {
    pub(super) fn new(kind: HandshakeKind, seed: u8) -> Self {
        let config = ClientConfig {
            handshake: kind,
            chunk_size: 4096,
            limits: LIMITS,
            ..ClientConfig::new("live", "rtmp://localhost/live")
        };
        let mut end = Self {
            session: ClientSession::new(config, &[seed; RANDOM_LEN], 0),
            sent: BytesMut::new(),
            sent_count: 0,
            allowed: ORDER,
            taken: 0,
            events: 0,
            media: 0,
            called: false,
        };
        end.drain(0);
        end
    }

    /// An order of the owner.
    pub(super) fn order(&mut self, program: &mut FuzzProgram<'_>) -> Option<()> {
        let kind = program.byte()? % 8;
        let stream = u32::from(program.byte()? % 6);
        self.allowed += ORDER;
        match kind {
            0 | 1 => {
                let name = program.text()?;
                // releaseStream, FCPublish, publish and later FCUnpublish.
                self.allowed += 4 * name.len();
                if kind == 0 {
                    let mode = program.text()?;
                    self.allowed += mode.len();
                    self.session.publish(name, mode);
                } else {
                    self.session.play(name, PlayOptions::default());
                }
            }
            2 => {
                let (name, values) = (program.text()?, program.values()?);
                // Values are as long as what the program spent on them, but
                // for texts of the table.
                self.allowed += 64 * ORDER;
                self.called = true;
                self.session.call(&name, values);
            }
            3 => self.session.delete_stream(stream),
            4 => self.session.send_ping(program.number()?),
            5 | 6 => {
                let timestamp = program.number()?;
                let body = speech::body(program)?;
                // In chunks of 128 until the size is set.
                self.allowed += 2 * body.len();
                self.media += 1;
                if kind == 5 {
                    self.session.send_audio(stream, timestamp, body);
                } else {
                    self.session.send_video(stream, timestamp, body);
                }
            }
            _ => {
                let data = DataMessage {
                    handler: program.text()?,
                    values: Vec::new(),
                };
                self.allowed += data.handler.len();
                self.media += 1;
                self.session.send_data(stream, 0, &data);
            }
        }
        self.drain(0);
        Some(())
    }

    /// Gives the session what came, at most `piece` bytes at a time.
    pub(super) fn receive(&mut self, bytes: &[u8], piece: usize) -> Result<(), SessionError> {
        for part in bytes.chunks(piece.max(1)) {
            let mut input = part;
            let outcome = self.session.handle_input(&mut input);
            let taken = part.len() - input.len();
            self.allowed += GAIN * taken;
            self.drain(taken);
            outcome?;
            assert!(input.is_empty(), "a client reads everything");
        }
        Ok(())
    }

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
                    if let ClientEvent::Audio(message)
                    | ClientEvent::Video(message)
                    | ClientEvent::Data(message) = event
                    {
                        payload += message.payload.len();
                    }
                }
            }
        }
        // Not of these bytes alone: the last one of an aggregate makes all of
        // its messages.
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
}
