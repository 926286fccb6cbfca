//! The protocol before media flows: handshake, `connect`, `createStream`,
//! `publish` or `play`; and what a client owes later: acknowledgements and
//! ping responses. RTMP 1.0 sections 5.2, 5.4, 7.1.7 and 7.2.

use anyhow::{Result, bail};
use bytes::{Bytes, BytesMut};
use livehost_rtmp::{
    chunk::Writer,
    command::Command,
    control::{ProtocolControl, UserControl},
    message::{Message, type_id},
};
use livehost_wire::amf0::{Properties, Value};

/// C1 and S1, in bytes.
const PACKET: usize = 1536;
/// Chunk size of what is sent, as FFmpeg sets it.
pub(crate) const CHUNK_SIZE: u32 = 60_000;
/// Chunk stream of commands.
const COMMANDS: u32 = 3;

/// What a connection is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    Publish {
        name: String,
    },
    Play {
        name: String,
    },
    /// To be connected, no more.
    Idle,
}

/// What the server agreed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agreed {
    Connected,
    /// Publishing or playing, on this message stream.
    Started(u32),
}

/// A client's side of the conversation. What it has to say is in `out`.
#[derive(Debug)]
pub(crate) struct Talk {
    purpose: Purpose,
    pub(crate) out: BytesMut,
    writer: Writer,
    stream: u32,
    started: bool,
    /// The server's window, and what was acknowledged of it.
    window: u64,
    acknowledged: u64,
}

impl Talk {
    /// Begins with C0 and C1 of the simple handshake.
    pub(crate) fn new(purpose: Purpose) -> Self {
        let mut out = BytesMut::with_capacity(1 + PACKET);
        out.extend_from_slice(&[3, 0, 0, 0, 0, 0, 0, 0, 0]);
        // What is random elsewhere is only echoed.
        out.extend((0..PACKET - 8).map(|at| at.to_le_bytes()[0]));
        Self {
            purpose,
            out,
            writer: Writer::new(),
            stream: 0,
            started: false,
            window: 0,
            acknowledged: 0,
        }
    }

    /// Bytes that the server's handshake has: S0, S1 and S2.
    pub(crate) const HANDSHAKE: usize = 1 + 2 * PACKET;

    /// The whole handshake came: C2, then `connect`.
    pub(crate) fn handshaken(&mut self, received: &[u8], app: &str, url: &str) {
        self.out
            .extend_from_slice(received.get(1..=PACKET).unwrap_or_default());
        let mut connect = Command::new("connect", 1.0, Vec::new());
        connect.object = Properties::from([
            ("app", Value::from(app)),
            ("type", Value::from("nonprivate")),
            (
                "flashVer",
                Value::from("FMLE/3.0 (compatible; livehost-bench)"),
            ),
            ("tcUrl", Value::from(url)),
        ])
        .into();
        self.say(&connect.to_message(COMMANDS, 0));
    }

    /// Answers a message that is not media.
    ///
    /// # Errors
    /// If the server refused.
    pub(crate) fn hear(&mut self, kind: u8, body: &[u8]) -> Result<Option<Agreed>> {
        match kind {
            type_id::WINDOW_ACK_SIZE | type_id::USER_CONTROL => {
                match ProtocolControl::decode(kind, body) {
                    Ok(ProtocolControl::WindowAckSize(size)) => self.window = size.into(),
                    Ok(ProtocolControl::UserControl(UserControl::PingRequest(millis))) => {
                        self.say(&UserControl::PingResponse(millis).to_message());
                    }
                    _ => {}
                }
                Ok(None)
            }
            type_id::COMMAND_AMF0 => {
                let command = Command::decode(&Message {
                    chunk_stream_id: COMMANDS,
                    timestamp: 0,
                    type_id: kind,
                    message_stream_id: 0,
                    payload: Bytes::copy_from_slice(body),
                })?;
                self.command(&command)
            }
            _ => Ok(None),
        }
    }

    fn command(&mut self, command: &Command) -> Result<Option<Agreed>> {
        let info = command.arguments.first();
        let code = info
            .and_then(|info| info.get("code"))
            .and_then(Value::as_str)
            .unwrap_or_default();
        match (command.name.as_str(), command.transaction_id) {
            ("_result", 1.0) => {
                self.connected();
                Ok(Some(Agreed::Connected))
            }
            ("_result", 2.0) => {
                let id = info.and_then(Value::as_f64).unwrap_or(1.0);
                self.created(id);
                Ok(None)
            }
            ("onStatus", _) if code.ends_with(".Start") => {
                let first = !std::mem::replace(&mut self.started, true);
                Ok(first.then_some(Agreed::Started(self.stream)))
            }
            ("_error", _) => bail!("refused: {:?}", command.arguments),
            ("onStatus", _) if is_error(info) => bail!("refused: {code}"),
            _ => Ok(None),
        }
    }

    fn connected(&mut self) {
        self.say(&ProtocolControl::WindowAckSize(2_500_000).to_message());
        self.say(&ProtocolControl::SetChunkSize(CHUNK_SIZE).to_message());
        self.writer.set_chunk_size(CHUNK_SIZE);
        if self.purpose != Purpose::Idle {
            let create = Command::new("createStream", 2.0, Vec::new());
            self.say(&create.to_message(COMMANDS, 0));
        }
    }

    fn created(&mut self, id: f64) {
        // Message stream ids are small whole numbers.
        self.stream = (1..=u32::from(u16::MAX))
            .find(|stream| f64::from(*stream) >= id)
            .unwrap_or(1);
        let command = match &self.purpose {
            Purpose::Publish { name } => {
                Command::new("publish", 3.0, vec![name.as_str().into(), "live".into()])
            }
            Purpose::Play { name } => {
                Command::new("play", 3.0, vec![name.as_str().into(), (-1.0).into()])
            }
            Purpose::Idle => return,
        };
        let message = command.to_message(COMMANDS, self.stream);
        self.say(&message);
    }

    /// Leaves, as a well-behaved client does.
    pub(crate) fn goodbye(&mut self) {
        if self.stream > 0 {
            let stream = f64::from(self.stream).into();
            let delete = Command::new("deleteStream", 0.0, vec![stream]);
            self.say(&delete.to_message(COMMANDS, 0));
        }
    }

    /// Acknowledges once half the server's window came (section 5.4.3).
    pub(crate) fn acknowledge(&mut self, received: u64) {
        if self.window > 0 && received - self.acknowledged > self.window / 2 {
            self.acknowledged = received;
            // The sequence number wraps.
            let low = u32::try_from(received & 0xFFFF_FFFF).unwrap_or_default();
            self.say(&ProtocolControl::Acknowledgement(low).to_message());
        }
    }

    fn say(&mut self, message: &Message) {
        self.writer.write(message, &mut self.out);
    }
}

fn is_error(info: Option<&Value>) -> bool {
    info.and_then(|info| info.get("level"))
        .and_then(Value::as_str)
        == Some("error")
}
