//! A plugin called by hand, for its author's tests: the same engine, limits
//! and imports as in a server, but no task calls it, its clock may stand, and
//! the caller says which instance answers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use livehost_policy::{
    Client, ConnectDecision, ConnectRequest, Credential, Event, ObjectRequest, PlayDecision,
    PolicyError, PublishDecision, StreamRequest,
};
use livehost_rtmp::auth;
use livehost_rtmp::shared_object::object::Ruling;

use super::application::AppContext;
use super::bindings::exports::livehost::app::lifecycle::StartReason;
use super::bindings::livehost::app::types::Handoff;
use super::bounds::usable;
use super::compile::{self, Compiled, ContentHash};
use super::engine::Runtime;
use super::error::{Fault, PluginError};
use super::generation::Generation;
use super::instance::{Budget, Call, Instance, one_line};
use super::kv::Kv;
use super::{Doubles, PluginSpec, Services, convert, hooks, reload};

/// A call of one of the plugin's exports.
#[derive(Debug, Clone, PartialEq)]
pub enum Question {
    /// `on-connect`
    Connect(ConnectRequest),
    /// `on-publish`
    Publish(StreamRequest),
    /// `on-play`
    Play(StreamRequest),
    /// `on-call`
    Call {
        /// Whose call it is.
        who: Client,
        /// The method's name.
        method: String,
        /// The arguments.
        amf0: Bytes,
    },
    /// `on-authenticate`
    Authenticate(ConnectRequest),
    /// `on-credential`
    Credential {
        /// Of the client that shows a password.
        request: ConnectRequest,
        /// Whose password it is.
        user: String,
    },
    /// `on-shared-object`
    SharedObject(ObjectRequest),
    /// `on-timer` with this key.
    Timer(String),
    /// One of `events`.
    Event(Event),
}

/// What the plugin made of a [`Question`].
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// To [`Question::Connect`].
    Connect(ConnectDecision),
    /// To [`Question::Publish`].
    Publish(PublishDecision),
    /// To [`Question::Play`].
    Play(PlayDecision),
    /// To [`Question::Call`].
    Call(Result<Bytes, String>),
    /// To [`Question::Authenticate`].
    Authenticate(Option<auth::Method>),
    /// To [`Question::Credential`].
    Credential(Option<Credential>),
    /// To [`Question::SharedObject`].
    SharedObject(Ruling),
    /// To timers and events, which have no answer.
    Done,
}

/// The keys and values of an application's store.
pub type KvContents = BTreeMap<String, Vec<u8>>;

/// A component that this host could run: compiled and linked. As long as it is
/// kept, loading the same file again compiles nothing.
pub struct Program(Arc<Compiled>);

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Program")
            .field(&self.0.hash.short())
            .finish()
    }
}

impl Program {
    /// Reads, compiles and links `file`; nothing of it runs.
    ///
    /// # Errors
    /// When it is no component, or not one of this host's interface.
    pub async fn load(runtime: &Arc<Runtime>, file: &Path) -> Result<Self, Fault> {
        let bytes = compile::read(file).await?;
        let hash = ContentHash::of(&bytes);
        Ok(Self(compile::compile(runtime, bytes, hash).await?))
    }
}

/// A plugin that is called by hand.
pub struct Trial {
    runtime: Arc<Runtime>,
    app: Arc<AppContext>,
    spec: Arc<PluginSpec>,
    generation: Generation,
    /// None: made at its next call. An instance that failed is not used again.
    instances: Vec<Option<Box<Instance>>>,
}

impl std::fmt::Debug for Trial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trial")
            .field("spec", &self.spec)
            .field("instances", &self.instances.len())
            .finish_non_exhaustive()
    }
}

impl Trial {
    /// Loads, configures and starts the plugin with `kv` as its state, and up
    /// to `instances` instances, at least one.
    ///
    /// # Errors
    /// As [`super::Plugin::load`]; also when `kv` exceeds the quota.
    pub async fn load(
        runtime: &Arc<Runtime>,
        spec: PluginSpec,
        services: Services,
        doubles: Doubles,
        kv: &KvContents,
        instances: usize,
    ) -> Result<Self, PluginError> {
        let state = Kv::on_clock(spec.limits.kv_bytes, doubles.clock.clone());
        let app = AppContext::with_doubles(&spec, services, state, doubles);
        let spec = Arc::new(spec);
        let fault = |fault| spec.fault(fault);
        preset(&app, &spec, kv).map_err(fault)?;
        let generation = reload::prepare(runtime, &app, &spec, 1).await;
        let generation = generation.map_err(fault)?;
        let mut slots = vec![generation.take_idle()];
        slots.resize_with(instances.max(1), || None);
        let mut trial = Self {
            runtime: Arc::clone(runtime),
            app,
            spec: Arc::clone(&spec),
            generation,
            instances: slots,
        };
        let started = trial.start(StartReason::Boot, None).await;
        started.map_err(|fault| spec.fault(fault))?;
        Ok(trial)
    }

    /// The application begins anew, with `kv` as its state and without timers;
    /// what instances remember stays.
    ///
    /// # Errors
    /// When `on-start` refuses, or `kv` exceeds the quota.
    pub async fn reset(&mut self, kv: &KvContents) -> Result<(), PluginError> {
        self.app.timers.clear();
        let started = match preset(&self.app, &self.spec, kv) {
            Ok(()) => self.start(StartReason::Restart, None).await,
            Err(fault) => Err(fault),
        };
        started.map_err(|fault| self.spec.fault(fault))
    }

    /// Loads the plugin again, as a reload does: `snapshot` of the old version,
    /// then new instances that get it.
    ///
    /// # Errors
    /// As [`super::Plugin::load`].
    pub async fn reload(&mut self) -> Result<(), PluginError> {
        let result = self.try_reload().await;
        result.map_err(|fault| self.spec.fault(fault))
    }

    async fn try_reload(&mut self) -> Result<(), Fault> {
        let budget = self.generation.start_budget();
        let snapshot = self.call(0, "snapshot", budget, |i| {
            let Instance {
                store, lifecycle, ..
            } = i;
            Box::pin(lifecycle.call_snapshot(store))
        });
        let snapshot = snapshot.await?;
        let new = reload::prepare(
            &self.runtime,
            &self.app,
            &self.spec,
            self.generation.number.saturating_add(1),
        );
        self.generation = new.await?;
        self.instances.fill_with(|| None);
        if let Some(first) = self.instances.first_mut() {
            *first = self.generation.take_idle();
        }
        self.start(StartReason::Reload, snapshot).await
    }

    async fn start(&mut self, reason: StartReason, old: Option<Handoff>) -> Result<(), Fault> {
        let budget = self.generation.start_budget();
        let started = self.call(0, "on-start", budget, |i| {
            let Instance {
                store, lifecycle, ..
            } = i;
            Box::pin(async move { lifecycle.call_on_start(store, reason, old.as_ref()).await })
        });
        started
            .await?
            .map_err(|text| Fault::StartRefused(one_line(&text)))
    }

    /// Asks the instance with this number, counted from 0 and around.
    ///
    /// # Errors
    /// When the plugin traps or exceeds a limit.
    pub async fn ask(
        &mut self,
        instance: usize,
        question: Question,
    ) -> Result<Answer, PolicyError> {
        let limits = &self.spec.limits;
        let budget = Budget::new(limits.cpu, limits.wall);
        let n = instance;
        Ok(match question {
            Question::Connect(request) => {
                let call = hooks::on_connect(request);
                let decision = self.call(n, "on-connect", budget, call).await?;
                Answer::Connect(usable("on-connect", convert::connect_decision(decision))?)
            }
            Question::Publish(request) => {
                let call = hooks::on_publish(request);
                let decision = self.call(n, "on-publish", budget, call).await?;
                Answer::Publish(usable("on-publish", convert::publish_decision(decision))?)
            }
            Question::Play(request) => {
                let call = hooks::on_play(request);
                let decision = self.call(n, "on-play", budget, call).await?;
                Answer::Play(usable("on-play", convert::play_decision(decision))?)
            }
            Question::Call { who, method, amf0 } => {
                let call = hooks::on_call(who, method, amf0);
                let answer = self.call(n, "on-call", budget, call).await?;
                let answer = answer.map(Bytes::from);
                Answer::Call(answer.map_err(|text| one_line(&text)))
            }
            Question::Authenticate(_) if !self.generation.needs_auth => Answer::Authenticate(None),
            Question::Authenticate(request) => {
                let call = hooks::on_authenticate(request);
                let word = self.call(n, "on-authenticate", budget, call).await?;
                let challenge = word.map(|word| convert::challenge(&word));
                Answer::Authenticate(challenge.transpose()?)
            }
            Question::Credential { request, user } => {
                // A server that asks nobody for a password has no use for one.
                if self.generation.compiled.optional.auth.is_none() {
                    let reason = "it does not export livehost:app/auth";
                    return Err(PolicyError::Unavailable(reason.into()));
                }
                let call = hooks::on_credential(request, user);
                let credential = self.call(n, "on-credential", budget, call).await?;
                let credential =
                    credential.map(|known| usable("on-credential", convert::credential(known)));
                Answer::Credential(credential.transpose()?)
            }
            Question::SharedObject(request) => {
                if self.generation.compiled.optional.shared_objects.is_none() {
                    let reason = "it does not export livehost:app/shared-objects";
                    return Err(PolicyError::Unavailable(reason.into()));
                }
                let call = hooks::on_shared_object(request);
                let ruling = self.call(n, "on-shared-object", budget, call).await?;
                Answer::SharedObject(ruling.into())
            }
            Question::Timer(key) => {
                let call = hooks::on_timer(key);
                self.call(n, "on-timer", budget, call).await?;
                Answer::Done
            }
            Question::Event(event) => {
                let name = hooks::function_of(&event).name();
                self.call(n, name, budget, hooks::event(event)).await?;
                Answer::Done
            }
        })
    }

    /// The instance goes back to its slot only after a call that went well.
    async fn call<R: Send>(
        &mut self,
        number: usize,
        hook: &'static str,
        budget: Budget,
        call: impl for<'a> FnOnce(&'a mut Instance) -> Call<'a, R> + Send,
    ) -> Result<R, PolicyError> {
        let number = number.checked_rem(self.instances.len()).unwrap_or(0);
        let mut instance = match self.instances.get_mut(number).and_then(Option::take) {
            Some(instance) => instance,
            None => {
                let start = self.generation.start_budget();
                self.generation.new_instance(start).await?
            }
        };
        let answer = instance.call(hook, budget, call).await?;
        if let Some(slot) = self.instances.get_mut(number) {
            *slot = Some(instance);
        }
        Ok(answer)
    }

    /// The application's state.
    pub fn kv(&self) -> KvContents {
        self.app.kv.contents()
    }

    /// The keys of the application's timers, in order.
    pub fn timers(&self) -> Vec<String> {
        self.app.timers.keys()
    }

    /// How long until the first timer is due; none without timers.
    pub fn until_timer(&self) -> Option<Duration> {
        self.app.timers.until_next()
    }

    /// Takes the key of a timer that is due, for [`Question::Timer`].
    pub fn due_timer(&self) -> Option<String> {
        self.app.timers.due()
    }
}

fn preset(app: &AppContext, spec: &PluginSpec, kv: &KvContents) -> Result<(), Fault> {
    let set = app.kv.reset(spec.limits.kv_bytes, kv);
    set.map_err(|refused| Fault::Runtime(format!("its state can't be set up: {refused}")))
}
