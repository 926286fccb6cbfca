//! The plugin runtime: [`Policy`] on WASM components.
//!
//! Flows in: a file, its configuration, and a session's questions. Flows out:
//! decisions, and the guest's commands to the media plane ([`Services`]).

mod application;
mod bindings;
mod bounds;
mod breaker;
mod budget;
mod cache;
mod candidate;
mod check;
mod clock;
mod compile;
mod compiler;
mod convert;
mod detached;
mod doubles;
mod engine;
mod error;
mod events;
mod function;
mod generation;
mod hooks;
mod imports;
mod instance;
mod kv;
mod limits;
mod machine_code;
mod optional;
mod pool;
mod reload;
mod serve;
mod stats;
mod trial;
mod wasi;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

pub use candidate::{Candidate, Unstarted};
pub use check::{Check, Welcome};
pub use clock::Clock;
pub use compile::{Kept, TRACK, compile_ahead};
pub use compiler::{COMMAND as COMPILE_COMMAND, Compiler, Task as CompilerTask, work as compile};
pub use doubles::{Doubles, HttpDouble, HttpFailure, HttpRequest, HttpResponse, Level, LogDouble};
pub use engine::{Runtime, RuntimeError, Storage};
pub use error::{CompilerFault, Fault, PluginError};
pub use limits::PluginLimits;
pub use livehost_telemetry::counters::Counts;
pub use optional::{OPTIONAL, Optional};
pub use stats::DecisionTime;
pub use trial::{KvContents, Program, Trial};

use livehost_net::outbound;
use livehost_policy::{Event, MediaControl, Policy, Question, Reply, StreamRegistry};

use self::function::Function;
use self::serve::Core;

/// How long the disk may take to save an application's state at its end.
const SAVE: Duration = Duration::from_secs(10);

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
    pub limits: PluginLimits,
    /// What it may request by HTTP.
    pub http: outbound::HttpSettings,
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
    /// The optional interfaces that it exports.
    pub optional: Vec<&'static str>,
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
        Self::unstarted(runtime, spec, services)
            .await?
            .start()
            .await
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
        let core = Arc::clone(&self.core);
        let report = self.cancel.child_token();
        self.tasks
            .spawn(async move { report.run_until_cancelled_owned(core.report()).await });
    }

    /// Everything [`Plugin::load`] does, on a throw-away generation that never
    /// serves. Its requests by HTTP go out when `online`.
    pub async fn check(
        runtime: &Arc<Runtime>,
        spec: PluginSpec,
        online: bool,
    ) -> Result<Check, PluginError> {
        check::check(runtime, spec, online).await
    }

    /// What a client at `address` without any credential is told that publishes
    /// and plays `stream`, by a throw-away generation that sends nothing out.
    pub async fn welcome(
        runtime: &Arc<Runtime>,
        spec: PluginSpec,
        address: &str,
        stream: &str,
    ) -> Option<Welcome> {
        check::welcome(runtime, spec, address, stream, check::PATIENCE).await
    }

    /// Whether it accepts a publisher that shows no credential at all, as
    /// [`Plugin::check`] finds out; false if it can't say, or not without HTTP.
    pub async fn open_publish(runtime: &Arc<Runtime>, spec: PluginSpec) -> bool {
        let (address, stream) = (check::STRANGER, check::NOBODYS_STREAM);
        let welcome = check::welcome(runtime, spec, address, stream, check::LONG_PATIENCE);
        welcome.await.is_some_and(|told| told.publish.is_none())
    }

    /// Reads the file again; other content replaces the serving generation
    /// once it has proved itself. An error leaves the old one serving and has
    /// been logged.
    pub async fn reload(&self) -> Result<Reload, PluginError> {
        reload::reload(&self.core).await
    }

    /// Like [`Plugin::reload`], with another file, configuration or limits, at
    /// once: [`Plugin::prepare`] and all that follows.
    ///
    /// # Errors
    /// When it can't be loaded or refuses; everything is as it was then.
    pub async fn respec(&self, spec: PluginSpec) -> Result<Reload, PluginError> {
        let mut candidate = self.prepare(spec).await?;
        candidate.start().await?;
        Ok(candidate.commit())
    }

    /// Goes back to the version before the one that serves, which is not loaded again
    /// until its file or its settings change. Yields the generation that serves then.
    ///
    /// # Errors
    /// Why it can't, without texts of the settings; what serves goes on.
    pub async fn roll_back(&self) -> Result<u64, String> {
        let mut loader = self.core.loader.lock().await;
        let serving = self.core.serving.load_full();
        if self.core.stopped.load(Ordering::Acquire) {
            return Err("the plugin has ended".into());
        }
        let back = reload::go_back(&self.core, &mut loader, &serving).await;
        let generation = back.unwrap_or_else(|| Err("there is no version before".into()))?;
        info!(
            app = self.core.app.name,
            left = serving.number,
            generation,
            "plugin rolled back by an order"
        );
        Ok(generation)
    }

    /// What serves now.
    pub fn describe(&self) -> Description {
        let serving = self.core.serving.load();
        Description {
            app: self.core.app.name.clone(),
            file: serving.spec.file.clone(),
            generation: serving.number,
            hash: serving.compiled.hash.short(),
            optional: serving.compiled.optional.names(),
        }
    }

    /// The HTTP requests of all its generations.
    pub fn http_totals(&self) -> outbound::HttpTotals {
        self.core.app.http_counts.totals()
    }

    /// What it did so far, counted; the numbers outlive reloads.
    pub fn stats(&self) -> Counts {
        self.core.counts()
    }

    /// How long its decisions took so far, by function and outcome.
    pub fn decision_times(&self) -> Vec<DecisionTime> {
        self.core.app.decision_times.read()
    }

    /// The component's file as last asked for with success. After a roll-back
    /// what serves may come from another one; see [`Plugin::describe`].
    pub fn file(&self) -> PathBuf {
        self.core.wanted.load().file.clone()
    }

    /// Delivers queued events, ends the tasks, calls `on-stop` and saves the
    /// state; takes at most twice the drain limit plus the start limit, and 10 s
    /// when the disk hangs. Later calls answer
    /// [`PolicyError::Unavailable`](livehost_policy::PolicyError::Unavailable).
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
        loader.retiring.close();
        self.tasks.close();
        let rest = async {
            loader.retiring.wait().await;
            self.tasks.wait().await;
        };
        if tokio::time::timeout(drain, rest).await.is_err() {
            warn!(app = core.app.name, "plugin left calls behind at its end");
        }
        self.save().await;
        info!(
            app = core.app.name,
            counts = core.counts().field(),
            "plugin stats"
        );
    }

    /// Waits until its state is on disk; what keeps it from there is logged.
    pub async fn save(&self) {
        let app = &self.core.app;
        let saved = tokio::time::timeout(SAVE, app.kv.save()).await;
        if let Err(error) = saved.unwrap_or_else(|_| Err("the disk took too long".into())) {
            error!(
                app = app.name,
                error, "plugin state of this run was not saved"
            );
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
    async fn ask(&self, question: Question) -> Reply {
        let serving = self.core.serving.load();
        if let Some(answer) = serving.answer_unasked(&question) {
            return Reply {
                answer,
                generation: Some(serving.number),
            };
        }
        drop(serving);
        let (function, asked) = (Function::of(&question), Instant::now());
        let reply = self.core.ask(question).await;
        let app = &self.core.app;
        app.stats.decided(function, &reply.answer);
        app.decision_times
            .add(function, &reply.answer, asked.elapsed());
        reply
    }

    fn decides_shared_objects(&self) -> bool {
        let serving = self.core.serving.load();
        serving.compiled.optional.shared_objects.is_some()
    }

    fn notify(&self, event: Event) {
        let is_heard = hooks::is_heard(&event, &self.core.serving.load().compiled.optional);
        if !is_heard && self.core.events.passes_over(&event) {
            return;
        }
        if !self.core.events.push(event) {
            self.core.app.stats.events_dropped.add();
        }
    }
}

#[cfg(test)]
mod tests;
