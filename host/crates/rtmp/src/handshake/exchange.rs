//! The Diffie-Hellman exchange and the ciphers of RTMPE.
//!
//! Like the digest handshake it is in no specification; the facts are common
//! knowledge of open-source implementations:
//!
//! - C1 and S1 carry a public key of 128 bytes, most significant first, in the
//!   half that the digest is not in.
//! - The group is the second of RFC 2409 (section 6.2): 1024 bits, generator 2.
//! - Each direction has RC4 with a key of its own: the first 16 bytes of the
//!   HMAC-SHA256 of the receiver's public key, keyed with the shared secret.
//! - 1536 bytes of each keystream are thrown away before the first use.
//!
//! It is obsolete: nobody is authenticated, and RC4 is broken.

use num_bigint::BigUint;
use rc4::{KeyInit, Rc4, StreamCipher};

use super::{PACKET_LEN, digest};

/// Length of public keys, of private keys and of the shared secret, bytes.
pub(super) const KEY_LEN: usize = 128;

/// A public key or a shared secret.
pub(super) type Key = [u8; KEY_LEN];

/// The prime of RFC 2409, section 6.2, in words of 32 bits.
const PRIME: [u32; 32] = [
    0xFFFF_FFFF,
    0xFFFF_FFFF,
    0xC90F_DAA2,
    0x2168_C234,
    0xC4C6_628B,
    0x80DC_1CD1,
    0x2902_4E08,
    0x8A67_CC74,
    0x020B_BEA6,
    0x3B13_9B22,
    0x514A_0879,
    0x8E34_04DD,
    0xEF95_19B3,
    0xCD3A_431B,
    0x302B_0A6D,
    0xF25F_1437,
    0x4FE1_356D,
    0x6D51_C245,
    0xE485_B576,
    0x625E_7EC6,
    0xF44C_42E9,
    0xA637_ED6B,
    0x0BFF_5CB6,
    0xF406_B7ED,
    0xEE38_6BFB,
    0x5A89_9FA5,
    0xAE9F_2411,
    0x7C4B_1FE6,
    0x4928_6651,
    0xECE6_5381,
    0xFFFF_FFFF,
    0xFFFF_FFFF,
];

/// How many private keys are tried for a secret without leading zeros.
const TRIES: u32 = 16;

fn prime() -> BigUint {
    // Words from the least significant.
    BigUint::new(PRIME.iter().rev().copied().collect())
}

/// The public key of a private one.
#[cfg(test)]
pub(super) fn public_key(private: &Key) -> Key {
    fixed(&BigUint::from(2_u32).modpow(&BigUint::from_bytes_be(private), &prime()))
}

/// The public key of a private one, and the secret shared with `peer`. None if
/// the peer's key is no member of the group, or gives a secret that anybody knows.
pub(super) fn agree(private: &Key, peer: &Key) -> Option<(Key, Key)> {
    let prime = prime();
    let peer = BigUint::from_bytes_be(peer);
    let (one, two) = (BigUint::from(1_u32), BigUint::from(2_u32));
    if peer <= one || peer >= &prime - &one {
        return None;
    }
    // Some clients drop leading zeros of the secret, which is then not shared:
    // another private key does away with them.
    let private = BigUint::from_bytes_be(private);
    let mut agreed = None;
    for step in 0..TRIES {
        let private = &private + step;
        let secret = fixed(&peer.modpow(&private, &prime));
        agreed = Some((fixed(&two.modpow(&private, &prime)), secret));
        if secret.first() != Some(&0) {
            break;
        }
    }
    agreed
}

/// With leading zeros; the number is below the prime.
fn fixed(number: &BigUint) -> Key {
    let bytes = number.to_bytes_be();
    let mut key = [0; KEY_LEN];
    for (slot, byte) in key.iter_mut().rev().zip(bytes.iter().rev()) {
        *slot = *byte;
    }
    key
}

/// One direction's cipher. Encryption and decryption are the same.
pub struct Cipher(Rc4);

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Its state gives the stream away.
        f.write_str("Cipher")
    }
}

impl Cipher {
    /// For what goes to the owner of the public key `receiver`.
    pub(super) fn new(secret: &Key, receiver: &Key) -> Option<Self> {
        let key = digest::hmac(secret, &[receiver]);
        let mut cipher = Rc4::new_from_slice(key.first_chunk::<16>()?).ok()?;
        let mut skipped = [0; PACKET_LEN];
        cipher.apply_keystream(&mut skipped);
        Some(Self(cipher))
    }

    /// Encrypts or decrypts the next bytes of the stream.
    pub fn apply(&mut self, bytes: &mut [u8]) {
        self.0.apply_keystream(bytes);
    }
}

/// The ciphers of one end.
#[derive(Debug)]
pub struct Ciphers {
    /// For what is received.
    pub inbound: Cipher,
    /// For what is sent.
    pub outbound: Cipher,
}

impl Ciphers {
    /// Of the end whose public key is `own`.
    pub(super) fn new(secret: &Key, own: &Key, peer: &Key) -> Option<Self> {
        Some(Self {
            inbound: Cipher::new(secret, own)?,
            outbound: Cipher::new(secret, peer)?,
        })
    }
}
