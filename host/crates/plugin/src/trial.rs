//! A plugin called by hand, for its author's tests: the same engine, limits
//! and imports as in a server, but no task calls it, its clock may stand, and
//! the caller says which instance answers.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use livehost_policy::{Answer, Event, PolicyError, Question};

use super::application::AppContext;
use super::bindings::exports::livehost::app::lifecycle::StartReason;
use super::bindings::livehost::app::types::Handoff;
use super::compile::{self, Compiled, ContentHash};
use super::engine::Runtime;
use super::error::{Fault, PluginError};
use super::function::Function;
use super::generation::Generation;
use super::instance::{Call, CallBudget, Instance, one_line};
use super::kv::Kv;
use super::{Doubles, PluginSpec, Services, hooks, reload};

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
    /// When the plugin traps or exceeds a limit, or does not export what is asked.
    pub async fn ask(
        &mut self,
        instance: usize,
        question: Question,
    ) -> Result<Answer, PolicyError> {
        if let Some(answer) = self.generation.answer_unasked(&question) {
            return answer;
        }
        let (hook, call) = (question.hook(), hooks::question(question));
        self.call(instance, hook, self.budget(), call).await?
    }

    /// Has the timer with this key fire in an instance.
    ///
    /// # Errors
    /// When the plugin traps or exceeds a limit.
    pub async fn fire(&mut self, instance: usize, key: String) -> Result<(), PolicyError> {
        let hook = Function::Timer.name();
        self.call(instance, hook, self.budget(), hooks::on_timer(key))
            .await
    }

    /// Tells an instance of an event.
    ///
    /// # Errors
    /// When the plugin traps or exceeds a limit.
    pub async fn tell(&mut self, instance: usize, event: Event) -> Result<(), PolicyError> {
        let hook = Function::told(&event).name();
        self.call(instance, hook, self.budget(), hooks::event(event))
            .await
    }

    /// That of a decision.
    fn budget(&self) -> CallBudget {
        CallBudget::new(self.spec.limits.cpu, self.spec.limits.wall)
    }

    /// The instance goes back to its slot only after a call that went well.
    async fn call<R: Send>(
        &mut self,
        number: usize,
        hook: &'static str,
        budget: CallBudget,
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

    /// Takes the key of a timer that is due, for [`Trial::fire`].
    pub fn due_timer(&self) -> Option<String> {
        self.app.timers.due()
    }
}

fn preset(app: &AppContext, spec: &PluginSpec, kv: &KvContents) -> Result<(), Fault> {
    let set = app.kv.reset(spec.limits.kv_bytes, kv);
    set.map_err(|refused| Fault::Runtime(format!("its state can't be set up: {refused}")))
}
