//! Builds the server out of its configuration, keeps it, and ends it.
//!
//! The one place that knows every part: it gives sessions their applications
//! and applications their plugins, reloads plugins whose files change, and
//! turns signals into an orderly end.

mod banner;
mod build;
mod reload;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::config::Config;
use crate::hub::Hub;
use crate::logging;
use crate::net::{Acceptor, Admission, AdmissionLimits};
use crate::plugin::{Plugin, Runtime, StopReason};
use crate::session::Shared;

/// Serves what the file describes until SIGINT or SIGTERM.
///
/// # Errors
/// When the configuration, a plugin or an address can't be used: nothing
/// serves then, and the error says what to change.
pub async fn run(file: &Path) -> anyhow::Result<()> {
    // Signals that arrive while plugins are compiled count too.
    let signals = Signals::listen()?;
    let config = Config::load(file)?;
    logging::start(&config.log)?;
    let server = Server::start(config).await?;
    let name = signals.next().await;
    info!(signal = name, "stopping");
    server.stop().await;
    Ok(())
}

/// Validates the file and its plugins; prints what `run` would serve.
///
/// # Errors
/// When `run` could not start, apart from addresses in use.
pub async fn check(file: &Path) -> anyhow::Result<()> {
    let config = Config::load(file)?;
    let runtime = Runtime::new()?;
    let mut failed = 0_usize;
    for (name, application) in &config.applications {
        match Plugin::check(&runtime, build::plugin_spec(name, application)).await {
            Ok(check) => banner::print_checked(&config, name, application, &check),
            Err(error) => {
                failed += 1;
                eprintln!("error: {error:#}");
            }
        }
    }
    anyhow::ensure!(
        failed == 0,
        "{failed} of {} applications could not start",
        config.applications.len()
    );
    println!("{}: ok", file.display());
    Ok(())
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("SIGINT can't be caught")?,
            terminate: signal(SignalKind::terminate()).context("SIGTERM can't be caught")?,
        })
    }

    async fn next(mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

/// Everything that runs.
struct Server {
    plugins: Vec<Arc<Plugin>>,
    /// Cancelled to stop accepting and reloading.
    stop_accepting: CancellationToken,
    /// Cancelled to end sessions.
    stop_sessions: CancellationToken,
    services: TaskTracker,
    sessions: TaskTracker,
    drain: Duration,
}

impl Server {
    async fn start(config: Config) -> anyhow::Result<Self> {
        let stop_sessions = CancellationToken::new();
        let shared = Arc::new(Shared {
            hub: Hub::new(),
            applications: Arc::default(),
            directory: Arc::default(),
            limits: build::session_limits(&config),
            shutdown: stop_sessions.clone(),
        });
        // Addresses first: it costs nothing to find out that one is taken,
        // and nothing is accepted before the plugins serve.
        let acceptors = config
            .acceptors
            .iter()
            .map(|acceptor| Acceptor::bind(acceptor.listen, acceptor.chain, &acceptor.applications))
            .collect::<Result<Vec<_>, _>>()?;
        let runtime = Runtime::new()?;
        let plugins = build::load_plugins(&config, &runtime, &shared).await?;
        shared
            .applications
            .replace(build::applications(&config, &plugins));

        let server = Self {
            plugins,
            stop_accepting: CancellationToken::new(),
            stop_sessions,
            services: TaskTracker::new(),
            sessions: TaskTracker::new(),
            drain: config.limits.drain,
        };
        reload::watch(&server.plugins, &server.services, &server.stop_accepting)?;
        let admission = Admission::new(AdmissionLimits {
            connections: config.limits.connections,
            per_address: config.limits.connections_per_address,
        });
        banner::print(&config, &acceptors, &server.plugins);
        for acceptor in acceptors {
            info!(addr = %acceptor.address(), chain = ?acceptor.chain(), "listening");
            server.services.spawn(acceptor.run(
                shared.clone(),
                admission.clone(),
                server.sessions.clone(),
                server.stop_accepting.clone(),
            ));
        }
        info!("ready");
        Ok(server)
    }

    /// Stops accepting, tells the clients, waits for them as long as the
    /// drain limit says, then stops the plugins.
    async fn stop(self) {
        self.stop_accepting.cancel();
        self.stop_sessions.cancel();
        self.sessions.close();
        self.services.close();
        let drained = tokio::time::timeout(self.drain, async {
            self.sessions.wait().await;
            self.services.wait().await;
        });
        if drained.await.is_err() {
            warn!(
                sessions = self.sessions.len(),
                drain = ?self.drain,
                "the drain limit is over; closing what is left"
            );
        }
        for plugin in &self.plugins {
            plugin.shutdown(StopReason::Shutdown).await;
        }
        info!("stopped");
    }
}
