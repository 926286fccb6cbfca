//! What a configuration file says, typed and checked.
//!
//! Plain data: flows in from [`super::load`], flows out to the supervisor,
//! which builds plugins, applications and listeners from it. Every value is
//! within its documented range; sizes are in bytes. Two configurations can be
//! compared, so that a reload changes only what differs.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use livehost_app::shared_objects;

pub use livehost_hub::Join;
pub use livehost_net::tls::CertificateFiles;
use livehost_net::{Binding, outbound};

pub use livehost_plugin::PluginLimits;
use livehost_policy::OnError;

pub use livehost_server_rtmp::Chain;
pub use livehost_telemetry::log::{LogFormat, LogSettings};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// A whole configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What is logged, and how.
    pub log: LogSettings,
    /// The folder of what the server keeps across restarts, absolute.
    pub state: PathBuf,
    /// The applications by name; at least one.
    pub applications: BTreeMap<String, ApplicationConfig>,
    /// The one of them for clients that name none of them; none refuses such.
    pub default_application: Option<String>,
    /// The listening addresses, in the order of the file; at least one, each
    /// address once (port 0, any free port, may repeat).
    pub acceptors: Vec<AcceptorConfig>,
    /// Limits of the whole server and of each connection.
    pub limits: ServerLimits,
    /// The absolute folder of the file: relative paths in it start here.
    pub base: PathBuf,
}

/// One application: who decides, and with what limits.
#[derive(Clone, PartialEq, Eq)]
pub struct ApplicationConfig {
    /// The plugin's component file, absolute.
    pub plugin: PathBuf,
    /// Other names that clients may call it by; no two applications share one.
    pub aliases: Vec<String>,
    /// The plugin's own configuration, as JSON text. It may hold secrets.
    pub config: String,
    /// What clients get when the plugin cannot decide.
    pub on_error: OnError,
    /// What the plugin may use.
    pub limits: PluginLimits,
    /// What the plugin may request by HTTP; by default nothing.
    pub http: outbound::HttpSettings,
    /// How its streams are buffered and waited for.
    pub media: MediaConfig,
    /// Its clients' shared objects; without a plugin that decides, none.
    pub shared_objects: shared_objects::ObjectSettings,
    /// What it relays; by default nothing.
    pub relays: livehost_relay::Plan,
}

impl fmt::Debug for ApplicationConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The plugin's configuration holds keys: it never reaches a log.
        f.debug_struct("Application")
            .field("plugin", &self.plugin)
            .field("aliases", &self.aliases)
            .field("config", &format_args!("<{} bytes>", self.config.len()))
            .field("on_error", &self.on_error)
            .field("limits", &self.limits)
            .field("http", &self.http)
            .field("media", &self.media)
            .field("shared_objects", &self.shared_objects)
            .field("relays", &self.relays)
            .finish()
    }
}

/// How an application's streams are buffered and waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaConfig {
    /// Media kept per stream from its last keyframe on, bytes; 0 keeps none.
    /// Default 16 MiB.
    pub keyframe_cache: usize,
    /// Where a player starts. Default [`Join::Keyframe`].
    pub join: Join,
    /// What may wait for one player, bytes. Default 8 MiB.
    pub queue_bytes: usize,
    /// What may wait for one player, as media time. Default 10 s.
    pub queue_time: Duration,
    /// How long a player may stay behind before it is closed. Default 20 s.
    pub slow_close: Duration,
    /// Frames of so long are gathered and written together. Default 0: each
    /// goes out at once.
    pub gather: Duration,
    /// Silence after which a publisher is taken for lost. Default 15 s.
    pub publisher_timeout: Duration,
    /// How long a player may wait for its publisher. Default 60 s.
    pub wait_for_publisher: Duration,
}

/// One listening address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptorConfig {
    /// Address and port; port 0 takes any free one.
    pub listen: SocketAddr,
    /// `[::]` takes IPv4 clients as well. Default false.
    pub dual_stack: bool,
    /// What the bytes of a connection pass. Default [`Chain::Rtmp`].
    pub chain: Chain,
    /// At least one for a chain with TLS, none for others. The first is for
    /// clients that ask for no name, or for one that no other has.
    pub tls: Vec<CertificateFiles>,
    /// Who connects from there is a proxy, and begins with a PROXY header.
    /// Default none.
    pub proxy_protocol: Vec<IpNet>,
    /// The applications served here, all known; empty serves all.
    pub applications: Vec<String>,
}

impl AcceptorConfig {
    /// What it listens on.
    #[must_use]
    pub fn binding(&self) -> Binding {
        Binding {
            address: self.listen,
            dual_stack: self.dual_stack,
        }
    }

    /// Whether clients of this address may use `application`.
    #[must_use]
    pub fn serves(&self, application: &str) -> bool {
        self.applications.is_empty() || self.applications.iter().any(|name| name == application)
    }
}

/// Limits of the server and of each connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections at once; each is one open file, whose limit is raised as far as the system allows. Default 10000.
    pub connections: usize,
    /// Connections at once from one address; 0 sets no limit. Default 0.
    pub connections_per_address: usize,
    /// Connections at once from one address, or one /64 of IPv6, that were not
    /// granted to publish or play; 0 sets no limit. Default 256.
    pub ungranted_per_address: usize,
    /// Time from accept to the end of the handshake. Default 10 s.
    pub handshake: Duration,
    /// How long a client may be connected without publishing, playing or sharing.
    /// Default 60 s.
    pub idle: Duration,
    /// Message streams one connection may create. Default 32.
    pub streams_per_connection: usize,
    /// The longest message taken from a client that publishes, or from a server
    /// that a stream is pulled from, bytes. Default 8 MiB.
    pub message: usize,
    /// The longest message taken from a client that was let in and publishes
    /// nothing, bytes. Default 512 KiB.
    pub call: usize,
    /// Chunk size of what is sent, bytes. Default 60000.
    pub chunk: u32,
    /// How long a client of RTMPT may go without a request. Default 10 s.
    pub tunnel: Duration,
    /// How long clients are given to leave when the server stops. Default 5 s.
    pub drain: Duration,
}

impl Config {
    /// `path` as the file means it: relative paths start at its folder.
    #[must_use]
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.base.join(path)
    }
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            keyframe_cache: 16 * MIB,
            join: Join::default(),
            queue_bytes: 8 * MIB,
            queue_time: Duration::from_secs(10),
            slow_close: Duration::from_secs(20),
            gather: Duration::ZERO,
            publisher_timeout: Duration::from_secs(15),
            wait_for_publisher: Duration::from_secs(60),
        }
    }
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: 0,
            ungranted_per_address: 256,
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            streams_per_connection: 32,
            message: 8 * MIB,
            call: 512 * KIB,
            chunk: 60_000,
            tunnel: Duration::from_secs(10),
            drain: Duration::from_secs(5),
        }
    }
}
