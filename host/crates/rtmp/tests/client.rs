//! The client session against servers that do things their own way: the
//! server's part is written out message by message.

// clippy.toml allows these in test functions; helpers are tests as well.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use bytes::BytesMut;
use livehost_rtmp::{
    chunk::{Reader, ReaderLimits, Writer},
    command::{Command, status},
    control::ProtocolControl,
    handshake::{HandshakeKind, Progress, RANDOM_LEN, ServerHandshake},
    message::{Message, type_id},
    session::{
        Output, SessionError,
        client::{ClientConfig, ClientEvent, ClientSession, PlayOptions, Redirect, RefusedCommand},
    },
};
use livehost_wire::amf0::{Properties, Value};

/// A server made of a chunk stream.
struct Server {
    client: ClientSession,
    reader: Reader,
    writer: Writer,
    events: Vec<ClientEvent>,
}

impl Server {
    /// After the handshake; nothing else said yet.
    fn new() -> Self {
        let random = [7; RANDOM_LEN];
        let config = ClientConfig::new("app", "rtmp://h/app");
        assert_eq!(config.handshake, HandshakeKind::Digest);
        let mut client = ClientSession::new(config, &random, 0);
        let mut handshake = ServerHandshake::new(random, 0).strict(true);
        let mut out = BytesMut::new();
        loop {
            let Some(Output::Send(bytes)) = client.poll_output() else {
                panic!("the client says nothing");
            };
            let progress = handshake.handle_input(&mut &bytes[..], &mut out).unwrap();
            client.handle_input(&mut &out.split()[..]).unwrap();
            if progress == Progress::Done {
                break;
            }
            if handshake.kind().is_some() {
                break;
            }
        }
        Self {
            client,
            reader: Reader::new(ReaderLimits::default()),
            writer: Writer::new(),
            events: Vec::new(),
        }
    }

    /// What the client has sent.
    fn received(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Send(bytes) => {
                    let mut input = &bytes[..];
                    while let Some(message) = self.reader.read(&mut input).unwrap() {
                        messages.push(message);
                    }
                }
                Output::Event(event) => self.events.push(event),
            }
        }
        messages
    }

    /// The commands among it, and their streams.
    fn commands(&mut self) -> Vec<(u32, Command)> {
        self.received()
            .iter()
            .filter(|message| message.type_id == type_id::COMMAND_AMF0)
            .map(|message| (message.message_stream_id, Command::decode(message).unwrap()))
            .collect()
    }

    fn send(&mut self, message: &Message) -> Result<(), SessionError> {
        let mut bytes = BytesMut::new();
        self.writer.write(message, &mut bytes);
        self.client.handle_input(&mut &bytes[..])
    }

    fn say(&mut self, stream: u32, command: &Command) {
        self.send(&command.to_message(3, stream)).unwrap();
    }

    fn connected() -> Self {
        let mut server = Self::new();
        let commands = server.commands();
        let [(0, connect)] = &commands[..] else {
            panic!("{commands:?}");
        };
        let accepted = Command::result(connect.transaction_id, Value::Null, vec![]);
        server.say(0, &accepted);
        server
    }

    fn events(&mut self) -> Vec<ClientEvent> {
        assert_eq!(self.received(), []);
        std::mem::take(&mut self.events)
    }
}

fn names(commands: &[(u32, Command)]) -> Vec<&str> {
    commands
        .iter()
        .map(|(_, command)| command.name.as_str())
        .collect()
}

#[test]
fn connect_says_what_servers_ask_for() {
    let mut server = Server::new();
    let commands = server.commands();
    let connect = &commands[0].1;
    let properties = connect.properties().unwrap();
    let text = |name| properties.get(name).and_then(Value::as_str);
    assert_eq!(connect.name, "connect");
    assert_eq!(connect.transaction_id, 1.0);
    assert_eq!(text("app"), Some("app"));
    assert_eq!(text("tcUrl"), Some("rtmp://h/app"));
    assert_eq!(text("type"), Some("nonprivate"));
    assert!(text("flashVer").unwrap().contains("FMLE"));
}

/// Many servers send no window, and count on acknowledgements all the same.
#[test]
fn a_server_without_a_window_is_acknowledged() {
    let mut server = Server::connected();
    server.received();
    let frame = Message {
        chunk_stream_id: 6,
        timestamp: 0,
        type_id: type_id::VIDEO,
        message_stream_id: 1,
        payload: vec![0; 500_000].into(),
    };
    let mut acknowledged = Vec::new();
    for _ in 0..6 {
        server.send(&frame).unwrap();
        let sent = server.received();
        acknowledged.extend(sent.iter().map(|message| message.type_id));
    }
    assert_eq!(acknowledged, [type_id::ACKNOWLEDGEMENT; 2]);
}

#[test]
fn window_and_chunk_size_follow_an_accepted_connect() {
    let mut server = Server::connected();
    let controls: Vec<_> = server
        .received()
        .iter()
        .map(|message| ProtocolControl::decode(message.type_id, &message.payload).unwrap())
        .collect();
    assert_eq!(
        controls,
        [
            ProtocolControl::WindowAckSize(2_500_000),
            ProtocolControl::SetChunkSize(60_000)
        ]
    );
}

#[test]
fn publish_is_the_sequence_of_an_encoder() {
    let mut server = Server::connected();
    server.client.publish("key", "live");
    let commands = server.commands();
    assert_eq!(
        names(&commands),
        ["releaseStream", "FCPublish", "createStream"]
    );
    // Some servers know neither of the first two.
    for (_, command) in &commands[..2] {
        assert_eq!(command.text(0), Some("key"));
        server.say(
            0,
            &Command::error(command.transaction_id, status("error", "x", "")),
        );
    }
    let create = commands[2].1.transaction_id;
    server.say(0, &Command::result(create, Value::Null, vec![5.0.into()]));
    let commands = server.commands();
    assert_eq!(names(&commands), ["publish"]);
    assert_eq!(commands[0].0, 5);
    assert_eq!(commands[0].1.text(0), Some("key"));
    assert_eq!(commands[0].1.text(1), Some("live"));
    let events = server.events();
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, ClientEvent::Rejected(_)))
    );
}

/// A client with one stream asked for, numbered 1.
fn asked(play: bool) -> Server {
    let mut server = Server::connected();
    if play {
        server.client.play("key", PlayOptions::default());
    } else {
        server.client.publish("key", "live");
    }
    let commands = server.commands();
    let create = commands.last().unwrap().1.transaction_id;
    server.say(0, &Command::result(create, Value::Null, vec![1.0.into()]));
    server.received();
    server.events();
    server
}

#[test]
fn a_status_on_stream_0_counts_for_the_stream_that_waits() {
    let start = Command::on_status(status("status", "NetStream.Publish.Start", ""));
    let mut server = asked(false);
    server.say(0, &start);
    assert_eq!(server.events(), [ClientEvent::PublishStarted { stream: 1 }]);
    // Now nothing waits: the second is only a status.
    server.say(0, &start);
    assert!(matches!(
        &server.events()[..],
        [ClientEvent::Status { stream: 0, .. }]
    ));
}

#[test]
fn play_waits_for_start_and_not_for_reset() {
    let mut server = asked(true);
    let say = |server: &mut Server, code| {
        server.say(1, &Command::on_status(status("status", code, "")));
        server.events()
    };
    assert!(matches!(
        &say(&mut server, "NetStream.Play.Reset")[..],
        [ClientEvent::Status { stream: 1, .. }]
    ));
    assert_eq!(
        say(&mut server, "NetStream.Play.Start"),
        [ClientEvent::PlayStarted { stream: 1 }]
    );
}

#[test]
fn a_refused_stream_is_forgotten() {
    let mut server = asked(false);
    let refusal = Command::on_status(status("error", "NetStream.Publish.BadName", "taken"));
    server.say(1, &refusal);
    let events = server.events();
    let [ClientEvent::Rejected(rejection)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(rejection.what, RefusedCommand::Publish { stream: 1 });
    server.client.delete_stream(1);
    assert_eq!(server.received(), []);
}

#[test]
fn create_stream_0_is_a_violation_and_an_error_a_refusal() {
    for (answer, violation) in [
        (Command::result(4.0, Value::Null, vec![0.0.into()]), true),
        (Command::result(4.0, Value::Null, vec![]), true),
        (Command::result(4.0, Value::Null, vec![(-1.0).into()]), true),
        (
            Command::result(4.0, Value::Null, vec![f64::NAN.into()]),
            true,
        ),
        (Command::error(4.0, status("error", "no", "")), false),
    ] {
        let mut server = Server::connected();
        server.client.publish("key", "live");
        assert_eq!(server.commands()[2].1.transaction_id, 4.0);
        server.events();
        let result = server.send(&answer.to_message(3, 0));
        if violation {
            assert!(matches!(result, Err(SessionError::Violation { .. })));
        } else {
            let events = server.events();
            let [ClientEvent::Rejected(rejection)] = &events[..] else {
                panic!("{events:?}");
            };
            assert_eq!(rejection.what, RefusedCommand::CreateStream);
        }
    }
}

#[test]
fn a_refused_connect_carries_adobes_authentication_text() {
    let mut server = Server::new();
    server.commands();
    let text = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : ";
    let info = status("error", "NetConnection.Connect.Rejected", text);
    server.say(0, &Command::error(1.0, info));
    let events = server.events();
    let [ClientEvent::Rejected(rejection)] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(rejection.what, RefusedCommand::Connect);
    assert_eq!(rejection.description, text);
    assert!(!server.client.is_connected());
}

/// The info object of a redirect; `ex` are its texts.
fn moved(level: &str, ex: &[(&str, &str)]) -> Value {
    let mut properties = Properties::from([("code", Value::Number(302.0))]);
    for (name, text) in ex {
        properties.push(*name, Value::from(*text));
    }
    Value::Object(Properties::from([
        ("level", level.into()),
        ("code", "NetConnection.Connect.Rejected".into()),
        ("ex", Value::EcmaArray(properties)),
    ]))
}

/// The rejection that the client told its owner.
fn redirect(server: &mut Server) -> (RefusedCommand, Option<Redirect>) {
    let events = server.events();
    let [ClientEvent::Rejected(rejection)] = &events[..] else {
        panic!("{events:?}");
    };
    (rejection.what, rejection.redirect.clone())
}

#[test]
fn a_redirect_is_read_wherever_servers_say_it() {
    let texts = [
        ("redirect", "rtmp://b/app"),
        ("redirect2", "rtmp://b/app/key"),
    ];
    let adobe = Redirect {
        url: Some("rtmp://b/app".to_owned()),
        stream_url: None,
    };
    let srs = Redirect {
        stream_url: Some("rtmp://b/app/key".to_owned()),
        ..adobe.clone()
    };
    // Adobe, Wowza: the answer to connect; rtmplite calls it a status.
    for level in ["error", "status"] {
        let mut server = Server::new();
        server.commands();
        server.say(0, &Command::error(1.0, moved(level, &texts[..1])));
        let told = redirect(&mut server);
        assert_eq!(told, (RefusedCommand::Connect, Some(adobe.clone())));
    }
    // Without an answer to connect, or before createStream's.
    for mut server in [Server::new(), Server::connected()] {
        server.client.play("key", PlayOptions::default());
        server.commands();
        server.events.clear();
        server.say(0, &Command::on_status(moved("error", &texts)));
        assert_eq!(
            redirect(&mut server),
            (RefusedCommand::Connect, Some(srs.clone()))
        );
    }
    // SRS: after play.
    let mut server = asked(true);
    server.say(0, &Command::on_status(moved("error", &texts)));
    let play = RefusedCommand::Play { stream: 1 };
    assert_eq!(redirect(&mut server), (play, Some(srs)));
}

#[test]
fn a_refusal_that_says_not_where_to_is_no_redirect() {
    for ex in [&[][..], &[("redirect", "")], &[("other", "rtmp://b/app")]] {
        let mut server = Server::new();
        server.commands();
        server.say(0, &Command::error(1.0, moved("error", ex)));
        assert_eq!(redirect(&mut server), (RefusedCommand::Connect, None));
    }
}

#[test]
fn other_commands_and_media_are_events() {
    let mut server = asked(true);
    let done = Command::new("onBWDone", 0.0, vec![8192.0.into()]);
    server.say(0, &done);
    let media = |type_id| Message {
        chunk_stream_id: 6,
        timestamp: 40,
        type_id,
        message_stream_id: 1,
        payload: vec![1, 2, 3].into(),
    };
    for type_id in [8, 9, 18, 15, 19, 200] {
        server.send(&media(type_id)).unwrap();
    }
    assert_eq!(
        server.events(),
        [
            ClientEvent::Command {
                stream: 0,
                command: done
            },
            ClientEvent::Audio(media(8)),
            ClientEvent::Video(media(9)),
            ClientEvent::Data(media(18)),
            ClientEvent::Data(media(15)),
        ]
    );
}
