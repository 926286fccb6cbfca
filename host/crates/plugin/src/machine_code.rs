//! Machine code that this process did not make itself, and where it may come
//! from.
//!
//! Flows in: the compiler's output, and what the cache kept of it. Flows out: a
//! component. Whoever could bring other bytes here would run them outside the
//! sandbox, so a [`MachineCode`] is made in two places only, each of which says
//! why it may; there is no way to it from a plugin's path, a command or a
//! setting.

use wasmtime::Engine;
use wasmtime::component::Component;

/// What a compatible wasmtime serialized, unmodified.
pub(super) struct MachineCode(Vec<u8>);

impl MachineCode {
    /// For [`super::compiler`]: its child wrote this into an anonymous file
    /// that this process had made for it.
    pub(super) fn of_compiler(code: Vec<u8>) -> Self {
        Self(code)
    }

    /// For [`super::cache`]: read from a private file whose digest matches.
    pub(super) fn of_cache(code: Vec<u8>) -> Self {
        Self(code)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    #[allow(unsafe_code, reason = "loading compiled code has no safe form")]
    pub(super) fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: the bytes have to be what a compatible wasmtime serialized,
        // and unmodified.
        //
        // Of the compiler: the same program with the same settings, started by
        // this process, wrote them into a file without a name, which nobody else
        // had open.
        //
        // Of the cache: they were read into memory of this process from a file
        // that this user owns and nobody else can write, in a folder of which
        // the same holds, so who could have put other bytes there can already
        // make this process do anything (root, or this user). The digest over
        // file name and content tells accidents: a truncated, renamed or
        // flipped file. The name holds the digest of the engine's
        // compatibility hash.
        //
        // wasmtime checks its version, settings and the CPU's features once
        // more.
        unsafe { Component::deserialize(engine, &self.0) }
    }
}
