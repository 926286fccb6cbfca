//! From a file's bytes to a component that can be instantiated.
//!
//! Flows in: bytes. Flows out: compiled code linked to this host's imports
//! with the exports looked up, or what is wrong with the file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use sha2::{Digest, Sha256};
use tokio::sync::oneshot;
use tracing::debug;
use wasmtime::component::{Component, InstancePre};

use super::bindings::exports::livehost::app::{lifecycle, policy};
use super::compiler::{self, CompilerChild, EndOnDrop};
use super::engine::Runtime;
use super::error::{CompilerFault, Fault};
use super::instance::{HostState, one_line};
use super::optional::Indices;

/// The track of the interface in `wit/` that this host offers.
pub const TRACK: &str = "0.1";
/// The version of that track; any `0.1.x` of a guest matches.
const VERSION: &str = "0.1.0";
/// A larger file is not read.
pub(super) const MAX_FILE: u64 = 256 << 20;

/// SHA-256 of a component's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ContentHash([u8; 32]);

impl ContentHash {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 12 hexadecimal digits: enough for people.
    pub(super) fn short(&self) -> String {
        self.0.iter().take(6).map(|b| format!("{b:02x}")).collect()
    }
}

/// A component, compiled and linked.
pub(super) struct Compiled {
    pub(super) hash: ContentHash,
    pub(super) pre: InstancePre<HostState>,
    pub(super) lifecycle: lifecycle::GuestIndices,
    pub(super) policy: policy::GuestIndices,
    pub(super) optional: Indices,
}

/// Reads a component's file.
pub(super) async fn read(file: &Path) -> Result<Vec<u8>, Fault> {
    let unreadable = |error: std::io::Error| Fault::Unreadable(error.to_string());
    let size = tokio::fs::metadata(file).await.map_err(unreadable)?.len();
    if size > MAX_FILE {
        return Err(Fault::Unreadable(format!(
            "it has {size} bytes, expected at most {MAX_FILE}"
        )));
    }
    tokio::fs::read(file).await.map_err(unreadable)
}

/// Compiles `bytes`, whose hash is `hash`, unless some application runs the
/// same content already.
pub(super) async fn compile(
    runtime: &Arc<Runtime>,
    bytes: Vec<u8>,
    hash: ContentHash,
) -> Result<Arc<Compiled>, Fault> {
    let broken = |reason: &str| Fault::Runtime(reason.to_owned());
    let _turn = runtime
        .turn
        .acquire()
        .await
        .map_err(|_| broken("the compiler is closed"))?;
    if let Some(compiled) = runtime.find_compiled(&hash) {
        return Ok(compiled);
    }
    let worker = Arc::clone(runtime);
    let guard = EndOnDrop(Arc::default());
    let running = Arc::clone(&guard.0);
    let (done, compiled) = oneshot::channel();
    // A thread of its own, since a priority can't be raised again.
    thread::Builder::new()
        .name("compiler".into())
        .spawn(move || {
            yield_to_media();
            // Whoever asked may be gone.
            let _ = done.send(build(&worker, &running, bytes, hash));
        })
        .map_err(|error| broken(&format!("no thread for the compiler: {error}")))?;
    let compiled = guard
        .patiently(compiled)
        .await
        .map_err(|_| broken("the compiler panicked"))??;
    let compiled = Arc::new(compiled);
    runtime.keep_compiled(&compiled);
    Ok(compiled)
}

/// A component whose machine code is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where.
    pub file: PathBuf,
    /// It was not there before.
    pub is_new: bool,
}

/// Compiles `file` for servers that will load it from this runtime's folder;
/// nothing of it runs.
///
/// # Errors
/// When it is no component for this host, can't be compiled, or not be kept.
pub async fn compile_ahead(runtime: &Arc<Runtime>, file: &Path) -> Result<Kept, Fault> {
    let bytes = read(file).await?;
    let hash = ContentHash::of(&bytes);
    let not_kept = |why: &str| Fault::NotCompiled(CompilerFault::NotKept(why.to_owned()));
    let cache = runtime.cache.as_ref();
    let cache = cache.ok_or_else(|| not_kept("there is no folder for it"))?;
    let is_new = cache.load(&runtime.engine, &hash).is_none();
    compile(runtime, bytes, hash).await?;
    match cache.trouble() {
        Some(why) => Err(not_kept(why)),
        None => Ok(Kept {
            file: cache.place(&hash),
            is_new,
        }),
    }
}

/// Live media goes before compilation on a busy machine.
fn yield_to_media() {
    // On Linux a priority is a thread's.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, 10) {
        debug!(%error, "the compiler runs with the usual priority");
    }
}

fn build(
    runtime: &Runtime,
    running: &CompilerChild,
    bytes: Vec<u8>,
    hash: ContentHash,
) -> Result<Compiled, Fault> {
    check_preamble(&bytes)?;
    let component = component(runtime, running, bytes, &hash)?;
    require(runtime, &component, "lifecycle")?;
    require(runtime, &component, "policy")?;
    let pre = runtime
        .linker
        .instantiate_pre(&component)
        .map_err(|error| Fault::UnknownImport {
            track: TRACK,
            reason: one_line(&format!("{error:#}")),
        })?;
    let shape = |name| move |error: wasmtime::Error| wrong_shape(name, &error);
    let lifecycle = lifecycle::GuestIndices::new(&pre).map_err(shape("lifecycle"))?;
    let policy = policy::GuestIndices::new(&pre).map_err(shape("policy"))?;
    let optional = Indices::find(&component, &pre)?;
    Ok(Compiled {
        hash,
        pre,
        lifecycle,
        policy,
        optional,
    })
}

/// Compiled now, or in an earlier run.
fn component(
    runtime: &Runtime,
    running: &CompilerChild,
    bytes: Vec<u8>,
    hash: &ContentHash,
) -> Result<Component, Fault> {
    let (engine, cache) = (&runtime.engine, runtime.cache.as_ref());
    if let Some(component) = cache.and_then(|cache| cache.load(engine, hash)) {
        return Ok(component);
    }
    let code = compiler::compile(engine, runtime.compiler, running, &bytes)?;
    // Memory for loading the code, which is larger.
    drop(bytes);
    if let Some(cache) = cache {
        cache.store(hash, &code);
    }
    code.load(engine)
        .map_err(|error| Fault::Runtime(one_line(&format!("{error:#}"))))
}

pub(super) fn interface(name: &str) -> String {
    format!("livehost:app/{name}@{VERSION}")
}

/// An exported interface that has other functions or types than this host's.
pub(super) fn wrong_shape(name: &str, error: &wasmtime::Error) -> Fault {
    Fault::WrongShape {
        interface: interface(name),
        track: TRACK,
        reason: one_line(&format!("{error:#}")),
    }
}

/// The first eight bytes tell components from core modules (component model,
/// Binary.md, "Component Definitions": version 13, layer 1).
fn check_preamble(bytes: &[u8]) -> Result<(), Fault> {
    let not = |reason: String| Err(Fault::NotAComponent(reason));
    if bytes.is_empty() {
        return not("the file is empty".into());
    }
    if !bytes.starts_with(b"\0asm") {
        return not(format!(
            "expected it to begin with \\0asm, its {} bytes begin with \"{}\"",
            bytes.len(),
            bytes
                .iter()
                .take(4)
                .copied()
                .collect::<Vec<u8>>()
                .escape_ascii()
        ));
    }
    match bytes.get(4..8) {
        Some([1, 0, 0, 0]) => Err(Fault::CoreModule),
        Some([13, 0, 1, 0]) => Ok(()),
        Some(other) => not(format!(
            "expected the component format 0d 00 01 00 at offset 4, found {other:02x?}"
        )),
        None => not(format!("it ends after {} bytes", bytes.len())),
    }
}

/// Semver-compatible versions match, so a guest may be of any `0.1.x`.
fn require(runtime: &Runtime, component: &Component, name: &str) -> Result<(), Fault> {
    let interface = interface(name);
    if component.get_export_index(None, &interface).is_some() {
        return Ok(());
    }
    let component_type = component.component_type();
    let exports: Vec<String> = component_type
        .exports(&runtime.engine)
        .map(|(name, _)| name.to_owned())
        .collect();
    Err(Fault::MissingExport {
        interface,
        track: TRACK,
        found: if exports.is_empty() {
            "nothing".into()
        } else {
            one_line(&exports.join(", "))
        },
    })
}
