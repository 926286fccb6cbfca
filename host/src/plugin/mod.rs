//! The plugin runtime: [`Policy`](crate::policy::Policy) on WASM components.
//!
//! Flows in: a file, its configuration, and a session's questions. Flows out:
//! decisions, and the guest's commands to the media plane ([`Services`]).

mod error;
mod limits;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

pub use error::{Fault, PluginError};
pub use limits::Limits;

use crate::policy::{
    CallError, Client, ConnectDecision, ConnectRequest, Event, MediaControl, PlayDecision, Policy,
    PolicyError, PublishDecision, StreamRegistry, StreamRequest,
};

/// Compiles and runs the plugins of all applications.
#[derive(Debug)]
pub struct Runtime {}

impl Runtime {
    /// Starts the runtime: the compiler's settings and the thread that
    /// measures CPU budgets, which ends when the runtime is dropped.
    pub fn new() -> Result<Arc<Self>, PluginError> {
        Ok(Arc::new(Self {}))
    }
}

/// Which plugin an application runs, and how.
#[derive(Debug, Clone)]
pub struct PluginSpec {
    /// The application.
    pub app: String,
    /// The component.
    pub file: PathBuf,
    /// What `configure` gets: JSON text.
    pub config: String,
    /// What it may use.
    pub limits: Limits,
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

/// What a check found out about a plugin that would serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The first 12 hexadecimal digits of its content's SHA-256.
    pub hash: String,
    /// It accepts a publisher that shows no credential at all.
    pub open_publish: bool,
    /// It exports `events`.
    pub events: bool,
    /// It exports `calls`.
    pub calls: bool,
}

/// One application's plugin: its serving generation and everything that
/// outlives generations (state, timers, queued events).
#[derive(Debug)]
pub struct Plugin {
    spec: PluginSpec,
}

impl Plugin {
    /// Loads, configures and starts the plugin; it then serves.
    ///
    /// Must run inside a tokio runtime: the plugin's event and timer tasks
    /// live there until [`Plugin::shutdown`] or drop.
    pub async fn load(
        _runtime: &Arc<Runtime>,
        spec: PluginSpec,
        _services: Services,
    ) -> Result<Arc<Self>, PluginError> {
        Ok(Arc::new(Self { spec }))
    }

    /// Everything [`Plugin::load`] does up to `configure`, on a throw-away
    /// generation that never starts or serves.
    pub async fn check(_runtime: &Arc<Runtime>, spec: PluginSpec) -> Result<Check, PluginError> {
        Err(PluginError {
            app: spec.app,
            file: spec.file,
            fault: Fault::Runtime("not built yet".into()),
        })
    }

    /// Reads the file again; other content replaces the serving generation
    /// once it has proved itself. An error leaves the old one serving and has
    /// been logged.
    pub async fn reload(&self) -> Result<Reload, PluginError> {
        Ok(Reload::Unchanged)
    }

    /// Like [`Plugin::reload`], with another configuration (JSON text). An
    /// error leaves the old generation serving with the old configuration.
    pub async fn reconfigure(&self, _config: String) -> Result<Reload, PluginError> {
        Ok(Reload::Unchanged)
    }

    /// What serves now.
    pub fn describe(&self) -> Description {
        Description {
            app: self.spec.app.clone(),
            file: self.spec.file.clone(),
            generation: 0,
            hash: String::new(),
            events: false,
            calls: false,
        }
    }

    /// The component's file, as given.
    pub fn file(&self) -> &Path {
        &self.spec.file
    }

    /// Delivers queued events, ends the tasks and calls `on-stop`; takes at
    /// most the drain limit plus the start limit. Later calls answer
    /// [`PolicyError::Unavailable`].
    pub async fn shutdown(&self, _reason: StopReason) {}
}

#[async_trait]
impl Policy for Plugin {
    async fn on_connect(&self, _: ConnectRequest) -> Result<ConnectDecision, PolicyError> {
        Err(PolicyError::Unavailable("not built yet".into()))
    }
    async fn on_publish(&self, _: StreamRequest) -> Result<PublishDecision, PolicyError> {
        Err(PolicyError::Unavailable("not built yet".into()))
    }
    async fn on_play(&self, _: StreamRequest) -> Result<PlayDecision, PolicyError> {
        Err(PolicyError::Unavailable("not built yet".into()))
    }
    async fn on_call(&self, _: Client, _: String, _: Bytes) -> Result<Bytes, CallError> {
        Err(PolicyError::Unavailable("not built yet".into()).into())
    }
    fn notify(&self, _: Event) {}
}
