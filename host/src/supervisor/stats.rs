//! The log line that says what the server did: `server stats`.

use std::sync::Arc;
use std::time::Duration;

use livehost_net::Admission;
use livehost_server_rtmp::session::Shared;
use livehost_telemetry::counters::Counts;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tracing::info;

/// Reads the counters of all parts.
#[derive(Clone)]
pub(super) struct Reporter {
    shared: Arc<Shared>,
    admission: Arc<Admission>,
    /// Accept loops and the like, then sessions.
    trackers: [TaskTracker; 2],
    last: CounterSnapshot,
}

/// The counters at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
struct CounterSnapshot {
    tasks: usize,
    connections: Counts,
    ends: Counts,
    media: Counts,
}

impl Reporter {
    pub(super) fn new(
        shared: Arc<Shared>,
        admission: Arc<Admission>,
        trackers: [TaskTracker; 2],
    ) -> Self {
        Self {
            shared,
            admission,
            trackers,
            last: CounterSnapshot::default(),
        }
    }

    /// Logs every `interval`, zero for never, until the server stops.
    pub(super) async fn run(mut self, mut interval: watch::Receiver<Duration>) {
        let shutdown = self.shared.shutdown.clone();
        loop {
            let pause = *interval.borrow_and_update();
            let due = async {
                if pause.is_zero() {
                    std::future::pending::<()>().await;
                }
                tokio::time::sleep(pause).await;
            };
            tokio::select! {
                () = due => self.log(),
                changed = interval.changed() => if changed.is_err() {
                    return;
                },
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// One line, unless nothing has changed since the last.
    pub(super) fn log(&mut self) {
        let report = self.report();
        if report == self.last {
            return;
        }
        info!(
            tasks = report.tasks,
            connections = report.connections.field(),
            ends = report.ends.field(),
            media = report.media.field(),
            "server stats"
        );
        self.last = report;
    }

    fn report(&self) -> CounterSnapshot {
        let tracked: usize = self.trackers.iter().map(TaskTracker::len).sum();
        let mut connections = self.shared.directory.counts();
        connections.extend(self.admission.counts().described());
        CounterSnapshot {
            tasks: tracked.saturating_add(self.shared.broker.hub().tasks()),
            connections,
            ends: self.shared.directory.ends(),
            media: self.shared.broker.hub().census(),
        }
    }
}
