//! What the benches read and write: chunk streams at the sizes of real media,
//! the values of real commands, a session that is published to, a stream that is
//! played, and a decision.
//!
//! All of it is made outside of what is counted. The same input makes the same
//! number of instructions, so a difference of one percent is a change of the
//! code, on a busy machine as well.

#![allow(clippy::expect_used, clippy::panic)]

mod decision;
mod fan_out;

pub use decision::{Decision, Recorded, decision};
pub use fan_out::{FanOut, fan_out};

use bytes::{Bytes, BytesMut};
use livehost_rtmp::{
    chunk::Writer,
    command::Command,
    control::ProtocolControl,
    handshake::{ClientHandshake, HandshakeKind, Progress, RANDOM_LEN},
    message::{Message, type_id},
    session::{
        Output,
        server::{ServerConfig, ServerEvent, ServerSession},
    },
};
use livehost_wire::{
    amf0::{Properties, Value},
    amf3,
};

/// Messages that are read or written in a row.
pub const BATCH: u32 = 16;

/// What a socket gives with one read, in bytes.
const READ: usize = 64 << 10;

/// A run of video messages.
#[derive(Debug)]
pub struct Media {
    /// Outbound chunk size in bytes.
    pub chunk_size: u32,
    /// [`BATCH`] messages.
    pub messages: Vec<Message>,
    /// Room for all of them, so that growing is not counted.
    pub out: BytesMut,
}

/// Messages of `len` bytes, to be written in chunks of `chunk_size`.
pub fn media(len: usize, chunk_size: u32) -> Media {
    Media {
        chunk_size,
        messages: (0..BATCH).map(|index| video(len, index)).collect(),
        out: BytesMut::with_capacity((len + len / 64 + 64) * BATCH as usize),
    }
}

/// The bytes of [`media`] as reads of a socket give them. Set Chunk Size comes
/// first: a reader starts at 128.
pub fn reads(len: usize, chunk_size: u32) -> Vec<Bytes> {
    let mut wire = BytesMut::new();
    let mut writer = Writer::new();
    writer.write(
        &ProtocolControl::SetChunkSize(chunk_size).to_message(),
        &mut wire,
    );
    writer.set_chunk_size(chunk_size);
    for message in media(len, chunk_size).messages {
        writer.write(&message, &mut wire);
    }
    pieces(&wire)
}

fn pieces(wire: &[u8]) -> Vec<Bytes> {
    wire.chunks(READ).map(Bytes::copy_from_slice).collect()
}

fn video(len: usize, index: u32) -> Message {
    Message {
        chunk_stream_id: 6,
        timestamp: index * 33,
        type_id: type_id::VIDEO,
        message_stream_id: 1,
        payload: Bytes::from(vec![0x5A; len]),
    }
}

/// `connect`, as FFmpeg sends it.
pub fn connect() -> Vec<Value> {
    let object = Properties::from([
        ("app", Value::from("live")),
        ("type", Value::from("nonprivate")),
        (
            "flashVer",
            Value::from("FMLE/3.0 (compatible; Lavf60.16.100)"),
        ),
        ("tcUrl", Value::from("rtmp://127.0.0.1:1935/live")),
    ]);
    vec![Value::from("connect"), Value::from(1.0), object.into()]
}

/// `onMetaData`, as OBS sends it.
pub fn metadata() -> Vec<Value> {
    let mut object = Properties::new();
    for name in [
        "duration",
        "fileSize",
        "width",
        "height",
        "videocodecid",
        "videodatarate",
        "framerate",
        "audiocodecid",
        "audiodatarate",
        "audiosamplerate",
        "audiosamplesize",
        "audiochannels",
    ] {
        object.push(name, Value::from(1280.0));
    }
    object.push("stereo", Value::from(true));
    object.push(
        "encoder",
        Value::from("obs-output module (libobs version 30.0.2)"),
    );
    vec![Value::from("onMetaData"), object.into()]
}

/// Metadata as a dynamic object, as Flash writes it.
pub fn metadata3() -> Vec<amf3::Value> {
    let mut dynamic = amf3::Properties::new();
    for index in 0..14 {
        dynamic.push(format!("property{index}"), amf3::Value::Double(1280.0));
    }
    vec![amf3::Value::Object(amf3::Object {
        dynamic: Some(dynamic),
        ..amf3::Object::default()
    })]
}

/// A session whose client publishes, and the reads that bring its media.
#[derive(Debug)]
pub struct Ingest {
    /// Its publish is accepted.
    pub session: ServerSession,
    /// [`BATCH`] video messages.
    pub reads: Vec<Bytes>,
}

/// A client that publishes messages of `len` bytes in chunks of `chunk_size`.
///
/// # Panics
/// If the session refuses what every encoder says.
pub fn ingest(len: usize, chunk_size: u32) -> Ingest {
    let random = [7; RANDOM_LEN];
    let mut session = ServerSession::new(ServerConfig::default(), random, 0);
    let mut wire = BytesMut::new();
    let mut handshake = ClientHandshake::new(HandshakeKind::Simple, &random, 0);
    let mut progress = handshake
        .handle_input(&mut &[][..], &mut wire)
        .expect("no input");
    loop {
        deliver(&mut session, &wire.split());
        if progress == Progress::Done {
            break;
        }
        let Some(Output::Send(bytes)) = session.poll_output() else {
            panic!("the server says nothing");
        };
        progress = handshake
            .handle_input(&mut &bytes[..], &mut wire)
            .expect("a handshake");
    }
    let mut writer = Writer::new();
    let mut connect = Command::new("connect", 1.0, Vec::new());
    connect.object = Properties::from([("app", Value::from("live"))]).into();
    let publish = vec![Value::from("key"), Value::from("live")];
    for message in [
        ProtocolControl::SetChunkSize(chunk_size).to_message(),
        connect.to_message(3, 0),
        Command::new("createStream", 2.0, Vec::new()).to_message(3, 0),
        Command::new("publish", 3.0, publish).to_message(3, 1),
    ] {
        writer.write(&message, &mut wire);
        if message.type_id == type_id::SET_CHUNK_SIZE {
            writer.set_chunk_size(chunk_size);
        }
        deliver(&mut session, &wire.split());
        while let Some(output) = session.poll_output() {
            match output {
                Output::Event(ServerEvent::Connect(_)) => session.accept_connect(None, None),
                Output::Event(ServerEvent::Publish(_)) => session.accept_publish(),
                _ => {}
            }
        }
    }
    for message in media(len, chunk_size).messages {
        writer.write(&message, &mut wire);
    }
    let reads = pieces(&wire);
    Ingest { session, reads }
}

fn deliver(session: &mut ServerSession, bytes: &[u8]) {
    let mut input = bytes;
    session.handle_input(&mut input).expect("a good client");
    assert!(input.is_empty(), "all of it is read");
}
