//! What the API wants of the server beyond its streams and clients: the supervisor
//! implements it.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use livehost_telemetry::counters::Counts;
use livehost_telemetry::latency::LatencyCounts;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The process, its plugins, and orders to both.
#[async_trait]
pub trait Operations: fmt::Debug + Send + Sync + 'static {
    /// What runs.
    fn server(&self) -> ServerReport;

    /// The applications that serve, by name.
    fn applications(&self) -> Vec<ApplicationReport>;

    /// What each application's plugin did, and has now.
    fn counters(&self) -> Vec<(String, Counts)>;

    /// How long their decisions took.
    fn decision_times(&self) -> Vec<DecisionTimes>;

    /// The configuration in force, with `***` for whatever may be a secret.
    fn configuration(&self) -> serde_json::Value;

    /// What is logged, as a filter.
    fn log_level(&self) -> String;

    /// Logs by this filter from now on.
    ///
    /// # Errors
    /// [`OrderRefused`] when it is no filter.
    fn set_log_level(&self, filter: &str) -> Result<(), OrderRefused>;

    /// Reads the configuration again.
    ///
    /// # Errors
    /// [`OrderRefused`] with what is wrong; the old one stays in force then.
    async fn reload_configuration(&self) -> Result<(), OrderRefused>;

    /// Reads the plugin's file again; the same content changes nothing.
    ///
    /// # Errors
    /// [`OrderRefused`] with what is wrong; the old one serves on then.
    async fn reload_plugin(&self, app: &str) -> Result<ReloadReport, OrderRefused>;

    /// Puts the plugin's version before in the place of the one that serves.
    ///
    /// # Errors
    /// [`OrderRefused`] when there is none, or it does not start.
    async fn roll_plugin_back(&self, app: &str) -> Result<ReloadReport, OrderRefused>;

    /// Ends the server in order, as SIGTERM does.
    fn drain(&self);
}

/// How long the decisions of a function took that came out alike.
#[derive(Debug, Clone, PartialEq)]
pub struct DecisionTimes {
    /// The application.
    pub app: String,
    /// `connect`, `publish`, ...
    pub function: &'static str,
    /// `accepted`, `rejected` or `failed`.
    pub outcome: &'static str,
    /// From the question to its answer.
    pub took: LatencyCounts,
}

/// Why an order was not carried out, for who gave it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefused {
    /// There is no such application.
    #[error("there is no application {0:?}")]
    NoApplication(String),
    /// What was to be put into force is wrong.
    #[error("{0}")]
    Wrong(String),
    /// The server ends.
    #[error("the server ends")]
    Ending,
}

/// The server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerReport {
    /// The program's version.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// When it started, Unix time in milliseconds.
    pub started_unix_ms: u64,
    /// The configuration's file.
    pub config: String,
    /// `serving`, or `draining` while it ends.
    pub state: ServerState,
    /// Where it listens.
    pub acceptors: Vec<AcceptorReport>,
}

/// Whether clients are taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ServerState {
    /// They are.
    Serving,
    /// The server ends.
    Draining,
}

/// A listening address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AcceptorReport {
    /// Address and port.
    pub listen: String,
    /// Its protocols: `[Tcp, Rtmp]`.
    pub chain: String,
    /// The scheme of its URLs: `rtmp`.
    pub scheme: String,
}

/// An application and its plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApplicationReport {
    /// Its name in the configuration.
    pub name: String,
    /// Other names that clients may call it by.
    pub aliases: Vec<String>,
    /// Who decides.
    pub plugin: PluginReport,
}

/// A plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginReport {
    /// The component's file.
    pub file: String,
    /// The first digits of its content's SHA-256.
    pub hash: String,
    /// The generation that serves, counted from 1.
    pub generation: u64,
    /// Optional interfaces that it exports.
    pub interfaces: Vec<String>,
    /// What it did since the start of the process, and what it has now, by name.
    pub counters: BTreeMap<String, u64>,
}

/// What became of a reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReloadReport {
    /// `swapped`, `unchanged`, `rolled-back`, or `known-bad` for a version that failed
    /// before.
    pub outcome: String,
    /// The generation that serves now.
    pub generation: u64,
}
