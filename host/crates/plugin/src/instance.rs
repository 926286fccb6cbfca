//! One instance of a plugin: its store, its exports, and the way it is called.
//!
//! Flows in: a call with its budgets. Flows out: the guest's answer, or why
//! there is none, in one line. After a failure the instance must be dropped: a
//! component refuses re-entry after a trap.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use livehost_net::outbound::HttpClient;
use livehost_policy::PolicyError;
use tokio::time::Instant;
use wasmtime::component::ResourceTable;
use wasmtime::{Store, Trap, UpdateDeadline, WasmBacktrace};
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxView, WasiView};

use super::PluginSpec;
use super::application::AppContext;
use super::bindings::exports::livehost::app::{lifecycle, policy};
use super::budget::{CpuMeter, MemoryLimit, Metered};
use super::compile::{self, Compiled};
use super::engine::Runtime;
use super::error::Fault;
use super::imports::control::Orders;
use super::imports::log::Level;
use super::imports::wasi_http::WasiHttp;
use super::optional::Guests;
use super::stats::{Alive, Stats};
use super::wasi::{self, LastWords};

/// What the imports of an instance work on.
pub(super) struct HostState {
    pub(super) app: Arc<AppContext>,
    pub(super) http: Arc<HttpClient>,
    pub(super) wasi_http: WasiHttp,
    pub(super) table: ResourceTable,
    /// When the running call's requests must have their answers.
    pub(super) answer_by: Instant,
    /// What the running call has ordered.
    pub(super) orders: Orders,
    /// The plugin's name in the log.
    plugin: Arc<str>,
    memory: MemoryLimit,
    wasi: WasiCtx,
}

impl HostState {
    /// One line of the plugin.
    pub(super) fn log(&self, level: Level, message: &str, fields: &[(String, String)]) {
        self.app.log(&self.plugin, level, message, fields);
    }

    /// One line about what the plugin did.
    pub(super) fn warn(&self, message: &str) {
        self.app.warn(&self.plugin, message);
    }

    fn begin(&mut self, budget: CallBudget) {
        self.answer_by = budget.answer_by();
        self.wasi_http.begin(self.answer_by);
    }
}

impl WasiView for HostState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// An instantiated component; [`Instance::new`] has not configured it yet.
pub(super) struct Instance {
    pub(super) store: Store<HostState>,
    pub(super) lifecycle: lifecycle::Guest,
    pub(super) policy: policy::Guest,
    pub(super) optional: Guests,
    runtime: Arc<Runtime>,
    meter: Arc<CpuMeter>,
    last_words: LastWords,
    _alive: Alive,
    /// Calls made so far.
    pub(super) calls_made: u64,
}

/// The time one call may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallBudget {
    /// On a CPU.
    pub(super) cpu: Duration,
    /// In all, up to `deadline`.
    pub(super) wall: Duration,
    /// When the wall time is over.
    pub(super) deadline: Instant,
    /// Some of the wall time went by before there was an instance.
    pub(super) queued: Option<Queued>,
}

/// A call that had to wait for an instance.
///
/// When it meets its deadline, that says nothing about the plugin: whoever asks
/// often enough can make others wait, and must neither get them in for it nor
/// have the plugin left alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Queued {
    /// What is asked.
    pub(super) hook: &'static str,
    /// How many instances there may be.
    pub(super) limit: usize,
}

impl Queued {
    /// It got no instance within `wall`, or got it too late.
    pub(super) fn too_late(self, wall: Duration, stats: &Stats) -> PolicyError {
        stats.pool_exhausted.add();
        PolicyError::Busy {
            hook: self.hook,
            waited_ms: millis(wall),
            limit: self.limit,
        }
    }
}

impl CallBudget {
    /// Starts now.
    pub(super) fn new(cpu: Duration, wall: Duration) -> Self {
        Self {
            cpu,
            wall,
            deadline: Instant::now() + wall,
            queued: None,
        }
    }

    /// When what the guest waits for has to come: so much before the deadline
    /// that the guest can still answer without it. One that has queued does not
    /// hear that its time is over: it would take that for what it waits for
    /// being out of reach, and perhaps let the client in.
    pub(super) fn answer_by(&self) -> Instant {
        let reserve = self.cpu.min(self.wall / 10);
        if self.queued.is_some() {
            return self.deadline + reserve;
        }
        self.deadline.checked_sub(reserve).unwrap_or(self.deadline)
    }
}

/// A call in progress.
pub(super) type Call<'a, R> = Pin<Box<dyn Future<Output = wasmtime::Result<R>> + Send + 'a>>;

const MAX_HANDLES: usize = 4096;
/// For an operator whose system is not generous.
const NO_ROOM: &str = "there is no room for an instance, which reserves 4 GiB of the address \
    space without using it: take the limit away (`ulimit -v`, LimitAS= of a systemd unit), or \
    allow fewer instances (limits.instances)";

impl Instance {
    /// Instantiates `compiled` with an empty WASI context, the imports of
    /// `app` and the way out through `http`, within the limits of `spec`. Its start code runs inside `budget`.
    pub(super) async fn new(
        runtime: &Arc<Runtime>,
        compiled: &Compiled,
        app: &Arc<AppContext>,
        http: &Arc<HttpClient>,
        spec: &PluginSpec,
        budget: CallBudget,
    ) -> Result<Self, Fault> {
        const HOOK: &str = "instantiation";
        let plugin: Arc<str> = spec.plugin_name().into();
        let (wasi, last_words) = wasi::context(app, &plugin);
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let state = HostState {
            app: Arc::clone(app),
            http: Arc::clone(http),
            wasi_http: WasiHttp::new(app, &plugin, http),
            answer_by: budget.answer_by(),
            orders: Orders::default(),
            plugin,
            memory: MemoryLimit::new(spec.limits.memory_bytes),
            table,
            wasi,
        };
        let mut store = Store::new(&runtime.engine, state);
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(spec.limits.transfer_bytes);

        let meter = CpuMeter::new();
        let callback_meter = Arc::clone(&meter);
        store.epoch_deadline_callback(move |_| {
            Ok(if callback_meter.tick() {
                UpdateDeadline::Interrupt
            } else {
                let meter = Arc::clone(&callback_meter);
                UpdateDeadline::YieldCustom(1, Box::pin(async move { meter.yield_now().await }))
            })
        });

        meter.start(budget.cpu);
        store.set_epoch_deadline(1);
        let running = runtime.ticker.run();
        let instance = {
            let store = &mut store;
            let call: Call<'_, _> = Box::pin(compiled.pre.instantiate_async(store));
            let metered = Metered {
                meter: Arc::clone(&meter),
                call,
            };
            tokio::time::timeout_at(budget.deadline, metered).await
        };
        drop(running);
        let instance = match instance {
            Ok(Ok(instance)) => instance,
            Ok(Err(error)) if is_out_of_memory(&error) => {
                return Err(Fault::Runtime(NO_ROOM.into()));
            }
            Ok(Err(error)) => {
                return Err(failure(HOOK, &error, budget, store.data_mut(), &last_words).into());
            }
            Err(_) => return Err(wall_exceeded(HOOK, budget, &meter, &app.stats).into()),
        };
        let shape =
            |interface| move |error: wasmtime::Error| compile::wrong_shape(interface, &error);
        let lifecycle = compiled.lifecycle.load(&mut store, &instance);
        let policy = compiled.policy.load(&mut store, &instance);
        let optional = compiled.optional.load(&mut store, &instance)?;
        Ok(Self {
            lifecycle: lifecycle.map_err(shape("lifecycle"))?,
            policy: policy.map_err(shape("policy"))?,
            optional,
            store,
            runtime: Arc::clone(runtime),
            meter,
            last_words,
            _alive: Alive::new(&app.stats, |stats| &stats.instances),
            calls_made: 0,
        })
    }

    /// Calls an export, and carries out what it orders. After an error the
    /// instance must not be used again.
    pub(super) async fn call<R: Send>(
        &mut self,
        hook: &'static str,
        budget: CallBudget,
        call: impl for<'a> FnOnce(&'a mut Self) -> Call<'a, R> + Send,
    ) -> Result<R, PolicyError> {
        let (answer, orders) = self.ask(hook, budget, call).await?;
        orders.carry_out(&self.store.data().app);
        Ok(answer)
    }

    /// As [`Instance::call`], for an answer that may take back the orders: they
    /// are the caller's.
    pub(super) async fn ask<R: Send>(
        &mut self,
        hook: &'static str,
        budget: CallBudget,
        call: impl for<'a> FnOnce(&'a mut Self) -> Call<'a, R> + Send,
    ) -> Result<(R, Orders), PolicyError> {
        let running = self.runtime.ticker.run();
        let meter = Arc::clone(&self.meter);
        self.calls_made = self.calls_made.saturating_add(1);
        self.last_words.clear();
        self.store.data_mut().begin(budget);
        self.store.set_epoch_deadline(1);
        meter.start(budget.cpu);
        let metered = Metered {
            meter,
            call: call(self),
        };
        let answer = tokio::time::timeout_at(budget.deadline, metered).await;
        drop(running);
        let state = self.store.data_mut();
        let orders = std::mem::take(&mut state.orders);
        let error = match answer {
            Ok(Ok(answer)) => return Ok((answer, orders)),
            Ok(Err(error)) => failure(hook, &error, budget, state, &self.last_words),
            Err(_) => wall_exceeded(hook, budget, &self.meter, &state.app.stats),
        };
        self.drop_orders(hook, &orders);
        Err(error)
    }

    /// See [`HostState::drop_orders`].
    pub(super) fn drop_orders(&self, hook: &'static str, orders: &Orders) {
        self.store.data().drop_orders(hook, orders);
    }

    /// Bytes of linear memories and tables in use.
    pub(super) fn memory_used(&self) -> usize {
        self.store.data().memory.used()
    }
}

/// The system refuses what an instance reserves: no fault of the plugin's.
fn is_out_of_memory(error: &wasmtime::Error) -> bool {
    let no_memory = rustix::io::Errno::NOMEM;
    let cause = error.root_cause();
    let system = cause.downcast_ref::<std::io::Error>();
    system.and_then(std::io::Error::raw_os_error) == Some(no_memory.raw_os_error())
        || cause.downcast_ref() == Some(&no_memory)
}

fn wall_exceeded(
    hook: &'static str,
    budget: CallBudget,
    meter: &CpuMeter,
    stats: &Stats,
) -> PolicyError {
    if let Some(queued) = budget.queued {
        return queued.too_late(budget.wall, stats);
    }
    stats.wall_exceeded.add();
    PolicyError::TimedOut {
        hook,
        budget: "wall deadline",
        limit_ms: millis(budget.wall),
        waiting: !meter.is_computing(),
    }
}

/// Says in one line what went wrong: the trap, where if known, and the likely
/// cause. Counts it by that.
fn failure(
    hook: &'static str,
    error: &wasmtime::Error,
    budget: CallBudget,
    state: &mut HostState,
    last_words: &LastWords,
) -> PolicyError {
    let trap = error.downcast_ref::<Trap>();
    let stats = &state.app.stats;
    if trap == Some(&Trap::Interrupt) {
        stats.cpu_exceeded.add();
        return PolicyError::TimedOut {
            hook,
            budget: "CPU budget",
            limit_ms: millis(budget.cpu),
            waiting: false,
        };
    }
    let mut reason = if let Some(trap) = trap {
        trap.to_string()
    } else if let Some(exit) = error.downcast_ref::<I32Exit>() {
        format!("it exited with status {}", exit.0)
    } else {
        one_line(&error.root_cause().to_string())
    };
    let function = error
        .downcast_ref::<WasmBacktrace>()
        .and_then(|trace| trace.frames().iter().find_map(|frame| frame.func_name()));
    if let Some(function) = function {
        reason = format!("{reason} in {}", one_line(function));
    }
    if let Some(limit) = state.memory.take_refused() {
        stats.memory_exceeded.add();
        reason = format!("{reason}, after it asked for more than its {limit} bytes of memory");
    } else {
        stats.traps.add();
    }
    let last_words = last_words.take();
    if !last_words.is_empty() {
        reason = format!("{reason}: {}", one_line(&last_words));
    }
    PolicyError::Trapped { hook, reason }
}

/// A text of the guest or of wasmtime, fit for one line of a log.
pub(super) fn one_line(text: &str) -> String {
    const MAX: usize = 512;
    text.chars()
        .take(MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
