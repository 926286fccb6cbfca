//! The client's end: C0 C1 out, S0 S1 in, C2 out, S2 in.

use bytes::{BufMut, BytesMut};

use super::{
    Collector, HandshakeError, HandshakeKind, Packet, Progress, RANDOM_LEN, VERSION,
    digest::{self, Digest, Scheme, Sender},
    first_packet, first_random, second_random,
};

/// The client's end of a handshake.
///
/// A client that starts the digest handshake checks the server's answer to its
/// digest, and goes on with the simple handshake if S1 carries no digest.
#[derive(Debug)]
pub struct ClientHandshake {
    random: Box<[u8; RANDOM_LEN]>,
    c1: Box<Packet>,
    /// The digest in C1, if it has one.
    c1_digest: Option<Digest>,
    collector: Collector,
    state: ClientState,
}

#[derive(Debug, Clone, Copy)]
enum ClientState {
    Start,
    Version,
    First,
    Second(HandshakeKind),
    Done(HandshakeKind),
}

impl ClientHandshake {
    /// `random`: bytes from a good source, sent to the server; `epoch_ms`: this
    /// client's clock in milliseconds, from any origin.
    pub fn new(kind: HandshakeKind, random: &[u8; RANDOM_LEN], epoch_ms: u32) -> Self {
        let scheme = (kind == HandshakeKind::Digest).then_some(Scheme::Zero);
        Self::with_scheme(scheme, random, epoch_ms)
    }

    /// With a digest of this scheme, or without one.
    pub(super) fn with_scheme(
        scheme: Option<Scheme>,
        random: &[u8; RANDOM_LEN],
        epoch_ms: u32,
    ) -> Self {
        let version = scheme.map_or([0; 4], |_| digest::VERSION);
        let mut c1 = first_packet(epoch_ms, version, first_random(random));
        let c1_digest = scheme.map(|scheme| digest::imprint(&mut c1, scheme, Sender::Client));
        Self {
            random: Box::new(*random),
            c1: Box::new(c1),
            c1_digest,
            collector: Collector::default(),
            state: ClientState::Start,
        }
    }

    /// Which handshake the server answered with, once it is done.
    pub fn kind(&self) -> Option<HandshakeKind> {
        match self.state {
            ClientState::Done(kind) => Some(kind),
            _ => None,
        }
    }

    /// Consumes from the front of `input` and appends what to send to `out`.
    /// The first call, with whatever input, appends C0 and C1. What is left of
    /// the input when done is the start of the chunk stream.
    ///
    /// # Errors
    /// Any [`HandshakeError`] ends the connection.
    pub fn handle_input(
        &mut self,
        input: &mut &[u8],
        out: &mut BytesMut,
    ) -> Result<Progress, HandshakeError> {
        loop {
            match self.state {
                ClientState::Start => {
                    out.put_u8(VERSION);
                    out.extend_from_slice(self.c1.as_slice());
                    self.state = ClientState::Version;
                }
                ClientState::Version => {
                    let Some((&found, rest)) = input.split_first() else {
                        return Ok(Progress::NeedMore);
                    };
                    *input = rest;
                    if found != VERSION {
                        return Err(HandshakeError::Version {
                            packet: "S0",
                            found,
                        });
                    }
                    self.state = ClientState::First;
                }
                ClientState::First => {
                    let Some(s1) = self.collector.take(input) else {
                        return Ok(Progress::NeedMore);
                    };
                    let found = self
                        .c1_digest
                        .and_then(|_| digest::find(s1, Sender::Server));
                    if let Some((_, server_digest)) = found {
                        let random = second_random(&self.random);
                        let c2 = digest::second(&server_digest, Sender::Client, random);
                        out.extend_from_slice(&c2);
                        self.state = ClientState::Second(HandshakeKind::Digest);
                    } else {
                        out.extend_from_slice(s1);
                        self.state = ClientState::Second(HandshakeKind::Simple);
                    }
                }
                ClientState::Second(kind) => {
                    let Some(s2) = self.collector.take(input) else {
                        return Ok(Progress::NeedMore);
                    };
                    if kind == HandshakeKind::Digest
                        && let Some(digest) = &self.c1_digest
                        && !digest::second_is_valid(s2, digest, Sender::Server)
                    {
                        return Err(HandshakeError::Echo {
                            packet: "S2",
                            expected: "a digest keyed with that of C1",
                        });
                    }
                    self.state = ClientState::Done(kind);
                }
                ClientState::Done(_) => return Ok(Progress::Done),
            }
        }
    }
}
