//! The instances of one generation.
//!
//! Flows in: a wish to call. Flows out: an instance, for one call. The most
//! recently used is taken first, so its memory is warm; when all are busy the
//! call waits inside its own deadline. An instance that failed, or whose call
//! was dropped half-way, is thrown away: only [`InstanceLease::give_back`] returns one.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::PluginLimits;
use super::instance::Instance;
use super::stats::Stats;

/// Idle instances, and the right to make more.
pub(super) struct Pool {
    #[expect(clippy::vec_box, reason = "they go from hand to hand")]
    idle: Mutex<Vec<Box<Instance>>>,
    permits: Arc<Semaphore>,
    leases: TaskTracker,
    max_instances: usize,
    recycle_after_calls: u64,
    recycle_above_bytes: usize,
    stats: Arc<Stats>,
}

/// The right to one call on one instance of a pool.
pub(super) struct InstanceLease {
    pool: Arc<Pool>,
    /// None: the caller makes one. Dropped, like all fields, before the next
    /// waiting call gets its turn with `permit`.
    pub(super) instance: Option<Box<Instance>>,
    _permit: OwnedSemaphorePermit,
    _token: TaskTrackerToken,
}

/// The pool is closed: another generation serves.
pub(super) struct PoolClosed;

impl Pool {
    pub(super) fn new(limits: &PluginLimits, stats: &Arc<Stats>) -> Arc<Self> {
        let max_instances = limits.max_instances.max(1);
        Arc::new(Self {
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(max_instances)),
            leases: TaskTracker::new(),
            max_instances,
            recycle_after_calls: limits.recycle_after_calls,
            recycle_above_bytes: limits.memory_bytes / 4 * 3,
            stats: Arc::clone(stats),
        })
    }

    /// Its turn, if nobody waits and not all instances are busy.
    pub(super) fn try_lease(self: &Arc<Self>) -> Result<Option<InstanceLease>, PoolClosed> {
        let token = self.leases.token();
        match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => Ok(Some(self.granted(token, permit))),
            Err(TryAcquireError::NoPermits) => Ok(None),
            Err(TryAcquireError::Closed) => Err(PoolClosed),
        }
    }

    /// Waits for its turn. The caller bounds the time.
    pub(super) async fn lease(self: &Arc<Self>) -> Result<InstanceLease, PoolClosed> {
        let token = self.leases.token();
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        permit
            .map(|permit| self.granted(token, permit))
            .map_err(|_| PoolClosed)
    }

    fn granted(
        self: &Arc<Self>,
        token: TaskTrackerToken,
        permit: OwnedSemaphorePermit,
    ) -> InstanceLease {
        InstanceLease {
            pool: Arc::clone(self),
            instance: self.idle.lock().pop(),
            _permit: permit,
            _token: token,
        }
    }

    /// Takes no more calls and sends those that wait away; those that run go
    /// on.
    pub(super) fn close(&self) {
        self.permits.close();
        self.leases.close();
    }

    /// Waits until no call runs. Only after [`Pool::close`].
    pub(super) async fn drained(&self) {
        self.leases.wait().await;
    }

    /// Takes an idle instance without a turn: for calls of the life cycle.
    pub(super) fn take_idle(&self) -> Option<Box<Instance>> {
        self.idle.lock().pop()
    }

    /// Keeps an instance whose call went well, unless it is due for recycling.
    pub(super) fn put_idle(&self, instance: Box<Instance>) {
        let worn = instance.calls_made >= self.recycle_after_calls
            || instance.memory_used() > self.recycle_above_bytes;
        if worn {
            self.stats.instances_recycled.add();
            return;
        }
        let mut idle = self.idle.lock();
        if idle.len() < self.max_instances {
            idle.push(instance);
        }
    }
}

impl InstanceLease {
    /// Returns the instance after a call that went well.
    pub(super) fn give_back(mut self) {
        if let Some(instance) = self.instance.take() {
            self.pool.put_idle(instance);
        }
    }
}
