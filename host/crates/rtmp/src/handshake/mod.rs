//! The handshake that opens every connection: 1 + 1536 + 1536 bytes each way.
//!
//! In: the first received bytes. Out: the bytes to send, and the point where
//! the chunk stream begins. RTMP 1.0 section 5.2 describes the simple
//! handshake (random bytes, echoed). The digest handshake of Flash Player 9 and
//! later is in no specification; `digest.rs` says what it is, and `exchange.rs`
//! what RTMPE adds to it.
//!
//! The random bytes are an argument: nothing in this crate makes any.

mod client;
mod digest;
mod encrypted;
mod exchange;
mod server;

#[cfg(test)]
mod tests;

use thiserror::Error;

pub use client::ClientHandshake;
pub use encrypted::{EncryptedHandshake, SECRET_LEN};
pub use exchange::{Cipher, Ciphers};
pub use server::ServerHandshake;

/// How many random bytes each end of a handshake is given.
pub const RANDOM_LEN: usize = 3072;

/// Bytes that a completed handshake consumed and sent at each end.
pub const HANDSHAKE_LEN: usize = 1 + 2 * PACKET_LEN;

/// Length of C1, S1, C2 and S2 (section 5.2.3).
const PACKET_LEN: usize = 1536;

/// The version in C0 and S0 (section 5.2.2).
const VERSION: u8 = 3;

/// C1, S1, C2 or S2.
type Packet = [u8; PACKET_LEN];

/// How far a handshake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// All input was consumed and more is needed.
    NeedMore,
    /// The chunk stream starts with what is left of the input.
    Done,
}

/// Which handshake a client starts, or a server found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeKind {
    /// As in the specification: random bytes, echoed.
    Simple,
    /// With HMAC-SHA256 digests, as Flash Player 9 and later do.
    Digest,
}

/// Why a handshake failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HandshakeError {
    /// C0 asks for encrypted RTMP (6, 8 or 9).
    #[error("C0 (byte 0): expected version 3, found {found}: RTMPE not enabled on this chain")]
    RtmpeNotEnabled {
        /// The version byte.
        found: u8,
    },
    /// C0 asks for something else where only encrypted RTMP is spoken.
    #[error("C0 (byte 0): expected version 6 of RTMPE, found 0x{found:02x}{}", looks_like(*found))]
    NotEncrypted {
        /// The version byte.
        found: u8,
    },
    /// RTMPE without digests does not exist.
    #[error("C1: expected a digest, which RTMPE has, found none")]
    NoDigest,
    /// The key exchange of RTMPE can't be done.
    #[error("C1: expected a public key of RTMPE, found a number that is none")]
    PublicKey,
    /// The first byte is no RTMP version that anyone uses.
    #[error("{packet} (byte 0): expected version 3, found 0x{found:02x}{}", looks_like(*found))]
    Version {
        /// "C0" or "S0".
        packet: &'static str,
        /// The byte found.
        found: u8,
    },
    /// The echo of our random bytes isn't one (checked on request only).
    #[error("{packet}: expected {expected}, found other bytes")]
    Echo {
        /// "C2" or "S2".
        packet: &'static str,
        /// What it must hold.
        expected: &'static str,
    },
}

/// A guess at what sent a first byte that isn't RTMP.
fn looks_like(byte: u8) -> &'static str {
    match byte {
        0x16 => " (looks like TLS)",
        b'P' => " (looks like HTTP, or a PROXY header from an address that none is expected from)",
        b'\r' => " (looks like a PROXY header from an address that none is expected from)",
        b'A'..=b'Z' => " (looks like HTTP or another text protocol)",
        _ => "",
    }
}

/// Collects packets of known length from input in pieces.
#[derive(Debug, Default)]
struct Collector {
    /// A packet of which the end is to come, or that was taken last.
    begun: Vec<u8>,
}

impl Collector {
    /// Takes from `input`; the packet once it is complete, after which the
    /// next one begins. One that comes whole, as most do, is not copied.
    fn take<'a, 'i: 'a>(&'a mut self, input: &mut &'i [u8]) -> Option<&'a Packet> {
        if self.begun.len() >= PACKET_LEN {
            self.begun.clear();
        }
        if self.begun.is_empty()
            && let Some((packet, rest)) = input.split_first_chunk()
        {
            *input = rest;
            return Some(packet);
        }
        let missing = PACKET_LEN.saturating_sub(self.begun.len());
        let (taken, rest) = input.split_at(missing.min(input.len()));
        self.begun.extend_from_slice(taken);
        *input = rest;
        self.begun.first_chunk()
    }
}

/// C1 or S1: time, version, random bytes (section 5.2.3).
fn first_packet(epoch_ms: u32, version: [u8; 4], random: &[u8]) -> Packet {
    let mut packet = [0; PACKET_LEN];
    let [t0, t1, t2, t3] = epoch_ms.to_be_bytes();
    let [v0, v1, v2, v3] = version;
    if let Some((header, body)) = packet.split_first_chunk_mut() {
        *header = [t0, t1, t2, t3, v0, v1, v2, v3];
        for (slot, byte) in body.iter_mut().zip(random) {
            *slot = *byte;
        }
    }
    packet
}

/// The part of the given random bytes that C1 and S1 use.
fn first_random(random: &[u8; RANDOM_LEN]) -> &[u8] {
    random.get(..PACKET_LEN - 8).unwrap_or_default()
}

/// The part of the given random bytes that a digest C2 or S2 uses.
fn second_random(random: &[u8; RANDOM_LEN]) -> &[u8] {
    random.get(PACKET_LEN - 8..).unwrap_or_default()
}
