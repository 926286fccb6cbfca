//! What belongs to an application and outlives its plugin's generations and
//! instances: state, timers, log, and the ways to the media plane and out.

use std::sync::Arc;

use livehost_net::outbound::{self, HttpClient, Network};
use livehost_telemetry::limited;
use livehost_telemetry::log::Quota;
use parking_lot::Mutex;

use super::imports::log::{Level, LineRate, Log};
use super::imports::timers::Timers;
use super::kv::Kv;
use super::stats::{DecisionLatencies, Stats};
use super::{Doubles, PluginLimits, PluginSpec, Services};

/// Commands of a second that are denied with a line in the log.
const DENIALS: u32 = 100;

/// One application, as its plugin's imports see it.
pub(super) struct AppContext {
    pub(super) name: String,
    pub(super) services: Services,
    pub(super) stats: Arc<Stats>,
    pub(super) decision_times: DecisionLatencies,
    pub(super) log: Log,
    /// Our lines about what the plugin does, which it can cause again and again:
    /// it must not hide them behind lines of its own, nor take the place of
    /// those.
    complaints: Arc<Quota>,
    /// Our lines about calls that fail; the others must not hide these.
    warnings: Arc<Quota>,
    pub(super) kv: Arc<Kv>,
    pub(super) timers: Timers,
    pub(super) denials: Mutex<LineRate>,
    pub(super) http_counts: Arc<outbound::HttpCounters>,
    /// The client of the generation that serves.
    http: Mutex<Option<Arc<HttpClient>>>,
    pub(super) doubles: Doubles,
}

impl AppContext {
    pub(super) fn new(spec: &PluginSpec, services: Services, kv: Arc<Kv>) -> Arc<Self> {
        Self::with_doubles(spec, services, kv, Doubles::default())
    }

    pub(super) fn with_doubles(
        spec: &PluginSpec,
        services: Services,
        kv: Arc<Kv>,
        doubles: Doubles,
    ) -> Arc<Self> {
        let limits = &spec.limits;
        let stats = Arc::<Stats>::default();
        Arc::new(Self {
            name: spec.app.clone(),
            services,
            log: Log::new(
                spec.app.clone(),
                limits.log_lines_per_second,
                Arc::clone(&stats),
            ),
            complaints: Arc::new(Quota::new(format!(
                "what the plugin of the application {:?} does",
                spec.app
            ))),
            warnings: Arc::new(Quota::new(format!(
                "calls of the plugin of the application {:?}",
                spec.app
            ))),
            stats,
            decision_times: DecisionLatencies::default(),
            kv,
            timers: Timers::new(limits.timers, doubles.clock.clone()),
            denials: Mutex::new(LineRate::new(DENIALS)),
            http_counts: Arc::default(),
            http: Mutex::new(None),
            doubles,
        })
    }

    /// One line of `plugin`.
    pub(super) fn log(
        &self,
        plugin: &str,
        level: Level,
        message: &str,
        fields: &[(String, String)],
    ) {
        match &self.doubles.log {
            Some(double) => double.line(level, message, fields),
            None => self.log.line(plugin, level, message, fields),
        }
    }

    /// One line of ours about what `plugin` did.
    pub(super) fn warn(&self, plugin: &str, message: &str) {
        match &self.doubles.log {
            Some(double) => double.line(Level::Warn, message, &[]),
            None => {
                limited!(
                    WARN,
                    self.complaints.admits_and_reports(),
                    app = self.name,
                    plugin,
                    "{message}"
                );
            }
        }
    }

    /// Whether one more line about calls that fail may be written.
    pub(super) fn admits_warning(&self) -> bool {
        self.warnings.admits_and_reports()
    }

    /// Other limits from now on. What is there already stays, even above them.
    pub(super) fn set_limits(&self, limits: &PluginLimits) {
        self.log.set_limit(limits.log_lines_per_second);
        self.kv.set_quota(limits.kv_bytes);
        self.timers.set_limit(limits.timers);
    }

    /// A client that keeps to `settings`: the one of the serving generation if
    /// it does, so that a reload neither doubles the requests at once nor
    /// closes connections.
    pub(super) fn http_client(
        &self,
        network: &Network,
        settings: &outbound::HttpSettings,
    ) -> Arc<HttpClient> {
        let serving = self.http.lock().clone();
        match serving {
            Some(client) if client.settings() == settings => client,
            _ => {
                let counts = Arc::clone(&self.http_counts);
                HttpClient::new(network, &self.name, settings.clone(), counts)
            }
        }
    }

    /// The generation that has `client` serves from now on.
    pub(super) fn set_http_client(&self, client: &Arc<HttpClient>) {
        *self.http.lock() = Some(Arc::clone(client));
    }
}
