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
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use livehost_rtmp::auth;
use livehost_rtmp::shared_object::object::Ruling;
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
pub use trial::{Answer, KvContents, Program, Question, Trial};

use livehost_net::outbound;
use livehost_policy::{
    CallError, Client, ConnectDecision, ConnectRequest, Credential, Event, MediaControl,
    ObjectRequest, Occasion, PlayDecision, Policy, PolicyError, PublishDecision, StreamRegistry,
    StreamRequest,
};

use self::bounds::usable;
use self::breaker::Caller;
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

    /// The component's file as last asked for with success. After a roll-back
    /// what serves may come from another one; see [`Plugin::describe`].
    pub fn file(&self) -> PathBuf {
        self.core.wanted.load().file.clone()
    }

    /// Delivers queued events, ends the tasks, calls `on-stop` and saves the
    /// state; takes at most twice the drain limit plus the start limit, and 10 s
    /// when the disk hangs. Later calls answer
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
    async fn on_authenticate(
        &self,
        request: &ConnectRequest,
    ) -> Result<Option<auth::Method>, PolicyError> {
        if !self.core.serving.load().needs_auth {
            return Ok(None);
        }
        let question = hooks::on_authenticate(request.clone());
        let word = self
            .core
            .ask(
                Function::Authenticate,
                Caller::of(&request.client),
                question,
            )
            .await?;
        word.map(|word| convert::challenge(&word)).transpose()
    }

    async fn on_credential(
        &self,
        request: &ConnectRequest,
        user: &str,
    ) -> Result<Option<Credential>, PolicyError> {
        let question = hooks::on_credential(request.clone(), user.to_owned());
        let credential = self
            .core
            .ask(Function::Credential, Caller::of(&request.client), question)
            .await?;
        credential
            .map(|credential| usable("on-credential", convert::credential(credential)))
            .transpose()
    }

    async fn on_connect(&self, request: ConnectRequest) -> Result<ConnectDecision, PolicyError> {
        let caller = Caller::of(&request.client);
        let question = hooks::on_connect(request);
        let decision = self.core.ask(Function::Connect, caller, question).await;
        let decision =
            decision.and_then(|decision| usable("on-connect", convert::connect_decision(decision)));
        let stats = &self.core.app.stats;
        match &decision {
            Ok(ConnectDecision::Accept(_)) => stats.connects_accepted.add(),
            Ok(ConnectDecision::Reject(_)) => stats.connects_rejected.add(),
            Ok(ConnectDecision::Redirect(_)) => stats.connects_redirected.add(),
            Err(_) => stats.connects_failed.add(),
        }
        decision
    }

    async fn on_publish(&self, request: StreamRequest) -> Result<PublishDecision, PolicyError> {
        let caller = Caller::of(&request.client);
        let question = hooks::on_publish(request);
        let decision = self.core.ask(Function::Publish, caller, question).await;
        let decision =
            decision.and_then(|decision| usable("on-publish", convert::publish_decision(decision)));
        let stats = &self.core.app.stats;
        match &decision {
            Ok(PublishDecision::Accept(_)) => stats.publishes_accepted.add(),
            Ok(PublishDecision::Reject(_)) => stats.publishes_rejected.add(),
            Err(_) => stats.publishes_failed.add(),
        }
        decision
    }

    async fn on_play(&self, request: StreamRequest) -> Result<PlayDecision, PolicyError> {
        let caller = Caller::of(&request.client);
        let question = hooks::on_play(request);
        let decision = self.core.ask(Function::Play, caller, question).await;
        let decision =
            decision.and_then(|decision| usable("on-play", convert::play_decision(decision)));
        let stats = &self.core.app.stats;
        match &decision {
            Ok(PlayDecision::Accept(_)) => stats.plays_accepted.add(),
            Ok(PlayDecision::Reject(_)) => stats.plays_rejected.add(),
            Err(_) => stats.plays_failed.add(),
        }
        decision
    }

    fn decides_shared_objects(&self) -> bool {
        self.core
            .serving
            .load()
            .compiled
            .optional
            .shared_objects
            .is_some()
    }

    async fn on_shared_object(&self, request: ObjectRequest) -> Result<Ruling, PolicyError> {
        let caller = Caller::of(&request.client);
        let question = hooks::on_shared_object(request);
        let ruling = self
            .core
            .ask(Function::SharedObject, caller, question)
            .await;
        let ruling = ruling.map(Ruling::from);
        let stats = &self.core.app.stats;
        match &ruling {
            Ok(Ruling::Allow) => stats.objects_allowed.add(),
            Ok(Ruling::Rewrite(_)) => stats.objects_rewritten.add(),
            Ok(Ruling::Deny) => stats.objects_denied.add(),
            Err(_) => stats.objects_failed.add(),
        }
        ruling
    }

    async fn on_call(&self, who: Client, method: String, amf0: Bytes) -> Result<Bytes, CallError> {
        if self.core.serving.load().compiled.optional.calls.is_none() {
            return Err(CallError::Unknown(method));
        }
        let caller = Caller::of(&who);
        let call = hooks::on_call(who, method.clone(), amf0);
        let answer = self.core.ask(Function::Call, caller, call).await;
        let stats = &self.core.app.stats;
        match answer {
            Ok(Ok(amf0)) => {
                stats.calls_answered.add();
                Ok(amf0.into())
            }
            Ok(Err(text)) => {
                stats.calls_refused.add();
                Err(if text == UNKNOWN_METHOD {
                    CallError::Unknown(method)
                } else {
                    CallError::Refused(instance::one_line(&text))
                })
            }
            Err(error) => {
                stats.calls_failed.add();
                Err(error.into())
            }
        }
    }

    fn note(&self, occasion: Occasion) -> bool {
        let is_heard = self.core.serving.load().compiled.optional.events.is_some();
        is_heard || !self.core.events.passes_over(occasion)
    }

    fn notify(&self, event: Event) {
        if !self.core.events.push(event) {
            self.core.app.stats.events_dropped.add();
        }
    }
}

/// What a guest answers to a method that it doesn't have.
const UNKNOWN_METHOD: &str = "unknown";

#[cfg(test)]
mod tests;
