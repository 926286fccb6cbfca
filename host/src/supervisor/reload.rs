//! Reloads a plugin when its file changes.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use crate::plugin::{Plugin, Reload};
use crate::watch::{WatchError, Watcher};

/// Watches the plugins' files until `stop`, as a task of `tasks`.
pub(super) fn watch(
    plugins: &[Arc<Plugin>],
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<(), WatchError> {
    let files = plugins.iter().map(|plugin| plugin.file().to_owned());
    let (watcher, mut changes) = Watcher::new(files)?;
    let plugins = plugins.to_vec();
    let stop = stop.clone();
    tasks.spawn(async move {
        // The watch ends with the task.
        let _watcher = watcher;
        loop {
            let changed = tokio::select! {
                changed = changes.recv() => changed,
                () = stop.cancelled() => return,
            };
            let Some(changed) = changed else { return };
            for plugin in plugins.iter().filter(|plugin| plugin.file() == changed) {
                // Success and failure are logged where they are known best.
                match plugin.reload().await {
                    Ok(Reload::Swapped { .. }) | Err(_) => {}
                    Ok(Reload::Unchanged | Reload::KnownBad) => {
                        debug!(file = %changed.display(), "file touched, content unchanged");
                    }
                }
            }
        }
    });
    Ok(())
}
