//! One connection: its socket, its protocol, and what it is there for.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use rustix::{
    fd::OwnedFd,
    io::Errno,
    net::{AddressFamily, SocketFlags, SocketType, connect, ipproto, socket_with, sockopt},
};
use socket2::SockRef;

use super::{
    skim::{Skim, Skimmed},
    talk::{Agreed, CHUNK_SIZE, Purpose, Talk},
    tally::{Tally, Window},
};
use crate::media::{Body, Stamp, is_keyframe};

/// Chunk size that never splits a message: what the floor speaks.
const WHOLE: usize = 0xFF_FFFF;
/// Receive buffer of a connection that reads slowly, in bytes: its slowness
/// must reach the server, not end in the kernel.
const SLOW_BUFFER: usize = 16 << 10;
/// Of how many messages of a player one is hashed.
const CHECK_EVERY: u32 = 16;

/// Where the server is and how it speaks.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) addr: SocketAddr,
    pub(crate) app: String,
    /// `rtmp://host:port/app`.
    pub(crate) url: String,
    /// No protocol: a greeting of five bytes, then media (`floor.rs`).
    pub(crate) raw: bool,
    /// Largest TCP segment, in bytes; 0 for the interface's own.
    pub(crate) segment: u32,
}

/// What shall be opened.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) purpose: Purpose,
    /// Which tally counts what it receives.
    pub(crate) group: usize,
    pub(crate) reading: Reading,
}

/// When a connection reads what came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// At once.
    Prompt,
    /// At once until it has started, then by the clock, several messages at a
    /// time: cheap, and blind for latency.
    Batched,
    /// So many bytes a second.
    Slow(u32),
}

/// What happened on a connection.
#[derive(Debug)]
pub(crate) enum Happened {
    Connected,
    Started,
    /// The first whole keyframe came.
    Keyframe,
    Closed(anyhow::Error),
}

/// What reading led to, for the owner to act upon.
pub(crate) type Events = Vec<Happened>;

#[derive(Debug)]
enum Phase {
    Handshake(Vec<u8>),
    Messages,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) fd: OwnedFd,
    pub(crate) plan: Plan,
    pub(crate) opened_ns: u64,
    phase: Phase,
    skim: Skim,
    talk: Talk,
    /// What waits for the socket, from `sent` on.
    out: Vec<u8>,
    sent: usize,
    /// Whether epoll watches for room in the socket.
    pub(crate) wants_write: bool,
    /// Message stream and chunk size of what is published.
    stream: u32,
    chunk_size: usize,
    pub(crate) started: bool,
    next_sequence: Option<u64>,
    saw_keyframe: bool,
}

impl Conn {
    /// Begins to connect.
    pub(crate) fn open(target: &Target, plan: Plan, stream: u32, now: u64) -> Result<Self> {
        let family = match target.addr {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))
            .context("cannot open a socket")?;
        sockopt::set_tcp_nodelay(&fd, true)?;
        if target.segment > 0 {
            SockRef::from(&fd).set_tcp_mss(target.segment)?;
        }
        if matches!(plan.reading, Reading::Slow(_)) {
            sockopt::set_socket_recv_buffer_size(&fd, SLOW_BUFFER)?;
        }
        match connect(&fd, &target.addr) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error).context(format!("cannot connect to {}", target.addr)),
        }
        let mut talk = Talk::new(plan.purpose.clone());
        let mut out = talk.out.split().to_vec();
        if target.raw {
            let role = match plan.purpose {
                Purpose::Publish { .. } => b'P',
                Purpose::Play { .. } | Purpose::Idle => b'S',
            };
            out = vec![role];
            out.extend(stream.to_be_bytes());
        }
        let (phase, chunk_size) = match target.raw {
            true => (Phase::Messages, WHOLE),
            false => (Phase::Handshake(Vec::new()), CHUNK_SIZE as usize),
        };
        Ok(Self {
            fd,
            plan,
            opened_ns: now,
            phase,
            skim: Skim::new(if target.raw { WHOLE } else { 128 }, CHECK_EVERY),
            talk,
            out,
            sent: 0,
            wants_write: true,
            stream: 1,
            chunk_size,
            started: target.raw,
            next_sequence: None,
            saw_keyframe: false,
        })
    }

    /// Reads `input`, all that came at `now`.
    ///
    /// # Errors
    /// If the server broke the protocol, or refused.
    pub(crate) fn handle(
        &mut self,
        mut input: &[u8],
        target: &Target,
        now: u64,
        window: Option<Window>,
        tally: &mut Tally,
        events: &mut Events,
    ) -> Result<()> {
        if let Phase::Handshake(received) = &mut self.phase {
            let (part, rest) = input.split_at(input.len().min(Talk::HANDSHAKE - received.len()));
            received.extend_from_slice(part);
            input = rest;
            if received.len() < Talk::HANDSHAKE {
                return Ok(());
            }
            self.talk.handshaken(received, &target.app, &target.url);
            self.phase = Phase::Messages;
        }
        let Self {
            skim,
            talk,
            next_sequence,
            saw_keyframe,
            plan,
            ..
        } = self;
        let mut agreed = Vec::new();
        skim.feed(input, &mut |message: Skimmed<'_>| {
            if let Some(stamp) = Stamp::find(message.kind, message.body) {
                let timely = plan.reading == Reading::Prompt;
                tally.count(window, now, &message, stamp, *next_sequence, timely);
                *next_sequence = Some(stamp.sequence + 1);
                if !*saw_keyframe && is_keyframe(message.kind, message.body) {
                    *saw_keyframe = true;
                    events.push(Happened::Keyframe);
                }
            } else {
                agreed.extend(talk.hear(message.kind, message.body)?);
            }
            Ok(())
        })?;
        talk.acknowledge(skim.received());
        if !self.talk.out.is_empty() {
            self.out.extend_from_slice(&self.talk.out.split());
        }
        for agreed in agreed {
            events.push(match agreed {
                Agreed::Connected => Happened::Connected,
                Agreed::Started(stream) => {
                    (self.started, self.stream) = (true, stream);
                    Happened::Started
                }
            });
        }
        Ok(())
    }

    /// Queues one message as a format 0 chunk and those that continue it.
    /// `stamp` is written over its place in the body.
    pub(crate) fn publish(&mut self, kind: u8, body: &[u8], millis: u32, stamp: Option<Stamp>) {
        let chunk_stream = if kind == crate::media::AUDIO { 4 } else { 6 };
        let [_, a, b, c] = millis.min(0xFF_FFFF).to_be_bytes();
        let [_, d, e, f] = u32::try_from(body.len()).unwrap_or(0xFF_FFFF).to_be_bytes();
        self.out.extend([chunk_stream, a, b, c, d, e, f, kind]);
        self.out.extend(self.stream.to_le_bytes());
        let extended = (millis >= 0xFF_FFFF).then(|| millis.to_be_bytes());
        self.out.extend(extended.into_iter().flatten());
        let start = self.out.len();
        for (index, chunk) in body.chunks(self.chunk_size).enumerate() {
            if index > 0 {
                self.out.push(0xC0 | chunk_stream);
                self.out.extend(extended.into_iter().flatten());
            }
            self.out.extend_from_slice(chunk);
        }
        // The stamp is within the first chunk.
        if let Some(stamp) = stamp
            && let Some(at) = Stamp::offset(kind)
            && let Some(slot) = self.out.get_mut(start + at..start + at + Stamp::LEN)
        {
            slot.copy_from_slice(&stamp.bytes());
        }
    }

    /// [`Conn::publish`] for a body of the model.
    pub(crate) fn publish_body(&mut self, body: &Body, millis: u32, mut stamp: Stamp) {
        stamp.crc = body.crc;
        stamp.len = u32::try_from(body.bytes.len()).unwrap_or(u32::MAX);
        self.publish(body.kind, &body.bytes, millis, Some(stamp));
    }

    /// Says that it leaves; the owner then flushes and drops it.
    pub(crate) fn goodbye(&mut self) {
        if matches!(self.phase, Phase::Messages) && self.chunk_size != WHOLE {
            self.talk.goodbye();
            self.out.extend_from_slice(&self.talk.out.split());
        }
    }

    /// Whether it reads by the clock, not when something came.
    pub(crate) fn reads_by_clock(&self) -> bool {
        match self.plan.reading {
            Reading::Prompt => false,
            Reading::Batched => self.started,
            Reading::Slow(_) => true,
        }
    }

    /// Bytes that wait for the socket.
    pub(crate) fn backlog(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Writes what the socket takes; true if all of it went.
    ///
    /// # Errors
    /// If the connection is lost.
    pub(crate) fn flush(&mut self) -> Result<bool> {
        while let Some(rest) = self.out.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match rustix::io::write(&self.fd, rest) {
                Ok(count) => self.sent += count,
                Err(Errno::AGAIN) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("write"),
            }
        }
        self.out.clear();
        self.sent = 0;
        // Connections are many: none keeps the room of its handshake.
        if self.plan.purpose_needs_no_room() {
            self.out.shrink_to(64);
        }
        Ok(true)
    }
}

impl Plan {
    fn purpose_needs_no_room(&self) -> bool {
        !matches!(self.purpose, Purpose::Publish { .. })
    }
}
