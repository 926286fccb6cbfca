//! The compiled plugins that tests run, and new versions of the probe.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{clients, workspace};

/// A compiled plugin: `allow-all.wasm`, `static-keys.wasm`, `test/probe.wasm`.
///
/// # Panics
/// If it hasn't been built.
pub(crate) fn guest(file: &str) -> PathBuf {
    let guest = path(file);
    assert!(
        guest.is_file(),
        "{} is missing: run `make test`, or `make plugins` before `cargo test`",
        guest.display()
    );
    guest
}

/// Whether a plugin whose tools not every machine has was built. If not, that
/// is reported loudly.
///
/// # Panics
/// In CI (`CI` or `LIVEHOST_CI` is set), if it wasn't.
pub(crate) fn built(file: &str) -> bool {
    let guest = path(file);
    let built = guest.is_file();
    let missing = format!("{} is not built: run `make plugins-all`", guest.display());
    assert!(built || !clients::in_ci(), "mandatory in CI: {missing}");
    if !built {
        eprintln!("SKIPPED: {missing}");
    }
    built
}

fn path(file: &str) -> PathBuf {
    let folder = match std::env::var_os("LIVEHOST_GUESTS") {
        Some(folder) => PathBuf::from(folder),
        None => workspace().join("target/plugins"),
    };
    folder.join(file)
}

/// The test guest, which behaves as its configuration or its client asks.
pub(crate) fn probe() -> PathBuf {
    guest("test/probe.wasm")
}

const MARKER: &[u8] = b"LIVEHOST-PROBE-VERSION=";

/// The probe with another version number in its marker.
pub(crate) fn probe_version(version: u32) -> Vec<u8> {
    let mut wasm = fs::read(probe()).expect("the probe can be read");
    let places: Vec<usize> = wasm
        .windows(MARKER.len())
        .enumerate()
        .filter(|(_, window)| *window == MARKER)
        .map(|(place, _)| place + MARKER.len())
        .collect();
    assert!(!places.is_empty(), "the probe has no version marker");
    let digits = format!("{version:06}");
    for place in places {
        wasm[place..place + 6].copy_from_slice(digits.as_bytes());
    }
    wasm
}

/// Replaces `file` as a deployment does: written beside it, then renamed.
pub(crate) fn replace(file: &Path, content: &[u8]) {
    let fresh = file.with_extension("new");
    fs::write(&fresh, content).expect("the new file can be written");
    fs::rename(&fresh, file).expect("the new file can be renamed");
}
