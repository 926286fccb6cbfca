//! The server session behind RTMPE's handshake.

// clippy.toml allows these in test functions; helpers are tests as well.
#![allow(clippy::unwrap_used)]

use bytes::BytesMut;
use livehost_rtmp::{
    chunk::{Reader, ReaderLimits, Writer},
    command::Command,
    message::type_id,
    session::{
        Output,
        server::{ServerConfig, ServerEvent, ServerSession},
    },
};
use livehost_wire::amf0::{Properties, Value};

/// The types of the messages that a client gets who asks for `verb`, and the
/// chunk size that it reads with in the end.
fn answers(verb: &str) -> (Vec<u8>, u32) {
    let mut server = ServerSession::after_handshake(ServerConfig::default());
    let (mut writer, mut reader) = (Writer::new(), Reader::new(ReaderLimits::default()));
    let connect = Command {
        object: Value::Object(Properties::from([("app", Value::from("live"))])),
        ..Command::new("connect", 1.0, Vec::new())
    };
    let commands = [
        (0, connect),
        (0, Command::new("createStream", 2.0, Vec::new())),
        (1, Command::new(verb, 3.0, vec![Value::from("cam")])),
    ];
    let mut types = Vec::new();
    for (stream, command) in commands {
        let mut bytes = BytesMut::new();
        writer.write(&command.to_message(3, stream), &mut bytes);
        server.handle_input(&mut &bytes[..]).unwrap();
        while let Some(output) = server.poll_output() {
            match output {
                Output::Event(ServerEvent::Connect(_)) => server.accept_connect(None, None),
                Output::Event(ServerEvent::Publish(_)) => server.accept_publish(),
                Output::Event(ServerEvent::Play(_)) => server.accept_play(),
                Output::Event(_) => {}
                Output::Send(bytes) => {
                    let mut input = &bytes[..];
                    while let Some(message) = reader.read(&mut input).unwrap() {
                        types.push(message.type_id);
                    }
                }
            }
        }
    }
    (types, reader.chunk_size())
}

#[test]
fn publishers_are_told_no_chunk_size() {
    let (types, chunk_size) = answers("publish");
    assert!(types.contains(&type_id::COMMAND_AMF0), "{types:?}");
    assert!(!types.contains(&type_id::SET_CHUNK_SIZE), "{types:?}");
    assert_eq!(chunk_size, 128);
}

#[test]
fn players_are_told_it_once_before_they_begin() {
    let (types, chunk_size) = answers("play");
    let told = types
        .iter()
        .filter(|type_id| **type_id == type_id::SET_CHUNK_SIZE);
    assert_eq!(told.count(), 1, "{types:?}");
    assert_eq!(chunk_size, ServerConfig::default().chunk_size);
}
