//! The plugin runtime: [`Policy`] on WASM components.
//!
//! Flows in: a file, its configuration, and a session's questions. Flows out:
//! decisions, and the guest's commands to the media plane ([`Services`]).

mod application;
mod bindings;
mod breaker;
mod budget;
mod check;
mod compile;
mod convert;

mod engine;
mod error;
mod events;
mod generation;
mod imports;
mod instance;
mod limits;
mod pool;
mod reload;
mod serve;
mod wasi;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

pub use check::Check;
pub use engine::{Runtime, RuntimeError};
pub use error::{Fault, PluginError};
pub use limits::Limits;

use self::application::Application;
use self::bindings::exports::livehost::app::lifecycle::StartReason;
use self::breaker::Breaker;
use self::events::EventQueue;
use self::instance::Instance;
use self::reload::Loader;
use self::serve::Core;
use crate::outbound;
use crate::policy::{
    CallError, Client, ConnectDecision, ConnectRequest, Event, MediaControl, PlayDecision, Policy,
    PolicyError, PublishDecision, StreamRegistry, StreamRequest,
};

/// Which plugin an application runs, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginSpec {
    /// The application.
    pub app: String,
    /// The component.
    pub file: PathBuf,
    /// What `configure` gets: JSON text.
    pub config: String,
    /// What it may use.
    pub limits: Limits,
    /// What it may request by HTTP.
    pub http: outbound::Settings,
}

impl PluginSpec {
    /// The plugin's name in the log: its file's, without the extension.
    fn plugin_name(&self) -> String {
        self.file
            .file_stem()
            .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
    }

    /// `fault` with the names an operator needs.
    fn fault(&self, fault: Fault) -> PluginError {
        PluginError {
            app: self.app.clone(),
            file: self.file.clone(),
            fault,
        }
    }
}

/// What a plugin's `registry` and `control` imports act on.
#[derive(Clone)]
pub struct Services {
    /// Live streams.
    pub registry: Arc<dyn StreamRegistry>,
    /// Commands to the media plane.
    pub control: Arc<dyn MediaControl>,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").finish_non_exhaustive()
    }
}

/// Why a plugin's generation ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// The process ends.
    Shutdown,
    /// A newer generation serves.
    Reload,
    /// The application was taken out of the configuration.
    Removed,
}

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reload {
    /// File and configuration are those that already serve.
    Unchanged,
    /// The file's content was refused before and reported then; the serving
    /// generation stays.
    KnownBad,
    /// A new generation serves.
    Swapped {
        /// Its number, counted up from 1 for each application.
        generation: u64,
        /// The first 12 hexadecimal digits of its content's SHA-256.
        hash: String,
    },
}

/// What serves, for the banner and for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The application.
    pub app: String,
    /// The component's file.
    pub file: PathBuf,
    /// The serving generation's number, counted up from 1.
    pub generation: u64,
    /// The first 12 hexadecimal digits of its content's SHA-256.
    pub hash: String,
    /// It exports `events`.
    pub events: bool,
    /// It exports `calls`.
    pub calls: bool,
}

/// One application's plugin: its serving generation and everything that
/// outlives generations (state, timers, queued events).
pub struct Plugin {
    core: Arc<Core>,
    /// Ends the tasks that would go on for ever.
    cancel: CancellationToken,
    tasks: TaskTracker,
    deliveries: parking_lot::Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Plugin").field(&self.describe()).finish()
    }
}

impl Plugin {
    /// Loads, configures and starts the plugin; it then serves.
    ///
    /// Must run inside a tokio runtime: the plugin's event and timer tasks
    /// live there until [`Plugin::shutdown`] or drop.
    pub async fn load(
        runtime: &Arc<Runtime>,
        spec: PluginSpec,
        services: Services,
    ) -> Result<Arc<Self>, PluginError> {
        let app = Application::new(&spec, services);
        let spec = Arc::new(spec);
        let number = 1;
        let generation = reload::prepare(runtime, &app, &spec, number)
            .await
            .map_err(|fault| spec.fault(fault))?;
        let started = generation.start(StartReason::Boot, None).await;
        started.map_err(|fault| spec.fault(fault))?;
        let generation = Arc::new(generation.begin());
        reload::announce(&app, &generation);
        let core = Arc::new(Core {
            runtime: Arc::clone(runtime),
            serving: ArcSwap::new(generation),
            events: EventQueue::new(app.name.clone(), spec.limits.event_queue),
            breaker: Breaker::new(spec.limits.failures, spec.limits.failure_window),
            wanted: ArcSwap::new(spec),
            loader: Mutex::new(Loader {
                next_number: number + 1,
                known_bad: None,
                previous: None,
                retiring: TaskTracker::new(),
            }),
            roll_back: Notify::new(),
            stopped: AtomicBool::new(false),
            app,
        });
        let plugin = Self {
            core,
            cancel: CancellationToken::new(),
            tasks: TaskTracker::new(),
            deliveries: parking_lot::Mutex::new(None),
        };
        plugin.spawn_tasks();
        Ok(Arc::new(plugin))
    }

    fn spawn_tasks(&self) {
        let core = Arc::clone(&self.core);
        let delivery = self.cancel.child_token();
        let deliveries = self.tasks.spawn(async move {
            delivery
                .run_until_cancelled_owned(core.deliver_events())
                .await;
        });
        *self.deliveries.lock() = Some(deliveries);
        let core = Arc::clone(&self.core);
        let timers = self.cancel.child_token();
        self.tasks
            .spawn(async move { timers.run_until_cancelled_owned(core.fire_timers()).await });
        let core = Arc::clone(&self.core);
        let roll_back = self.cancel.child_token();
        self.tasks.spawn(async move {
            roll_back
                .run_until_cancelled_owned(reload::roll_back_on_demand(&core))
                .await
        });
    }

    /// Everything [`Plugin::load`] does up to `configure`, on a throw-away
    /// generation that never starts or serves.
    pub async fn check(runtime: &Arc<Runtime>, spec: PluginSpec) -> Result<Check, PluginError> {
        check::check(runtime, spec).await
    }

    /// Reads the file again; other content replaces the serving generation
    /// once it has proved itself. An error leaves the old one serving and has
    /// been logged.
    pub async fn reload(&self) -> Result<Reload, PluginError> {
        reload::reload(&self.core, None).await
    }

    /// Like [`Plugin::reload`], with another file, configuration or limits.
    /// State, timers and queued events stay. An error leaves everything as it
    /// was. The application is the same, whatever `spec` calls it.
    pub async fn respec(&self, spec: PluginSpec) -> Result<Reload, PluginError> {
        let app = self.core.app.name.clone();
        reload::reload(&self.core, Some(PluginSpec { app, ..spec })).await
    }

    /// What serves now.
    pub fn describe(&self) -> Description {
        let serving = self.core.serving.load();
        Description {
            app: self.core.app.name.clone(),
            file: serving.spec.file.clone(),
            generation: serving.number,
            hash: serving.compiled.hash.short(),
            events: serving.compiled.events.is_some(),
            calls: serving.compiled.calls.is_some(),
        }
    }

    /// The HTTP requests of all its generations.
    pub fn http_totals(&self) -> outbound::Totals {
        self.core.app.http_counts.totals()
    }

    fn tell_http_totals(&self) {
        let totals = self.http_totals();
        if totals.requests > 0 {
            info!(
                app = self.core.app.name,
                requests = totals.requests,
                denied = totals.denied,
                over_limit = totals.over_limit,
                timed_out = totals.timed_out,
                failed = totals.failed,
                "HTTP requests of the plugin"
            );
        }
    }

    /// The component's file as last asked for with success. After a roll-back
    /// what serves may come from another one; see [`Plugin::describe`].
    pub fn file(&self) -> PathBuf {
        self.core.wanted.load().file.clone()
    }

    /// Delivers queued events, ends the tasks and calls `on-stop`; takes at
    /// most twice the drain limit plus the start limit. Later calls answer
    /// [`PolicyError::Unavailable`].
    pub async fn shutdown(&self, reason: StopReason) {
        let core = &self.core;
        let drain = core.serving.load().spec.limits.drain;
        core.events.close();
        let deliveries = self.deliveries.lock().take();
        if let Some(deliveries) = deliveries
            && tokio::time::timeout(drain, deliveries).await.is_err()
        {
            warn!(
                app = core.app.name,
                "plugin did not take its events in time"
            );
        }
        self.cancel.cancel();
        // A reload that is under way ends first, and none follows.
        let loader = core.loader.lock().await;
        if core.stopped.swap(true, Ordering::AcqRel) {
            return;
        }
        let serving = core.serving.load_full();
        serving.close();
        serving.retire(reason).await;
        self.tell_http_totals();
        loader.retiring.close();
        self.tasks.close();
        let rest = async {
            loader.retiring.wait().await;
            self.tasks.wait().await;
        };
        if tokio::time::timeout(drain, rest).await.is_err() {
            warn!(app = core.app.name, "plugin left calls behind at its end");
        }
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

#[async_trait]
impl Policy for Plugin {
    async fn on_connect(&self, request: ConnectRequest) -> Result<ConnectDecision, PolicyError> {
        let request = request.into();
        let decision = self.core.call("on-connect", |i| {
            let Instance { store, policy, .. } = i;
            Box::pin(async move { policy.call_on_connect(store, &request).await })
        });
        decision.await.map(Into::into)
    }

    async fn on_publish(&self, request: StreamRequest) -> Result<PublishDecision, PolicyError> {
        let request = request.into();
        let decision = self.core.call("on-publish", |i| {
            let Instance { store, policy, .. } = i;
            Box::pin(async move { policy.call_on_publish(store, &request).await })
        });
        decision.await.map(Into::into)
    }

    async fn on_play(&self, request: StreamRequest) -> Result<PlayDecision, PolicyError> {
        let request = request.into();
        let decision = self.core.call("on-play", |i| {
            let Instance { store, policy, .. } = i;
            Box::pin(async move { policy.call_on_play(store, &request).await })
        });
        decision.await.map(Into::into)
    }

    async fn on_call(&self, who: Client, method: String, amf0: Bytes) -> Result<Bytes, CallError> {
        if self.core.serving.load().compiled.calls.is_none() {
            return Err(CallError::Unknown(method));
        }
        let who = who.into();
        let name = method.clone();
        let answer = self
            .core
            .call("on-call", |i| {
                let Instance { store, calls, .. } = i;
                Box::pin(async move {
                    match calls {
                        Some(calls) => calls.call_on_call(store, &who, &name, &amf0).await,
                        // The generation has changed to one without calls.
                        None => Ok(Err(UNKNOWN_METHOD.into())),
                    }
                })
            })
            .await?;
        match answer {
            Ok(amf0) => Ok(amf0.into()),
            Err(text) if text == UNKNOWN_METHOD => Err(CallError::Unknown(method)),
            Err(text) => Err(CallError::Refused(instance::one_line(&text))),
        }
    }

    fn notify(&self, event: Event) {
        self.core.events.push(event);
    }
}

/// What a guest answers to a method that it doesn't have.
const UNKNOWN_METHOD: &str = "unknown";

#[cfg(test)]
mod tests;
