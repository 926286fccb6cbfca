//! What a client session tells its owner.

use livehost_wire::amf0::{Properties, Value};

use crate::{command::Command, message::Message};

/// Something the server did.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientEvent {
    /// `connect` was accepted.
    Connected {
        /// The server's properties (`fmsVer`, `capabilities`), if it said any.
        server: Properties,
    },
    /// What was asked for is refused.
    Rejected(ServerRejection),
    /// The publish is accepted: media may be sent.
    PublishStarted {
        /// The message stream to send on.
        stream: u32,
    },
    /// The playback is accepted: media may come, now or when there is a
    /// publisher.
    PlayStarted {
        /// The message stream.
        stream: u32,
    },
    /// Any other status: a publisher came or went, a pause, a reconnect
    /// request, the end.
    Status {
        /// The message stream; 0 is the connection.
        stream: u32,
        /// "status", "warning" or "error".
        level: String,
        /// Such as "NetStream.Play.UnpublishNotify".
        code: String,
        /// For people; may be empty.
        description: String,
    },
    /// An FLV audio tag body.
    Audio(Message),
    /// An FLV video tag body.
    Video(Message),
    /// Metadata and other data.
    Data(Message),
    /// The message stream can be used, or begins to play.
    StreamBegin(u32),
    /// There is no more to play on the message stream.
    StreamEof(u32),
    /// The answer to a ping, with what it carried.
    Pong(u32),
    /// The answer to a call of the owner.
    CallAnswered {
        /// What `call` returned.
        transaction: u32,
        /// False if the answer is an `_error`.
        ok: bool,
        /// What it says.
        values: Vec<Value>,
    },
    /// A command of the server that isn't part of any of the above.
    Command {
        /// The message stream.
        stream: u32,
        /// The command.
        command: Command,
    },
}

/// What was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusedCommand {
    /// `connect`: the server will close the connection.
    Connect,
    /// `createStream`: there is no message stream to publish or play on.
    CreateStream,
    /// `publish` on this message stream.
    Publish {
        /// The message stream.
        stream: u32,
    },
    /// `play` on this message stream.
    Play {
        /// The message stream.
        stream: u32,
    },
}

/// A refusal and its reason.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerRejection {
    /// What was refused.
    pub what: RefusedCommand,
    /// Such as "NetStream.Publish.BadName"; empty if the server gave none.
    pub code: String,
    /// For people, and for Adobe's authentication; may be empty.
    pub description: String,
    /// Where the server says that it is to be had instead.
    pub redirect: Option<Redirect>,
}

/// Where a server sends a client, as it says so: texts that nobody has checked.
/// At least one is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// `ex.redirect`: the URL up to and including the application, as Adobe's
    /// servers and Wowza say it; that of a stream with some others.
    pub url: Option<String>,
    /// `ex.redirect2`: the URL of the stream, as SRS says it.
    pub stream_url: Option<String>,
}

impl Redirect {
    /// What an info object says, if it says where to.
    pub(super) fn read(info: Option<&Properties>) -> Option<Self> {
        let ex = info?.get("ex")?;
        let text = |name| {
            let text = ex.get(name).and_then(Value::as_str);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let (url, stream_url) = (text("redirect"), text("redirect2"));
        (url.is_some() || stream_url.is_some()).then_some(Self { url, stream_url })
    }
}
