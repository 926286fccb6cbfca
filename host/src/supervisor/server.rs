//! Everything that runs, from start to stop.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use futures_util::future::join_all;
use livehost_app::application::Application;
use livehost_app::broker::Broker;
use livehost_app::claims::Local;
use livehost_app::conn::ConnIds;
use livehost_app::directory::Directory;
use livehost_app::lineage::Identity;
use livehost_decisions::DecisionLog;
use livehost_hub::Hub;
use livehost_net::outbound::Network;
use livehost_net::tls::Tls;
use livehost_net::{Acceptor, Admission, BindError, Bound, Ingress, Listener, Stop};
use livehost_plugin::{
    Compiler, Plugin, PluginError, Reload, Runtime, StopReason, Storage, Welcome,
};
use livehost_relay::Relays;
use livehost_server_http::Site;
use livehost_server_rtmp::Tunnels;
use livehost_server_rtmp::session::Shared;
use livehost_telemetry::log::{LogControl, PUBLISHERS, STRANGERS};
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, error, info, warn};

use super::build::{self, AcceptorSetup};
use super::operations::{OperatorOrder, ServerOperations};
use super::stats::Reporter;
use super::{banner, ending, refusal};
use crate::config::Config;
use crate::watch::Watcher;

/// How often certificates are looked at whose files nobody changes.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The running server.
pub(super) struct RunningServer {
    /// Absolute path of the configuration.
    pub(super) file: PathBuf,
    pub(super) config: Config,
    /// What the file says, when that could not be put into force. It is tried
    /// again when one of its files changes.
    pub(super) wanted: Option<Config>,
    /// Files that changed together with a configuration that was refused: they
    /// may fit no other.
    pub(super) held_back: BTreeSet<PathBuf>,
    pub(super) log: LogControl,
    pub(super) decisions: Arc<DecisionLog>,
    pub(super) runtime: Arc<Runtime>,
    pub(super) shared: Arc<Shared>,
    pub(super) relays: Arc<Relays>,
    pub(super) admission: Arc<Admission>,
    pub(super) units: BTreeMap<String, Unit>,
    /// In the order of the configuration.
    pub(super) acceptors: Vec<Listening>,
    /// Plugins of removed applications on their way out, accept loops.
    pub(super) services: TaskTracker,
    sessions: TaskTracker,
    /// How often the counters are logged.
    pub(super) stats_interval: watch::Sender<Duration>,
    pub(super) watcher: Watcher,
    changes: mpsc::Receiver<Vec<PathBuf>>,
    /// What operators see and steer.
    pub(super) site: Arc<Site>,
    pub(super) operations: Arc<ServerOperations>,
    orders: mpsc::Receiver<OperatorOrder>,
}

/// An application with its plugin.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    pub(super) application: Arc<Application>,
    pub(super) plugin: Arc<Plugin>,
}

/// An acceptor that runs.
pub(super) struct Listening {
    ingress: Arc<ArcSwap<Ingress>>,
    tls: Option<Arc<Tls>>,
    tunnels: Arc<Tunnels>,
    pub(super) stop: Stop,
    pub(super) listener: Listener,
}

impl Listening {
    /// Connections from now on go there.
    pub(super) fn lead_to(&mut self, setup: AcceptorSetup, shared: &Arc<Shared>, site: &Arc<Site>) {
        self.tls.clone_from(&setup.tls);
        let ingress = setup.ingress(shared, &self.tunnels, site);
        self.ingress.store(ingress.into());
    }
}

impl RunningServer {
    pub(super) async fn start(
        file: &Path,
        config: Config,
        log: LogControl,
    ) -> anyhow::Result<Self> {
        let file = std::path::absolute(file)
            .with_context(|| format!("the folder of {} is gone", file.display()))?;
        let network = Network::new().context("TLS can't be set up")?;
        let hub = Hub::new();
        let conns = Arc::<ConnIds>::default();
        let shutdown = CancellationToken::new();
        let identity = Arc::<Identity>::default();
        let relays = Relays::new(
            hub.clone(),
            identity.clone(),
            network.clone(),
            conns.clone(),
            shutdown.child_token(),
        );
        let shared = Arc::new(Shared {
            broker: Broker::new(hub, identity, relays.clone(), Arc::new(Local)),
            applications: Arc::default(),
            directory: Directory::new(conns),
            challenges: Arc::default(),
            limits: ArcSwap::from_pointee(build::session_limits(&config)),
            shutdown,
        });
        // Addresses first: it costs nothing to find out that one is taken.
        let bound = config.acceptors.iter().map(|acceptor| {
            let setup = build::setup(acceptor)?;
            Ok((Bound::new(acceptor.binding(), &[])?, setup))
        });
        let bound = bound.collect::<anyhow::Result<Vec<_>>>()?;
        let runtime = Runtime::with_network(
            &Storage::Folder(config.state.clone()),
            Compiler::Child,
            network,
        )?;
        // Before the files are read: what becomes of them later is a change.
        let (watcher, changes) = Watcher::new(watched(&file, [&config]))?;
        let decisions = DecisionLog::new();
        let units = started(&runtime, &shared, &file, &config, &decisions).await?;
        let addresses: Vec<_> = bound.iter().map(|(bound, _)| bound.address()).collect();
        let welcome = welcome(&runtime, &config, &addresses).await;
        // Late, since the kernel takes clients in from here on.
        let listening = bound
            .into_iter()
            .map(|(bound, setup)| Ok((bound.listen()?, setup)))
            .collect::<Result<Vec<_>, BindError>>();
        let listeners = match listening {
            Ok(listeners) => listeners,
            Err(error) => {
                stop_again(units).await;
                return Err(error.into());
            }
        };
        decisions.set(config.decisions.clone(), &config.base);
        let admission = Admission::new(build::admission_limits(&config));
        let (operations, orders) = ServerOperations::new(&file, &config, log.clone(), &shared);
        let site = build::site(&config, &shared, &admission, &decisions, &operations);
        let mut server = Self {
            file,
            log,
            decisions,
            runtime,
            shared,
            relays,
            admission,
            site,
            operations,
            orders,
            units,
            acceptors: Vec::new(),
            services: TaskTracker::new(),
            sessions: TaskTracker::new(),
            stats_interval: watch::Sender::new(config.log.stats),
            watcher,
            changes,
            config,
            wanted: None,
            held_back: BTreeSet::new(),
        };
        server.publish_applications(&server.config);
        for (name, unit) in &server.units {
            if let Some(application) = server.config.applications.get(name) {
                let plan = application.relays.clone();
                server.relays.open(&unit.application, plan);
            }
        }
        let plugins = server.units.values().map(|unit| &*unit.plugin);
        banner::print(&server.config, &addresses, plugins, welcome.as_ref());
        for (listener, setup) in listeners {
            let listening = server.listen(listener, setup);
            server.acceptors.push(listening);
        }
        let interval = server.stats_interval.subscribe();
        server.services.spawn(server.reporter().run(interval));
        for quota in [&STRANGERS, &PUBLISHERS] {
            let stop = server.shared.shutdown.clone();
            server.services.spawn(quota.report(stop));
        }
        server.warn_of_open_publish();
        server.control_socket();
        server.show();
        info!("ready");
        Ok(server)
    }

    fn reporter(&self) -> Reporter {
        let trackers = [self.services.clone(), self.sessions.clone()];
        Reporter::new(self.shared.clone(), self.admission.clone(), trackers)
    }

    /// Asks the policies of applications that other machines reach whether anybody may
    /// publish, and warns of those; nobody waits for it.
    pub(super) fn warn_of_open_publish(&self) {
        let (runtime, config) = (Arc::clone(&self.runtime), self.config.clone());
        let warn = async move {
            for (name, application) in &config.applications {
                let mut warnings = banner::open_publish(&config, name).peekable();
                if warnings.peek().is_none() {
                    continue;
                }
                let spec = build::plugin_spec(name, application);
                if Plugin::open_publish(&runtime, spec).await {
                    warnings.for_each(|warning| warn!("{warning}"));
                }
            }
        };
        let stop = self.shared.shutdown.clone();
        self.services.spawn(stop.run_until_cancelled_owned(warn));
    }

    /// Starts the accept loop of a listener.
    pub(super) fn listen(&self, listener: Listener, setup: AcceptorSetup) -> Listening {
        let (chain, tls) = (setup.chain, setup.tls.clone());
        let tunnels = Tunnels::new(self.admission.clone(), self.sessions.clone());
        let ingress = setup.ingress(&self.shared, &tunnels, &self.site);
        let acceptor = Acceptor::new(listener, ingress);
        let listening = Listening {
            ingress: acceptor.ingress(),
            tls,
            tunnels,
            stop: Stop::default(),
            listener: acceptor.listener().clone(),
        };
        info!(addr = %listening.listener.address(), %chain, "listening");
        self.services.spawn(acceptor.run(
            self.admission.clone(),
            self.sessions.clone(),
            self.shared.shutdown.clone(),
            listening.stop.clone(),
        ));
        listening
    }

    /// Makes the applications of `units` those that clients may connect to,
    /// under the names that `config` has for them.
    pub(super) fn publish_applications(&self, config: &Config) {
        let named = self.units.iter().map(|(name, unit)| {
            let application = config.applications.get(name);
            let aliases = application.map_or(&[][..], |application| &application.aliases);
            (unit.application.clone(), aliases)
        });
        let default = config.default_application.as_deref();
        self.shared.applications.replace(named, default);
    }

    /// Watches the files of the configuration that serves, and of the one that
    /// shall.
    pub(super) fn watch(&mut self) {
        let both = [&self.config].into_iter().chain(&self.wanted);
        let set = self.watcher.set(watched(&self.file, both)).or_else(|_| {
            // A folder that is named may not be there.
            self.watcher.set(watched(&self.file, [&self.config]))
        });
        if let Err(error) = set {
            warn!(%error, "some files are not watched: SIGHUP reloads them");
        }
    }

    /// Reloads plugins, certificates and configuration when their files
    /// change, and all of them at SIGHUP.
    pub(super) async fn keep(&mut self, hangup: &mut Signal) -> Infallible {
        let mut daily = interval_at(Instant::now() + DAY, DAY);
        loop {
            tokio::select! {
                _ = daily.tick() => self.say_untimely(),
                Some(changed) = self.changes.recv() => self.follow(&changed).await,
                Some(order) = self.orders.recv() => self.carry_out(order).await,
                Some(()) = hangup.recv() => {
                    info!("SIGHUP: reloading the configuration, certificates and plugins");
                    if self.reload_config().await.is_ok() {
                        self.held_back.clear();
                    }
                    self.reload_certificates(|_| true);
                    self.reload_plugins(|plugin| self.is_settled(plugin)).await;
                }
            }
        }
    }

    /// The configuration first: what else changed with it may fit no other.
    async fn follow(&mut self, changed: &[PathBuf]) {
        let wanted = self.wanted.iter();
        let is_wanted = wanted
            .flat_map(|wanted| watched(&self.file, [wanted]))
            .any(|file| changed.contains(&file));
        let is_config = changed.contains(&self.file);
        let mut changed: BTreeSet<_> = changed.iter().cloned().collect();
        if is_config || is_wanted {
            if self.reload_config().await.is_ok() {
                changed.append(&mut self.held_back);
            } else {
                changed.remove(&self.file);
                // No more than are watched.
                self.held_back.extend(changed.iter().cloned());
                if is_config {
                    if !changed.is_empty() {
                        warn!(files = ?changed, "what changed with it waits for a configuration");
                    }
                    return;
                }
            }
        }
        self.reload_certificates(|tls| changed.iter().any(|file| tls.uses(file)));
        let is_due = |plugin: &Plugin| changed.contains(&plugin.file()) && self.is_settled(plugin);
        self.reload_plugins(is_due).await;
    }

    /// The configuration that waits, if one does, wants of the plugin what the
    /// one in force does. The file of one that is to change may fit that alone.
    pub(super) fn is_settled(&self, plugin: &Plugin) -> bool {
        let app = plugin.describe().app;
        self.wanted.as_ref().is_none_or(|wanted| {
            let spec = |config: &Config| {
                let application = config.applications.get(&app);
                application.map(|application| build::plugin_spec(&app, application))
            };
            spec(wanted) == spec(&self.config)
        })
    }

    /// A server that runs for months outlives its certificates.
    fn say_untimely(&self) {
        for (listening, acceptor) in self.acceptors.iter().zip(&self.config.acceptors) {
            for why in listening.tls.iter().flat_map(|tls| tls.untimely()) {
                warn!(listen = %acceptor.listen, "{why}");
            }
        }
    }

    /// Connections go on with what they agreed on.
    fn reload_certificates(&self, of_interest: impl Fn(&Tls) -> bool) {
        for (listening, acceptor) in self.acceptors.iter().zip(&self.config.acceptors) {
            let Some(tls) = listening.tls.as_ref().filter(|tls| of_interest(tls)) else {
                continue;
            };
            let listen = acceptor.listen;
            match tls.reload() {
                Ok(true) => {
                    info!(%listen, "certificates reloaded");
                    for why in tls.untimely() {
                        warn!(%listen, "{why}");
                    }
                }
                Ok(false) => debug!(%listen, "certificates touched, content unchanged"),
                Err(error) => error!(%listen, %error,
                    "certificates refused; the old ones stay in use"),
            }
        }
    }

    /// Side by side: one that takes its time must not hold the others up.
    async fn reload_plugins(&self, of_interest: impl Fn(&Plugin) -> bool) {
        let plugins = self.units.values().map(|unit| &unit.plugin);
        let reloads = plugins
            .filter(|plugin| of_interest(plugin))
            .map(|plugin| async {
                // Success and failure are logged where they are known best; only
                // here is known where settings come from.
                match plugin.reload().await {
                    Ok(Reload::Unchanged | Reload::KnownBad) => {
                        debug!(file = %plugin.file().display(), "file touched, content unchanged");
                    }
                    Ok(_) => {}
                    Err(refused) => self.point_at(&refused),
                }
            });
        join_all(reloads).await;
    }

    /// Logs the place of the settings that a plugin's new version refuses.
    pub(super) fn point_at(&self, refused: &PluginError) {
        let application = self.config.applications.get(&refused.app);
        let place = application
            .and_then(|application| refusal::place(&self.file, &application.config, refused));
        if let Some(place) = place {
            error!(
                app = refused.app,
                place = place.brief(),
                "the new version refuses its settings"
            );
            for line in place.lines() {
                error!("{line}");
            }
        }
    }

    /// Stops accepting, tells the clients, waits for them as long as the
    /// drain limit says, then stops the plugins. `again` ends the waiting.
    pub(super) async fn stop(mut self, again: impl Future<Output = &'static str>) {
        for acceptor in self.acceptors.drain(..) {
            acceptor.stop.now.cancel();
        }
        self.shared.shutdown.cancel();
        self.sessions.close();
        self.services.close();
        let haste = CancellationToken::new();
        let again = async {
            let signal = again.await;
            let sessions = self.sessions.len();
            warn!(signal, sessions, "ending at once");
            haste.cancel();
        };
        ending::end(self.drain(), self.stop_plugins(&haste), again).await;
        self.decisions.close().await;
        STRANGERS.say();
        PUBLISHERS.say();
        for unit in self.units.values() {
            unit.application.gate().say_left_out();
        }
        info!("stopped");
    }

    async fn drain(&self) {
        let drain = self.config.limits.drain;
        let drained = tokio::time::timeout(drain, async {
            self.sessions.wait().await;
            self.services.wait().await;
        });
        let (drained, ()) = tokio::join!(drained, self.relays.close_all());
        if drained.is_err() {
            warn!(
                sessions = self.sessions.len(),
                drain_ms = drain.as_millis(),
                "the drain limit is over; closing what is left"
            );
        }
        self.reporter().log();
    }

    /// Side by side. In haste none is waited for; what they keep is saved all
    /// the same.
    async fn stop_plugins(&self, haste: &CancellationToken) {
        let plugins = self.units.values().map(|unit| async move {
            let stopping = unit.plugin.shutdown(StopReason::Shutdown);
            if !ending::is_over(stopping, haste).await {
                warn!(
                    app = &**unit.application.name(),
                    "the plugin was not waited for"
                );
                unit.plugin.save().await;
            }
        });
        join_all(plugins).await;
    }
}

/// Loads all applications' plugins, then starts them.
async fn started(
    runtime: &Arc<Runtime>,
    shared: &Shared,
    file: &Path,
    config: &Config,
    decisions: &Arc<DecisionLog>,
) -> anyhow::Result<BTreeMap<String, Unit>> {
    let mut unstarted = Vec::new();
    for (name, application) in &config.applications {
        let loaded = build::load(runtime, shared, name, application).await;
        let loaded = loaded.map_err(|error| refusal::in_full(file, application, error))?;
        unstarted.push((name, application, loaded));
    }
    let mut units = BTreeMap::new();
    for (name, application, loaded) in unstarted {
        match loaded.start(application, config, decisions).await {
            Ok(unit) => {
                units.insert(name.clone(), unit);
            }
            Err(error) => {
                stop_again(units).await;
                return Err(error.into());
            }
        }
    }
    Ok(units)
}

/// Side by side: the server does not start after all.
async fn stop_again(units: BTreeMap<String, Unit>) {
    let stops = units
        .values()
        .map(|unit| unit.plugin.shutdown(StopReason::Shutdown));
    join_all(stops).await;
}

/// What who pastes the banner's lines is told.
async fn welcome(
    runtime: &Arc<Runtime>,
    config: &Config,
    addresses: &[SocketAddr],
) -> Option<Welcome> {
    let (name, _) = banner::tried(config, addresses)?;
    let spec = build::plugin_spec(name, config.applications.get(name)?);
    Plugin::welcome(runtime, spec, "127.0.0.1", banner::STREAM).await
}

fn watched<'a>(file: &Path, configs: impl IntoIterator<Item = &'a Config>) -> Vec<PathBuf> {
    let mut files = vec![file.to_owned()];
    for config in configs {
        let plugins = config.applications.values();
        files.extend(plugins.map(|application| application.plugin.clone()));
        let certificates = config.acceptors.iter().flat_map(|acceptor| &acceptor.tls);
        files.extend(certificates.flat_map(|pair| [pair.certificate.clone(), pair.key.clone()]));
    }
    files.sort();
    files.dedup();
    files
}
