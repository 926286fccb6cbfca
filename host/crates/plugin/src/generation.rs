//! One loaded version of a plugin with its configuration and its limits.
//!
//! Flows in: compiled code and its settings. Flows out: a generation that
//! has proved `configure`, then answers of its instances. Loading, serving and
//! draining are the states of its life; [`super::reload`] moves it along.

use std::sync::Arc;

use livehost_net::outbound::HttpClient;
use livehost_policy::{Answer, PolicyError, Question};
use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

use super::application::AppContext;
use super::bindings::exports::livehost::app::lifecycle::StartReason;
use super::bindings::livehost::app::types::Handoff;
use super::compile::Compiled;
use super::engine::Runtime;
use super::error::Fault;
use super::hooks;
use super::imports::control::Orders;
use super::instance::{Call, CallBudget, Instance, Queued, millis, one_line};
use super::pool::{InstanceLease, Pool, PoolClosed};
use super::stats::Alive;
use super::{PluginSpec, StopReason};

/// The number of a generation that never serves. Those that do count from 1.
pub(super) const THROW_AWAY: u64 = 0;

/// A version of a plugin with its settings, and its instances.
pub(super) struct Generation {
    runtime: Arc<Runtime>,
    app: Arc<AppContext>,
    pub(super) compiled: Arc<Compiled>,
    pub(super) spec: Arc<PluginSpec>,
    pub(super) number: u64,
    /// Clients may have to log in.
    pub(super) needs_auth: bool,
    /// When it began to serve, for the roll-back of young ones.
    pub(super) born: Instant,
    pool: Arc<Pool>,
    http: Arc<HttpClient>,
    /// What it orders before it serves, until then: it may never. None once it
    /// serves.
    ahead: Mutex<Option<Orders>>,
    _alive: Alive,
}

/// Why a call could not be given an instance.
pub(super) enum NoLease {
    /// This generation is done; ask the one that serves.
    Closed,
    /// It could, but there is none.
    Failed {
        error: PolicyError,
        /// It was its turn: a new instance failed, or was not ready in time.
        had_turn: bool,
    },
}

impl Generation {
    /// A generation whose first instance took the configuration.
    pub(super) async fn prepare(
        runtime: &Arc<Runtime>,
        app: &Arc<AppContext>,
        compiled: Arc<Compiled>,
        spec: Arc<PluginSpec>,
        number: u64,
    ) -> Result<Self, Fault> {
        let mut generation = Self {
            runtime: Arc::clone(runtime),
            app: Arc::clone(app),
            compiled,
            number,
            needs_auth: false,
            born: Instant::now(),
            pool: Pool::new(&spec.limits, &app.stats),
            http: app.http_client(&runtime.network, &spec.http),
            ahead: Mutex::new(Some(Orders::default())),
            _alive: Alive::new(&app.stats, |stats| &stats.generations),
            spec,
        };
        let instance = generation.new_instance(generation.start_budget()).await?;
        generation.pool.put_idle(instance);
        if generation.compiled.optional.auth.is_some() {
            let (needs_auth, _) = generation.call("needs-auth", hooks::needs_auth()).await?;
            generation.needs_auth = needs_auth;
        }
        Ok(generation)
    }

    /// The answer that needs no instance, if this version has one: it lacks the
    /// interface, or its configuration has nobody log in.
    pub(super) fn answer_unasked(
        &self,
        question: &Question,
    ) -> Option<Result<Answer, PolicyError>> {
        let is_asked = match question {
            Question::Authenticate(_) => self.needs_auth,
            question => hooks::is_asked(question, &self.compiled.optional),
        };
        (!is_asked).then(|| hooks::lacking(question))
    }

    /// The budget of a call that belongs to starting or stopping.
    pub(super) fn start_budget(&self) -> CallBudget {
        CallBudget::new(self.spec.limits.start_cpu, self.spec.limits.start)
    }

    /// A new instance that took the configuration.
    pub(super) async fn new_instance(&self, budget: CallBudget) -> Result<Box<Instance>, Fault> {
        let Self {
            runtime,
            compiled,
            app,
            http,
            spec,
            ..
        } = self;
        let instance = Instance::new(runtime, compiled, app, http, spec, budget).await?;
        // It goes from hand to hand.
        let mut instance = Box::new(instance);
        let config = spec.config.clone();
        let hook = "configure";
        let (configured, orders) = instance
            .ask(hook, budget, |i| {
                let Instance {
                    store, lifecycle, ..
                } = i;
                Box::pin(async move { lifecycle.call_configure(store, &config).await })
            })
            .await?;
        match configured {
            Ok(()) => self.order(orders),
            Err(text) => {
                instance.drop_orders(hook, &orders);
                return Err(Fault::ConfigRefused(one_line(&text)));
            }
        }
        Ok(instance)
    }

    /// Gives a call an instance: idle, new, or the next that is given back
    /// before `budget` ends, which then knows of the wait.
    pub(super) async fn lease(
        &self,
        hook: &'static str,
        budget: &mut CallBudget,
    ) -> Result<InstanceLease, NoLease> {
        // Boxed is what is rare: each decision would have room for it.
        let mut lease = match self.pool.try_lease() {
            Ok(Some(lease)) => lease,
            Ok(None) => Box::pin(self.wait_for_lease(hook, budget)).await?,
            Err(PoolClosed) => return Err(NoLease::Closed),
        };
        if lease.instance.is_none() {
            let limits = &self.spec.limits;
            let start = CallBudget {
                cpu: limits.start_cpu,
                ..*budget
            };
            let made = Box::pin(self.new_instance(start)).await;
            lease.instance = Some(made.map_err(|fault| NoLease::Failed {
                error: fault.into(),
                had_turn: true,
            })?);
        }
        Ok(lease)
    }

    async fn wait_for_lease(
        &self,
        hook: &'static str,
        budget: &mut CallBudget,
    ) -> Result<InstanceLease, NoLease> {
        let limit = self.spec.limits.max_instances;
        let queued = Queued { hook, limit };
        budget.queued = Some(queued);
        match tokio::time::timeout_at(budget.deadline, self.pool.lease()).await {
            Ok(Ok(lease)) => Ok(lease),
            Ok(Err(PoolClosed)) => Err(NoLease::Closed),
            Err(_) => {
                let error = queued.too_late(budget.wall, &self.app.stats);
                Err(NoLease::Failed {
                    error,
                    had_turn: false,
                })
            }
        }
    }

    /// An instance that nobody uses, if there is one.
    pub(super) fn take_idle(&self) -> Option<Box<Instance>> {
        self.pool.take_idle()
    }

    /// What a call of the life cycle has ordered: carried out, but not before
    /// this generation serves.
    fn order(&self, orders: Orders) {
        if let Some(ahead) = &mut *self.ahead.lock() {
            return ahead.extend(orders);
        }
        orders.carry_out(&self.app);
    }

    /// A call of the life cycle. It does not queue behind decisions: it takes
    /// an idle instance or makes one.
    async fn call<R: Send>(
        &self,
        hook: &'static str,
        call: impl for<'a> FnOnce(&'a mut Instance) -> Call<'a, R> + Send,
    ) -> Result<(R, Orders), Fault> {
        let budget = self.start_budget();
        let mut instance = match self.pool.take_idle() {
            Some(instance) => instance,
            None => self.new_instance(budget).await?,
        };
        let answered = instance.ask(hook, budget, call).await?;
        self.pool.put_idle(instance);
        Ok(answered)
    }

    /// It serves from now on.
    pub(super) fn begin(mut self) -> Self {
        self.born = Instant::now();
        self.app.set_http_client(&self.http);
        if let Some(orders) = self.ahead.get_mut().take() {
            orders.carry_out(&self.app);
        }
        self
    }

    /// `on-start`: the last thing a generation proves before it serves.
    pub(super) async fn start(
        &self,
        reason: StartReason,
        from_old: Option<Handoff>,
    ) -> Result<(), Fault> {
        let (answer, orders) = self
            .call("on-start", |i| {
                let Instance {
                    store, lifecycle, ..
                } = i;
                Box::pin(async move {
                    lifecycle
                        .call_on_start(store, reason, from_old.as_ref())
                        .await
                })
            })
            .await?;
        answer.map_err(|text| Fault::StartRefused(one_line(&text)))?;
        self.order(orders);
        Ok(())
    }

    /// `snapshot`, while this generation serves. A failure costs the handoff,
    /// not the reload.
    pub(super) async fn snapshot(&self) -> Option<Handoff> {
        let answer = self
            .call("snapshot", |i| {
                let Instance {
                    store, lifecycle, ..
                } = i;
                Box::pin(lifecycle.call_snapshot(store))
            })
            .await;
        let (app, generation) = (self.app.name.as_str(), self.number);
        let answer = answer.map(|(handoff, orders)| {
            self.order(orders);
            handoff
        });
        match answer {
            Ok(Some(handoff)) if handoff.data.len() > self.spec.limits.handoff_bytes => {
                let (bytes, limit) = (handoff.data.len(), self.spec.limits.handoff_bytes);
                self.app.stats.snapshots_left_out.add();
                warn!(
                    app,
                    generation, bytes, limit, "plugin snapshot too large: left out"
                );
                None
            }
            Ok(handoff) => handoff,
            Err(error) => {
                self.app.stats.snapshots_left_out.add();
                warn!(app, generation, %error, "plugin snapshot failed: left out");
                None
            }
        }
    }

    /// Takes no more calls. Those that wait for an instance ask the serving
    /// generation; those that run may finish until [`Generation::retire`] ends.
    pub(super) fn close(&self) {
        self.pool.close();
    }

    /// After [`Generation::close`]: waits for the running calls, at most the
    /// drain limit, then calls `on-stop`.
    pub(super) async fn retire(&self, reason: StopReason) {
        let limits = &self.spec.limits;
        let (app, generation) = (self.app.name.as_str(), self.number);
        let drained = tokio::time::timeout(limits.drain, self.pool.drained()).await;
        if drained.is_err() {
            self.app.stats.drains_exceeded.add();
            warn!(
                app,
                generation,
                limit_ms = millis(limits.drain),
                "plugin generation has calls left after its drain"
            );
        }
        let stopped = self
            .call("on-stop", |i| {
                let Instance {
                    store, lifecycle, ..
                } = i;
                Box::pin(lifecycle.call_on_stop(store, reason.into()))
            })
            .await;
        match stopped {
            Ok(((), orders)) => self.order(orders),
            Err(error) => warn!(app, generation, %error, "plugin on-stop failed"),
        }
        if generation != THROW_AWAY {
            info!(app, generation, "plugin generation drained");
        }
    }
}

/// Makes the call a lease is for. The instance goes back to its pool only when
/// that went well.
pub(super) async fn run<R: Send>(
    mut lease: InstanceLease,
    hook: &'static str,
    budget: CallBudget,
    call: impl for<'a> FnOnce(&'a mut Instance) -> Call<'a, R> + Send,
) -> Result<R, PolicyError> {
    let Some(instance) = lease.instance.as_mut() else {
        return Err(PolicyError::Unavailable("no instance".into()));
    };
    let answer = instance.call(hook, budget, call).await?;
    lease.give_back();
    Ok(answer)
}
