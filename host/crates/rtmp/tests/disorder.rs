//! The server session against clients that say anything in any order.

// clippy.toml allows these in test functions; helpers are tests as well.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use bytes::BytesMut;
use livehost_rtmp::{
    chunk::Writer,
    command::Command,
    handshake::{ClientHandshake, HandshakeKind, Progress, RANDOM_LEN},
    message::Message,
    session::{
        Output,
        server::{ServerConfig, ServerEvent, ServerSession},
    },
};
use livehost_wire::amf0::{Properties, Value};
use proptest::{collection::vec, prelude::*, sample::select};

/// A server session whose handshake is done.
fn server() -> ServerSession {
    let random = [7; RANDOM_LEN];
    let mut server = ServerSession::new(ServerConfig::default(), random, 0);
    let mut client = ClientHandshake::new(HandshakeKind::Simple, &random, 0);
    let mut out = BytesMut::new();
    let mut progress = client.handle_input(&mut &[][..], &mut out).unwrap();
    loop {
        server.handle_input(&mut &out.split()[..]).unwrap();
        if progress == Progress::Done {
            return server;
        }
        let Some(Output::Send(bytes)) = server.poll_output() else {
            panic!("the server says nothing");
        };
        progress = client.handle_input(&mut &bytes[..], &mut out).unwrap();
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => select(vec!["a", "b", "live", ""]).prop_map(Value::from),
        2 => select(vec![0.0, 1.0, 2.0, -2.0, 1e300, f64::NAN]).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => Just(Value::Object(Properties::from([("app", Value::from("live"))]))),
    ]
}

fn any_command() -> impl Strategy<Value = Message> {
    let name = select(vec![
        "connect",
        "createStream",
        "createStream",
        "publish",
        "publish",
        "play",
        "play",
        "deleteStream",
        "closeStream",
        "releaseStream",
        "FCPublish",
        "FCUnpublish",
        "FCSubscribe",
        "pause",
        "seek",
        "receiveAudio",
        "getStreamLength",
        "_checkbw",
        "_result",
        "onStatus",
        "unheardOf",
    ]);
    (name, 0..9_u8, vec(any_value(), 0..4), any_stream()).prop_map(
        |(name, transaction, arguments, stream)| {
            Command::new(name, f64::from(transaction), arguments).to_message(3, stream)
        },
    )
}

/// Ids that clients get, and the last ones: what comes after them?
fn any_stream() -> impl Strategy<Value = u32> {
    select(vec![0, 1, 2, 3, u32::MAX - 1, u32::MAX])
}

fn any_message() -> impl Strategy<Value = Message> {
    let other = (1..23_u8, any_stream(), vec(any::<u8>(), 0..20))
        // Not a chunk size or abort: these end the test at once.
        .prop_filter("framing", |(type_id, _, _)| *type_id > 2)
        .prop_map(|(type_id, message_stream_id, payload)| Message {
            chunk_stream_id: 5,
            timestamp: 0,
            type_id,
            message_stream_id,
            payload: payload.into(),
        });
    prop_oneof![5 => any_command(), 1 => other]
}

/// What the owner of a session believes, by its events and answers.
#[derive(Default)]
struct Owner {
    publishing: BTreeSet<u32>,
    playing: BTreeSet<u32>,
}

impl Owner {
    fn handle(&mut self, server: &mut ServerSession, event: &ServerEvent, accept: bool) {
        match event {
            ServerEvent::Connect(_) => server.accept_connect(None, None),
            ServerEvent::Publish(publish) if accept => {
                assert!(self.publishing.insert(publish.stream), "published twice");
                assert!(!self.playing.contains(&publish.stream), "played as well");
                server.accept_publish();
            }
            ServerEvent::Publish(_) => server.reject_stream("NetStream.Publish.BadName", "", None),
            ServerEvent::Play(play) if accept => {
                assert!(self.playing.insert(play.stream), "played twice");
                assert!(!self.publishing.contains(&play.stream), "published as well");
                server.accept_play();
            }
            ServerEvent::Play(_) => server.reject_stream("NetStream.Play.Failed", "", None),
            ServerEvent::Call { .. } => server.answer_call(Err("no".into())),
            ServerEvent::SharedObject(_) => server.finish_shared_object(),
            ServerEvent::Unpublish { stream, .. } => {
                assert!(self.publishing.remove(stream), "unpublished unasked");
            }
            ServerEvent::StopPlay { stream, .. } => {
                assert!(self.playing.remove(stream), "stopped unasked");
            }
            ServerEvent::Media(media) => assert!(self.publishing.contains(&media.stream)),
            ServerEvent::Pause { stream, .. } | ServerEvent::Receive { stream, .. } => {
                assert!(self.playing.contains(stream));
            }
            ServerEvent::BufferLength { .. } | ServerEvent::Pong => {}
        }
    }
}

proptest! {
    /// Every accepted publish and playback ends at most once, media comes from
    /// publishes only, and nothing is read while an answer is due.
    #[test]
    fn the_owners_view_stays_true(
        messages in vec((any_message(), any::<bool>()), 0..60),
    ) {
        let mut server = server();
        let mut owner = Owner::default();
        let mut writer = Writer::new();
        let mut connect = Command::new("connect", 1.0, vec![]);
        connect.object = Value::Object(Properties::from([("app", Value::from("live"))]));
        let connect = (connect.to_message(3, 0), true);
        for (message, accept) in [connect].into_iter().chain(messages) {
            let mut bytes = BytesMut::new();
            writer.write(&message, &mut bytes);
            let mut input = &bytes[..];
            loop {
                if server.handle_input(&mut input).is_err() {
                    return Ok(());
                }
                let waiting = server.is_waiting();
                let mut questions = 0;
                let mut events = Vec::new();
                while let Some(output) = server.poll_output() {
                    if let Output::Event(event) = output {
                        questions += usize::from(event.is_question());
                        events.push(event);
                    }
                }
                prop_assert_eq!(questions, usize::from(waiting));
                for event in &events {
                    owner.handle(&mut server, event, accept);
                }
                prop_assert!(!server.is_waiting());
                if events.is_empty() && input.is_empty() {
                    break;
                }
            }
        }
    }
}
