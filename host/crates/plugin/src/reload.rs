//! How one generation follows another.
//!
//! Flows in: a file and settings that may have changed. Flows out: a
//! new serving generation, or the old one and a reason. The order is compile,
//! link, trial `configure`, `needs-auth`, `snapshot` of the old, `on-start` of
//! the new, swap, drain of the old, its `on-stop`; a failure before the swap changes nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use livehost_telemetry::secrets::without_settings;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use tracing::{error, info};

use super::application::AppContext;
use super::bindings::exports::livehost::app::lifecycle::StartReason;
use super::compile::{self, Compiled, ContentHash};
use super::engine::Runtime;
use super::error::{Fault, PluginError};
use super::function::Function;
use super::generation::Generation;
use super::serve::Core;
use super::{PluginSpec, Reload, StopReason};

/// What is known about versions; locked for the length of a reload, so there
/// is one at a time.
pub(super) struct Loader {
    pub(super) next_number: u64,
    /// Content and settings that were refused for good.
    pub(super) known_bad: Option<(ContentHash, Arc<PluginSpec>)>,
    /// What served before, for a roll-back. Code only: its instances are gone.
    pub(super) previous: Option<(Arc<Compiled>, Arc<PluginSpec>)>,
    /// Old generations on their way out.
    pub(super) retiring: TaskTracker,
}

/// Reads, compiles, configures: everything that leaves others untouched.
pub(super) async fn prepare(
    runtime: &Arc<Runtime>,
    app: &Arc<AppContext>,
    spec: &Arc<PluginSpec>,
    number: u64,
) -> Result<Generation, Fault> {
    let bytes = compile::read(&spec.file).await?;
    let hash = ContentHash::of(&bytes);
    let compiled = compile::compile(runtime, bytes, hash).await?;
    Generation::prepare(runtime, app, compiled, Arc::clone(spec), number).await
}

/// Says that `generation` serves.
pub(super) fn announce(app: &AppContext, generation: &Generation) {
    info!(
        app = app.name,
        generation = generation.number,
        hash = generation.compiled.hash.short(),
        file = %generation.spec.file.display(),
        "plugin generation serving"
    );
}

/// Replaces the serving generation if the file's content is another. Failures
/// are logged here.
pub(super) async fn reload(core: &Arc<Core>) -> Result<Reload, PluginError> {
    let mut loader = core.loader.lock().await;
    let spec = core.wanted.load_full();
    let result = attempt(core, &mut loader, &spec).await;
    result.map_err(|fault| {
        core.app.stats.reloads_refused.add();
        let app = core.app.name.as_str();
        error!(
            app,
            file = %spec.file.display(),
            error = without_settings(&spec.config, &fault.to_string()),
            "plugin reload failed; the old generation keeps serving"
        );
        spec.fault(fault)
    })
}

async fn attempt(
    core: &Arc<Core>,
    loader: &mut Loader,
    spec: &Arc<PluginSpec>,
) -> Result<Reload, Fault> {
    if core.stopped.load(Ordering::Acquire) {
        return Err(Fault::ShutDown);
    }
    let bytes = compile::read(&spec.file).await?;
    let hash = ContentHash::of(&bytes);
    let old = core.serving.load_full();
    if old.compiled.hash == hash && old.spec == *spec {
        core.wanted.store(Arc::clone(spec));
        return Ok(Reload::Unchanged);
    }
    let candidate = (hash, Arc::clone(spec));
    if loader.known_bad.as_ref() == Some(&candidate) {
        return Ok(Reload::KnownBad);
    }
    match replace(core, loader, &old, bytes, &candidate).await {
        Ok(generation) => {
            core.wanted.store(candidate.1);
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
    (hash, spec): &(ContentHash, Arc<PluginSpec>),
) -> Result<u64, Fault> {
    let new = fresh(core, loader, bytes, (*hash, spec)).await?;
    let handoff = old.snapshot().await;
    new.start(StartReason::Reload, handoff).await?;
    let number = new.number;
    swap(core, loader, old, new);
    Ok(number)
}

/// A generation that took its configuration.
pub(super) async fn fresh(
    core: &Arc<Core>,
    loader: &mut Loader,
    bytes: Vec<u8>,
    (hash, spec): (ContentHash, &Arc<PluginSpec>),
) -> Result<Generation, Fault> {
    let compiled = compile::compile(&core.runtime, bytes, hash).await?;
    let number = loader.next_number;
    loader.next_number = number.saturating_add(1);
    Generation::prepare(&core.runtime, &core.app, compiled, Arc::clone(spec), number).await
}

/// The new generation serves; the old one drains by itself.
pub(super) fn swap(core: &Arc<Core>, loader: &mut Loader, old: &Arc<Generation>, new: Generation) {
    loader.previous = Some((Arc::clone(&old.compiled), Arc::clone(&old.spec)));
    let limits = &new.spec.limits;
    core.app.set_limits(limits);
    core.events.set_limit(limits.event_queue);
    let new = Arc::new(new.begin());
    core.serving.store(Arc::clone(&new));
    // Whom they judge is known by its number: what the old one did meanwhile
    // does not count.
    let limits = &new.spec.limits;
    core.breakers
        .reset(new.number, limits.failures, limits.failure_window);
    core.events.wake();
    core.app.stats.reloads.add();
    announce(&core.app, &new);
    old.close();
    let old = Arc::clone(old);
    loader
        .retiring
        .spawn(async move { old.retire(StopReason::Reload).await });
}

/// The young generation that fails, and in which function; the last one that was
/// reported.
#[derive(Debug, Default)]
pub(super) struct Condemned {
    last: parking_lot::Mutex<Option<(u64, Function)>>,
    changed: Notify,
}

impl Condemned {
    pub(super) fn report(&self, generation: u64, function: Function) {
        *self.last.lock() = Some((generation, function));
        self.changed.notify_one();
    }

    #[cfg(test)]
    pub(super) fn is_reported(&self) -> bool {
        self.last.lock().is_some()
    }

    async fn next(&self) -> (u64, Function) {
        loop {
            self.changed.notified().await;
            if let Some(last) = self.last.lock().take() {
                return last;
            }
        }
    }
}

/// Goes back to what served before a generation that keeps failing. Ends only
/// when dropped.
pub(super) async fn roll_back_on_demand(core: &Arc<Core>) {
    loop {
        let (number, function) = core.condemned.next().await;
        let mut loader = core.loader.lock().await;
        roll_back(core, &mut loader, number, function).await;
    }
}

/// Another than `number` may serve by now: it is not the one that failed.
pub(super) async fn roll_back(
    core: &Arc<Core>,
    loader: &mut Loader,
    number: u64,
    function: Function,
) {
    let app = core.app.name.as_str();
    let function = function.name();
    let failing = core.serving.load_full();
    if failing.number != number || core.stopped.load(Ordering::Acquire) {
        return;
    }
    match go_back(core, loader, &failing).await {
        None => {}
        Some(Ok(generation)) => error!(
            app,
            failing = failing.number,
            function,
            generation,
            "plugin keeps failing and is rolled back to the version before"
        ),
        Some(Err(reason)) => error!(
            app,
            failing = failing.number,
            function,
            error = reason,
            "plugin keeps failing and can't be rolled back"
        ),
    }
}

/// Puts the version before `serving` in its place; none without one. What keeps it
/// from there is free of settings.
pub(super) async fn go_back(
    core: &Arc<Core>,
    loader: &mut Loader,
    serving: &Arc<Generation>,
) -> Option<Result<u64, String>> {
    let (compiled, spec) = loader.previous.clone()?;
    // What is on disk and wanted is what serves, so a file event must not load it
    // again; other content will be tried with the settings that are wanted.
    loader.known_bad = Some((serving.compiled.hash, Arc::clone(&serving.spec)));
    let number = loader.next_number;
    loader.next_number = number.saturating_add(1);
    let spec_of_old = Arc::clone(&spec);
    let prepared = Generation::prepare(&core.runtime, &core.app, compiled, spec_of_old, number);
    let started = match prepared.await {
        Ok(generation) => generation
            .start(StartReason::Restart, None)
            .await
            .map(|()| generation),
        Err(fault) => Err(fault),
    };
    Some(match started {
        Ok(generation) => {
            swap(core, loader, serving, generation);
            // Who reads it finds the version before serving.
            core.app.stats.roll_backs.add();
            // Not back again to the one that was left.
            loader.previous = None;
            Ok(number)
        }
        Err(fault) => Err(without_settings(&spec.config, &fault.to_string())),
    })
}
