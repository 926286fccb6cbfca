//! The applications' state: what guests keep with the `kv` import.
//!
//! The persistent shared objects of clients are kept in the same way, beside it.
//!
//! Flows in: keys and values of guests. Flows out: the same, to every instance,
//! generation and, through [`disk`], to the next run of the server. Reads and
//! writes touch memory only; one thread brings what changed to disk.

pub(super) mod disk;
mod objects;
mod store;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use self::disk::WriterCommand;

pub(super) use self::objects::KeptObjects;
pub(super) use self::store::{ChangeRefused, MAX_KEY, Store};
use super::Clock;

/// One application's store.
pub(super) struct Kv {
    store: Mutex<Store>,
    clock: Clock,
    disk: Option<WriteSignal>,
}

/// Tells the thread that writes to disk.
#[derive(Clone)]
struct WriteSignal {
    commands: Sender<WriterCommand>,
    /// It has been told, and has not looked since.
    rung: Arc<AtomicBool>,
}

impl WriteSignal {
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            // It fails when the thread has ended, and so has the server.
            let _ = self.commands.send(WriterCommand::Changed);
        }
    }
}

impl Kv {
    /// A store that is gone with the process, of at most `quota` bytes.
    pub(super) fn in_memory(quota: usize) -> Arc<Self> {
        Self::on_clock(quota, Clock::default())
    }

    /// Like [`Kv::in_memory`], with a clock of its own.
    pub(super) fn on_clock(quota: usize, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            store: Mutex::new(Store::new(quota, now(&clock))),
            clock,
            disk: None,
        })
    }

    /// Replaces everything by `contents`, in memory only.
    pub(super) fn reset(
        &self,
        quota: usize,
        contents: &BTreeMap<String, Vec<u8>>,
    ) -> Result<(), ChangeRefused> {
        self.with(|store, now| {
            *store = Store::new(quota, now);
            for (key, value) in contents {
                store.set(key.clone(), value.clone(), None, now)?;
            }
            Ok(())
        })
    }

    /// Every key with its value, in the order of the keys.
    pub(super) fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        self.with(|store, now| {
            let live = store.live(now);
            live.map(|(key, record)| (key.to_owned(), record.value.to_vec()))
                .collect()
        })
    }

    fn on_disk(store: Store, bell: WriteSignal) -> Arc<Self> {
        Arc::new(Self {
            store: Mutex::new(store),
            clock: Clock::default(),
            disk: Some(bell),
        })
    }

    /// Another quota from now on, in bytes. What is there already stays.
    pub(super) fn set_quota(&self, quota: usize) {
        self.store.lock().set_quota(quota);
    }

    /// Works on the store with the time in Unix milliseconds.
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut Store, u64) -> R) -> R {
        let now = now(&self.clock);
        let mut store = self.store.lock();
        let result = f(&mut store, now);
        let dirty = store.is_dirty();
        drop(store);
        if dirty && let Some(disk) = &self.disk {
            disk.ring();
        }
        result
    }

    /// Waits until everything is on disk that was written before.
    ///
    /// # Errors
    /// One line that says why it is not.
    pub(super) async fn save(&self) -> Result<(), String> {
        let Some(disk) = &self.disk else {
            return Ok(());
        };
        let (done, saved) = oneshot::channel();
        let ended = |_| "the thread that writes it has ended".to_owned();
        disk.commands
            .send(WriterCommand::Save(done))
            .map_err(|_| ended(()))?;
        saved.await.map_err(|_| ended(()))?
    }
}

/// Unix time in milliseconds.
fn now(clock: &Clock) -> u64 {
    match clock.standing_at() {
        Some(unix) => u64::try_from(unix.as_millis()).unwrap_or(u64::MAX),
        None => unix_ms(),
    }
}

/// Unix time in milliseconds, as it was when the process started and counted on
/// from there: a clock that is set meanwhile expires nothing early.
fn unix_ms() -> u64 {
    static START: OnceLock<(u64, Instant)> = OnceLock::new();
    let (start, then) = START.get_or_init(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_millis();
        (u64::try_from(now).unwrap_or(u64::MAX), Instant::now())
    });
    let passed = u64::try_from(then.elapsed().as_millis()).unwrap_or(u64::MAX);
    start.saturating_add(passed)
}
