//! What a configuration file says, typed and checked.
//!
//! Plain data: flows in from [`super::load`], flows out to the supervisor,
//! which builds plugins, applications and listeners from it. Every value is
//! within its documented range; sizes are in bytes. Two configurations can be
//! compared, so that a reload changes only what differs.
//!
//! Tables of settings that more than one crate uses are here; the others are where
//! their settings are enforced, and what only a reader of its own can read has its
//! text there ([`super::load`] and the files beside it).

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use livehost_app::shared_objects;

pub use livehost_decisions::DecisionSettings;
pub use livehost_hub::Join;
pub use livehost_net::tls::CertificateFiles;
use livehost_net::{Binding, outbound};

pub use livehost_plugin::PluginLimits;
use livehost_policy::OnError;
use livehost_settings::{GIB, HOUR, KIB, MIB, MIN, MS, SEC, settings, words};

use livehost_server_http::Service;
pub use livehost_telemetry::log::{LogFormat, LogSettings, LogTarget};

use super::api::ApiConfig;
use super::chain::Chain;

/// A whole configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// What is logged, and how.
    pub log: LogSettings,
    /// What is recorded of decisions; a relative path in it starts at `base`.
    pub decisions: DecisionSettings,
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
    /// Who may ask the API, and where.
    pub api: ApiConfig,
    /// What the metrics have.
    pub metrics: MetricsConfig,
    /// What the file says, for operators: without what may be a secret.
    pub shown: serde_json::Value,
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

settings! {
    /// How an application's streams are buffered and waited for.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct MediaConfig {
        /// Media kept per stream from its last keyframe on, for players that join;
        /// `"0 B"` keeps none. A message counts as 256 bytes more than it has in the form
        /// that is longest of those that players get. A group of pictures that is larger
        /// is not kept: see [below](#waiting-for-a-keyframe).
        pub keyframe_cache: usize = size(16 * MIB, 0..=GIB),
        /// Where a player of a running stream starts: at the cached keyframe (at once, a
        /// little in the past) or at the next one; see
        /// [below](#waiting-for-a-keyframe).
        pub join: Join = choice(Join::default(), words!(Join: Keyframe, NextKeyframe)),
        /// Media that may wait for one player, as bytes, beside what it joined with.
        /// Beyond it the player goes on at the next keyframe.
        pub queue_bytes: usize = size(8 * MIB, 64 * KIB..=GIB),
        /// The same as playing time.
        pub queue_time: Duration = duration(10 * SEC, 100 * MS..=5 * MIN),
        /// How long a player may stay behind before it is closed.
        pub slow_close: Duration = duration(20 * SEC, SEC..=HOUR),
        /// Frames of so long are gathered and written together: with many players
        /// `"20 ms"` or `"350 ms"` save computing time, and cost as much latency.
        /// `"0 s"` sends each frame at once.
        pub gather: Duration = duration(Duration::ZERO, Duration::ZERO..=SEC),
        /// Silence after which a publisher is taken for lost and its name is free. A part
        /// of a frame is a sign of life, too.
        pub publisher_timeout: Duration = duration(15 * SEC, SEC..=HOUR),
        /// How long a player may wait for its stream to be published.
        pub wait_for_publisher: Duration = duration(MIN, Duration::ZERO..=24 * HOUR),
    }
}

/// One listening address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptorConfig {
    /// Address and port; port 0 takes any free one.
    pub listen: SocketAddr,
    /// `[::]` takes IPv4 clients as well. Default false.
    pub dual_stack: bool,
    /// What the bytes of a connection pass. Default `[Tcp, Rtmp]`.
    pub chain: Chain,
    /// At least one for a chain with TLS, none for others. The first is for
    /// clients that ask for no name, or for one that no other has.
    pub tls: Vec<CertificateFiles>,
    /// What is served over HTTP: something for a chain that ends there, nothing for
    /// others.
    pub serve: Vec<Service>,
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
        let is_named = |name: &String| name == application;
        !self.chain.is_http()
            && (self.applications.is_empty() || self.applications.iter().any(is_named))
    }
}

settings! {
    /// What the metrics have.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct MetricsConfig {
        /// Streams that have series of their own, by name; the others are summed up as
        /// `other`. 0: none have.
        pub streams: usize = number(0, 0..=10_000),
    }
}

settings! {
    /// Limits of the server and of each connection.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ServerLimits {
        /// Connections at once; each is one open file, whose limit is raised as far as
        /// the system allows.
        pub connections: usize = number(10_000, 1..=1_000_000),
        /// Connections at once from one client address; 0 sets no limit.
        pub connections_per_address: usize = number(0, 0..=1_000_000),
        /// The same for those that were not granted to publish or play yet, and for IPv6
        /// from one /64; see below.
        pub ungranted_per_address: usize = number(256, 0..=1_000_000),
        /// Time from accept to the end of the handshake; of an HTTP connection, to its
        /// first tunnel.
        pub handshake: Duration = duration(10 * SEC, 100 * MS..=5 * MIN),
        /// How long a client may be connected without publishing, playing or using a
        /// shared object.
        pub idle: Duration = duration(MIN, 100 * MS..=24 * HOUR),
        /// Message streams one connection may create.
        pub streams_per_connection: usize = number(32, 1..=1024),
        // A message's length has 24 bits: RTMP 1.0 section 5.3.1.2.1.
        /// The longest message that is taken from a client that publishes, or from a
        /// server that a stream is pulled from. A keyframe is one message.
        pub message: usize = size(8 * MIB, 64 * KIB..=16 * MIB),
        /// The longest message of a client that was let in and publishes nothing, such as
        /// a call or a shared object's; never more than `limits.message`. See below.
        pub call: usize = size(512 * KIB, 64 * KIB..=16 * MIB),
        // 128 is what a chunk stream starts with: RTMP 1.0 section 5.4.1. Clients exist
        // that refuse more than 65536.
        /// Chunk size of what is sent, in bytes.
        pub chunk: u32 = number(60_000, 128..=65_536),
        /// How long a client of RTMPT may go without a request before it counts as gone.
        pub tunnel: Duration = duration(10 * SEC, SEC..=5 * MIN),
        /// How long clients are given to leave when the server stops. A second SIGTERM or
        /// SIGINT ends it at once.
        pub drain: Duration = duration(5 * SEC, Duration::ZERO..=10 * MIN),
    }
}

impl Config {
    /// `path` as the file means it: relative paths start at its folder.
    #[must_use]
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.base.join(path)
    }
}
