//! What operators see of the server, and their orders to it.
//!
//! Flows in: what serves, whenever that changes; requests of the API. Flows out: what
//! is shown, read without waiting for the supervisor; orders, which the supervisor
//! carries out one after the other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use livehost_plugin::Plugin;
use livehost_server_http::Operations;
use livehost_server_http::operations::{
    AcceptorReport, ApplicationReport, DecisionTimes, OrderRefused, PluginReport, ReloadReport,
    ServerReport, ServerState,
};
use livehost_server_rtmp::session::Shared;
use livehost_telemetry::counters::Counts;
use livehost_telemetry::log::LogControl;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::server::Unit;
use crate::config::Config;

/// Orders that wait at once.
const ORDERS: usize = 16;

/// An order that the supervisor carries out, and where it says what came of it.
#[derive(Debug)]
pub(super) enum OperatorOrder {
    ReloadConfiguration(oneshot::Sender<Result<(), OrderRefused>>),
    ReloadPlugin(String, oneshot::Sender<Result<ReloadReport, OrderRefused>>),
    RollPluginBack(String, oneshot::Sender<Result<ReloadReport, OrderRefused>>),
}

/// The supervisor, as the API knows it.
#[derive(Debug)]
pub(super) struct ServerOperations {
    file: PathBuf,
    started: SystemTime,
    shown: ArcSwap<Shown>,
    log: LogControl,
    orders: mpsc::Sender<OperatorOrder>,
    drain: Notify,
    shutdown: CancellationToken,
}

/// What serves.
#[derive(Debug, Default)]
struct Shown {
    configuration: serde_json::Value,
    acceptors: Vec<AcceptorReport>,
    applications: BTreeMap<String, ShownApplication>,
}

#[derive(Debug)]
struct ShownApplication {
    aliases: Vec<String>,
    plugin: Arc<Plugin>,
}

impl ServerOperations {
    /// Of a server that starts; with the orders to it.
    pub(super) fn new(
        file: &Path,
        config: &Config,
        log: LogControl,
        shared: &Shared,
    ) -> (Arc<Self>, mpsc::Receiver<OperatorOrder>) {
        let (orders, received) = mpsc::channel(ORDERS);
        let operations = Arc::new(Self {
            file: file.to_owned(),
            started: SystemTime::now(),
            shown: ArcSwap::default(),
            log,
            orders,
            drain: Notify::new(),
            shutdown: shared.shutdown.clone(),
        });
        operations.show(config, &BTreeMap::new(), Vec::new());
        (operations, received)
    }

    /// Shows what serves from now on.
    pub(super) fn show(
        &self,
        config: &Config,
        units: &BTreeMap<String, Unit>,
        acceptors: Vec<AcceptorReport>,
    ) {
        let applications = units.iter().map(|(name, unit)| {
            let application = config.applications.get(name);
            let shown = ShownApplication {
                aliases: application.map_or_else(Vec::new, |known| known.aliases.clone()),
                plugin: unit.plugin.clone(),
            };
            (name.clone(), shown)
        });
        self.shown.store(Arc::new(Shown {
            configuration: config.shown.clone(),
            acceptors,
            applications: applications.collect(),
        }));
    }

    /// Resolves when an operator wants the server to end.
    pub(super) async fn drained(&self) {
        self.drain.notified().await;
    }

    async fn order<T>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<T, OrderRefused>>) -> OperatorOrder,
    ) -> Result<T, OrderRefused> {
        let (done, outcome) = oneshot::channel();
        let given = self.orders.send(order(done)).await;
        given.map_err(|_| OrderRefused::Ending)?;
        outcome.await.map_err(|_| OrderRefused::Ending)?
    }
}

#[async_trait]
impl Operations for ServerOperations {
    fn server(&self) -> ServerReport {
        let started = self.started.duration_since(UNIX_EPOCH).unwrap_or_default();
        ServerReport {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_unix_ms: u64::try_from(started.as_millis()).unwrap_or(u64::MAX),
            config: self.file.display().to_string(),
            state: match self.shutdown.is_cancelled() {
                true => ServerState::Draining,
                false => ServerState::Serving,
            },
            acceptors: self.shown.load().acceptors.clone(),
        }
    }

    fn applications(&self) -> Vec<ApplicationReport> {
        let shown = self.shown.load();
        let applications = shown.applications.iter();
        let reports = applications.map(|(name, application)| {
            let plugin = &application.plugin;
            let about = plugin.describe();
            let counters = plugin.stats();
            let counters = counters
                .iter()
                .map(|(name, count)| (name.to_owned(), count));
            ApplicationReport {
                name: name.clone(),
                aliases: application.aliases.clone(),
                plugin: PluginReport {
                    file: about.file.display().to_string(),
                    hash: about.hash,
                    generation: about.generation,
                    interfaces: about.optional.iter().map(|&name| name.to_owned()).collect(),
                    counters: counters.collect(),
                },
            }
        });
        reports.collect()
    }

    fn counters(&self) -> Vec<(String, Counts)> {
        let shown = self.shown.load();
        let applications = shown.applications.iter();
        let counted = applications.map(|(name, shown)| (name.clone(), shown.plugin.stats()));
        counted.collect()
    }

    fn decision_times(&self) -> Vec<DecisionTimes> {
        let shown = self.shown.load();
        let applications = shown.applications.iter();
        let times = applications.flat_map(|(name, shown)| {
            let times = shown.plugin.decision_times().into_iter();
            times.map(|time| DecisionTimes {
                app: name.clone(),
                function: time.function,
                outcome: time.outcome,
                took: time.took,
            })
        });
        times.collect()
    }

    fn configuration(&self) -> serde_json::Value {
        self.shown.load().configuration.clone()
    }

    fn log_level(&self) -> String {
        self.log.level()
    }

    fn set_log_level(&self, filter: &str) -> Result<(), OrderRefused> {
        let set = self.log.set_level(filter);
        set.map_err(|error| OrderRefused::Wrong(format!("{error:#}")))
    }

    async fn reload_configuration(&self) -> Result<(), OrderRefused> {
        self.order(OperatorOrder::ReloadConfiguration).await
    }

    async fn reload_plugin(&self, app: &str) -> Result<ReloadReport, OrderRefused> {
        self.order(|done| OperatorOrder::ReloadPlugin(app.to_owned(), done))
            .await
    }

    async fn roll_plugin_back(&self, app: &str) -> Result<ReloadReport, OrderRefused> {
        self.order(|done| OperatorOrder::RollPluginBack(app.to_owned(), done))
            .await
    }

    fn drain(&self) {
        self.drain.notify_one();
    }
}
