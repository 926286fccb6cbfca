//! The values of the interface in `wit/0.1/types.wit`, as plain Rust.
//!
//! Field for field the same as the WIT records, so that a reader of one knows
//! the other; durations are milliseconds because the interface has them so.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;

use super::names;

/// Identifies a connection for the life of the process.
pub type ConnId = u64;
/// Identifies one accepted publish for the life of the process.
pub type StreamId = u64;
/// Ordered text pairs: query parameters, attributes.
pub type Pairs = Vec<(String, String)>;

/// A leaf of an AMF object, flattened.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// AMF null, undefined, or what has no other form.
    Null,
    /// AMF boolean.
    Boolean(bool),
    /// AMF number, or a date in milliseconds since 1970.
    Number(f64),
    /// AMF string or XML.
    Text(String),
}

/// Who is asking.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Client {
    /// The connection.
    pub conn: ConnId,
    /// Remote address and port, `203.0.113.7:51234`.
    pub remote: String,
    /// `rtmp`, `rtmps`, ...
    pub protocol: String,
    /// Server name of the TLS handshake.
    pub tls_name: Option<String>,
    /// What `on-connect` granted.
    pub attrs: Pairs,
}

impl Client {
    /// Where it is, without the port.
    pub fn address(&self) -> Option<IpAddr> {
        let remote = self.remote.parse::<SocketAddr>();
        remote.ok().map(|remote| remote.ip())
    }

    /// Whether `other`, on a connection of its own, seems to be the same as this:
    /// it comes from the same address (or /64 of IPv6), or was granted the same
    /// attributes, if it was granted any.
    pub fn is_same_as(&self, other: &Self) -> bool {
        let network = |client: &Self| client.address().map(livehost_telemetry::network::network);
        let same_address = network(self).is_some_and(|own| network(other) == Some(own));
        same_address || (!self.attrs.is_empty() && self.attrs == other.attrs)
    }

    /// What its texts take in memory, in bytes.
    pub fn bytes(&self) -> usize {
        let Self {
            conn: _,
            remote,
            protocol,
            tls_name,
            attrs,
        } = self;
        let texts = [remote, protocol].map(String::len);
        let name = tls_name.as_ref().map_or(0, String::len);
        let sum = texts.into_iter().fold(name, usize::saturating_add);
        sum.saturating_add(pairs_bytes(attrs))
            .saturating_add(size_of::<Self>())
    }
}

/// What `pairs` take in memory, in bytes.
pub fn pairs_bytes(pairs: &[(String, String)]) -> usize {
    pairs
        .iter()
        .map(|(key, value)| key.len().saturating_add(value.len()))
        .map(|texts| texts.saturating_add(size_of::<(String, String)>()))
        .fold(0, usize::saturating_add)
}

/// A client's `connect` command.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectRequest {
    /// Who is asking.
    pub client: Client,
    /// The acceptor's address, `0.0.0.0:1935`.
    pub local: String,
    /// The application's name in the configuration.
    pub app: String,
    /// `live/room1` asks for the instance `room1` of `live`.
    pub instance: Option<String>,
    /// Query parameters of the application name and of tcUrl.
    pub query: Pairs,
    /// As the client sent it.
    pub tc_url: String,
    /// As the client sent it; says nothing reliable about the client.
    pub flash_ver: String,
    /// Every other property of the command object, flattened with dots.
    pub props: Vec<(String, Scalar)>,
    /// What stands behind the command object; `cut`: the fields that were too
    /// long.
    pub extra: Pairs,
}

/// A client's `publish` or `play` command.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamRequest {
    /// Who is asking.
    pub client: Client,
    /// The application's name.
    pub app: String,
    /// The application instance.
    pub instance: Option<String>,
    /// The stream's name, its query cut off.
    pub name: String,
    /// As the client sent it, query included.
    pub raw_name: String,
    /// The query behind the stream's name.
    pub query: Pairs,
    /// Publish: `live`, `record`, `append`; what a client says instead is in `extra`.
    /// Play: `live`, `any`, `vod`.
    pub mode: String,
    /// Play: the recorded position asked for, in seconds.
    pub start_seconds: Option<f64>,
    /// Room for growth.
    pub extra: Pairs,
}

/// A refusal, as the client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Status code; empty for the usual one of the command.
    pub code: String,
    /// Shown by encoders to their user.
    pub description: String,
    /// When trying again makes sense. With it, the refusal is about the moment
    /// and not about who asks.
    pub retry_after_ms: Option<u32>,
    /// The plugin judged the client so, not the moment. Without it the server
    /// refuses for a reason of its own, which says nothing against the client.
    pub is_verdict: bool,
}

impl Rejection {
    /// The server could not decide, with the command's usual status code.
    pub fn undecided(description: impl Into<String>) -> Self {
        Self {
            retry_after_ms: Some(1000),
            ..Self::new(description)
        }
    }

    /// The server's refusal with the command's usual status code.
    pub fn new(description: impl Into<String>) -> Self {
        Self {
            code: String::new(),
            description: description.into(),
            retry_after_ms: None,
            is_verdict: false,
        }
    }
}

/// How a client must prove that it knows a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Challenge {
    /// Adobe's: MD5 of a salted MD5.
    Adobe,
    /// Limelight's: HTTP's digest (RFC 2617).
    Llnw,
}

/// A client that answers a challenge, or asks for one, as a user.
#[derive(Debug, Clone, PartialEq)]
pub struct CredentialRequest {
    /// Its `connect` command.
    pub connect: Arc<ConnectRequest>,
    /// The user's name.
    pub user: String,
}

/// What a plugin knows of a user whose password is asked for.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// The password itself.
    Password(String),
    /// Of Adobe's challenge: the salt, and base64 of the MD5 of user, salt and
    /// password.
    Adobe {
        /// Told to the client.
        salt: String,
        /// As good as the password.
        hash: String,
    },
    /// Of Limelight's: the MD5 of `USER:live:PASSWORD` in hex.
    Llnw(String),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(..)")
    }
}

/// What a client wants to do with a shared object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRequest {
    /// Who is asking.
    pub client: Client,
    /// The application's name.
    pub app: String,
    /// The application instance.
    pub instance: Option<String>,
    /// The object's name.
    pub name: String,
    /// It outlives its clients.
    pub persistent: bool,
    /// What is to be done.
    pub operation: ObjectOperation,
}

/// One event of a client; values are AMF0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectOperation {
    /// To use the object.
    Connect,
    /// To give a property a value.
    Set(String, Bytes),
    /// To remove a property.
    Remove(String),
    /// To remove all properties.
    Clear,
    /// To send values to all clients of the object, a handler's name first.
    Send(Bytes),
}

/// The answer to [`ObjectRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectDecision {
    /// As asked.
    Allow,
    /// Not at all; the client is told.
    Deny,
    /// With another value, or other arguments: AMF0.
    Rewrite(Bytes),
}

/// A client's remote procedure call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRequest {
    /// Who is asking.
    pub client: Client,
    /// The method's name.
    pub method: String,
    /// The arguments: AMF0 values.
    pub amf0: Bytes,
}

/// Why a remote procedure call has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The plugin does not export `calls`, or does not know the method.
    #[error("the application has no method {0:?}")]
    Unknown(String),
    /// The plugin answered with an error for the client.
    #[error("{0}")]
    Refused(String),
}

/// What an accepted connection gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnectGrant {
    /// Kept with the connection and shown to every later hook.
    pub attrs: Pairs,
    /// Outbound chunk size in bytes; none for the server's.
    pub chunk_size: Option<u32>,
    /// Acknowledgement window in bytes; none for the server's.
    pub window_ack: Option<u32>,
    /// End the connection after so long.
    pub max_seconds: Option<u32>,
    /// Room for growth.
    pub extra: Pairs,
}

/// The answer to [`ConnectRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConnectDecision {
    /// Let the client in.
    Accept(ConnectGrant),
    /// Refuse it, and say why.
    Reject(Rejection),
    /// Send it to this URL.
    Redirect(String),
}

/// What happens when a name already has a publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DuplicateRule {
    /// The newcomer is refused with `NetStream.Publish.BadName`.
    #[default]
    Reject,
    /// The old publisher is closed, its players stay.
    Replace,
    /// The newcomer is accepted and takes over when the first is lost.
    Standby,
}

/// Where and how to record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// `flv`, later `mp4`.
    pub container: String,
    /// Below the application's media folder.
    pub path: String,
    /// A new file every so many seconds.
    pub split_seconds: Option<u32>,
}

/// What an accepted publisher gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PublishGrant {
    /// None: as requested.
    pub name: Option<String>,
    /// The rule for a second publisher of the name.
    pub on_duplicate: DuplicateRule,
    /// Record the stream.
    pub record_to: Option<Recording>,
    /// Push the stream to these URLs.
    pub forward_to: Vec<String>,
    /// Close a publisher that sends more than this.
    pub max_kbps: Option<u32>,
    /// Close a publisher that is silent for so long.
    pub idle_timeout_ms: Option<u32>,
    /// Keep the name and its players so long after the publisher is lost.
    pub hold_ms: Option<u32>,
    /// Room for growth.
    pub extra: Pairs,
}

/// The answer to a publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishDecision {
    /// Claim the name.
    Accept(PublishGrant),
    /// Refuse, and say why.
    Reject(Rejection),
}

/// What an accepted player gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlayGrant {
    /// None: as requested.
    pub name: Option<String>,
    /// Pull from this origin when the stream is absent.
    pub pull_from: Option<String>,
    /// Wait so long for a publisher; none for the application's setting.
    pub wait_ms: Option<u32>,
    /// End the playback after so long.
    pub max_seconds: Option<u32>,
    /// Room for growth.
    pub extra: Pairs,
}

/// The answer to a play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlayDecision {
    /// Subscribe the client.
    Accept(PlayGrant),
    /// Refuse, and say why.
    Reject(Rejection),
}

/// A snapshot of a live stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamInfo {
    /// This publish.
    pub id: StreamId,
    /// The application's name.
    pub app: String,
    /// The application instance.
    pub instance: Option<String>,
    /// The granted name.
    pub name: String,
    /// Who publishes.
    pub publisher: Client,
    /// Video codec name once its header has arrived.
    pub video: Option<String>,
    /// Audio codec name once its header has arrived.
    pub audio: Option<String>,
    /// When the claim was granted, Unix time in milliseconds.
    pub started_unix_ms: u64,
    /// Bytes of message bodies received.
    pub bytes_in: u64,
    /// Milliseconds since the last media message, or since the claim.
    pub idle_ms: u64,
    /// Kilobits a second of the last two seconds.
    pub kbps: u32,
    /// Players now.
    pub players: u32,
    /// Room for growth.
    pub extra: Pairs,
}

impl StreamInfo {
    /// What the application calls it.
    pub fn path(&self) -> String {
        names::path(self.instance.as_deref(), &self.name)
    }

    /// What its texts take in memory, in bytes.
    pub fn bytes(&self) -> usize {
        let texts = [&self.app, &self.name].map(|text| text.len());
        let optional = [&self.instance, &self.video, &self.audio];
        let optional = optional.map(|text| text.as_ref().map_or(0, String::len));
        let sum = texts
            .into_iter()
            .chain(optional)
            .fold(0, usize::saturating_add);
        // A plugin gets its path, too.
        let path = self
            .name
            .len()
            .saturating_add(self.instance.as_ref().map_or(0, String::len));
        sum.saturating_add(path)
            .saturating_add(self.publisher.bytes())
            .saturating_add(pairs_bytes(&self.extra))
            .saturating_add(size_of::<Self>())
    }
}

/// A stream that nobody publishes, and that has players or is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// The application instance.
    pub instance: Option<String>,
    /// The name that is played.
    pub name: String,
    /// Players that wait.
    pub players: u32,
    /// The name is held for a publisher that was lost.
    pub held: bool,
}

impl Awaited {
    /// What its texts take in memory, in bytes.
    pub fn bytes(&self) -> usize {
        let instance = self.instance.as_ref().map_or(0, String::len);
        let texts = instance.saturating_add(self.name.len());
        texts.saturating_add(size_of::<Self>())
    }
}

/// How a publish, a playback or a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionEnd {
    /// `unpublish`, `delete-stream`, `eof`, `reset`, `timeout`, `replaced`, ...
    pub reason: String,
    /// How long it lasted, in milliseconds.
    pub duration_ms: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Frames dropped because the player was slow.
    pub frames_dropped: u64,
}

/// A stream that is pushed to another server, or pulled from one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Relay {
    /// The relay, through all its attempts.
    pub conn: ConnId,
    /// The application's name.
    pub app: String,
    /// The application instance.
    pub instance: Option<String>,
    /// What the stream is called here.
    pub name: String,
    /// `push` or `pull`.
    pub direction: String,
    /// Scheme, host, port and application of the other server.
    pub target: String,
    /// Counts from 1; 0 when there was none.
    pub attempt: u32,
    /// Room for growth.
    pub extra: Pairs,
}

/// Why an attempt to relay is over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RelayFailure {
    /// For people.
    pub reason: String,
    /// How long it was up, in milliseconds.
    pub up_ms: Option<u64>,
    /// Until the next attempt, in milliseconds; none: there is none.
    pub retry_ms: Option<u64>,
}

/// What has happened; queued per application, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A claim was granted.
    Published(StreamInfo),
    /// Codec headers have arrived.
    Ready(StreamInfo),
    /// Exactly once for every [`Event::Published`], after it.
    Unpublished(StreamInfo, SessionEnd),
    /// A playback ended.
    PlayEnded(StreamRequest, SessionEnd),
    /// A connection ended.
    Disconnected(Client, SessionEnd),
    /// A recording was finished: bytes and milliseconds.
    Recorded(StreamInfo, Recording, u64, u64),
    /// A relay has come up.
    RelayUp(Relay),
    /// An attempt to relay did not come up, or was lost.
    RelayFailed(Relay, RelayFailure),
    /// The last event of every relay, with its reason.
    RelayEnded(Relay, String),
}
