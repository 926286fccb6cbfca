//! What a server session tells its owner.

use bytes::Bytes;
use livehost_wire::amf0::{Properties, Value};

use crate::message::Message;

/// Something a client did.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerEvent {
    /// Asks: `accept_connect`, `reject_connect` or `redirect`.
    Connect(Connect),
    /// Asks: `accept_publish` or `reject_stream`.
    Publish(Publish),
    /// Asks: `accept_play` or `reject_stream`.
    Play(Play),
    /// Asks: `answer_call`. A command the protocol does not define.
    Call {
        /// The method's name.
        name: String,
        /// Its arguments.
        arguments: Vec<Value>,
    },
    /// Asks: `finish_shared_object`, once it is acted on. A shared object
    /// message, unread: who denies it anyway need not know what it says, see
    /// [`SharedObjectMessage::decode`](crate::shared_object::SharedObjectMessage::decode).
    SharedObject(Message),
    /// A message of an accepted publish.
    Media(Media),
    /// An accepted publish has ended.
    Unpublish {
        /// The message stream.
        stream: u32,
        /// How the client ended it.
        reason: StreamStop,
    },
    /// An accepted playback has ended.
    StopPlay {
        /// The message stream.
        stream: u32,
        /// How the client ended it.
        reason: StreamStop,
    },
    /// A player pauses or goes on.
    Pause {
        /// The message stream.
        stream: u32,
        /// True to pause.
        paused: bool,
    },
    /// A player wants, or no longer wants, audio or video.
    Receive {
        /// The message stream.
        stream: u32,
        /// Audio or video.
        kind: MediaKind,
        /// False to leave it out.
        wanted: bool,
    },
    /// A player's buffer, in milliseconds.
    BufferLength {
        /// The message stream.
        stream: u32,
        /// Milliseconds.
        millis: u32,
    },
    /// The answer to a ping.
    Pong,
}

impl ServerEvent {
    /// True when nothing more is read until the owner answers.
    pub fn is_question(&self) -> bool {
        matches!(
            self,
            Self::Connect(_)
                | Self::Publish(_)
                | Self::Play(_)
                | Self::Call { .. }
                | Self::SharedObject(_)
        )
    }
}

/// A `connect` command (RTMP 1.0 section 7.2.1.1).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Connect {
    /// The whole command object.
    pub properties: Properties,
    /// Values behind the command object.
    pub arguments: Vec<Value>,
}

impl Connect {
    /// Application as sent: instance and query not yet cut off.
    pub fn app(&self) -> &str {
        self.text("app")
    }

    /// `tcUrl`, or empty.
    pub fn tc_url(&self) -> &str {
        self.text("tcUrl")
    }

    /// `flashVer`, or empty.
    pub fn flash_ver(&self) -> &str {
        self.text("flashVer")
    }

    fn text(&self, name: &str) -> &str {
        let value = self.properties.get(name).and_then(Value::as_str);
        value.unwrap_or_default()
    }
}

/// A `publish` command (RTMP 1.0 section 7.2.2.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The message stream.
    pub stream: u32,
    /// As sent: the query is not yet cut off.
    pub name: String,
    /// `live`, `record` or `append`, in lower case; `live` when not given.
    pub mode: String,
}

/// A `play` command (RTMP 1.0 section 7.2.2.1).
#[derive(Debug, Clone, PartialEq)]
pub struct Play {
    /// The message stream.
    pub stream: u32,
    /// As sent: the query is not yet cut off.
    pub name: String,
    /// -2: live, else recorded (default). -1: live. From 0: recorded, from
    /// this position. The specification has seconds, FFmpeg sends
    /// milliseconds: -2000 and -1000 mean -2 and -1.
    pub start: f64,
}

/// Audio, video or data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaKind {
    /// Message type 8.
    Audio,
    /// Message type 9.
    Video,
    /// Message types 15 and 18: `@setDataFrame` and the AMF3 marker cut off.
    Data,
}

/// A message of a publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Media {
    /// The message stream.
    pub stream: u32,
    /// Audio, video or data.
    pub kind: MediaKind,
    /// Milliseconds, modulo 2^32.
    pub timestamp: u32,
    /// The message's body.
    pub payload: Bytes,
}

/// How a client ended a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamStop {
    /// `FCUnpublish`, or `publish(false)`.
    Unpublish,
    /// `closeStream`.
    CloseStream,
    /// `deleteStream`.
    DeleteStream,
    /// Another `play` on the same message stream.
    PlayAnother,
}

impl StreamStop {
    /// The word used in logs and events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unpublish => "unpublish",
            Self::CloseStream => "close-stream",
            Self::DeleteStream => "delete-stream",
            Self::PlayAnother => "play-another",
        }
    }
}
