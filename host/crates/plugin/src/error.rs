//! Why a plugin can't serve, in one line for an operator.

use std::path::PathBuf;

use livehost_policy::PolicyError;

/// A plugin that can't be loaded, reloaded or checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("application {app:?}, plugin {}: {fault}", file.display())]
pub struct PluginError {
    /// The application whose plugin this is.
    pub app: String,
    /// The plugin's file.
    pub file: PathBuf,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file can't be read.
    #[error("can't be read: {0}")]
    Unreadable(String),
    /// The file is a core module, not a component.
    #[error(
        "is a core WebAssembly module, expected a component: build it for the target \
         wasm32-wasip2 (cargo build --target wasm32-wasip2)"
    )]
    CoreModule,
    /// The file is not WebAssembly, or is broken.
    #[error("is not a WebAssembly component: {0}")]
    NotAComponent(String),
    /// There is no machine code of it: not the plugin's fault.
    #[error("can't be compiled: {0}")]
    NotCompiled(#[from] CompilerFault),
    /// An interface that every plugin has is not exported.
    #[error(
        "does not export {interface}, expected a component of the world `app` in wit/{track}; \
         it exports {found}"
    )]
    MissingExport {
        /// The interface, with its track.
        interface: String,
        /// The track of the interface that this host has.
        track: &'static str,
        /// What the component exports instead.
        found: String,
    },
    /// An exported interface has another shape than this host's.
    #[error("exports {interface} with another shape than wit/{track} has: {reason}")]
    WrongShape {
        /// The interface, with its track.
        interface: String,
        /// The track of the interface that this host has.
        track: &'static str,
        /// What differs.
        reason: String,
    },
    /// It imports what this host doesn't have.
    #[error("imports what this host does not offer (the track is wit/{track}): {reason}")]
    UnknownImport {
        /// The track of the interface that this host has.
        track: &'static str,
        /// Which import, and what is missing.
        reason: String,
    },
    /// `configure` refused the configuration; the text is the guest's.
    #[error("refused its configuration: {0}")]
    ConfigRefused(String),
    /// `on-start` refused to start; the text is the guest's.
    #[error("refused to start: {0}")]
    StartRefused(String),
    /// It grants everybody what this host can't do.
    #[error("grants {0}, which this host can't do yet: the stream would be let in without it")]
    NotAvailable(&'static str),
    /// It trapped before it could serve.
    #[error("trapped in {hook}: {reason}")]
    Trapped {
        /// The function of the interface that was running.
        hook: &'static str,
        /// First line of the trap.
        reason: String,
    },
    /// It exceeded a budget before it could serve.
    #[error("exceeded its {budget} of {limit_ms} ms in {hook}")]
    TimedOut {
        /// The function of the interface that was running.
        hook: &'static str,
        /// "CPU budget" or "wall deadline".
        budget: &'static str,
        /// The budget, in milliseconds.
        limit_ms: u64,
        /// It was waiting for something outside, not computing.
        waiting: bool,
    },
    /// A new instance was not ready in time for a call that has queued.
    #[error(transparent)]
    Busy(PolicyError),
    /// What it kept in earlier runs can't be read.
    #[error("can't have its state: {0}")]
    State(String),
    /// The runtime itself failed: not the plugin's fault.
    #[error("the plugin runtime failed: {0}")]
    Runtime(String),
    /// The plugin was shut down.
    #[error("has been shut down")]
    ShutDown,
}

/// Why the compiler, a process of its own, made nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompilerFault {
    /// There is no process.
    #[error("the compiler's process can't be started: {0}")]
    NotStarted(String),
    /// It needed more memory than there is beside the server.
    #[error(
        "the compiler ran out of memory: it had {room}, and this component takes about {needed}; \
         `host plugin compile` compiles it ahead, where there is more"
    )]
    OutOfMemory {
        /// What it had, and of what.
        room: String,
        /// What it takes, roughly.
        needed: String,
    },
    /// It went well, but there is no place for the result.
    #[error("the result can't be kept: {0}")]
    NotKept(String),
    /// It was ended after so many seconds.
    #[error("the compiler took longer than {0} s")]
    TooLate(u64),
    /// It ended in another way.
    #[error("the compiler failed: {0}")]
    Died(String),
}

impl Fault {
    /// The file's content (with this configuration) can't ever serve, so it
    /// need not be tried again before one of them changes.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::CoreModule
            | Self::NotAComponent(_)
            | Self::MissingExport { .. }
            | Self::WrongShape { .. }
            | Self::UnknownImport { .. }
            | Self::ConfigRefused(_) => true,
            Self::Unreadable(_)
            | Self::NotCompiled(_)
            | Self::NotAvailable(_)
            | Self::StartRefused(_)
            | Self::Trapped { .. }
            | Self::TimedOut { .. }
            | Self::Busy(_)
            | Self::State(_)
            | Self::Runtime(_)
            | Self::ShutDown => false,
        }
    }
}

impl From<PolicyError> for Fault {
    fn from(error: PolicyError) -> Self {
        match error {
            PolicyError::Trapped { hook, reason } => Self::Trapped { hook, reason },
            PolicyError::TimedOut {
                hook,
                budget,
                limit_ms,
                waiting,
            } => Self::TimedOut {
                hook,
                budget,
                limit_ms,
                waiting,
            },
            PolicyError::Unavailable(reason) => Self::Runtime(reason),
            busy @ PolicyError::Busy { .. } => Self::Busy(busy),
            other @ (PolicyError::LeftAlone { .. } | PolicyError::Unusable { .. }) => {
                Self::Runtime(other.to_string())
            }
        }
    }
}

/// For an instance that is made while others serve already.
impl From<Fault> for PolicyError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Trapped { hook, reason } => Self::Trapped { hook, reason },
            Fault::TimedOut {
                hook,
                budget,
                limit_ms,
                waiting,
            } => Self::TimedOut {
                hook,
                budget,
                limit_ms,
                waiting,
            },
            Fault::Busy(busy) => busy,
            other => Self::Unavailable(format!("a new instance {other}")),
        }
    }
}
