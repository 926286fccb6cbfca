//! Configuration to parts: plugins, applications, acceptors, limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context;
use arc_swap::ArcSwap;
use ipnet::IpNet;
use livehost_app::application::{Application, ApplicationSettings};
use livehost_app::control::Control;
use livehost_app::shared_objects::Objects;
use livehost_decisions::DecisionLog;
use livehost_net::tls::Tls;
use livehost_net::{Admission, AdmissionLimits, Ingress, Protocol};
use livehost_plugin::{Plugin, PluginError, PluginSpec, Runtime, Services};
use livehost_policy::Gate;
use livehost_server_http::{HttpChain, HttpServer, MAX_FEEDS, Service, Site};
use livehost_server_rtmp::session::{self, Shared};
use livehost_server_rtmp::{Layers, RtmpServer, Tunnels};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::operations::ServerOperations;
use super::server::Unit;
use crate::config::{self, Chain, Config};

/// What the plugin runtime needs to know of an application.
pub(super) fn plugin_spec(name: &str, application: &config::ApplicationConfig) -> PluginSpec {
    PluginSpec {
        app: name.to_owned(),
        file: application.plugin.clone(),
        config: application.config.clone(),
        limits: application.limits.clone(),
        http: application.http.clone(),
    }
}

/// An application whose plugin has not started.
pub(super) struct UnstartedUnit {
    name: String,
    plugin: livehost_plugin::Unstarted,
    objects: Arc<Objects>,
}

/// Loads an application's plugin.
pub(super) async fn load(
    runtime: &Arc<Runtime>,
    shared: &Shared,
    name: &str,
    application: &config::ApplicationConfig,
) -> Result<UnstartedUnit, PluginError> {
    let control = Control::new(shared.broker.clone(), shared.directory.clone());
    let services = Services {
        registry: control.clone(),
        control,
    };
    let spec = plugin_spec(name, application);
    let sharing = application.shared_objects;
    let keep = runtime.shared_objects(&spec, sharing.kept).await?;
    Ok(UnstartedUnit {
        name: name.to_owned(),
        plugin: Plugin::unstarted(runtime, spec, services).await?,
        objects: Objects::new(sharing, keep),
    })
}

impl UnstartedUnit {
    /// Starts the plugin; it then decides for the application, which is
    /// `application` in `config`, and `decisions` hears of it.
    pub(super) async fn start(
        self,
        application: &config::ApplicationConfig,
        config: &Config,
        decisions: &Arc<DecisionLog>,
    ) -> Result<Unit, PluginError> {
        let Self {
            name,
            plugin,
            objects,
        } = self;
        let plugin = plugin.start().await?;
        let policy = decisions.around(&name, plugin.clone());
        let gate = Gate::new(&name, policy, application.on_error);
        Ok(Unit {
            application: Application::new(&name, gate, settings(application, config), objects),
            plugin,
        })
    }
}

/// How an application's streams are treated.
pub(super) fn settings(
    application: &config::ApplicationConfig,
    config: &Config,
) -> ApplicationSettings {
    let media = &application.media;
    ApplicationSettings {
        media: livehost_hub::MediaSettings {
            keyframe_cache: media.keyframe_cache,
            join: media.join,
            queue_bytes: media.queue_bytes,
            queue_time: media.queue_time,
            slow_close: media.slow_close,
            gather: media.gather,
        },
        chunk_size: config.limits.chunk,
        message: config.limits.message,
        publisher_timeout: media.publisher_timeout,
        wait_for_publisher: media.wait_for_publisher,
    }
}

/// What an acceptor of the configuration leads to, its certificates read.
#[derive(Debug)]
pub(super) struct AcceptorSetup {
    pub(super) chain: Chain,
    /// Of a chain with TLS.
    pub(super) tls: Option<Arc<Tls>>,
    serve: Vec<Service>,
    proxies: Arc<[IpNet]>,
    applications: Arc<[String]>,
}

impl AcceptorSetup {
    /// To be put in place, for RTMP clients that may be in `tunnels`.
    pub(super) fn ingress(
        self,
        shared: &Arc<Shared>,
        tunnels: &Arc<Tunnels>,
        site: &Arc<Site>,
    ) -> Ingress {
        let protocol: Arc<dyn Protocol> = match self.chain {
            Chain::Rtmp(chain) => Arc::new(RtmpServer {
                layers: Layers {
                    chain,
                    tls: self.tls,
                },
                applications: self.applications,
                tunnels: tunnels.clone(),
                shared: shared.clone(),
            }),
            Chain::Http(_) => Arc::new(HttpServer::new(site, &self.serve, self.tls)),
        };
        Ingress {
            protocol,
            proxies: self.proxies,
        }
    }
}

/// Reads the certificates of an acceptor.
pub(super) fn setup(acceptor: &config::AcceptorConfig) -> anyhow::Result<AcceptorSetup> {
    let protocols = match acceptor.chain {
        Chain::Rtmp(_) => &[][..],
        Chain::Http(_) => &HttpChain::ALPN,
    };
    let tls = (!acceptor.tls.is_empty())
        .then(|| Tls::load(&acceptor.tls, protocols))
        .transpose()
        .with_context(|| format!("the acceptor {} has no TLS", acceptor.listen))?;
    for why in tls.iter().flat_map(|tls| tls.untimely()) {
        warn!(listen = %acceptor.listen, "{why}");
    }
    Ok(AcceptorSetup {
        chain: acceptor.chain,
        tls,
        serve: acceptor.serve.clone(),
        proxies: acceptor.proxy_protocol.as_slice().into(),
        applications: acceptor.applications.as_slice().into(),
    })
}

pub(super) fn session_limits(config: &Config) -> session::SessionLimits {
    let limits = &config.limits;
    session::SessionLimits {
        handshake: limits.handshake,
        idle: limits.idle,
        streams: limits.streams_per_connection,
        message: limits.message,
        call: limits.call,
        chunk: limits.chunk,
        tunnel: limits.tunnel,
        drain: limits.drain,
    }
}

pub(super) fn admission_limits(config: &Config) -> AdmissionLimits {
    AdmissionLimits {
        connections: config.limits.connections,
        per_address: config.limits.connections_per_address,
        ungranted_per_address: config.limits.ungranted_per_address,
    }
}

/// What operators see, and who they are.
pub(super) fn site(
    config: &Config,
    shared: &Shared,
    admission: &Arc<Admission>,
    decisions: &Arc<DecisionLog>,
    operations: &Arc<ServerOperations>,
) -> Arc<Site> {
    let site = Site {
        broker: shared.broker.clone(),
        directory: shared.directory.clone(),
        control: Control::new(shared.broker.clone(), shared.directory.clone()),
        admission: admission.clone(),
        decisions: decisions.clone(),
        feeds: Arc::new(Semaphore::new(MAX_FEEDS)),
        operations: operations.clone(),
        access: ArcSwap::default(),
        metric_streams: AtomicUsize::default(),
        handshake: ArcSwap::default(),
        tasks: TaskTracker::new(),
        shutdown: shared.shutdown.clone(),
    };
    set_site(&site, config);
    Arc::new(site)
}

/// Who may ask, and what is shown, from now on.
pub(super) fn set_site(site: &Site, config: &Config) {
    site.access.store(Arc::new(config.api.access.clone()));
    site.handshake.store(Arc::new(config.limits.handshake));
    let streams = config.metrics.streams;
    site.metric_streams.store(streams, Ordering::Relaxed);
}
