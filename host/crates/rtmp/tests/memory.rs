//! What a message may cost in memory, from its bytes to the question that it
//! is, counted by the allocator.

// clippy.toml allows these in test functions; helpers are tests as well.
#![allow(clippy::expect_used, clippy::panic)]

use std::fs;

use bytes::Bytes;
use livehost_counting::{Counting, peak_of};
use livehost_rtmp::command::Command;
use livehost_rtmp::fuzz::{self, expanding};
use livehost_rtmp::handshake::{ClientHandshake, HandshakeKind, Progress, RANDOM_LEN};
use livehost_rtmp::message::{Message, type_id};
use livehost_rtmp::session::Output;
use livehost_rtmp::session::server::{ServerConfig, ServerEvent, ServerSession};
use livehost_wire::amf0::{self, Value};
use proptest::prelude::*;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The types of message that are decoded.
const TYPES: [u8; 7] = [
    type_id::COMMAND_AMF0,
    type_id::COMMAND_AMF3,
    type_id::DATA_AMF0,
    type_id::DATA_AMF3,
    type_id::SHARED_OBJECT_AMF0,
    type_id::SHARED_OBJECT_AMF3,
    type_id::AGGREGATE,
];

/// What is promised: 8 times the bytes and 1 MiB, or 16 MiB; beside the message.
fn limit(payload: &[u8]) -> usize {
    (payload.len() * 8 + (1 << 20)).min(16 << 20)
}

fn message(type_id: u8, payload: &[u8]) -> Message {
    Message {
        chunk_stream_id: 3,
        timestamp: 0,
        type_id,
        message_stream_id: 0,
        payload: Bytes::copy_from_slice(payload),
    }
}

/// Every decoder of messages, each with a budget of its own.
fn decoders_stay_in_budget(payload: &[u8]) {
    for type_id in TYPES {
        let data = [&[type_id], payload].concat();
        let (peak, ()) = peak_of(|| fuzz::message(&data));
        let limit = limit(payload) + payload.len();
        let length = payload.len();
        assert!(
            peak <= limit,
            "{type_id}: {peak} of {limit} bytes for {length}"
        );
    }
}

#[test]
fn the_corpus_of_messages_stays_in_budget() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/message");
    for file in fs::read_dir(folder).expect("the corpus is in the repository") {
        let data = fs::read(file.expect("a readable folder").path()).expect("a readable file");
        decoders_stay_in_budget(data.get(1..).unwrap_or_default());
    }
}

/// A server session that has read the handshake and, if so, `connect`.
fn session(connected: bool) -> ServerSession {
    let mut server = ServerSession::new(ServerConfig::default(), [1; RANDOM_LEN], 0);
    let mut client = ClientHandshake::new(HandshakeKind::Simple, &[2; RANDOM_LEN], 0);
    let (mut to_server, mut from_server) = (bytes::BytesMut::new(), Vec::new());
    let _ = client.handle_input(&mut &[][..], &mut to_server);
    for _ in 0..3 {
        let sent = to_server.split();
        server.handle_input(&mut &sent[..]).expect("a handshake");
        while let Some(bytes) = server.poll_bytes() {
            from_server.extend_from_slice(&bytes);
        }
        let mut input = &from_server[..];
        let progress = client.handle_input(&mut input, &mut to_server);
        from_server = input.to_vec();
        if progress == Ok(Progress::Done) && to_server.is_empty() {
            break;
        }
    }
    if connected {
        let connect = Command {
            object: Value::Object(amf0::Properties::from([("app", "live".into())])),
            ..Command::new("connect", 1.0, vec![])
        };
        let (_, question) = heard(&mut server, &connect.to_message(3, 0));
        assert!(matches!(question, Some(ServerEvent::Connect(_))));
        server.accept_connect(None, None);
        while server.poll_output().is_some() {}
    }
    server
}

/// What it takes to hear a message, and the question that it is.
fn heard(server: &mut ServerSession, message: &Message) -> (usize, Option<ServerEvent>) {
    let chunks = livehost_rtmp::chunk::encode_absolute(message, 128);
    peak_of(|| {
        if server.handle_input(&mut &chunks[..]).is_err() {
            return None;
        }
        while let Some(output) = server.poll_output() {
            if let Output::Event(event) = output {
                return Some(event);
            }
        }
        None
    })
}

/// A session may hold the message, in a buffer that grew, and what it says.
fn a_session_stays_in_budget(connected: bool, type_id: u8, payload: &[u8]) {
    let mut server = session(connected);
    let message = message(type_id, payload);
    let (peak, _) = heard(&mut server, &message);
    let limit = limit(payload) + payload.len() * 3 + 16 * 1024;
    let length = payload.len();
    assert!(
        peak <= limit,
        "{type_id}: {peak} of {limit} bytes for {length}"
    );
}

#[test]
fn messages_made_to_expand_stay_in_their_budget() {
    for length in [1000, 40_000] {
        for payload in expanding::messages(length) {
            decoders_stay_in_budget(&payload);
            for type_id in TYPES {
                a_session_stays_in_budget(true, type_id, &payload);
            }
        }
    }
}

#[test]
fn a_connect_made_to_expand_stays_in_its_budget() {
    let number = [0, 0x3F, 0xF0, 0, 0, 0, 0, 0, 0];
    for length in [10, 60_000, 1_000_000] {
        let object = expanding::object(&["app", "tcUrl", "flashVer", "pageUrl"], length);
        let payload = expanding::named("connect", &[&number[..], &object].concat());
        a_session_stays_in_budget(false, type_id::COMMAND_AMF0, &payload);
    }
    for name in ["publish", "play", "FCUnpublish", "anything"] {
        for text in [10, 4096, 1_000_000] {
            let text = amf0::encode_all(&["n".repeat(text).into()]);
            let payload = expanding::named(name, &[&number[..], &[5], &text, &text].concat());
            a_session_stays_in_budget(true, type_id::COMMAND_AMF0, &payload);
        }
    }
    let payload = expanding::named(&"m".repeat(1_000_000), &number);
    a_session_stays_in_budget(true, type_id::COMMAND_AMF0, &payload);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn arbitrary_messages_stay_in_their_budget(
        data in prop::collection::vec(prop_oneof![0..0x13_u8, any::<u8>()], 0..3000),
        times in 1..20_usize,
    ) {
        let data = data.repeat(times);
        decoders_stay_in_budget(&data);
        decoders_stay_in_budget(&expanding::named("x", &data));
        decoders_stay_in_budget(&[&[3, 6, 3, b'x'], &data[..]].concat());
        decoders_stay_in_budget(&expanding::shared_object(6, &data, 3));
        decoders_stay_in_budget(&expanding::shared_object(4, &data, 3));
    }
}
