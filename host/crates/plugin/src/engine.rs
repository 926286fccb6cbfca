//! One wasmtime engine for all applications, and the clock of their CPU
//! budgets.
//!
//! Flows in: nothing but settings. Flows out: the engine and the linked
//! imports, which [`super::compile`] and [`super::instance`] use.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use livehost_net::outbound::Network;
use livehost_policy::PropertyStore;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Engine};

use super::PluginSpec;
use super::bindings::AppAll;
use super::cache::CodeCache;
use super::compile::{Compiled, ContentHash};
use super::compiler::Compiler;
use super::error::{Fault, PluginError};
use super::instance::HostState;
use super::kv::disk::{Disk, StorePurpose};
use super::kv::{KeptObjects, Kv};

/// How often a running guest is looked at: it yields to other tasks, and is
/// interrupted when its CPU budget is used up.
pub(super) const TICK: Duration = Duration::from_millis(1);

/// How often the ticker looks for calls while there is none: decisions take
/// microseconds, so it meets few of them, and need not be at every one.
const PATROL: Duration = Duration::from_millis(4);

/// Patrols without any call after which the ticker sleeps until the next one.
const IDLE_PATROLS: u32 = 25;

/// What a runtime keeps on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// Nothing: state is in memory, every component is compiled.
    Memory,
    /// Compiled code that is in this folder is used; state is in memory, and
    /// nothing is written.
    Look(PathBuf),
    /// Compiled code, in this folder; state is in memory, so that a server may
    /// use the folder meanwhile.
    Compiled(PathBuf),
    /// State and compiled code, in this folder; created when first needed.
    Folder(PathBuf),
}

/// The sub-folder of compiled code.
const COMPILED: &str = "compiled";

/// Compiles and runs the plugins of all applications.
pub struct Runtime {
    pub(super) engine: Engine,
    pub(super) linker: Linker<HostState>,
    pub(super) ticker: Ticker,
    pub(super) network: Network,
    pub(super) compiler: Compiler,
    /// One compilation at a time: the compiler must not take the cores and the
    /// memory that live media needs.
    pub(super) turn: Semaphore,
    /// What is in use, so that applications with the same plugin share code.
    pub(super) compiled: Mutex<HashMap<ContentHash, Weak<Compiled>>>,
    /// What earlier runs compiled.
    pub(super) cache: Option<CodeCache>,
    /// The applications' state; none keeps it in memory.
    disk: Option<Arc<Disk>>,
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
    /// Starts the runtime: the compiler's settings, the thread that measures
    /// CPU budgets and the one that saves state, which end when the runtime is
    /// dropped.
    ///
    /// # Errors
    /// When the machine has no use for compiled code, or the state of an
    /// earlier run can't be read.
    pub fn new(storage: &Storage, compiler: Compiler) -> Result<Arc<Self>, RuntimeError> {
        let network = Network::new().map_err(|error| RuntimeError(error.to_string()))?;
        Self::with_network(storage, compiler, network)
    }

    /// Like [`Runtime::new`], with another way out for guests' requests.
    ///
    /// # Errors
    /// Those of [`Runtime::new`].
    pub fn with_network(
        storage: &Storage,
        compiler: Compiler,
        network: Network,
    ) -> Result<Arc<Self>, RuntimeError> {
        let broken = |error: wasmtime::Error| RuntimeError(format!("{error:#}"));
        let disk = match storage {
            Storage::Folder(folder) => {
                Some(Disk::open(folder).map_err(|error| RuntimeError(error.to_string()))?)
            }
            Storage::Memory | Storage::Look(_) | Storage::Compiled(_) => None,
        };
        let engine = engine().map_err(broken)?;

        let cache = match storage {
            Storage::Memory => None,
            Storage::Look(folder) => Some(CodeCache::new(&engine, folder.join(COMPILED), false)),
            Storage::Folder(folder) | Storage::Compiled(folder) => {
                Some(CodeCache::new(&engine, folder.join(COMPILED), true))
            }
        };

        let mut linker = Linker::<HostState>::new(&engine);
        wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(broken)?;
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).map_err(broken)?;
        AppAll::add_to_linker::<HostState, HasSelf<HostState>>(&mut linker, |state| state)
            .map_err(broken)?;

        let ticker = Ticker::start(engine.clone()).map_err(|e| RuntimeError(e.to_string()))?;
        Ok(Arc::new(Self {
            engine,
            linker,
            ticker,
            network,
            compiler,
            turn: Semaphore::new(1),
            compiled: Mutex::default(),
            cache,
            disk: disk.map(Arc::new),
        }))
    }

    /// The state of an application, with what it had in earlier runs.
    pub(super) async fn state(&self, app: &str, quota: usize) -> Result<Arc<Kv>, Fault> {
        let Some(disk) = self.disk.clone() else {
            return Ok(Kv::in_memory(quota));
        };
        read_state(disk, StorePurpose::Plugin, app, quota).await
    }

    /// Where the persistent shared objects of a plugin's application are kept,
    /// at most `quota` bytes of them.
    ///
    /// # Errors
    /// When those of an earlier run can't be read.
    pub async fn shared_objects(
        &self,
        spec: &PluginSpec,
        quota: usize,
    ) -> Result<Arc<dyn PropertyStore>, PluginError> {
        let kv = match self.disk.clone() {
            None => Ok(Kv::in_memory(quota)),
            Some(disk) => read_state(disk, StorePurpose::SharedObjects, &spec.app, quota).await,
        };
        let kv = kv.map_err(|fault| spec.fault(fault))?;
        Ok(Arc::new(KeptObjects(kv)))
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

/// With the same settings in every process: code that one compiled another
/// can load.
pub(super) fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .epoch_interruption(true)
        // Guests use plain synchronous functions; without the bookkeeping
        // of component-model concurrency a call costs half.
        .concurrency_support(false)
        // Compilation stays on its one thread.
        .parallel_compilation(false);
    Engine::new(&config)
}

async fn read_state(
    disk: Arc<Disk>,
    purpose: StorePurpose,
    app: &str,
    quota: usize,
) -> Result<Arc<Kv>, Fault> {
    let app = app.to_owned();
    tokio::task::spawn_blocking(move || disk.store(purpose, &app, quota))
        .await
        .map_err(|_| Fault::Runtime("reading its state panicked".into()))?
        .map_err(|error| Fault::State(error.to_string()))
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
pub(super) struct Ticking(Arc<TickerState>);

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
    pub(super) fn run(&self) -> Ticking {
        // Sequentially consistent on both sides: either this sees the ticker
        // asleep and wakes it, or the ticker sees this call and stays awake.
        self.shared.active.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
        Ticking(Arc::clone(&self.shared))
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tick(engine: &Engine, state: &TickerState) {
    let mut idle = 0;
    while !state.stop.load(Ordering::SeqCst) {
        thread::sleep(if idle == 0 { TICK } else { PATROL });
        engine.increment_epoch();
        if state.active.load(Ordering::SeqCst) > 0 {
            idle = 0;
            continue;
        }
        idle += 1;
        if idle < IDLE_PATROLS {
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
        let runtime = Runtime::new(&Storage::Memory, Compiler::Here).expect("the runtime starts");
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
