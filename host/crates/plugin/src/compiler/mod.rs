//! From a component's bytes to machine code, in a process of its own.
//!
//! Flows in: WebAssembly. Flows out: [`MachineCode`], or why there is none. An interpreter takes the compiler hundreds of megabytes and many
//! seconds: a server that did this itself would keep that memory for good, and
//! where there is too little of it, end with all its streams. So the server
//! runs itself a second time, as [`work`], which limits itself to what is free.
//!
//! Machine code is never taken from outside: it comes from that child alone,
//! through an anonymous file that this process has made for it.

mod child;
mod memory;

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::fs::{MemfdFlags, memfd_create};
use tracing::{debug, info};
use wasmtime::Engine;

pub use child::{Task, work};
pub(crate) use memory::mib;

use super::error::{CompilerFault, Fault};
use super::instance::one_line;
use super::machine_code::MachineCode;
use memory::CompilerMemory;

/// Who compiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compiler {
    /// A child process, which is this program once more: see [`work`].
    Child,
    /// This process: for programs that are not `host`, like tests.
    Here,
}

/// The hidden command of `host` that is the child.
pub const COMMAND: &str = "compile-component";

/// The child is ended after so long, on a machine however busy.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
/// A component of more bytes than this is worth a line in the log.
const LARGE: usize = 4 << 20;
/// What is read of the child's last words.
const WORDS: u64 = 4096;

/// The child that compiles, for whoever may have to end it.
#[derive(Default)]
pub(super) struct CompilerChild(Mutex<ChildState>);

#[derive(Default)]
struct ChildState {
    child: Option<Child>,
    over: Option<EndCause>,
}

/// Why the child was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EndCause {
    /// Nobody waits for it any more.
    Unwanted,
    TooLate,
}

/// Ends the child when dropped: whoever asked is gone.
pub(super) struct EndOnDrop(pub(super) Arc<CompilerChild>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end(EndCause::Unwanted);
    }
}

impl EndOnDrop {
    /// Waits for `answer`, but not for ever.
    pub(super) async fn patiently<T>(&self, answer: impl Future<Output = T>) -> T {
        let mut answer = std::pin::pin!(answer);
        match tokio::time::timeout(PATIENCE, answer.as_mut()).await {
            Ok(answer) => answer,
            Err(_) => {
                self.0.end(EndCause::TooLate);
                answer.await
            }
        }
    }
}

impl CompilerChild {
    fn end(&self, why: EndCause) {
        let mut state = self.0.lock();
        state.over.get_or_insert(why);
        if let Some(child) = &mut state.child {
            // It may have ended by itself.
            let _ = child.kill();
        }
    }
}

/// The machine code of `component`. Blocks; the calling thread has to live
/// until it returns, since the child dies with it.
pub(super) fn compile(
    engine: &Engine,
    compiler: Compiler,
    running: &CompilerChild,
    component: &[u8],
) -> Result<MachineCode, Fault> {
    let code = match compiler {
        Compiler::Here => engine
            .precompile_component(component)
            .map_err(|error| Fault::NotAComponent(one_line(&format!("{error:#}")))),
        Compiler::Child => in_child(running, component),
    };
    code.map(MachineCode::of_compiler)
}

fn in_child(running: &CompilerChild, component: &[u8]) -> Result<Vec<u8>, Fault> {
    let no_start = |error: io::Error| CompilerFault::NotStarted(error.to_string());
    let room = CompilerMemory::for_component(component.len());
    let code = memfd_create("compiled", MemfdFlags::CLOEXEC);
    let mut code = File::from(code.map_err(|error| no_start(error.into()))?);
    let mut command = Command::new("/proc/self/exe");
    command
        .arg(COMMAND)
        .arg(format!("--parent={}", std::process::id()))
        .arg(format!("--memory={}", room.granted))
        .env_clear()
        .current_dir("/")
        // Not with Ctrl-C, which is for the server.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(code.try_clone().map_err(no_start)?)
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(no_start)?;
    let pid = child.id();
    if component.len() > LARGE {
        info!(
            pid,
            bytes = component.len(),
            "compiling a large component; this takes some seconds"
        );
    }
    debug!(pid, bytes = component.len(), %room, "compiling");
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    {
        let mut state = running.0.lock();
        if state.over.is_some() {
            let _ = child.kill();
        }
        state.child = Some(child);
    }
    if let Some(mut stdin) = stdin {
        // A child that has died by now says why below.
        let _ = stdin.write_all(component);
    }
    // Its end closes this; then waiting for it is short.
    let mut words = Vec::new();
    if let Some(mut stderr) = stderr {
        let _ = (&mut stderr).take(WORDS).read_to_end(&mut words);
        let _ = io::copy(&mut stderr, &mut io::sink());
    }
    let mut state = running.0.lock();
    let status = state.child.take().map(|mut child| child.wait());
    let over = state.over;
    drop(state);
    let status = status
        .unwrap_or_else(|| Err(ErrorKind::NotFound.into()))
        .map_err(no_start)?;
    judge(status, &words, over, &room, component.len())?;
    let mut machine_code = Vec::new();
    code.rewind()
        .and_then(|()| code.read_to_end(&mut machine_code))
        .map_err(|error| CompilerFault::Died(format!("its result can't be read: {error}")))?;
    Ok(machine_code)
}

/// What the child's end means.
fn judge(
    status: ExitStatus,
    words: &[u8],
    over: Option<EndCause>,
    room: &CompilerMemory,
    component: usize,
) -> Result<(), Fault> {
    let words = String::from_utf8_lossy(words);
    let words = one_line(words.trim());
    let no_memory = || CompilerFault::OutOfMemory {
        room: room.to_string(),
        needed: mib(room.needed(component)),
    };
    match (status.code(), over) {
        (Some(child::DONE), _) => return Ok(()),
        (Some(child::REFUSED), _) => return Err(Fault::NotAComponent(words)),
        (_, Some(EndCause::TooLate)) => {
            return Err(CompilerFault::TooLate(PATIENCE.as_secs()).into());
        }
        (_, Some(EndCause::Unwanted)) => {
            return Err(CompilerFault::Died("nobody waits for it".into()).into());
        }
        _ => {}
    }
    // KILL comes from the kernel when memory is short; other ways to run out
    // of it are told by their text (Rust's `memory allocation of N bytes
    // failed`, the dynamic loader's and the kernel's `Cannot allocate memory`).
    let words_tell = ["memory allocation", "allocate memory", "map segment"];
    let killed = status.signal() == Some(rustix::process::Signal::KILL.as_raw());
    if killed || words_tell.iter().any(|part| words.contains(part)) {
        return Err(no_memory().into());
    }
    let how = match words.as_str() {
        "" => status.to_string(),
        words => format!("{status}: {words}"),
    };
    Err(CompilerFault::Died(how).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(raw: i32, words: &str) -> String {
        let room = CompilerMemory {
            granted: 100 << 20,
            free: 150 << 20,
            place: memory::Scarcity::Cgroup(256 << 20),
        };
        let status = ExitStatus::from_raw(raw);
        let verdict = judge(status, words.as_bytes(), None, &room, 18 << 20);
        verdict.expect_err("it failed").to_string()
    }

    #[test]
    fn every_way_to_run_out_of_memory_says_what_was_there_and_what_to_do() {
        let (killed, aborted, loader) = (9, 6, 127 << 8);
        for text in [
            ended(killed, ""),
            ended(aborted, "memory allocation of 4194304 bytes failed"),
            ended(
                loader,
                "host: error while loading shared libraries: libc.so.6: failed to map segment from shared object",
            ),
        ] {
            for part in ["100 MiB", "150 MiB", "256 MiB", "host plugin compile"] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }

    #[test]
    fn other_ends_are_shown_as_they_are() {
        assert!(ended(11, "").contains("signal: 11"));
        assert!(ended(101 << 8, "thread 'main' panicked").contains("panicked"));
        let refused = ended(child::REFUSED << 8, "unknown section");
        assert_eq!(refused, "is not a WebAssembly component: unknown section");
    }

    #[test]
    fn a_child_is_ended_with_whoever_asked_for_it() {
        let running = Arc::new(CompilerChild::default());
        let sleeper = Command::new("sleep").arg("1000").spawn();
        running.0.lock().child = Some(sleeper.expect("sleep starts"));
        drop(EndOnDrop(Arc::clone(&running)));
        let child = running.0.lock().child.take();
        let status = child.expect("it is there").wait().expect("it ends");
        assert_eq!(status.signal(), Some(9));
    }
}
