//! The digest handshake, as Flash Player 9 and Flash Media Server 3 brought it
//! and their successors, FFmpeg and OBS among them, still use it.
//!
//! It is not in RTMP 1.0; the facts are common knowledge of open-source
//! implementations:
//!
//! - C1 and S1 carry a non-zero version in bytes 4 to 7, and a 32-byte digest
//!   at a place that four of their bytes say: bytes 8 to 11 for scheme 0, bytes
//!   772 to 775 for scheme 1; their sum modulo 728 counts from the byte after.
//! - The digest is HMAC-SHA256 of the other 1504 bytes, keyed with the first 30
//!   bytes of the player's key (C1) or the first 36 of the server's (S1): the
//!   readable part of it.
//! - S2 and C2 are 1504 random bytes and their HMAC-SHA256. Its key is the
//!   HMAC-SHA256 of the peer's digest (of C1, of S1) under the full key of who
//!   sends.
//!
//! The keys are public: this proves nothing about who is at the other end.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::exchange::{KEY_LEN, Key};
use super::{PACKET_LEN, Packet};

/// Length of a digest in bytes.
const DIGEST_LEN: usize = 32;

/// An HMAC-SHA256 value.
pub(super) type Digest = [u8; DIGEST_LEN];

/// Which end sends the packet: its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    Client,
    Server,
}

/// Where the digest of a C1 or S1 is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// In the first half, behind an offset at byte 8.
    Zero,
    /// In the second half, behind an offset at byte 772.
    One,
}

/// The version that our C1 and S1 show; peers look for "not zero" and, in a
/// server, for at least 3 in the first byte.
pub(super) const VERSION: [u8; 4] = [4, 5, 0, 1];

const PLAYER_TEXT: &[u8] = b"Genuine Adobe Flash Player 001";
const SERVER_TEXT: &[u8] = b"Genuine Adobe Flash Media Server 001";
const KEY_TAIL: [u8; 32] = [
    0xF0, 0xEE, 0xC2, 0x4A, 0x80, 0x68, 0xBE, 0xE8, 0x2E, 0x00, 0xD0, 0xD1, 0x02, 0x9E, 0x7E, 0x57,
    0x6E, 0xEC, 0x5D, 0x2D, 0x29, 0x80, 0x6F, 0xAB, 0x93, 0xB8, 0xE6, 0x36, 0xCF, 0xEB, 0x31, 0xAE,
];

impl Sender {
    fn text(self) -> &'static [u8] {
        match self {
            Self::Client => PLAYER_TEXT,
            Self::Server => SERVER_TEXT,
        }
    }
}

impl Scheme {
    /// Where the digest of `packet` begins: 12 to 739 or 776 to 1503.
    fn position(self, packet: &Packet) -> usize {
        let at = match self {
            Self::Zero => 8,
            Self::One => 772,
        };
        let offset: usize = packet
            .iter()
            .skip(at)
            .take(4)
            .map(|byte| usize::from(*byte))
            .sum();
        at + 4 + offset % 728
    }
}

impl Scheme {
    /// Where the public key of RTMPE begins: 772 to 1403 or 8 to 639.
    fn key_position(self, packet: &Packet) -> usize {
        let (at, start) = match self {
            Self::Zero => (1532, 772),
            Self::One => (768, 8),
        };
        let offset: usize = packet
            .iter()
            .skip(at)
            .take(4)
            .map(|byte| usize::from(*byte))
            .sum();
        start + offset % 632
    }

    /// The public key in a C1 or S1 of RTMPE.
    pub(super) fn public_key(self, packet: &Packet) -> Option<&Key> {
        let position = self.key_position(packet);
        packet.get(position..)?.first_chunk::<KEY_LEN>()
    }

    /// Its place.
    pub(super) fn public_key_mut(self, packet: &mut Packet) -> Option<&mut Key> {
        let position = self.key_position(packet);
        packet.get_mut(position..)?.first_chunk_mut::<KEY_LEN>()
    }
}

/// The digest of a C1 or S1 and its scheme, if it has a valid one.
pub(super) fn find(packet: &Packet, sender: Sender) -> Option<(Scheme, Digest)> {
    [Scheme::Zero, Scheme::One].into_iter().find_map(|scheme| {
        let (before, digest, after) = split(packet, scheme.position(packet))?;
        (hmac(sender.text(), &[before, after]) == *digest).then_some((scheme, *digest))
    })
}

/// Puts the digest into a C1 or S1 and returns it.
pub(super) fn imprint(packet: &mut Packet, scheme: Scheme, sender: Sender) -> Digest {
    let position = scheme.position(packet);
    let digest = split(packet, position)
        .map(|(before, _, after)| hmac(sender.text(), &[before, after]))
        .unwrap_or_default();
    for (slot, byte) in packet.iter_mut().skip(position).zip(digest) {
        *slot = byte;
    }
    digest
}

/// The C2 or S2 that answers the peer's `digest` (see `second_is_valid`).
pub(super) fn second(digest: &Digest, sender: Sender, random: &[u8]) -> Packet {
    let mut packet = [0; PACKET_LEN];
    for (slot, byte) in packet.iter_mut().zip(random) {
        *slot = *byte;
    }
    if let Some((body, tail)) = packet.split_last_chunk_mut::<DIGEST_LEN>() {
        *tail = hmac(&second_key(digest, sender), &[body]);
    }
    packet
}

/// Whether `packet` is a C2 or S2 that answers `digest`, which we sent.
pub(super) fn second_is_valid(packet: &Packet, digest: &Digest, sender: Sender) -> bool {
    packet
        .split_last_chunk::<DIGEST_LEN>()
        .is_some_and(|(body, tail)| hmac(&second_key(digest, sender), &[body]) == *tail)
}

fn second_key(digest: &Digest, sender: Sender) -> Digest {
    hmac(&[sender.text(), &KEY_TAIL].concat(), &[digest])
}

/// What is before, in and after the digest at `position`.
fn split(packet: &Packet, position: usize) -> Option<(&[u8], &Digest, &[u8])> {
    let (before, rest) = packet.split_at_checked(position)?;
    let (digest, after) = rest.split_first_chunk()?;
    Some((before, digest, after))
}

/// HMAC-SHA256.
pub(super) fn hmac(key: &[u8], parts: &[&[u8]]) -> Digest {
    // HMAC takes keys of any length; the error is of the trait, not of HMAC.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Digest::default();
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
