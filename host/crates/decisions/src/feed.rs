//! Records as they are made, for one reader.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use crate::log::{DecisionFilter, DecisionLog};
use crate::record::DecisionRecord;

/// What a reader gets next.
#[derive(Debug, Clone, PartialEq)]
pub enum FeedItem {
    /// The next decision.
    Decision(Arc<DecisionRecord>),
    /// So many are missing here, whether the filter wanted them or not: the reader was
    /// too slow, or they are older than the ring.
    Lost(u64),
}

/// A reader's records, in order. While there is one, records are made. Dropped, it ends.
#[derive(Debug)]
pub struct DecisionFeed {
    pub(crate) log: Arc<DecisionLog>,
    pub(crate) filter: DecisionFilter,
    /// What comes before those that are made from now on.
    pub(crate) before: VecDeque<FeedItem>,
    /// Taken when the feed ends.
    pub(crate) live: Option<broadcast::Receiver<Arc<DecisionRecord>>>,
}

impl DecisionFeed {
    /// Waits for the next item; none when the log is closed. Giving up to wait loses
    /// nothing.
    pub async fn next(&mut self) -> Option<FeedItem> {
        loop {
            if let Some(item) = self.before.pop_front() {
                return Some(item);
            }
            match self.live.as_mut()?.recv().await {
                Ok(record) if !self.filter.matches(&record) => {}
                Ok(record) => return Some(FeedItem::Decision(record)),
                Err(RecvError::Lagged(lost)) => return Some(FeedItem::Lost(lost)),
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

impl Drop for DecisionFeed {
    fn drop(&mut self) {
        self.live = None;
        self.log.look_for_readers();
    }
}
