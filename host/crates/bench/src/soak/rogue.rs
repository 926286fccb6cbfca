//! Clients that hardly speak RTMP: noise, silence, other protocols.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

use anyhow::{Context as _, Result};

use crate::clock::{SECOND, now_ns};

/// The server must have closed it by then.
const LIMIT: u64 = 20 * SECOND;
const PACKET: usize = 1536;

/// What it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Bytes that are no protocol.
    Noise,
    /// Nothing at all.
    Silence,
    /// C0 and half of C1.
    HalfHandshake,
    /// A whole handshake, then bytes that are no chunk stream.
    NoiseAfterHandshake,
    /// A request of another protocol.
    Http,
}

impl Kind {
    fn bytes(self, seed: u8) -> Vec<u8> {
        let noise = |len: usize| (0..len).map(move |at| at.to_le_bytes()[0] ^ seed | 0xC0);
        match self {
            Self::Noise => noise(5000).collect(),
            Self::Silence => Vec::new(),
            Self::HalfHandshake => {
                let mut bytes = vec![3];
                bytes.extend(noise(PACKET / 2));
                bytes
            }
            Self::NoiseAfterHandshake => {
                let mut bytes = vec![3, 0, 0, 0, 0, 0, 0, 0, 0];
                bytes.extend(noise(PACKET - 8));
                // C2, which needn't be an echo; then format 3 headers of chunk
                // streams that were never opened.
                bytes.extend(noise(PACKET + 4000));
                bytes
            }
            Self::Http => b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        }
    }
}

/// One of them.
#[derive(Debug)]
pub(super) struct Rogue {
    socket: TcpStream,
    rest: Vec<u8>,
    opened_ns: u64,
}

/// How it fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Open,
    /// By the server, as it should be.
    Closed,
    /// Still open after its time.
    Forgotten,
}

impl Rogue {
    pub(super) fn open(addr: SocketAddr, kind: Kind, seed: u8) -> Result<Self> {
        let socket = TcpStream::connect(addr).context("cannot connect")?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            rest: kind.bytes(seed),
            opened_ns: now_ns(),
        })
    }

    /// Sends what goes and reads what came.
    pub(super) fn look(&mut self) -> Fate {
        if !self.rest.is_empty() {
            match self.socket.write(&self.rest) {
                Ok(count) => drop(self.rest.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return Fate::Closed,
            }
        }
        let mut buffer = [0; 8192];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => return Fate::Closed,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return Fate::Closed,
            }
        }
        if now_ns() > self.opened_ns + LIMIT {
            Fate::Forgotten
        } else {
            Fate::Open
        }
    }
}
