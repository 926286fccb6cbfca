//! The client session against the server session, in memory.

// clippy.toml allows these in test functions; helpers are tests as well.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod harness;

use bytes::{Bytes, BytesMut};
use livehost_rtmp::{
    chunk::Writer,
    command::Command,
    data::DataMessage,
    handshake::HandshakeKind,
    session::{
        client::{ClientEvent, PlayOptions, RefusedCommand},
        server::{Media, MediaKind, ServerEvent, StreamStop},
    },
};
use livehost_wire::amf0::{Properties, Value};

use harness::{Pair, frame};

fn code(event: &ClientEvent) -> &str {
    match event {
        ClientEvent::Status { code, .. } => code,
        _ => "",
    }
}

/// A pair whose client publishes on message stream 1, all events seen.
fn publishing() -> Pair {
    let mut pair = Pair::connected();
    pair.client.publish("key", "live");
    pair.run().unwrap();
    pair.server.accept_publish();
    pair.run().unwrap();
    pair.take_events();
    pair
}

fn playing() -> Pair {
    let mut pair = Pair::connected();
    pair.client.play("key", PlayOptions::default());
    pair.run().unwrap();
    pair.server.accept_play();
    pair.run().unwrap();
    pair.take_events();
    pair
}

#[test]
fn connect_with_either_handshake_in_pieces_of_any_size() {
    for handshake in [HandshakeKind::Simple, HandshakeKind::Digest] {
        for piece in [1, 2, 7, 128, 1536, 1537, 3073, 4000, usize::MAX] {
            let mut pair = Pair::new(handshake, piece);
            pair.run().unwrap();
            let (client, server) = pair.take_events();
            assert_eq!(client, []);
            let [ServerEvent::Connect(connect)] = &server[..] else {
                panic!("{server:?}");
            };
            assert_eq!(connect.app(), "live");
            assert_eq!(connect.tc_url(), "rtmp://localhost/live");
            assert!(!pair.client.is_connected());
            pair.server.accept_connect(None, None);
            pair.run().unwrap();
            assert!(pair.client.is_connected() && pair.server.is_connected());
            assert!(
                pair.client_events
                    .iter()
                    .any(|event| matches!(event, ClientEvent::Connected { .. }))
            );
        }
    }
}

#[test]
fn a_refused_connect_gives_the_reason() {
    let mut pair = Pair::new(HandshakeKind::Digest, usize::MAX);
    // Asked for ahead: must not reach a server that refuses.
    pair.client.publish("key", "live");
    pair.run().unwrap();
    pair.server.reject_connect(
        "NetConnection.Connect.Rejected",
        "no such application",
        None,
    );
    pair.run().unwrap();
    let (client, server) = pair.take_events();
    let [ClientEvent::Rejected(rejection)] = &client[..] else {
        panic!("{client:?}");
    };
    assert_eq!(rejection.what, RefusedCommand::Connect);
    assert_eq!(rejection.code, "NetConnection.Connect.Rejected");
    assert_eq!(rejection.description, "no such application");
    assert_eq!(server.len(), 1);
    assert!(!pair.client.is_connected());
}

#[test]
fn a_redirect_reaches_the_client() {
    let mut pair = Pair::new(HandshakeKind::Digest, usize::MAX);
    pair.run().unwrap();
    pair.server.redirect("rtmp://other/live", "moved");
    pair.run().unwrap();
    let [ClientEvent::Rejected(rejection)] = &pair.client_events[..] else {
        panic!("{:?}", pair.client_events);
    };
    let redirect = rejection.redirect.as_ref().unwrap();
    assert_eq!(redirect.url.as_deref(), Some("rtmp://other/live"));
    assert_eq!(redirect.stream_url, None);
}

#[test]
fn publish_asked_for_ahead_starts_once_accepted() {
    let mut pair = Pair::new(HandshakeKind::Digest, usize::MAX);
    pair.client.publish("key?token=1", "live");
    pair.run().unwrap();
    pair.server.accept_connect(None, None);
    pair.run().unwrap();
    let (client, server) = pair.take_events();
    assert!(
        !client
            .iter()
            .any(|event| matches!(event, ClientEvent::PublishStarted { .. }))
    );
    let Some(ServerEvent::Publish(publish)) = server.last() else {
        panic!("{server:?}");
    };
    assert_eq!(publish.name, "key?token=1");
    assert_eq!(publish.mode, "live");
    pair.server.accept_publish();
    pair.run().unwrap();
    let stream = publish.stream;
    assert!(
        pair.client_events
            .contains(&ClientEvent::PublishStarted { stream })
    );
}

#[test]
fn a_publish_that_is_sent_again_is_answered_and_asked_about_once() {
    let mut pair = publishing();
    let mut writer = Writer::new();
    let again = |name: &str| {
        let arguments = vec![Value::from(name), Value::from("live")];
        Command::new("publish", 9.0, arguments).to_message(3, 1)
    };
    let mut said = BytesMut::new();
    for name in ["key", "key", "other"] {
        writer.write(&again(name), &mut said);
    }
    let mut input = &said[..];
    pair.server.handle_input(&mut input).unwrap();
    pair.run().unwrap();
    let (client, server) = pair.take_events();
    assert_eq!(server, [], "nobody is asked");
    let codes: Vec<_> = client.iter().map(code).collect();
    let start = "NetStream.Publish.Start";
    assert_eq!(codes, [start, start, "NetStream.Publish.BadName"]);
}

#[test]
fn media_arrives_as_sent() {
    let mut pair = publishing();
    let metadata = DataMessage {
        handler: "onMetaData".into(),
        values: vec![Value::EcmaArray(Properties::from([(
            "width",
            Value::from(1280.0),
        )]))],
    };
    let wrapped = DataMessage {
        handler: "@setDataFrame".into(),
        values: [vec![Value::from("onMetaData")], metadata.values.clone()].concat(),
    };
    pair.client.send_data(1, 0, &wrapped);
    let mut expected = vec![Media {
        stream: 1,
        kind: MediaKind::Data,
        timestamp: 0,
        payload: metadata.to_message(5, 1, 0).payload,
    }];
    // Across the end of 24 and of 32 bits, with frames above and below the
    // chunk size.
    let mut time = 0x00FF_FF00_u32;
    for index in 0..60_u8 {
        if index == 30 {
            time = 0_u32.wrapping_sub(400);
        }
        let video = frame(index, usize::from(index) * 2500);
        let audio = frame(index, usize::from(index));
        pair.client.send_video(1, time, video.clone());
        pair.client.send_audio(1, time, audio.clone());
        for (kind, payload) in [(MediaKind::Video, video), (MediaKind::Audio, audio)] {
            expected.push(Media {
                stream: 1,
                kind,
                timestamp: time,
                payload,
            });
        }
        time = time.wrapping_add(33);
    }
    pair.run().unwrap();
    let (_, server) = pair.take_events();
    let media: Vec<_> = server
        .into_iter()
        .map(|event| match event {
            ServerEvent::Media(media) => media,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(media, expected);
}

#[test]
fn a_refused_publish_gives_the_reason_and_the_next_can_start() {
    let mut pair = Pair::connected();
    pair.client.publish("wrong", "live");
    pair.run().unwrap();
    pair.server
        .reject_stream("NetStream.Publish.BadName", "wrong key", None);
    pair.run().unwrap();
    let (client, _) = pair.take_events();
    let Some(ClientEvent::Rejected(rejection)) = client.last() else {
        panic!("{client:?}");
    };
    assert_eq!(rejection.what, RefusedCommand::Publish { stream: 1 });
    assert_eq!(rejection.code, "NetStream.Publish.BadName");
    assert_eq!(rejection.description, "wrong key");
    // What is sent all the same isn't taken.
    pair.client.send_video(1, 0, frame(1, 10));
    pair.client.publish("right", "live");
    pair.run().unwrap();
    pair.server.accept_publish();
    pair.run().unwrap();
    let (client, server) = pair.take_events();
    assert!(client.contains(&ClientEvent::PublishStarted { stream: 2 }));
    assert!(
        !server
            .iter()
            .any(|event| matches!(event, ServerEvent::Media(_)))
    );
}

#[test]
fn a_deleted_publish_ends_once() {
    let mut pair = publishing();
    pair.client.delete_stream(1);
    pair.client.delete_stream(1);
    pair.client.send_video(1, 0, frame(1, 10));
    pair.run().unwrap();
    let (_, server) = pair.take_events();
    let [ServerEvent::Unpublish { stream: 1, reason }] = &server[..] else {
        panic!("{server:?}");
    };
    // FCUnpublish names the stream, before deleteStream.
    assert_eq!(*reason, StreamStop::Unpublish);
}

#[test]
fn play_starts_and_learns_of_its_publisher() {
    let mut pair = Pair::connected();
    pair.client.play(
        "key",
        PlayOptions {
            start: -1.0,
            buffer_millis: 500,
        },
    );
    pair.run().unwrap();
    let (_, server) = pair.take_events();
    let ServerEvent::Play(play) = &server[0] else {
        panic!("{server:?}");
    };
    assert_eq!(
        (play.stream, play.name.as_str(), play.start),
        (1, "key", -1.0)
    );
    pair.server.accept_play();
    pair.run().unwrap();
    let (client, server) = pair.take_events();
    assert!(client.contains(&ClientEvent::PlayStarted { stream: 1 }));
    assert!(client.contains(&ClientEvent::StreamBegin(1)));
    assert!(server.contains(&ServerEvent::BufferLength {
        stream: 1,
        millis: 500
    }));
    pair.server.notify_published(1, "key");
    pair.server.notify_unpublished(1, "key");
    pair.run().unwrap();
    let (client, _) = pair.take_events();
    let codes: Vec<_> = client.iter().map(code).collect();
    assert_eq!(
        codes,
        [
            "",
            "NetStream.Play.PublishNotify",
            "NetStream.Play.UnpublishNotify",
            ""
        ]
    );
    assert_eq!(client[3], ClientEvent::StreamEof(1));
    pair.client.delete_stream(1);
    pair.run().unwrap();
    let (_, server) = pair.take_events();
    assert_eq!(
        server,
        [ServerEvent::StopPlay {
            stream: 1,
            reason: StreamStop::DeleteStream
        }]
    );
}

#[test]
fn a_refused_play_gives_the_reason() {
    let mut pair = Pair::connected();
    pair.client.play("none", PlayOptions::default());
    pair.run().unwrap();
    pair.server
        .reject_stream("NetStream.Play.StreamNotFound", "no such stream", None);
    pair.run().unwrap();
    let (client, _) = pair.take_events();
    let Some(ClientEvent::Rejected(rejection)) = client.last() else {
        panic!("{client:?}");
    };
    assert_eq!(rejection.what, RefusedCommand::Play { stream: 1 });
    assert_eq!(rejection.description, "no such stream");
}

#[test]
fn a_stream_the_server_ends_says_so() {
    let mut pair = playing();
    pair.server
        .end_stream(1, "status", "NetStream.Play.Stop", "over");
    pair.run().unwrap();
    let (client, _) = pair.take_events();
    assert_eq!(code(&client[0]), "NetStream.Play.Stop");
    assert_eq!(client[1], ClientEvent::StreamEof(1));
}

#[test]
fn pings_go_both_ways() {
    let mut pair = Pair::connected();
    pair.client.send_ping(7);
    pair.server.send_ping(9);
    pair.run().unwrap();
    let (client, server) = pair.take_events();
    assert_eq!(client, [ClientEvent::Pong(7)]);
    assert_eq!(server, [ServerEvent::Pong]);
}

#[test]
fn calls_are_answered_by_number() {
    let mut pair = Pair::connected();
    let first = pair.client.call("count", vec![Value::from(1.0)]);
    let second = pair.client.call("fail", vec![]);
    pair.run().unwrap();
    pair.server.answer_call(Ok(vec![Value::from("one")]));
    pair.run().unwrap();
    pair.server.answer_call(Err("no such method".into()));
    pair.run().unwrap();
    let (client, server) = pair.take_events();
    assert_eq!(server.len(), 2);
    let answers: Vec<_> = client
        .iter()
        .map(|event| match event {
            ClientEvent::CallAnswered {
                transaction,
                ok,
                values,
            } => (*transaction, *ok, values.first().cloned()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(answers[0], (first, true, Some(Value::from("one"))));
    assert_eq!((answers[1].0, answers[1].1), (second, false));
}

/// Several messages in one, as some encoders send.
#[test]
fn an_aggregate_is_taken_apart() {
    use livehost_rtmp::{aggregate, chunk::encode_absolute, message::Message};
    let mut pair = publishing();
    let part = |type_id, timestamp, payload: Bytes| Message {
        chunk_stream_id: 40,
        timestamp,
        type_id,
        message_stream_id: 1,
        payload,
    };
    let joined = aggregate::join(&[part(8, 10, frame(1, 3)), part(9, 30, frame(2, 3))])
        .unwrap()
        .unwrap();
    let shifted = Message {
        timestamp: 1010,
        ..joined
    };
    let bytes = encode_absolute(&shifted, 60_000);
    pair.server.handle_input(&mut &bytes[..]).unwrap();
    pair.run().unwrap();
    let (_, server) = pair.take_events();
    let times: Vec<_> = server
        .iter()
        .map(|event| match event {
            ServerEvent::Media(media) => (media.kind, media.timestamp),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(times, [(MediaKind::Audio, 1010), (MediaKind::Video, 1030)]);
}

/// Properties of the client's `connect` and of the server's answer.
fn connected_with(properties: Properties) -> (Pair, Properties) {
    let mut pair = Pair::with(properties);
    pair.run().unwrap();
    pair.server.accept_connect(None, None);
    pair.run().unwrap();
    let answer = pair
        .client_events
        .iter()
        .find_map(|event| match event {
            ClientEvent::Connected { server } => Some(server.clone()),
            _ => None,
        })
        .unwrap();
    pair.take_events();
    (pair, answer)
}

#[test]
fn an_enhanced_client_is_told_what_the_server_supports() {
    let (pair, answer) = connected_with(Properties::from([(
        "fourCcList",
        Value::StrictArray(vec!["hvc1".into()]),
    )]));
    assert!(pair.server.capabilities().is_some());
    assert_eq!(answer.get("capsEx"), Some(&Value::Number(15.0)));
    let Some(Value::StrictArray(list)) = answer.get("fourCcList") else {
        panic!("{answer:?}");
    };
    for codec in ["*", "avc1", "hvc1", "vvc1", "av01", "vp08", "vp09"] {
        assert!(list.contains(&codec.into()), "{codec}");
        let flags = answer.get("videoFourCcInfoMap").unwrap().get(codec);
        assert_eq!(flags, Some(&Value::Number(4.0)), "{codec}");
    }
    for codec in ["*", "mp4a", ".mp3", "Opus", "fLaC", "ac-3", "ec-3"] {
        assert!(list.contains(&codec.into()), "{codec}");
        let flags = answer.get("audioFourCcInfoMap").unwrap().get(codec);
        assert_eq!(flags, Some(&Value::Number(4.0)), "{codec}");
    }
}

#[test]
fn a_legacy_client_gets_the_answer_it_always_got() {
    let (pair, answer) = connected_with(Properties::new());
    assert_eq!(pair.server.capabilities(), None);
    let names: Vec<_> = answer.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["fmsVer", "capabilities", "mode"]);
}

#[test]
fn only_clients_that_announced_it_are_asked_to_reconnect() {
    let caps = |caps: f64| Properties::from([("capsEx", Value::Number(caps))]);
    for announced in [Properties::new(), caps(0.0), caps(14.0)] {
        let (mut pair, _) = connected_with(announced);
        assert!(!pair.server.request_reconnect(None, "a restart"));
        pair.run().unwrap();
        assert_eq!(pair.client_events, []);
    }
    for tc_url in [None, Some("rtmp://other/live")] {
        let (mut pair, _) = connected_with(caps(1.0));
        pair.client.publish("key", "live");
        pair.run().unwrap();
        pair.server.accept_publish();
        pair.run().unwrap();
        pair.take_events();
        assert!(pair.server.request_reconnect(tc_url, "a restart"));
        let bytes = pair.server.poll_bytes().unwrap();
        pair.deliver(&bytes);
        pair.run().unwrap();
        let asked = ClientEvent::Status {
            stream: 0,
            level: "status".to_owned(),
            code: "NetConnection.Connect.ReconnectRequest".to_owned(),
            description: "a restart".to_owned(),
        };
        assert_eq!(pair.client_events, [asked]);
        let names_url = |url| bytes.windows(20).any(|at| at == url);
        assert!(bytes.windows(5).any(|at| at == b"tcUrl") == tc_url.is_some());
        assert!(names_url(b"\x02\x00\x11rtmp://other/live") == tc_url.is_some());
        // The connection goes on until the client leaves.
        pair.client.send_video(1, 40, frame(7, 100));
        pair.run().unwrap();
        assert!(matches!(pair.server_events[..], [ServerEvent::Media(_)]));
    }
}
