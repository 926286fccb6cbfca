//! Records on their way to the file: a bounded queue, and the task that empties it.

use std::fmt::Write as _;
use std::mem::take;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use livehost_telemetry::limited;
use livehost_telemetry::log::Quota;
use livehost_telemetry::rotation::RotatingFile;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::record::DecisionRecord;

/// Records that may wait for the file.
pub(crate) const QUEUE: usize = 4096;
/// Records that are written at once.
const BATCH: usize = 64;

/// Where lines end up.
pub(crate) trait LineSink: Send + 'static {
    /// Takes whole lines; it may block.
    fn write_lines(&mut self, lines: &[u8]);
}

impl LineSink for RotatingFile {
    fn write_lines(&mut self, lines: &[u8]) {
        Self::write_lines(self, lines);
    }
}

/// What had no room in the queue.
#[derive(Debug)]
pub(crate) struct LostLines {
    /// Since it was last said.
    unsaid: AtomicU64,
    quota: Arc<Quota>,
}

impl Default for LostLines {
    fn default() -> Self {
        Self {
            unsaid: AtomicU64::new(0),
            quota: Arc::new(Quota::new("decisions that the file lacks".to_owned())),
        }
    }
}

impl LostLines {
    fn add(&self) {
        if self.unsaid.fetch_add(1, Relaxed) == 0 {
            limited!(
                WARN,
                self.quota.admits_and_reports(),
                "the file of decisions does not keep up; it will lack some"
            );
        }
    }

    fn say(&self) {
        let lost = self.unsaid.swap(0, Relaxed);
        if lost > 0 {
            limited!(
                WARN,
                self.quota.admits_and_reports(),
                lost,
                "the file of decisions lacks some"
            );
        }
    }
}

/// The way to a file.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Arc<DecisionRecord>>,
    task: JoinHandle<()>,
    lost: Arc<LostLines>,
}

impl Writer {
    /// Starts a task that writes to `sink` once the one `before` is over: it may write
    /// to the same.
    pub(crate) fn start(
        sink: impl LineSink,
        before: Option<JoinHandle<()>>,
        lost: Arc<LostLines>,
    ) -> Self {
        let (queue, records) = mpsc::channel(QUEUE);
        Self {
            task: tokio::spawn(run(records, sink, before, lost.clone())),
            queue,
            lost,
        }
    }

    /// Takes a record without waiting. False: there is no room, it is lost.
    pub(crate) fn offer(&self, record: Arc<DecisionRecord>) -> bool {
        let is_taken = self.queue.try_send(record).is_ok();
        if !is_taken {
            self.lost.add();
        }
        is_taken
    }

    /// The task, which ends when it has written what waits.
    pub(crate) fn end(self) -> JoinHandle<()> {
        self.task
    }
}

async fn run(
    mut queue: mpsc::Receiver<Arc<DecisionRecord>>,
    mut sink: impl LineSink,
    before: Option<JoinHandle<()>>,
    lost: Arc<LostLines>,
) {
    if let Some(before) = before {
        // However it ended.
        let _ = before.await;
    }
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        let records = take(&mut batch);
        let writing = spawn_blocking(move || {
            sink.write_lines(lines(&records).as_bytes());
            sink
        });
        sink = match writing.await {
            Ok(sink) => sink,
            // The process ends.
            Err(_) => return,
        };
        if queue.is_empty() {
            lost.say();
        }
    }
    lost.say();
}

fn lines(records: &[Arc<DecisionRecord>]) -> String {
    let mut lines = String::new();
    for record in records {
        // Writing to memory does not fail.
        let _ = writeln!(lines, "{}", record.to_line());
    }
    lines
}
