//! Builds the server out of its configuration, keeps it in step with its
//! files, and ends it.
//!
//! The one place that knows every part: it gives sessions their applications
//! and applications their plugins, reloads plugins and the configuration when
//! their files change, and turns signals into an orderly end.

mod banner;
mod build;
mod ending;
mod files;
mod machine;
mod operations;
mod orders;
mod reconfigure;
mod refusal;
mod server;
mod signals;
mod stats;

use std::path::Path;

use livehost_plugin::{Compiler, Plugin, Runtime, Storage};
use livehost_telemetry::log::{self, LogControl};
use livehost_telemetry::{say, terminal};
use tracing::{info, warn};

use crate::config::Config;
use server::RunningServer;
use signals::Signals;

/// Serves what the file describes until SIGINT or SIGTERM. A second one ends
/// what is left at once.
///
/// # Errors
/// When the configuration, a plugin or an address can't be used: nothing
/// serves then, and the error says what to change.
pub async fn run(file: &Path) -> anyhow::Result<()> {
    // Signals that arrive while plugins are compiled count too.
    let mut signals = Signals::listen()?;
    let config = Config::load(file)?;
    let log = log::start(&config.log, &config.base)?;
    let outcome = serve(file, config, log.clone(), &mut signals).await;
    log.flush();
    outcome
}

async fn serve(
    file: &Path,
    config: Config,
    log: LogControl,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    files::raise_limit(config.limits.connections);
    for complaint in machine::complaints(&config) {
        warn!("{complaint}");
    }
    let mut server = RunningServer::start(file, config, log).await?;
    let operations = server.operations.clone();
    // Dropping `keep` half-way is safe: the server is stopped next.
    let name = tokio::select! {
        name = signals.stop.any() => name,
        () = operations.drained() => "drain, ordered by an operator",
        never = server.keep(&mut signals.hangup) => match never {},
        never = signals.ignored.note() => match never {},
    };
    info!(signal = name, again = "ends at once", "stopping");
    server.stop(signals.stop.any()).await;
    Ok(())
}

/// Validates the file and its plugins; prints what `run` would serve. What
/// plugins request by HTTP meanwhile goes out when `online`.
///
/// # Errors
/// When `run` could not start, apart from addresses in use.
pub async fn check(file: &Path, online: bool) -> anyhow::Result<()> {
    let config = Config::load(file)?;
    let runtime = Runtime::new(&Storage::Look(config.state.clone()), Compiler::Child)?;
    let mut failed = 0_usize;
    for (name, application) in &config.applications {
        match Plugin::check(&runtime, build::plugin_spec(name, application), online).await {
            Ok(check) => banner::print_checked(&config, name, application, &check),
            Err(error) => {
                failed = failed.saturating_add(1);
                let error = refusal::in_full(file, application, error);
                terminal::complain(format_args!("error: {error:#}"));
            }
        }
    }
    for complaint in machine::complaints(&config) {
        say!("warning: {complaint}");
    }
    for acceptor in &config.acceptors {
        let setup = build::setup(acceptor)?;
        if let Some(tls) = setup.tls {
            for dates in tls.dates() {
                say!("certificate {dates}");
            }
            for why in tls.untimely() {
                say!("warning: {why}");
            }
        }
    }
    anyhow::ensure!(
        failed == 0,
        "{failed} of {} applications could not start",
        config.applications.len()
    );
    say!("{}: ok", file.display());
    Ok(())
}
