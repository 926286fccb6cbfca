//! Where records go: the ring, live feeds, the file.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwap;
use livehost_policy::Policy;
use livehost_telemetry::counters::Counts;
use livehost_telemetry::rotation::{RotatingFile, RotationLimits};
use parking_lot::Mutex;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::warn;

use crate::exchange::Exchange;
use crate::feed::{DecisionFeed, FeedItem};
use crate::record::{DecisionOutcome, DecisionRecord};
use crate::settings::DecisionSettings;
use crate::wrapper::Witness;
use crate::writer::{LostLines, Writer};

/// Records that a reader of a feed may be behind.
const FEED: usize = 256;
/// How long the end waits for the file.
const END: Duration = Duration::from_secs(5);

livehost_telemetry::counters! {
    /// What became of decisions.
    pub struct DecisionCounters {
        /// Records that were made.
        recorded,
        /// Decisions that `sample` left out.
        left_out,
        /// Records that the file lacks, since it did not keep up.
        lost,
    }
}

/// The decisions of all applications.
#[derive(Debug)]
pub struct DecisionLog {
    /// Somebody wants records: a file, a ring, a feed.
    is_on: AtomicBool,
    settings: ArcSwap<DecisionSettings>,
    counters: DecisionCounters,
    /// Decisions that `sample` is about.
    sampled: AtomicU64,
    lost: Arc<LostLines>,
    state: Mutex<LogState>,
}

#[derive(Debug)]
struct LogState {
    /// The next record's.
    id: u64,
    /// The oldest first.
    ring: VecDeque<Arc<DecisionRecord>>,
    /// From the first feed on.
    live: Option<broadcast::Sender<Arc<DecisionRecord>>>,
    file: Option<(PathBuf, RotationLimits)>,
    /// Of `file`.
    writer: Option<Writer>,
    /// The task of the writer before, which writes what it still has.
    ending: Option<JoinHandle<()>>,
    is_closed: bool,
}

/// Which records are wanted: those that have all that is said here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DecisionFilter {
    /// The application's name.
    pub app: Option<String>,
    /// The function of plugins, `on-publish`.
    pub hook: Option<String>,
    /// What came of it.
    pub outcome: Option<DecisionOutcome>,
    /// The client's connection.
    pub conn: Option<u64>,
    /// The stream's name, as it was asked for.
    pub stream: Option<String>,
}

impl DecisionFilter {
    /// Whether `record` is wanted.
    #[must_use]
    pub fn matches(&self, record: &DecisionRecord) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        is(&self.app, Some(&record.app))
            && is(&self.hook, Some(record.hook))
            && is(&self.stream, record.stream.as_deref())
            && self.outcome.is_none_or(|wanted| wanted == record.outcome)
            && self.conn.is_none_or(|wanted| wanted == record.conn)
    }
}

impl DecisionLog {
    /// A log that records nothing before [`DecisionLog::set`].
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            is_on: AtomicBool::new(false),
            settings: ArcSwap::default(),
            counters: DecisionCounters::default(),
            sampled: AtomicU64::new(0),
            lost: Arc::default(),
            state: Mutex::new(LogState {
                id: 1,
                ring: VecDeque::new(),
                live: None,
                file: None,
                writer: None,
                ending: None,
                is_closed: false,
            }),
        })
    }

    /// Records by `settings` from now on; a relative path of theirs starts at `base`. What
    /// is on its way to a file before is still written there. Within a runtime.
    pub fn set(&self, settings: DecisionSettings, base: &Path) {
        let file = settings.file_in(base);
        let mut state = self.state.lock();
        if !state.is_closed && state.file != file {
            let writer = state.writer.take();
            let before = writer.map(Writer::end).or_else(|| state.ending.take());
            match &file {
                Some((path, limits)) => {
                    let sink = RotatingFile::new(path.clone(), *limits);
                    state.writer = Some(Writer::start(sink, before, self.lost.clone()));
                }
                None => state.ending = before,
            }
            state.file = file;
        }
        let excess = state.ring.len().saturating_sub(settings.ring);
        state.ring.drain(..excess);
        state.ring.shrink_to(settings.ring);
        self.settings.store(settings.into());
        self.look(&state);
    }

    /// A policy that answers as `policy` does, for the application `app`, and whose
    /// decisions are recorded here.
    pub fn around(self: &Arc<Self>, app: &str, policy: Arc<dyn Policy>) -> Arc<dyn Policy> {
        Arc::new(Witness {
            policy,
            app: app.to_owned(),
            log: self.clone(),
        })
    }

    /// Up to `limit` of the records in the ring that match `filter`, the newest first;
    /// only those older than that with the id `before`, if it is given.
    pub fn recent(
        &self,
        filter: &DecisionFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Vec<Arc<DecisionRecord>> {
        let kept: Vec<_> = self.state.lock().ring.iter().cloned().collect();
        let older = kept
            .into_iter()
            .rev()
            .skip_while(|record| before.is_some_and(|before| record.id >= before));
        let wanted = older.filter(|record| filter.matches(record));
        wanted.take(limit).collect()
    }

    /// The records from now on that match `filter`. With `after`, the id of the last
    /// that the reader has, those that the ring has beyond it come first; with one that
    /// is not given yet (of a process before this), all that the ring has.
    pub fn subscribe(self: &Arc<Self>, filter: DecisionFilter, after: Option<u64>) -> DecisionFeed {
        let mut state = self.state.lock();
        let live = match state.is_closed {
            true => None,
            false => {
                let live = state
                    .live
                    .get_or_insert_with(|| broadcast::Sender::new(FEED));
                Some(live.subscribe())
            }
        };
        self.look(&state);
        let last = state.id.saturating_sub(1);
        let missed = after.map(|after| {
            let after = if after > last { 0 } else { after };
            let oldest = state.ring.front().map_or(state.id, |record| record.id);
            let lost = oldest.saturating_sub(after.saturating_add(1));
            let kept = state.ring.iter().filter(move |record| record.id > after);
            (lost, kept.cloned().collect::<Vec<_>>())
        });
        drop(state);
        let mut before = VecDeque::new();
        if let Some((lost, kept)) = missed {
            before.extend((lost > 0).then_some(FeedItem::Lost(lost)));
            let kept = kept.into_iter().filter(|record| filter.matches(record));
            before.extend(kept.map(FeedItem::Decision));
        }
        DecisionFeed {
            log: self.clone(),
            filter,
            before,
            live,
        }
    }

    /// What became of decisions since the start.
    pub fn counts(&self) -> Counts {
        self.counters.by_name().into()
    }

    /// Ends the feeds and writes what is on its way to the file, for five seconds at most.
    /// Nothing is recorded from now on.
    pub async fn close(&self) {
        let ending = {
            let mut state = self.state.lock();
            state.is_closed = true;
            state.live = None;
            self.look(&state);
            let writer = state.writer.take();
            writer.map(Writer::end).or_else(|| state.ending.take())
        };
        if let Some(ending) = ending
            && timeout(END, ending).await.is_err()
        {
            warn!("the file of decisions was not waited for");
        }
    }

    /// Whether anybody wants records. All that a question costs while nobody does.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Relaxed)
    }

    /// Whether decisions of this function are recorded.
    pub(crate) fn wants(&self, hook: &str) -> bool {
        self.settings.load().wants(hook)
    }

    /// Makes the record of a decision, unless it is one of those that `sample` leaves out.
    pub(crate) fn record(&self, exchange: &Exchange<'_>) {
        let settings = self.settings.load();
        let outcome = exchange.outcome();
        if settings.sample > 1 && !outcome.is_refusal() {
            let number = self.sampled.fetch_add(1, Relaxed);
            if !number.is_multiple_of(settings.sample) {
                self.counters.left_out.add();
                return;
            }
        }
        let record = DecisionRecord::new(exchange, outcome, &settings);
        let mut state = self.state.lock();
        if state.is_closed {
            return;
        }
        self.counters.recorded.add();
        if !state.keep(record, settings.ring) {
            self.counters.lost.add();
        }
    }

    /// Whether anybody wants records is looked at anew: a reader has gone.
    pub(crate) fn look_for_readers(&self) {
        self.look(&self.state.lock());
    }

    fn look(&self, state: &LogState) {
        let has_readers = (state.live.as_ref()).is_some_and(|live| live.receiver_count() > 0);
        let has_ring = self.settings.load().ring > 0;
        let is_on = state.writer.is_some() || has_ring || has_readers;
        self.is_on.store(is_on && !state.is_closed, Relaxed);
    }
}

impl LogState {
    /// Gives `record` its id and puts it everywhere. False when the file will lack it.
    fn keep(&mut self, mut record: DecisionRecord, ring: usize) -> bool {
        record.id = self.id;
        self.id = self.id.saturating_add(1);
        let record = Arc::new(record);
        if ring > 0 {
            if self.ring.len() >= ring {
                self.ring.pop_front();
            }
            self.ring.push_back(record.clone());
        }
        if let Some(live) = &self.live {
            // Nobody may read just now.
            let _ = live.send(record.clone());
        }
        self.writer
            .as_ref()
            .is_none_or(|writer| writer.offer(record))
    }
}

#[cfg(test)]
mod tests;
