//! How much a client may say grows with what it was granted.

// clippy.toml allows these in test functions; helpers are tests as well.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use bytes::{Bytes, BytesMut};
use livehost_rtmp::{
    chunk::Writer,
    command::Command,
    control::ProtocolControl,
    message::{Message, type_id},
    session::{
        Output, SessionError,
        server::{Media, MediaKind, ServerConfig, ServerEvent, ServerSession},
    },
};
use livehost_wire::amf0::{Properties, Value};

const KIB: usize = 1 << 10;

/// A server's session, and what its client says. The handshake is done.
struct Client {
    session: ServerSession,
    writer: Writer,
    /// Said, and not read by the session yet.
    waiting: BytesMut,
}

impl Client {
    fn new() -> Self {
        let mut client = Self {
            session: ServerSession::after_handshake(ServerConfig::default()),
            writer: Writer::new(),
            waiting: BytesMut::new(),
        };
        client.write(&ProtocolControl::SetChunkSize(4096).to_message());
        client.writer.set_chunk_size(4096);
        client
    }

    fn connected() -> Self {
        let mut client = Self::new();
        client.write(&connect(0));
        client.write(&create_stream());
        assert!(matches!(
            client.read().unwrap()[..],
            [ServerEvent::Connect(_)]
        ));
        client.session.accept_connect(None, None);
        assert_eq!(client.read().unwrap(), []);
        client
    }

    fn publishing() -> Self {
        let mut client = Self::connected();
        client.write(&publish(1, "cam"));
        assert!(matches!(
            client.read().unwrap()[..],
            [ServerEvent::Publish(_)]
        ));
        client.session.accept_publish();
        client
    }

    fn write(&mut self, message: &Message) {
        self.writer.write(message, &mut self.waiting);
    }

    /// Has the session read what waits, as far as it does.
    fn read(&mut self) -> Result<Vec<ServerEvent>, SessionError> {
        let mut events = Vec::new();
        let waiting = self.waiting.split().freeze();
        let mut rest = &waiting[..];
        let outcome = self.session.handle_input(&mut rest);
        self.waiting.extend_from_slice(rest);
        while let Some(output) = self.session.poll_output() {
            if let Output::Event(event) = output {
                events.push(event);
            }
        }
        outcome.map(|()| events)
    }

    /// The error that this message ends in.
    fn refused(&mut self, message: &Message) -> String {
        self.write(message);
        self.read().unwrap_err().to_string()
    }
}

fn message(type_id: u8, stream: u32, len: usize) -> Message {
    Message {
        chunk_stream_id: 6,
        timestamp: 40,
        type_id,
        message_stream_id: stream,
        payload: Bytes::from(vec![0x17; len]),
    }
}

fn video(len: usize) -> Message {
    message(type_id::VIDEO, 1, len)
}

fn media(len: usize) -> ServerEvent {
    ServerEvent::Media(Media {
        stream: 1,
        kind: MediaKind::Video,
        timestamp: 40,
        payload: video(len).payload,
    })
}

/// A connect of about so many bytes.
fn connect(len: usize) -> Message {
    let mut connect = Command::new("connect", 1.0, vec![]);
    let long = "x".repeat(len);
    let properties = Properties::from([("app", "live".into()), ("long", long.as_str().into())]);
    connect.object = Value::Object(properties);
    connect.to_message(3, 0)
}

fn create_stream() -> Message {
    Command::new("createStream", 2.0, vec![]).to_message(3, 0)
}

fn publish(stream: u32, name: &str) -> Message {
    let arguments = vec![name.into(), "live".into()];
    Command::new("publish", 0.0, arguments).to_message(8, stream)
}

/// A call whose message has so many bytes.
fn call(len: usize) -> Message {
    let of = |argument: usize| {
        let argument = Value::String("x".repeat(argument));
        Command::new("count", 3.0, vec![argument]).to_message(3, 0)
    };
    // Long texts have longer headers than short ones.
    let long = 70_000;
    let call = of(len + long - of(long).payload.len());
    assert_eq!(call.payload.len(), len);
    call
}

#[test]
fn a_stranger_is_read_64_kib_ahead_in_all() {
    let mut client = Client::new();
    client.write(&connect(60 * KIB));
    assert!(matches!(
        client.read().unwrap()[..],
        [ServerEvent::Connect(_)]
    ));

    let too_long = "expected messages of at most 65536 bytes, found one of 65537 bytes";
    for type_id in [
        type_id::COMMAND_AMF0,
        type_id::VIDEO,
        type_id::SHARED_OBJECT_AMF0,
    ] {
        let error = Client::new().refused(&message(type_id, 0, 64 * KIB + 1));
        assert!(error.contains(too_long), "{error}");
    }
    // Messages that never end, each on a chunk stream of its own.
    let mut client = Client::new();
    for chunk_stream_id in 3.. {
        let begun = Message {
            chunk_stream_id,
            ..message(type_id::COMMAND_AMF0, 0, 16 * KIB)
        };
        client.writer.write(&begun, &mut client.waiting);
        // Its first chunk alone.
        let len = client.waiting.len();
        client.waiting.truncate(len - 3 * 4097);
        match client.read() {
            Ok(_) => assert!(client.session.buffered_bytes() <= 64 * KIB),
            Err(error) => {
                let error = error.to_string();
                let limit = "expected unfinished messages to take at most 65536 bytes";
                assert!(error.contains(limit), "{error}");
                break;
            }
        }
    }
}

#[test]
fn who_was_let_in_may_say_what_the_setting_allows() {
    let mut client = Client::connected();
    client.write(&call(512 * KIB));
    assert!(matches!(
        client.read().unwrap()[..],
        [ServerEvent::Call { .. }]
    ));
    let error = Client::connected().refused(&call(512 * KIB + 1));
    let too_long = "expected messages of at most 524288 bytes, found one of 524289 bytes";
    assert!(error.contains(too_long), "{error}");
    // Who publishes may say more; nobody more than a message may have.
    let mut client = Client::publishing();
    client.write(&call(2 << 20));
    assert!(matches!(
        client.read().unwrap()[..],
        [ServerEvent::Call { .. }]
    ));
    for mut client in [Client::publishing(), Client::connected()] {
        let error = client.refused(&video((8 << 20) + 1));
        let too_long = "expected messages of at most 8388608 bytes, found one of 8388609 bytes";
        assert!(error.contains(too_long), "{error}");
    }
}

/// All of it comes at once, before anything is answered.
#[test]
fn a_keyframe_ahead_of_the_answer_waits_for_it() {
    let keyframe = 1 << 20;
    let mut client = Client::new();
    for message in [
        connect(0),
        create_stream(),
        publish(1, "cam"),
        video(keyframe),
    ] {
        client.write(&message);
    }
    assert!(matches!(
        client.read().unwrap()[..],
        [ServerEvent::Connect(_)]
    ));
    assert_eq!(client.read().unwrap(), [], "a question is open");
    client.session.accept_connect(None, None);
    assert!(matches!(
        client.read().unwrap()[..],
        [ServerEvent::Publish(_)]
    ));
    assert_eq!(client.read().unwrap(), [], "a question is open");
    assert_eq!(client.session.buffered_bytes(), 0);
    client.session.accept_publish();
    assert_eq!(client.read().unwrap(), [media(keyframe)]);
    // Sound between its chunks, and a frame of the greatest length.
    client.write(&video(8 << 20));
    assert_eq!(client.read().unwrap(), [media(8 << 20)]);
}

#[test]
fn media_without_a_publication_is_passed_over() {
    let mut client = Client::connected();
    client.write(&publish(1, "denied"));
    assert!(matches!(
        client.read().unwrap()[..],
        [ServerEvent::Publish(_)]
    ));
    client.write(&video(1 << 20));
    assert_eq!(client.read().unwrap(), []);
    client
        .session
        .reject_stream("NetStream.Publish.Denied", "no", None);
    assert_eq!(client.read().unwrap(), []);
    // Half of one: nothing of it is held.
    client.write(&video(1 << 20));
    let late = client.waiting.split_off(512 * KIB);
    assert_eq!(client.read().unwrap(), []);
    assert_eq!(client.session.buffered_bytes(), 0);
    client.waiting.unsplit(late);
    // The next name is let in, and its media is whole.
    client.write(&publish(1, "cam"));
    assert!(matches!(
        client.read().unwrap()[..],
        [ServerEvent::Publish(_)]
    ));
    client.session.accept_publish();
    client.write(&video(1 << 20));
    assert_eq!(client.read().unwrap(), [media(1 << 20)]);
}

#[test]
fn with_the_last_publication_ends_what_it_allowed() {
    fn unpublish(client: &mut Client, stream: u32) {
        let id = vec![f64::from(stream).into()];
        client.write(&Command::new("deleteStream", 0.0, id).to_message(3, 0));
        assert!(matches!(
            client.read().unwrap()[..],
            [ServerEvent::Unpublish { .. }]
        ));
    }
    fn end(client: &mut Client, stream: u32) {
        client
            .session
            .end_stream(stream, "error", "NetStream.Publish.BadName", "replaced");
    }
    for over in [unpublish, end] {
        let mut client = Client::publishing();
        client.write(&publish(2, "other"));
        assert!(matches!(
            client.read().unwrap()[..],
            [ServerEvent::Publish(_)]
        ));
        client.session.accept_publish();
        over(&mut client, 2);
        client.write(&video(1 << 20));
        assert_eq!(client.read().unwrap(), [media(1 << 20)]);
        // What has come of a frame goes with the publication.
        client.write(&video(4 << 20));
        // Its last chunks, whole.
        let late = client.waiting.len() - 200 * 4097;
        let late = client.waiting.split_off(late);
        assert_eq!(client.read().unwrap(), []);
        assert!(client.session.buffered_bytes() >= 3 << 20);
        over(&mut client, 1);
        while client.session.poll_output().is_some() {}
        assert_eq!(client.session.buffered_bytes(), 0);
        client.waiting.unsplit(late);
        assert_eq!(client.read().unwrap(), []);
        let error = client.refused(&call(1 << 20));
        assert!(error.contains("at most 524288 bytes"), "{error}");
    }
}

#[test]
fn a_frame_that_comes_slowly_shows_that_its_publisher_is_there() {
    let mut client = Client::publishing();
    let progress = |client: &mut Client| client.session.media_in_progress().collect::<Vec<_>>();
    client.write(&video(100 * KIB));
    let frame = client.waiting.split();
    for piece in frame.chunks(7 * KIB) {
        assert_eq!(progress(&mut client), []);
        client.waiting.extend_from_slice(piece);
        let whole = !client.read().unwrap().is_empty();
        let expected: &[u32] = if whole { &[] } else { &[1] };
        assert_eq!(progress(&mut client), expected);
    }
    // Of a message stream that is not published, and of a call, it is not.
    for message in [message(type_id::VIDEO, 2, 100 * KIB), call(100 * KIB)] {
        client.write(&message);
        client.waiting.truncate(50 * KIB);
        assert_eq!(client.read().unwrap(), []);
        assert_eq!(progress(&mut client), []);
        client.waiting.clear();
        client = Client::publishing();
    }
}
