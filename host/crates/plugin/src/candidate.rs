//! Versions on their way to serve, one step at a time: several plugins, and what
//! else a configuration changes, begin together or not at all.
//!
//! Flows in: a plugin's file and settings. Flows out: a generation that was
//! configured, then started, then serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::application::AppContext;
use super::bindings::exports::livehost::app::lifecycle::StartReason;
use super::compile::{self, ContentHash};
use super::engine::Runtime;
use super::error::{Fault, PluginError};
use super::events::EventQueue;
use super::function::Breakers;
use super::generation::Generation;
use super::reload::{self, Condemned, Loader};
use super::serve::Core;
use super::{Plugin, PluginSpec, Reload, Services, StopReason};

/// The number of an application's first generation.
const FIRST: u64 = 1;

/// An application's first plugin, configured.
#[must_use]
pub struct Unstarted {
    runtime: Arc<Runtime>,
    app: Arc<AppContext>,
    spec: Arc<PluginSpec>,
    generation: Generation,
}

/// What a plugin may become. Until it does, the old version serves, and no other
/// reload of the plugin begins. One that is dropped instead gets its `on-stop` if
/// its `on-start` ran.
#[must_use]
pub struct Candidate {
    core: Arc<Core>,
    loader: OwnedMutexGuard<Loader>,
    spec: Arc<PluginSpec>,
    old: Arc<Generation>,
    /// None when content and settings serve already, or have failed before, and
    /// once it serves.
    new: Option<Generation>,
    known_bad: bool,
    hash: ContentHash,
    started: bool,
}

impl std::fmt::Debug for Unstarted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Unstarted").field(&self.spec.app).finish()
    }
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Candidate")
            .field("app", &self.spec.app)
            .field("started", &self.started)
            .finish_non_exhaustive()
    }
}

impl Unstarted {
    /// Runs `on-start`; the plugin then serves, until [`Plugin::shutdown`].
    ///
    /// Must run inside a tokio runtime: the plugin's event and timer tasks live
    /// there.
    ///
    /// # Errors
    /// When it refuses to start.
    pub async fn start(self) -> Result<Arc<Plugin>, PluginError> {
        let Self {
            runtime,
            app,
            spec,
            generation,
        } = self;
        let started = generation.start(StartReason::Boot, None).await;
        started.map_err(|fault| spec.fault(fault))?;
        let generation = Arc::new(generation.begin());
        reload::announce(&app, &generation);
        let core = Arc::new(Core {
            runtime,
            serving: ArcSwap::new(generation),
            events: EventQueue::new(app.name.clone(), spec.limits.event_queue),
            breakers: Breakers::new(FIRST, spec.limits.failures, spec.limits.failure_window),
            wanted: ArcSwap::new(spec),
            loader: Arc::new(Mutex::new(Loader {
                next_number: FIRST + 1,
                known_bad: None,
                previous: None,
                retiring: TaskTracker::new(),
            })),
            condemned: Condemned::default(),
            stopped: AtomicBool::new(false),
            app,
        });
        let plugin = Plugin {
            core,
            cancel: CancellationToken::new(),
            tasks: TaskTracker::new(),
            deliveries: parking_lot::Mutex::new(None),
        };
        plugin.spawn_tasks();
        Ok(Arc::new(plugin))
    }
}

impl Plugin {
    /// Loads and configures an application's first plugin, with the state that
    /// the application has from earlier runs.
    ///
    /// # Errors
    /// When it can't be loaded or refuses its settings.
    pub async fn unstarted(
        runtime: &Arc<Runtime>,
        spec: PluginSpec,
        services: Services,
    ) -> Result<Unstarted, PluginError> {
        let state = runtime.state(&spec.app, spec.limits.kv_bytes).await;
        let state = state.map_err(|fault| spec.fault(fault))?;
        let app = AppContext::new(&spec, services, state);
        let spec = Arc::new(spec);
        let generation = reload::prepare(runtime, &app, &spec, FIRST)
            .await
            .map_err(|fault| spec.fault(fault))?;
        Ok(Unstarted {
            runtime: Arc::clone(runtime),
            app,
            spec,
            generation,
        })
    }

    /// Loads and configures what the plugin shall become: its file as it is
    /// now, with these settings, unless it was rolled back from just those. State, timers and queued events stay. The
    /// application is the same, whatever `spec` calls it.
    ///
    /// # Errors
    /// When it can't be loaded or refuses its settings; nothing has changed then.
    pub async fn prepare(&self, spec: PluginSpec) -> Result<Candidate, PluginError> {
        let app = self.core.app.name.clone();
        let spec = Arc::new(PluginSpec { app, ..spec });
        let loader = Arc::clone(&self.core.loader).lock_owned().await;
        let prepared = Candidate::prepare(&self.core, loader, &spec).await;
        prepared.map_err(|fault| {
            self.core.app.stats.reloads_refused.add();
            spec.fault(fault)
        })
    }
}

impl Candidate {
    async fn prepare(
        core: &Arc<Core>,
        mut loader: OwnedMutexGuard<Loader>,
        spec: &Arc<PluginSpec>,
    ) -> Result<Self, Fault> {
        if core.stopped.load(Ordering::Acquire) {
            return Err(Fault::ShutDown);
        }
        let bytes = compile::read(&spec.file).await?;
        let hash = ContentHash::of(&bytes);
        let old = core.serving.load_full();
        let candidate = (hash, Arc::clone(spec));
        let known_bad = loader.known_bad.as_ref() == Some(&candidate);
        let serves = old.compiled.hash == hash && old.spec == *spec;
        let new = match serves || known_bad {
            true => None,
            false => Some(reload::fresh(core, &mut loader, bytes, (hash, spec)).await?),
        };
        Ok(Self {
            core: Arc::clone(core),
            loader,
            spec: Arc::clone(spec),
            old,
            new,
            known_bad: known_bad && !serves,
            hash,
            started: false,
        })
    }

    /// Hands over what the old version has to say, and runs `on-start`.
    ///
    /// # Errors
    /// When it refuses to start; nothing has changed then.
    pub async fn start(&mut self) -> Result<(), PluginError> {
        let Some(new) = &self.new else {
            return Ok(());
        };
        let handoff = self.old.snapshot().await;
        let started = new.start(StartReason::Reload, handoff).await;
        started.map_err(|fault| {
            self.core.app.stats.reloads_refused.add();
            self.spec.fault(fault)
        })?;
        self.started = true;
        Ok(())
    }

    /// It serves from now on, unless it has failed before: then the old one goes
    /// on until the file changes.
    pub fn commit(mut self) -> Reload {
        self.core.wanted.store(Arc::clone(&self.spec));
        if self.known_bad {
            return Reload::KnownBad;
        }
        let Some(new) = self.new.take() else {
            return Reload::Unchanged;
        };
        self.loader.known_bad = None;
        let generation = new.number;
        reload::swap(&self.core, &mut self.loader, &self.old, new);
        Reload::Swapped {
            generation,
            hash: self.hash.short(),
        }
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        let Some(new) = self.new.take().filter(|_| self.started) else {
            return;
        };
        new.close();
        let retire = async move { new.retire(StopReason::Reload).await };
        self.loader.retiring.spawn(retire);
    }
}
