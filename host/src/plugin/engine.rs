//! One wasmtime engine for all applications, and the clock of their CPU
//! budgets.
//!
//! Flows in: nothing but settings. Flows out: the engine and the linked
//! imports, which [`super::compile`] and [`super::instance`] use.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Engine};

use super::bindings::AppFull;
use super::compile::{Compiled, ContentHash};
use super::instance::State;
use crate::outbound::Network;

/// How often a running guest is looked at: it yields to other tasks, and is
/// interrupted when its CPU budget is used up.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// Ticks without any call after which the ticker sleeps until the next one.
const IDLE_TICKS: u32 = 100;

/// Compiles and runs the plugins of all applications.
pub struct Runtime {
    pub(super) engine: Engine,
    pub(super) linker: Linker<State>,
    pub(super) ticker: Ticker,
    pub(super) network: Network,
    /// One compilation at a time: the compiler must not take the cores that
    /// live media needs.
    pub(super) compiler: Semaphore,
    /// What is in use, so that applications with the same plugin share code.
    pub(super) compiled: Mutex<HashMap<ContentHash, Weak<Compiled>>>,
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").finish_non_exhaustive()
    }
}

/// The plugin runtime can't start on this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the plugin runtime can't start: {0}")]
pub struct RuntimeError(String);

impl Runtime {
    /// Starts the runtime: the compiler's settings and the thread that
    /// measures CPU budgets, which ends when the runtime is dropped.
    pub fn new() -> Result<Arc<Self>, RuntimeError> {
        let network = Network::new().map_err(|error| RuntimeError(error.to_string()))?;
        Self::with_network(network)
    }

    /// Like [`Runtime::new`], with another way out for guests' requests.
    pub fn with_network(network: Network) -> Result<Arc<Self>, RuntimeError> {
        let broken = |error: wasmtime::Error| RuntimeError(format!("{error:#}"));
        let mut config = Config::new();
        config
            .wasm_component_model(true)
            .epoch_interruption(true)
            // Guests use plain synchronous functions; without the bookkeeping
            // of component-model concurrency a call costs half.
            .concurrency_support(false)
            // Compilation stays on its one thread.
            .parallel_compilation(false);
        let engine = Engine::new(&config).map_err(broken)?;

        let mut linker = Linker::<State>::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(broken)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).map_err(broken)?;
        AppFull::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)
            .map_err(broken)?;

        let ticker = Ticker::start(engine.clone()).map_err(|e| RuntimeError(e.to_string()))?;
        Ok(Arc::new(Self {
            engine,
            linker,
            ticker,
            network,
            compiler: Semaphore::new(1),
            compiled: Mutex::default(),
        }))
    }

    /// The compiled form of `hash`, when a generation uses it.
    pub(super) fn find_compiled(&self, hash: &ContentHash) -> Option<Arc<Compiled>> {
        self.compiled.lock().get(hash)?.upgrade()
    }

    /// Makes `compiled` known to [`Runtime::find_compiled`].
    pub(super) fn keep_compiled(&self, compiled: &Arc<Compiled>) {
        let mut known = self.compiled.lock();
        known.retain(|_, weak| weak.strong_count() > 0);
        known.insert(compiled.hash, Arc::downgrade(compiled));
    }
}

/// Advances the engine's epoch while guests run; sleeps when none does, so an
/// idle server is idle.
pub(super) struct Ticker {
    shared: Arc<TickerState>,
    thread: thread::Thread,
}

#[derive(Default)]
struct TickerState {
    /// Calls in progress.
    active: AtomicUsize,
    asleep: AtomicBool,
    stop: AtomicBool,
}

/// A call in progress: the ticker runs while one exists.
pub(super) struct Running(Arc<TickerState>);

impl Ticker {
    fn start(engine: Engine) -> std::io::Result<Self> {
        let shared = Arc::new(TickerState::default());
        let state = Arc::clone(&shared);
        let handle = thread::Builder::new()
            .name("plugin-ticker".into())
            .spawn(move || tick(&engine, &state))?;
        Ok(Self {
            shared,
            thread: handle.thread().clone(),
        })
    }

    /// Keeps the ticker running until the result is dropped.
    pub(super) fn run(&self) -> Running {
        // Sequentially consistent on both sides: either this sees the ticker
        // asleep and wakes it, or the ticker sees this call and stays awake.
        self.shared.active.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Running(Arc::clone(&self.shared))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tick(engine: &Engine, state: &TickerState) {
    let mut idle = 0;
    while !state.stop.load(Ordering::SeqCst) {
        thread::sleep(TICK);
        engine.increment_epoch();
        if state.active.load(Ordering::SeqCst) > 0 {
            idle = 0;
            continue;
        }
        idle += 1;
        if idle < IDLE_TICKS {
            continue;
        }
        idle = 0;
        state.asleep.store(true, Ordering::SeqCst);
        while state.active.load(Ordering::SeqCst) == 0 && !state.stop.load(Ordering::SeqCst) {
            thread::park();
        }
        state.asleep.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(what: &str, condition: impl Fn() -> bool) {
        for _ in 0..10_000 {
            if condition() {
                return;
            }
            thread::sleep(TICK);
        }
        panic!("{what}");
    }

    #[test]
    fn the_ticker_sleeps_without_calls_wakes_with_one_and_ends() {
        let runtime = Runtime::new().expect("the runtime starts");
        let shared = Arc::downgrade(&runtime.ticker.shared);
        let asleep = || {
            let shared = shared.upgrade().expect("the ticker lives");
            shared.asleep.load(Ordering::SeqCst)
        };
        until("it falls asleep", asleep);
        let running = runtime.ticker.run();
        until("it wakes", || !asleep());
        drop(running);
        until("it falls asleep again", asleep);
        drop(runtime);
        until("its thread ends", || shared.strong_count() == 0);
    }
}
