//! Both ends against each other, and against bytes written down.

use bytes::BytesMut;

use super::{
    digest::{Scheme, Sender},
    *,
};

/// Bytes that repeat after a prime number of steps.
fn random(seed: u8) -> [u8; RANDOM_LEN] {
    let mut bytes = [0; RANDOM_LEN];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::try_from((index * 7 + usize::from(seed)) % 251).unwrap();
    }
    bytes
}

fn client(scheme: Option<Scheme>) -> ClientHandshake {
    ClientHandshake::with_scheme(scheme, &random(1), 1000)
}

fn server() -> ServerHandshake {
    ServerHandshake::new(random(99), 2000).strict(true)
}

/// Runs both until neither has anything to say; `pieces` cuts what each sends.
/// Returns what was left of the client's and of the server's input.
fn run(
    client: &mut ClientHandshake,
    server: &mut ServerHandshake,
    first_piece: usize,
) -> Result<(Progress, Progress), HandshakeError> {
    let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
    let mut client_progress = client.handle_input(&mut &[][..], &mut to_server)?;
    let mut server_progress = Progress::NeedMore;
    let mut piece = first_piece;
    while !to_server.is_empty() || !to_client.is_empty() {
        let bytes = to_server.split_to(piece.min(to_server.len()));
        let mut input = &bytes[..];
        server_progress = server.handle_input(&mut input, &mut to_client)?;
        assert!(input.is_empty());
        let bytes = to_client.split_to(piece.min(to_client.len()));
        let mut input = &bytes[..];
        client_progress = client.handle_input(&mut input, &mut to_server)?;
        assert!(input.is_empty());
        piece = usize::MAX;
    }
    Ok((client_progress, server_progress))
}

#[test]
fn every_kind_meets_itself_split_at_every_byte() {
    for scheme in [None, Some(Scheme::Zero), Some(Scheme::One)] {
        let kind = match scheme {
            None => HandshakeKind::Simple,
            Some(_) => HandshakeKind::Digest,
        };
        for piece in 1..=HANDSHAKE_LEN {
            let (mut client, mut server) = (client(scheme), server());
            assert_eq!((client.kind(), server.kind()), (None, None));
            let progress = run(&mut client, &mut server, piece);
            assert_eq!(progress, Ok((Progress::Done, Progress::Done)));
            assert_eq!(client.kind(), Some(kind));
            assert_eq!(server.kind(), Some(kind));
        }
    }
}

#[test]
fn one_byte_at_a_time() {
    let mut server = server();
    let mut client = client(Some(Scheme::One));
    let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
    client.handle_input(&mut &[][..], &mut to_server).unwrap();
    let mut done = Progress::NeedMore;
    while done == Progress::NeedMore {
        let byte = to_server.split_to(1);
        done = server.handle_input(&mut &byte[..], &mut to_client).unwrap();
        while !to_client.is_empty() {
            let byte = to_client.split_to(1);
            client.handle_input(&mut &byte[..], &mut to_server).unwrap();
        }
    }
    assert_eq!(client.kind(), Some(HandshakeKind::Digest));
}

#[test]
fn golden_simple_handshake() {
    let mut c0c1 = vec![3, 0, 0, 0, 9, 0, 0, 0, 0];
    c0c1.extend((0..1528).map(|index| u8::try_from(index % 256).unwrap()));
    let mut server = ServerHandshake::new(random(99), 0x0102_0304);
    let mut out = BytesMut::new();
    let mut input = &c0c1[..];
    assert_eq!(
        server.handle_input(&mut input, &mut out),
        Ok(Progress::NeedMore)
    );
    assert_eq!(out.len(), HANDSHAKE_LEN);
    assert_eq!(out[..9], [3, 1, 2, 3, 4, 0, 0, 0, 0]);
    assert_eq!(out[9..1537], random(99)[..1528]);
    assert_eq!(out[1537..], c0c1[1..]);
    // C2 and the start of the chunk stream in one piece.
    let mut c2 = out[1..1537].to_vec();
    c2.extend_from_slice(b"chunk");
    let mut input = &c2[..];
    assert_eq!(
        server.handle_input(&mut input, &mut out),
        Ok(Progress::Done)
    );
    assert_eq!(input, b"chunk");
    assert_eq!(out.len(), HANDSHAKE_LEN);
    // Done stays done and takes nothing.
    assert_eq!(
        server.handle_input(&mut input, &mut out),
        Ok(Progress::Done)
    );
    assert_eq!(input, b"chunk");
}

/// The places and keys, computed here in another way than the code does.
#[test]
fn digests_are_where_and_what_they_should_be() {
    use hmac::{Hmac, KeyInit, Mac};
    for (scheme, base) in [(Scheme::Zero, 8), (Scheme::One, 772)] {
        let mut packet = first_packet(1, digest::VERSION, &[0xFF; 1528]);
        // 4 * 255 = 1020, 1020 % 728 = 292.
        let at = base + 4 + 292;
        let value = digest::imprint(&mut packet, scheme, Sender::Client);
        assert_eq!(packet[at..at + 32], value);
        let mut mac =
            Hmac::<sha2::Sha256>::new_from_slice(b"Genuine Adobe Flash Player 001").unwrap();
        mac.update(&[&packet[..at], &packet[at + 32..]].concat());
        assert_eq!(mac.finalize().into_bytes()[..], value);
        assert_eq!(digest::find(&packet, Sender::Client), Some((scheme, value)));
        assert_eq!(digest::find(&packet, Sender::Server), None);
        packet[1535] ^= 1;
        assert_eq!(digest::find(&packet, Sender::Client), None);
    }
}

#[test]
fn a_version_without_a_digest_gets_the_simple_answer() {
    let mut server = server();
    let c1 = first_packet(1, [9, 0, 124, 2], &[1; 1528]);
    let mut out = BytesMut::new();
    let bytes = [&[3], &c1[..]].concat();
    server.handle_input(&mut &bytes[..], &mut out).unwrap();
    // FFmpeg looks for digests only if this byte is at least 3.
    assert_eq!(out[5], 0);
    assert_eq!(out[1537..], c1);
}

#[test]
fn a_client_that_wanted_digests_falls_back() {
    let mut client = client(Some(Scheme::Zero));
    let mut out = BytesMut::new();
    client.handle_input(&mut &[][..], &mut out).unwrap();
    let c1 = out.split().freeze();
    let s1 = first_packet(1, [0; 4], &[5; 1528]);
    let answer = [&[3], &s1[..], &c1[1..]].concat();
    let progress = client.handle_input(&mut &answer[..], &mut out);
    assert_eq!(progress, Ok(Progress::Done));
    assert_eq!(client.kind(), Some(HandshakeKind::Simple));
    assert_eq!(out[..], s1);
}

#[test]
fn a_wrong_answer_to_a_digest_is_refused() {
    let mut client = client(Some(Scheme::Zero));
    let (mut out, mut answer) = (BytesMut::new(), BytesMut::new());
    client.handle_input(&mut &[][..], &mut out).unwrap();
    server().handle_input(&mut &out[..], &mut answer).unwrap();
    let last = answer.len() - 1;
    answer[last] ^= 1;
    let result = client.handle_input(&mut &answer[..], &mut out);
    assert!(matches!(
        result,
        Err(HandshakeError::Echo { packet: "S2", .. })
    ));
}

#[test]
fn a_wrong_c2_matters_to_a_strict_server_only() {
    for scheme in [None, Some(Scheme::One)] {
        for strict in [false, true] {
            let mut client = client(scheme);
            let mut server = ServerHandshake::new(random(99), 0).strict(strict);
            let (mut out, mut answer) = (BytesMut::new(), BytesMut::new());
            client.handle_input(&mut &[][..], &mut out).unwrap();
            server.handle_input(&mut &out[..], &mut answer).unwrap();
            let c2 = [0x55; PACKET_LEN];
            let result = server.handle_input(&mut &c2[..], &mut answer);
            assert_eq!(result.is_err(), strict, "{scheme:?} {result:?}");
        }
    }
}

#[test]
fn other_versions_say_what_they_look_like() {
    let refuse = |byte: u8| {
        server()
            .handle_input(&mut &[byte][..], &mut BytesMut::new())
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refuse(6),
        "C0 (byte 0): expected version 3, found 6: RTMPE not enabled on this chain"
    );
    assert!(refuse(0x16).ends_with("found 0x16 (looks like TLS)"));
    assert!(refuse(b'G').contains("HTTP"));
    assert!(refuse(0).ends_with("found 0x00"));
    let mut client = client(None);
    let error = client.handle_input(&mut &[6][..], &mut BytesMut::new());
    assert_eq!(
        error,
        Err(HandshakeError::Version {
            packet: "S0",
            found: 6
        })
    );
}
