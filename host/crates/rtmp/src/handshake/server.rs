//! The server's end: C0 C1 in, S0 S1 S2 out, C2 in.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};

use super::{
    Collector, HANDSHAKE_LEN, HandshakeError, HandshakeKind, Packet, Progress, RANDOM_LEN, VERSION,
    digest::{self, Digest, Sender},
    first_packet, first_random, second_random,
};

/// The server's end of a handshake.
///
/// It answers in kind: a C1 with a valid digest (of scheme 0 or 1) gets a
/// digest answer of the same scheme, every other C1 the simple one. As all
/// servers do it takes any C2, unless told to be strict.
#[derive(Debug)]
pub struct ServerHandshake {
    random: Arc<[u8; RANDOM_LEN]>,
    epoch_ms: u32,
    strict: bool,
    collector: Collector,
    state: ServerState,
}

#[derive(Debug)]
enum ServerState {
    Version,
    First,
    /// Waiting for C2.
    Second(Sent),
    Done(HandshakeKind),
}

/// What S1 was, to judge C2 by.
#[derive(Debug)]
enum Sent {
    Simple,
    Digest(Digest),
}

impl ServerHandshake {
    /// `random`: bytes from a good source, sent to the client; they protect
    /// nothing, so that sessions may share them. `epoch_ms`: this server's clock
    /// in milliseconds, from any origin.
    pub fn new(random: impl Into<Arc<[u8; RANDOM_LEN]>>, epoch_ms: u32) -> Self {
        Self {
            random: random.into(),
            epoch_ms,
            strict: false,
            collector: Collector::default(),
            state: ServerState::Version,
        }
    }

    /// Whether to refuse a C2 that doesn't answer S1. Real clients get this
    /// wrong, so it is off.
    #[must_use]
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Which handshake the client started, once it is done.
    pub fn kind(&self) -> Option<HandshakeKind> {
        match self.state {
            ServerState::Done(kind) => Some(kind),
            _ => None,
        }
    }

    /// Consumes from the front of `input` and appends what to send to `out`.
    /// What is left of the input when done is the start of the chunk stream.
    ///
    /// # Errors
    /// Any [`HandshakeError`] ends the connection.
    pub fn handle_input(
        &mut self,
        input: &mut &[u8],
        out: &mut BytesMut,
    ) -> Result<Progress, HandshakeError> {
        loop {
            match &self.state {
                ServerState::Version => {
                    let Some((&version, rest)) = input.split_first() else {
                        return Ok(Progress::NeedMore);
                    };
                    *input = rest;
                    match version {
                        VERSION => self.state = ServerState::First,
                        6 | 8 | 9 => {
                            return Err(HandshakeError::RtmpeNotEnabled { found: version });
                        }
                        found => {
                            return Err(HandshakeError::Version {
                                packet: "C0",
                                found,
                            });
                        }
                    }
                }
                ServerState::First => {
                    let Some(packet) = self.collector.take(input) else {
                        return Ok(Progress::NeedMore);
                    };
                    let sent = answer(packet, &self.random, self.epoch_ms, out);
                    self.state = ServerState::Second(sent);
                }
                ServerState::Second(sent) => {
                    let Some(packet) = self.collector.take(input) else {
                        return Ok(Progress::NeedMore);
                    };
                    if self.strict {
                        check(packet, sent, &self.random)?;
                    }
                    self.state = ServerState::Done(match sent {
                        Sent::Simple => HandshakeKind::Simple,
                        Sent::Digest(_) => HandshakeKind::Digest,
                    });
                }
                ServerState::Done(_) => return Ok(Progress::Done),
            }
        }
    }
}

/// Appends S0, S1 and S2 for this C1.
fn answer(c1: &Packet, random: &[u8; RANDOM_LEN], epoch_ms: u32, out: &mut BytesMut) -> Sent {
    out.reserve(HANDSHAKE_LEN);
    out.put_u8(VERSION);
    // A version of zero says "no digest", whatever the rest may look like.
    let has_version = c1.iter().skip(4).take(4).any(|byte| *byte != 0);
    let found = has_version.then(|| digest::find(c1, Sender::Client));
    if let Some((scheme, client_digest)) = found.flatten() {
        let mut s1 = first_packet(epoch_ms, digest::VERSION, first_random(random));
        let own_digest = digest::imprint(&mut s1, scheme, Sender::Server);
        out.extend_from_slice(&s1);
        let s2 = digest::second(&client_digest, Sender::Server, second_random(random));
        out.extend_from_slice(&s2);
        return Sent::Digest(own_digest);
    }
    let s1 = first_packet(epoch_ms, [0; 4], first_random(random));
    out.extend_from_slice(&s1);
    // An exact echo: section 5.2.4 would have the time of reading in bytes 4 to
    // 7, but librtmp compares all of it and warns.
    out.extend_from_slice(c1);
    Sent::Simple
}

/// Whether C2 answers S1.
fn check(c2: &Packet, sent: &Sent, random: &[u8; RANDOM_LEN]) -> Result<(), HandshakeError> {
    let (good, expected) = match sent {
        // Bytes 4 to 7 may be the time of reading (section 5.2.4).
        Sent::Simple => (
            c2.get(8..) == Some(first_random(random)),
            "an echo of the random bytes of S1",
        ),
        Sent::Digest(digest) => (
            digest::second_is_valid(c2, digest, Sender::Client),
            "a digest keyed with that of S1",
        ),
    };
    if good {
        Ok(())
    } else {
        Err(HandshakeError::Echo {
            packet: "C2",
            expected,
        })
    }
}
