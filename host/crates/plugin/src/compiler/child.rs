//! The child's side: reads a component, writes its machine code.
//!
//! Flows in: WebAssembly on standard input. Flows out: machine code on
//! standard output, or one line on standard error. Everything that may go
//! wrong ends this process alone.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;

use livehost_telemetry::terminal::complain;
use rustix::process::{Resource, Rlimit, Signal};

use super::super::compile::MAX_FILE;
use super::super::engine;

/// The machine code is there.
pub(super) const DONE: i32 = 0;
/// The component is at fault; standard error says how.
pub(super) const REFUSED: i32 = 65;
const FAILED: u8 = 1;

/// More CPU time than this has no component that could be loaded.
const CPU_SECONDS: u64 = 15 * 60;

/// What the child is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// Whose child it is.
    pub parent: i32,
    /// How much memory it may have, in bytes.
    pub memory: u64,
}

/// Compiles standard input to standard output, within limits of its own.
#[must_use]
pub fn work(task: Task) -> ExitCode {
    match limit(task) {
        // Dead before it was said that this process dies, too.
        Ok(parent) if parent != Some(task.parent) => return FAILED.into(),
        Ok(_) => {}
        Err(error) => {
            complain(format_args!("its limits can't be set: {error}"));
            return FAILED.into();
        }
    }
    match compile() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Wrong::Io(error)) => {
            complain(format_args!("{error}"));
            FAILED.into()
        }
        Err(Wrong::Component(text)) => {
            complain(format_args!("{text}"));
            u8::try_from(REFUSED).unwrap_or(FAILED).into()
        }
    }
}

enum Wrong {
    Io(io::Error),
    Component(String),
}

impl From<io::Error> for Wrong {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn compile() -> Result<(), Wrong> {
    let mut component = Vec::new();
    let mut input = io::stdin().lock().take(MAX_FILE);
    input.read_to_end(&mut component)?;
    let broken = |error: wasmtime::Error| {
        let text = format!("{error:#}");
        match error.is::<wasmtime::OutOfMemory>() {
            true => Wrong::Io(io::Error::other(format!(
                "memory allocation failed: {text}"
            ))),
            false => Wrong::Component(text),
        }
    };
    let engine =
        engine::engine().map_err(|error| Wrong::Io(io::Error::other(error.to_string())))?;
    let code = engine.precompile_component(&component).map_err(broken)?;
    let mut output = io::stdout().lock();
    output.write_all(&code)?;
    output.flush()?;
    Ok(())
}

/// From here on this process is the first to go. Returns whose child it is.
fn limit(task: Task) -> io::Result<Option<i32>> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // What fails of the next two leaves it as likely to be killed, and as
    // urgent, as the server.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let _ = rustix::process::setpriority_process(None, 10);
    // Memory that can be written to, the one kind that grows here. The address
    // space as a whole says little: most of it is the program's file.
    lower(Resource::Data, task.memory)?;
    lower(Resource::Core, 0)?;
    let cpu = Rlimit {
        current: Some(CPU_SECONDS),
        // Not lowered: it ends a process by KILL, as a lack of memory does.
        ..rustix::process::getrlimit(Resource::Cpu)
    };
    // Where it is lower already it can't be raised, and need not be.
    let _ = rustix::process::setrlimit(Resource::Cpu, cpu);
    Ok(rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get()))
}

/// A limit that is lower already stays.
fn lower(resource: Resource, limit: u64) -> io::Result<()> {
    let old = rustix::process::getrlimit(resource);
    let lower = |old: Option<u64>| Some(old.map_or(limit, |old| old.min(limit)));
    let new = Rlimit {
        current: lower(old.current),
        maximum: lower(old.maximum),
    };
    Ok(rustix::process::setrlimit(resource, new)?)
}
