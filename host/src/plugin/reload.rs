//! How one generation follows another.
//!
//! Flows in: a file and a configuration that may have changed. Flows out: a
//! new serving generation, or the old one and a reason. The order is compile,
//! link, trial `configure`, `snapshot` of the old, `on-start` of the new, swap,
//! drain of the old, its `on-stop`; a failure before the swap changes nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::application::Application;
use super::bindings::exports::livehost::app::lifecycle::StartReason;
use super::compile::{self, Compiled, ContentHash};
use super::engine::Runtime;
use super::error::{Fault, PluginError};
use super::generation::Generation;
use super::serve::Core;
use super::{Reload, StopReason};

/// What is known about versions; locked for the length of a reload, so there
/// is one at a time.
pub(super) struct Loader {
    /// The configuration in force.
    pub(super) config: String,
    pub(super) next_number: u64,
    /// Content and configuration that were refused for good.
    pub(super) known_bad: Option<(ContentHash, String)>,
    /// What served before, for a roll-back. Code only: its instances are gone.
    pub(super) previous: Option<(Arc<Compiled>, String)>,
    /// Old generations on their way out.
    pub(super) retiring: TaskTracker,
}

/// Reads, compiles, configures: everything that leaves others untouched.
pub(super) async fn prepare(
    runtime: &Arc<Runtime>,
    app: &Arc<Application>,
    config: String,
    number: u64,
) -> Result<Generation, Fault> {
    let bytes = compile::read(&app.file).await?;
    let hash = ContentHash::of(&bytes);
    let compiled = compile::compile(runtime, bytes, hash).await?;
    Generation::prepare(runtime, app, compiled, config, number).await
}

/// Says that `generation` serves.
pub(super) fn announce(app: &Application, generation: &Generation) {
    info!(
        app = app.name,
        generation = generation.number,
        hash = generation.compiled.hash.short(),
        file = %app.file.display(),
        "plugin generation serving"
    );
}

/// Replaces the serving generation if the file or the configuration is
/// another. Failures are logged here.
pub(super) async fn reload(
    core: &Arc<Core>,
    config: Option<String>,
) -> Result<Reload, PluginError> {
    let mut loader = core.loader.lock().await;
    let result = attempt(core, &mut loader, config).await;
    result.map_err(|fault| {
        let app = core.app.name.as_str();
        error!(
            app,
            file = %core.app.file.display(),
            error = %fault,
            "plugin reload failed; the old generation keeps serving"
        );
        core.app.fault(fault)
    })
}

async fn attempt(
    core: &Arc<Core>,
    loader: &mut Loader,
    config: Option<String>,
) -> Result<Reload, Fault> {
    if core.stopped.load(Ordering::Acquire) {
        return Err(Fault::ShutDown);
    }
    let config = config.unwrap_or_else(|| loader.config.clone());
    let bytes = compile::read(&core.app.file).await?;
    let hash = ContentHash::of(&bytes);
    let old = core.serving.load_full();
    if old.compiled.hash == hash && old.config == config {
        loader.config = config;
        return Ok(Reload::Unchanged);
    }
    let candidate = (hash, config);
    if loader.known_bad.as_ref() == Some(&candidate) {
        return Ok(Reload::KnownBad);
    }
    match replace(core, loader, &old, bytes, &candidate).await {
        Ok(generation) => {
            loader.config = candidate.1;
            loader.known_bad = None;
            Ok(Reload::Swapped {
                generation,
                hash: hash.short(),
            })
        }
        Err(fault) => {
            if fault.is_final() {
                loader.known_bad = Some(candidate);
            }
            Err(fault)
        }
    }
}

async fn replace(
    core: &Arc<Core>,
    loader: &mut Loader,
    old: &Arc<Generation>,
    bytes: Vec<u8>,
    (hash, config): &(ContentHash, String),
) -> Result<u64, Fault> {
    let compiled = compile::compile(&core.runtime, bytes, *hash).await?;
    let number = loader.next_number;
    loader.next_number = number.saturating_add(1);
    let new =
        Generation::prepare(&core.runtime, &core.app, compiled, config.clone(), number).await?;
    let handoff = old.snapshot().await;
    new.start(StartReason::Reload, handoff).await?;
    swap(core, loader, old, new);
    Ok(number)
}

/// The new generation serves; the old one drains by itself.
fn swap(core: &Arc<Core>, loader: &mut Loader, old: &Arc<Generation>, new: Generation) {
    loader.previous = Some((Arc::clone(&old.compiled), old.config.clone()));
    let new = Arc::new(new.begin());
    core.serving.store(Arc::clone(&new));
    core.breaker.reset();
    announce(&core.app, &new);
    old.close();
    let old = Arc::clone(old);
    loader
        .retiring
        .spawn(async move { old.retire(StopReason::Reload).await });
}

/// Goes back to what served before a generation that keeps failing. Ends only
/// when dropped.
pub(super) async fn roll_back_on_demand(core: &Arc<Core>) {
    loop {
        core.roll_back.notified().await;
        let mut loader = core.loader.lock().await;
        roll_back(core, &mut loader).await;
    }
}

async fn roll_back(core: &Arc<Core>, loader: &mut Loader) {
    let app = core.app.name.as_str();
    let failing = core.serving.load_full();
    let Some((compiled, config)) = loader.previous.take() else {
        return;
    };
    if core.stopped.load(Ordering::Acquire) {
        return;
    }
    // What is on disk is what fails, so a file event must not load it again.
    loader.known_bad = Some((failing.compiled.hash, failing.config.clone()));
    let number = loader.next_number;
    loader.next_number = number.saturating_add(1);
    let prepared = Generation::prepare(&core.runtime, &core.app, compiled, config, number).await;
    let started = match prepared {
        Ok(generation) => generation
            .start(StartReason::Restart, None)
            .await
            .map(|()| generation),
        Err(fault) => Err(fault),
    };
    match started {
        Ok(generation) => {
            warn!(
                app,
                failing = failing.number,
                generation = number,
                "plugin rolled back to the version before"
            );
            loader.config.clone_from(&generation.config);
            swap(core, loader, &failing, generation);
            // Not back again to the one that failed.
            loader.previous = None;
        }
        Err(fault) => error!(app, error = %fault, "plugin roll-back failed"),
    }
}
