//! The server's end of RTMPE's handshake: C0 of type 6, digests, and a key
//! exchange inside C1 and S1; see `exchange.rs`.

use bytes::{BufMut, BytesMut};

use super::{
    Collector, HandshakeError, Packet, Progress, RANDOM_LEN,
    digest::{self, Scheme, Sender},
    exchange::{self, Ciphers, Key},
    first_packet, first_random, second_random,
};

/// Length of the secret bytes that an encrypted handshake is given.
pub const SECRET_LEN: usize = exchange::KEY_LEN;

/// The version in C0 and S0. 8 and 9 encrypt the digests as well; no client
/// insists on them.
const ENCRYPTED_VERSION: u8 = 6;

/// Where S1 has its digest and its public key, whatever C1 has: FFmpeg looks
/// nowhere else when it publishes, and every client finds it there.
const ANSWER: Scheme = Scheme::Zero;

/// The server's end of an encrypted handshake. What follows it passes the
/// ciphers, in both directions.
#[derive(Debug)]
pub struct EncryptedHandshake {
    random: Box<[u8; RANDOM_LEN]>,
    secret: SharedSecret,
    epoch_ms: u32,
    collector: Collector,
    state: EncryptedState,
}

#[derive(Debug)]
enum EncryptedState {
    Version,
    First,
    /// Waiting for C2.
    Second(Box<Ciphers>),
    Done(Option<Box<Ciphers>>),
}

/// Never shown.
struct SharedSecret(Box<[u8; SECRET_LEN]>);

impl std::fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

impl EncryptedHandshake {
    /// `random`: bytes from a good source, sent to the client; `secret`: as
    /// good ones, which are not; `epoch_ms`: this server's clock in
    /// milliseconds, from any origin.
    pub fn new(random: &[u8; RANDOM_LEN], secret: &[u8; SECRET_LEN], epoch_ms: u32) -> Self {
        Self {
            random: Box::new(*random),
            secret: SharedSecret(Box::new(*secret)),
            epoch_ms,
            collector: Collector::default(),
            state: EncryptedState::Version,
        }
    }

    /// The ciphers, once, when it is done.
    pub fn take_ciphers(&mut self) -> Option<Box<Ciphers>> {
        match &mut self.state {
            EncryptedState::Done(ciphers) => ciphers.take(),
            _ => None,
        }
    }

    /// Consumes from the front of `input` and appends what to send to `out`.
    /// What is left of the input when done is the start of the encrypted
    /// chunk stream.
    ///
    /// # Errors
    /// Any [`HandshakeError`] ends the connection.
    pub fn handle_input(
        &mut self,
        input: &mut &[u8],
        out: &mut BytesMut,
    ) -> Result<Progress, HandshakeError> {
        loop {
            match &mut self.state {
                EncryptedState::Version => {
                    let Some((&found, rest)) = input.split_first() else {
                        return Ok(Progress::NeedMore);
                    };
                    *input = rest;
                    if found != ENCRYPTED_VERSION {
                        return Err(HandshakeError::NotEncrypted { found });
                    }
                    self.state = EncryptedState::First;
                }
                EncryptedState::First => {
                    let Some(c1) = self.collector.take(input) else {
                        return Ok(Progress::NeedMore);
                    };
                    let ciphers = answer(c1, &self.random, &self.secret.0, self.epoch_ms, out)?;
                    self.state = EncryptedState::Second(Box::new(ciphers));
                }
                EncryptedState::Second(_) => {
                    if self.collector.take(input).is_none() {
                        return Ok(Progress::NeedMore);
                    }
                    if let EncryptedState::Second(ciphers) =
                        std::mem::replace(&mut self.state, EncryptedState::Done(None))
                    {
                        self.state = EncryptedState::Done(Some(ciphers));
                    }
                }
                EncryptedState::Done(_) => return Ok(Progress::Done),
            }
        }
    }
}

/// Appends S0, S1 and S2 for this C1.
fn answer(
    c1: &Packet,
    random: &[u8; RANDOM_LEN],
    private: &Key,
    epoch_ms: u32,
    out: &mut BytesMut,
) -> Result<Ciphers, HandshakeError> {
    let (scheme, client_digest) =
        digest::find(c1, Sender::Client).ok_or(HandshakeError::NoDigest)?;
    let client_key = scheme.public_key(c1).ok_or(HandshakeError::PublicKey)?;
    let agreed = exchange::agree(private, client_key);
    let (server_key, shared) = agreed.ok_or(HandshakeError::PublicKey)?;
    let ciphers = Ciphers::new(&shared, &server_key, client_key);
    let ciphers = ciphers.ok_or(HandshakeError::PublicKey)?;

    out.put_u8(ENCRYPTED_VERSION);
    let mut s1 = first_packet(epoch_ms, digest::VERSION, first_random(random));
    // Where it goes depends on random bytes that it does not overwrite.
    if let Some(place) = ANSWER.public_key_mut(&mut s1) {
        *place = server_key;
    }
    digest::imprint(&mut s1, ANSWER, Sender::Server);
    out.extend_from_slice(&s1);
    let s2 = digest::second(&client_digest, Sender::Server, second_random(random));
    out.extend_from_slice(&s2);
    Ok(ciphers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RANDOM: [u8; RANDOM_LEN] = [0x5A; RANDOM_LEN];

    /// A client's C0 and C1 with a public key.
    fn hello(scheme: Scheme, private: &Key, random: &[u8]) -> Vec<u8> {
        let mut c1 = first_packet(7, digest::VERSION, random);
        *scheme.public_key_mut(&mut c1).unwrap() = exchange::public_key(private);
        digest::imprint(&mut c1, scheme, Sender::Client);
        [&[ENCRYPTED_VERSION][..], &c1].concat()
    }

    /// The ciphers of both ends, when `pieces` of the client's bytes come at once.
    fn shake(
        scheme: Scheme,
        client: &Key,
        server: &Key,
        random: &[u8],
        piece: usize,
    ) -> [Ciphers; 2] {
        let mut handshake = EncryptedHandshake::new(&RANDOM, server, 0);
        let mut out = BytesMut::new();
        let mut feed = |bytes: &[u8]| {
            let mut progress = Progress::NeedMore;
            for piece in bytes.chunks(piece) {
                let mut input = piece;
                progress = handshake.handle_input(&mut input, &mut out).unwrap();
                assert!(input.is_empty());
            }
            progress
        };
        assert_eq!(feed(&hello(scheme, client, random)), Progress::NeedMore);
        assert_eq!(feed(&[0; 1536]), Progress::Done);
        let of_server = *handshake.take_ciphers().unwrap();
        assert!(handshake.take_ciphers().is_none());

        assert_eq!(out.len(), 1 + 2 * 1536);
        assert_eq!(out[0], ENCRYPTED_VERSION);
        let s1: &Packet = out[1..1537].try_into().unwrap();
        let (answered, _) = digest::find(s1, Sender::Server).unwrap();
        assert_eq!(answered, ANSWER);
        let server_key = ANSWER.public_key(s1).unwrap();
        let (client_key, shared) = exchange::agree(client, server_key).unwrap();
        [
            of_server,
            Ciphers::new(&shared, &client_key, server_key).unwrap(),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4))]
        #[test]
        fn both_ends_have_the_same_ciphers(
            one: bool,
            client in proptest::collection::vec(any::<u8>(), 128),
            server in proptest::collection::vec(any::<u8>(), 128),
            random in proptest::collection::vec(any::<u8>(), 1528),
            piece in 1_usize..4000,
        ) {
            let scheme = if one { Scheme::One } else { Scheme::Zero };
            let [client, server] = [client, server].map(|key| Key::try_from(key).unwrap());
            let [mut at_server, mut at_client] = shake(scheme, &client, &server, &random, piece);
            let message = b"connect, in chunks";
            for (out, inn) in [
                (&mut at_client.outbound, &mut at_server.inbound),
                (&mut at_server.outbound, &mut at_client.inbound),
            ] {
                let mut bytes = *message;
                out.apply(&mut bytes);
                prop_assert_ne!(&bytes, message);
                let (first, second) = bytes.split_at_mut(5);
                inn.apply(first);
                inn.apply(second);
                prop_assert_eq!(&bytes, message);
            }
        }

        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..4000)) {
            let mut handshake = EncryptedHandshake::new(&RANDOM, &[9; SECRET_LEN], 0);
            let bytes = [&[ENCRYPTED_VERSION][..], &bytes].concat();
            let _ = handshake.handle_input(&mut &bytes[..], &mut BytesMut::new());
        }
    }

    #[test]
    fn what_cannot_be_encrypted_is_refused() {
        let refuse = |mut bytes: &[u8]| {
            let mut handshake = EncryptedHandshake::new(&RANDOM, &[9; SECRET_LEN], 0);
            let error = handshake.handle_input(&mut bytes, &mut BytesMut::new());
            error.unwrap_err()
        };
        assert_eq!(refuse(&[3]), HandshakeError::NotEncrypted { found: 3 });
        assert_eq!(refuse(&[8]), HandshakeError::NotEncrypted { found: 8 });
        let plain = [&[ENCRYPTED_VERSION][..], &[1; 1536]].concat();
        assert_eq!(refuse(&plain), HandshakeError::NoDigest);
        // 2 to the power of 0 is 1, and gives everybody the same secret.
        let weak = hello(Scheme::One, &[0; 128], &RANDOM);
        assert_eq!(refuse(&weak), HandshakeError::PublicKey);
    }

    /// `bc`: `modexp(2, 5, p)` is 32, and `modexp(32, 3, p)` is 32768.
    #[test]
    fn the_secret_is_that_of_diffie_and_hellman() {
        let number = |low: u16| {
            let mut key = [0; 128];
            key[126..].copy_from_slice(&low.to_be_bytes());
            key
        };
        assert_eq!(exchange::public_key(&number(5)), number(32));
        // Small numbers have leading zeros: other private keys are tried.
        let (public, secret) = exchange::agree(&number(3), &number(32)).unwrap();
        let exponent = public[..].iter().rev().position(|byte| *byte != 0).unwrap() * 8
            + public
                .iter()
                .rev()
                .find(|byte| **byte != 0)
                .unwrap()
                .trailing_zeros() as usize;
        assert_eq!(exponent, 3 + 15);
        assert_eq!(secret, exchange::public_key(&number(5 * 18)));
    }
}
