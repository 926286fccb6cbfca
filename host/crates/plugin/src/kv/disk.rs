//! The state of all applications on disk: one database in the state folder.
//!
//! Flows in: what changed in the stores. Flows out: the same to the disk, a
//! little later and together, on a thread of its own; and at a start, what a
//! store had before. No guest ever waits for the disk.
//!
//! A database that can't be used when it has to be read is an error: going on
//! without its state could let in whom it kept out. One that can't be written
//! is not: the state stays in memory, the log says so, and writing is tried
//! again.

use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redb::backends::FileBackend;
use redb::{Database, DatabaseError, ReadableDatabase, StorageError, TableDefinition, TableError};
use tokio::sync::oneshot;
use tracing::{debug, error, info};

use super::store::{Changes, Record};
use super::{Kv, Store, WriteSignal, unix_ms};

/// The database in the state folder.
const FILE: &str = "kv.redb";
/// Changes are gathered for so long before they are written.
const GATHER: Duration = Duration::from_millis(50);
/// What could not be written is tried again after this.
const RETRY: Duration = Duration::from_secs(5);
/// What has expired is removed at least this often.
const SWEEP: Duration = Duration::from_secs(60);
/// Everything is read from memory: the database needs no cache of note.
const CACHE: usize = 1 << 20;

/// Application and key.
type StoredKey = (&'static str, &'static str);
/// Version, expiry in Unix milliseconds, value.
type StoredEntry = (u64, Option<u64>, &'static [u8]);

/// What a store is for; each has tables of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum StorePurpose {
    /// What guests keep with the `kv` import.
    Plugin,
    /// Persistent shared objects.
    SharedObjects,
}

impl StorePurpose {
    const fn entries(self) -> TableDefinition<'static, StoredKey, StoredEntry> {
        TableDefinition::new(match self {
            Self::Plugin => "entries",
            Self::SharedObjects => "shared-objects",
        })
    }

    /// By application: the newest version given out.
    const fn versions(self) -> TableDefinition<'static, &'static str, u64> {
        TableDefinition::new(match self {
            Self::Plugin => "versions",
            Self::SharedObjects => "shared-object-versions",
        })
    }
}

/// A store's place: what for, and whose.
type StoreId = (StorePurpose, Arc<str>);

/// The state database can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the state database {}: {reason}", file.display())]
pub(crate) struct StateError {
    file: PathBuf,
    reason: String,
}

/// What the thread that writes is told.
pub(super) enum WriterCommand {
    /// Some store has changed.
    Changed,
    /// Everything has to be on disk.
    Save(oneshot::Sender<Result<(), String>>),
    Stop,
}

/// The database and the thread that writes to it; dropping it writes what is
/// left and ends the thread.
pub(crate) struct Disk {
    shared: Arc<WriterState>,
    bell: WriteSignal,
    thread: Option<JoinHandle<()>>,
}

struct WriterState {
    folder: PathBuf,
    file: PathBuf,
    /// None until the first change, and after a failure.
    database: Mutex<Option<Database>>,
    /// The stores of now by their place, and those before that have changes.
    stores: Mutex<HashMap<StoreId, Arc<Kv>>>,
    rung: Arc<AtomicBool>,
}

impl Disk {
    /// Opens the database of `folder`, if there is one. It and the folder are
    /// created with the first change.
    pub(crate) fn open(folder: &Path) -> Result<Self, StateError> {
        let rung = Arc::new(AtomicBool::new(false));
        let shared = Arc::new(WriterState {
            folder: folder.to_owned(),
            file: folder.join(FILE),
            database: Mutex::default(),
            stores: Mutex::default(),
            rung: Arc::clone(&rung),
        });
        *shared.database.lock() = shared.open_existing()?;
        let (commands, received) = channel();
        let writer = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("plugin-state".into())
            .spawn(move || write_behind(&writer, &received))
            .map_err(|error| shared.error(error))?;
        Ok(Self {
            shared,
            bell: WriteSignal { commands, rung },
            thread: Some(thread),
        })
    }

    /// The store of `app`, with what it had before. Reads the disk when `app`
    /// has not been asked for yet.
    pub(crate) fn store(
        &self,
        purpose: StorePurpose,
        app: &str,
        quota: usize,
    ) -> Result<Arc<Kv>, StateError> {
        let mut stores = self.shared.stores.lock();
        let place = (purpose, app.into());
        if let Some(kv) = stores.get(&place) {
            kv.set_quota(quota);
            return Ok(Arc::clone(kv));
        }
        let kv = Kv::on_disk(self.shared.read(&place, quota)?, self.bell.clone());
        stores.insert(place, Arc::clone(&kv));
        Ok(kv)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.bell.commands.send(WriterCommand::Stop);
        if let Some(thread) = self.thread.take() {
            // It has nothing to tell: what it does not expect is a bug that
            // its panic message has told already.
            let _ = thread.join();
        }
    }
}

impl WriterState {
    fn error(&self, reason: impl ToString) -> StateError {
        StateError {
            file: self.file.clone(),
            reason: reason.to_string(),
        }
    }

    /// The database, if its file exists.
    fn open_existing(&self) -> Result<Option<Database>, StateError> {
        match OpenOptions::new().read(true).write(true).open(&self.file) {
            Ok(file) => self.database(file).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.error(format!("can't be opened for writing: {error}"))),
        }
    }

    /// The database, new if need be, readable by nobody else.
    fn create(&self) -> Result<Database, StateError> {
        let failed = |what: &'static str| {
            move |error: io::Error| self.error(format!("{what} can't be created: {error}"))
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(failed("its folder"))?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.file)
            .map_err(failed("it"))?;
        let database = self.database(file)?;
        // The file's name has to survive a power cut too.
        let folder = File::open(&self.folder).and_then(|folder| folder.sync_all());
        folder.map_err(failed("it"))?;
        Ok(database)
    }

    fn database(&self, file: File) -> Result<Database, StateError> {
        let open = || {
            Database::builder()
                .set_cache_size(CACHE)
                // A file that was damaged is told from one that was not.
                .set_check_integrity_on_open(true)
                .create_with_backend(FileBackend::new(file)?)
        };
        open().map_err(|error| {
            self.error(match error {
                DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
                    "another process uses it; a server needs a state folder of its own".to_owned()
                }
                DatabaseError::UpgradeRequired(version) => {
                    format!("has the old format {version}, which this server can't read")
                }
                DatabaseError::Storage(StorageError::Io(error))
                    if error.kind() != io::ErrorKind::InvalidData =>
                {
                    format!("can't be read: {error}")
                }
                error => damaged(&error),
            })
        })
    }

    /// What was there.
    fn read(&self, place: &StoreId, quota: usize) -> Result<Store, StateError> {
        let now = unix_ms();
        let mut database = self.database.lock();
        if database.is_none() {
            *database = self.open_existing()?;
        }
        let Some(database) = database.as_ref() else {
            return Ok(Store::new(quota, now));
        };
        let (version, records) =
            read(database, place).map_err(|error| self.error(damaged(&error)))?;
        Ok(Store::restored(quota, now, version, records))
    }

    /// Brings what has changed to disk.
    fn commit(&self) -> Result<(), StateError> {
        self.rung.store(false, Ordering::Release);
        let stores: Vec<_> = {
            let stores = self.stores.lock();
            let clone = |(place, kv): (&StoreId, &Arc<Kv>)| (place.clone(), Arc::clone(kv));
            stores.iter().map(clone).collect()
        };
        let now = unix_ms();
        let changed: Vec<(StoreId, Arc<Kv>, Changes)> = stores
            .into_iter()
            .filter_map(|(place, kv)| {
                let mut store = kv.store.lock();
                store.sweep(now);
                let changes = store.is_dirty().then(|| store.changes());
                drop(store);
                changes.map(|changes| (place, kv, changes))
            })
            .collect();
        if changed.is_empty() {
            self.forget_unused();
            return Ok(());
        }
        let written = self.write(&changed);
        for (_, kv, _) in &changed {
            kv.store.lock().written(written.is_ok());
        }
        if written.is_ok() {
            debug!(stores = changed.len(), "plugin state saved");
        }
        drop(changed);
        self.forget_unused();
        written
    }

    fn write(&self, changed: &[(StoreId, Arc<Kv>, Changes)]) -> Result<(), StateError> {
        let mut slot = self.database.lock();
        let database = match slot.take() {
            Some(database) => database,
            None => self.create()?,
        };
        let changes = changed.iter().map(|(place, _, changes)| (place, changes));
        // After a failure the database wants to be opened anew.
        write(&database, changes)
            .map_err(|error| self.error(format!("can't be written: {error}")))?;
        *slot = Some(database);
        Ok(())
    }

    /// Lets go of stores that nobody else has and that the disk has whole.
    fn forget_unused(&self) {
        self.stores
            .lock()
            .retain(|_, kv| Arc::strong_count(kv) > 1 || kv.store.lock().is_dirty());
    }
}

fn damaged(error: &impl std::fmt::Display) -> String {
    format!("is damaged ({error}): restore it, or move it away to start without state")
}

type Records = Vec<(Arc<str>, Record)>;

/// The newest version of a store and its records.
fn read(database: &Database, place: &StoreId) -> Result<(u64, Records), redb::Error> {
    let (purpose, app) = (place.0, &*place.1);
    let transaction = database.begin_read()?;
    let versions = match transaction.open_table(purpose.versions()) {
        Ok(versions) => versions,
        // It was made, and nothing was written since.
        Err(TableError::TableDoesNotExist(_)) => return Ok((0, Vec::new())),
        Err(error) => return Err(error.into()),
    };
    let version = versions.get(app)?.map_or(0, |version| version.value());
    let entries = transaction.open_table(purpose.entries())?;
    let mut records = Vec::new();
    for entry in entries.range((app, "")..)? {
        let (key, value) = entry?;
        let (owner, key) = key.value();
        if owner != app {
            break;
        }
        let (version, expires, value) = value.value();
        let value = value.to_vec().into();
        let record = Record {
            value,
            version,
            expires,
        };
        records.push((key.into(), record));
    }
    Ok((version, records))
}

/// All of it or nothing.
fn write<'a>(
    database: &Database,
    changes: impl Iterator<Item = (&'a StoreId, &'a Changes)>,
) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    for ((purpose, app), changes) in changes {
        let mut versions = transaction.open_table(purpose.versions())?;
        let mut entries = transaction.open_table(purpose.entries())?;
        versions.insert(&**app, changes.version)?;
        for (key, record) in &changes.records {
            let key = (&**app, &**key);
            match record {
                Some(record) => {
                    let value = (record.version, record.expires, &record.value[..]);
                    entries.insert(key, value)?;
                }
                None => drop(entries.remove(key)?),
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

/// The thread that writes.
fn write_behind(shared: &WriterState, commands: &Receiver<WriterCommand>) {
    let mut due: Option<Instant> = None;
    let mut failing = false;
    loop {
        let wait = due.map_or(SWEEP, |due| due.saturating_duration_since(Instant::now()));
        let command = match commands.recv_timeout(wait) {
            Ok(WriterCommand::Changed) => {
                due.get_or_insert_with(|| Instant::now() + GATHER);
                continue;
            }
            Ok(command) => Some(command),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(WriterCommand::Stop),
        };
        let committed = shared.commit();
        match &committed {
            Ok(()) if failing => info!("plugin state is on disk again"),
            Err(error) if !failing => error!(
                %error,
                "plugin state can't be saved: it stays in memory until that works again"
            ),
            _ => {}
        }
        failing = committed.is_err();
        due = failing.then(|| Instant::now() + RETRY);
        match command {
            Some(WriterCommand::Save(done)) => {
                // Who asked may have left.
                let _ = done.send(committed.map_err(|error| error.to_string()));
            }
            Some(WriterCommand::Stop) => return,
            Some(WriterCommand::Changed) | None => {}
        }
    }
}

#[cfg(test)]
mod tests;
