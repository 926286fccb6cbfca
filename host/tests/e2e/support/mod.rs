//! What every test needs: the server as a process, real clients as processes,
//! a scripted RTMP client, and the comparison of what was sent with what came.
//!
//! Nothing here uses the server's own crates: the FLV reader, the chunk stream
//! and AMF0 are written a second time, so that a mistake in the server's is
//! not hidden by the same mistake here.

pub(crate) mod amf;
pub(crate) mod chunks;
pub(crate) mod clients;
pub(crate) mod compare;
pub(crate) mod config;
pub(crate) mod fixture;
pub(crate) mod flv;
pub(crate) mod guests;
pub(crate) mod host;
#[allow(unreachable_pub, dead_code, reason = "unit tests have it, too")]
#[path = "../../common/http_server.rs"]
pub(crate) mod http_server;
pub(crate) mod log;
pub(crate) mod marked;
pub(crate) mod nginx;
pub(crate) mod obs;
pub(crate) mod operator;
pub(crate) mod process;
pub(crate) mod rtmp;
pub(crate) mod tls;
pub(crate) mod torrent;
pub(crate) mod viewer;
pub(crate) mod witness;

use std::{
    path::PathBuf,
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

pub(crate) use clients::{Encoder, Player, Tool};
pub(crate) use config::{App, Config};
pub(crate) use host::Host;
pub(crate) use witness::Witness;

/// Tests that measure lateness hold this alone, all others share it: two tests
/// on two cores would measure each other.
static MACHINE: RwLock<()> = RwLock::new(());

/// Held by a test that measures time: nothing else runs meanwhile.
pub(crate) fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// Held by a test that does not mind others beside it.
pub(crate) fn together() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// The folder of the workspace.
pub(crate) fn workspace() -> PathBuf {
    let host = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    host.parent().expect("host/ is in the workspace").to_owned()
}
