//! What all services of HTTP share.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use arc_swap::ArcSwap;
use livehost_app::broker::Broker;
use livehost_app::control::Control;
use livehost_app::directory::Directory;
use livehost_decisions::DecisionLog;
use livehost_net::Admission;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::AccessSettings;
use crate::operations::Operations;

/// Live feeds at once; each may lag behind by a bounded number of records.
pub const MAX_FEEDS: usize = 32;

/// What the services are about, and who may use them.
#[derive(Debug)]
pub struct Site {
    /// The streams.
    pub broker: Arc<Broker>,
    /// The clients.
    pub directory: Arc<Directory>,
    /// Orders to both.
    pub control: Arc<Control>,
    /// Connections of all protocols.
    pub admission: Arc<Admission>,
    /// What plugins decided.
    pub decisions: Arc<DecisionLog>,
    /// Places for live feeds.
    pub feeds: Arc<Semaphore>,
    /// The rest of the server.
    pub operations: Arc<dyn Operations>,
    /// Who may ask; replaced when the configuration changes.
    pub access: ArcSwap<AccessSettings>,
    /// Streams that have metrics of their own; 0 gives none to any.
    pub metric_streams: AtomicUsize,
    /// The first request has so long to come.
    pub handshake: ArcSwap<Duration>,
    /// Owns the tasks of HTTP/2.
    pub tasks: TaskTracker,
    /// Cancelled when the server stops.
    pub shutdown: CancellationToken,
}
