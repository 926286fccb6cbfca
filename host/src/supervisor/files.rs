//! How many files, and so connections, the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::warn;

/// Files that are no clients' connections: plugins, state, listeners, relays.
const OTHERS: u64 = 256;

/// Raises the limit of open files as far as the system allows; says so if that
/// is not enough for `connections` at once.
///
/// Shells and service managers start programs with 1,024, for the sake of those
/// that use `select`.
pub(super) fn raise_limit(connections: usize) {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        warn!(%error, "the limit of open files could not be raised");
    }
    let needed = u64::try_from(connections)
        .unwrap_or(u64::MAX)
        .saturating_add(OTHERS);
    if let Some(files) = getrlimit(Resource::Nofile).current
        && files < needed
    {
        warn!(
            files,
            needed,
            "limits.connections allows more connections than the system allows open files: \
             raise `ulimit -n` (LimitNOFILE of a systemd unit), or lower it"
        );
    }
}
