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
use super::{Bell, Kv, Store, unix_ms};

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
type Key = (&'static str, &'static str);
/// Version, expiry in Unix milliseconds, value.
type Entry = (u64, Option<u64>, &'static [u8]);

/// What a store is for; each has tables of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::plugin) enum Purpose {
    /// What guests keep with the `kv` import.
    Plugin,
    /// Persistent shared objects.
    SharedObjects,
}

impl Purpose {
    const fn entries(self) -> TableDefinition<'static, Key, Entry> {
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
type Place = (Purpose, Arc<str>);

/// The state database can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the state database {}: {reason}", file.display())]
pub(in crate::plugin) struct StateError {
    file: PathBuf,
    reason: String,
}

/// What the thread that writes is told.
pub(super) enum Command {
    /// Some store has changed.
    Changed,
    /// Everything has to be on disk.
    Save(oneshot::Sender<Result<(), String>>),
    Stop,
}

/// The database and the thread that writes to it; dropping it writes what is
/// left and ends the thread.
pub(in crate::plugin) struct Disk {
    shared: Arc<Shared>,
    bell: Bell,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    folder: PathBuf,
    file: PathBuf,
    /// None until the first change, and after a failure.
    database: Mutex<Option<Database>>,
    /// The stores of now by their place, and those before that have changes.
    stores: Mutex<HashMap<Place, Arc<Kv>>>,
    rung: Arc<AtomicBool>,
}

impl Disk {
    /// Opens the database of `folder`, if there is one. It and the folder are
    /// created with the first change.
    pub(in crate::plugin) fn open(folder: &Path) -> Result<Self, StateError> {
        let rung = Arc::new(AtomicBool::new(false));
        let shared = Arc::new(Shared {
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
            bell: Bell { commands, rung },
            thread: Some(thread),
        })
    }

    /// The store of `app`, with what it had before. Reads the disk when `app`
    /// has not been asked for yet.
    pub(in crate::plugin) fn store(
        &self,
        purpose: Purpose,
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
        let _ = self.bell.commands.send(Command::Stop);
        if let Some(thread) = self.thread.take() {
            // It has nothing to tell: what it does not expect is a bug that
            // its panic message has told already.
            let _ = thread.join();
        }
    }
}

impl Shared {
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
    fn read(&self, place: &Place, quota: usize) -> Result<Store, StateError> {
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
            let clone = |(place, kv): (&Place, &Arc<Kv>)| (place.clone(), Arc::clone(kv));
            stores.iter().map(clone).collect()
        };
        let now = unix_ms();
        let changed: Vec<(Place, Arc<Kv>, Changes)> = stores
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

    fn write(&self, changed: &[(Place, Arc<Kv>, Changes)]) -> Result<(), StateError> {
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
fn read(database: &Database, place: &Place) -> Result<(u64, Records), redb::Error> {
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
    changes: impl Iterator<Item = (&'a Place, &'a Changes)>,
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
fn write_behind(shared: &Shared, commands: &Receiver<Command>) {
    let mut due: Option<Instant> = None;
    let mut failing = false;
    loop {
        let wait = due.map_or(SWEEP, |due| due.saturating_duration_since(Instant::now()));
        let command = match commands.recv_timeout(wait) {
            Ok(Command::Changed) => {
                due.get_or_insert_with(|| Instant::now() + GATHER);
                continue;
            }
            Ok(command) => Some(command),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Command::Stop),
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
            Some(Command::Save(done)) => {
                // Who asked may have left.
                let _ = done.send(committed.map_err(|error| error.to_string()));
            }
            Some(Command::Stop) => return,
            Some(Command::Changed) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const QUOTA: usize = 1 << 20;

    fn open(folder: &Path) -> Disk {
        Disk::open(folder).expect("the database opens")
    }

    fn set(kv: &Kv, key: &str, value: &str, ttl_ms: Option<u64>) -> u64 {
        kv.with(|store, now| store.set(key.into(), value.to_owned(), ttl_ms, now))
            .expect("it is set")
    }

    fn get(kv: &Kv, key: &str) -> Option<(String, u64)> {
        kv.with(|store, now| {
            let record = store.get(key, now)?;
            let value = String::from_utf8(record.value.to_vec()).unwrap();
            Some((value, record.version))
        })
    }

    #[test]
    fn state_returns_with_its_versions_for_each_application() {
        let folder = tempfile::tempdir().unwrap();
        let disk = open(folder.path());
        let (a, b) = (
            disk.store(Purpose::Plugin, "a", QUOTA).unwrap(),
            disk.store(Purpose::Plugin, "ab", QUOTA).unwrap(),
        );
        let one = set(&a, "key", "1", None);
        let two = set(&b, "key", "2", None);
        let gone = set(&a, "gone", "3", None);
        a.with(|store, _| store.remove("gone"));
        drop(disk);

        let disk = open(folder.path());
        let a = disk.store(Purpose::Plugin, "a", QUOTA).unwrap();
        let b = disk.store(Purpose::Plugin, "ab", QUOTA).unwrap();
        assert_eq!(get(&a, "key"), Some(("1".into(), one)));
        assert_eq!(get(&b, "key"), Some(("2".into(), two)));
        assert_eq!(get(&a, "gone"), None);
        assert!(set(&a, "gone", "4", None) > gone);
    }

    #[test]
    fn stores_for_two_purposes_know_nothing_of_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let both = |disk: &Disk| {
            [Purpose::Plugin, Purpose::SharedObjects].map(|p| disk.store(p, "a", QUOTA).unwrap())
        };
        let disk = open(folder.path());
        let [plugin, objects] = both(&disk);
        set(&plugin, "key", "1", None);
        set(&objects, "key", "2", None);
        disk.shared.commit().unwrap();
        plugin.with(|store, _| store.remove("key"));
        drop(disk);
        let [plugin, objects] = both(&open(folder.path()));
        assert_eq!(get(&plugin, "key"), None);
        assert_eq!(get(&objects, "key").unwrap().0, "2");
    }

    #[test]
    fn nothing_is_created_before_the_first_change() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("deep/state");
        let disk = open(&state);
        let kv = disk.store(Purpose::Plugin, "a", QUOTA).unwrap();
        assert_eq!(get(&kv, "key"), None);
        assert!(!state.exists());
        set(&kv, "key", "1", None);
        drop(disk);
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&state), 0o700);
        assert_eq!(mode(&state.join(FILE)), 0o600);
    }

    #[test]
    fn what_has_expired_leaves_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let disk = open(folder.path());
        let kv = disk.store(Purpose::Plugin, "a", QUOTA).unwrap();
        set(&kv, "short", "1", Some(1));
        set(&kv, "long", "2", Some(3_600_000));
        disk.shared.commit().unwrap();
        while get(&kv, "short").is_some() {
            thread::yield_now();
        }
        disk.shared.commit().unwrap();
        let database = disk.shared.database.lock();
        let (_, records) =
            read(database.as_ref().unwrap(), &(Purpose::Plugin, "a".into())).unwrap();
        let keys: Vec<&str> = records.iter().map(|(key, _)| &**key).collect();
        assert_eq!(keys, ["long"]);
    }

    #[test]
    fn a_damaged_file_is_told_in_one_line_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        let disk = open(folder.path());
        let kv = disk.store(Purpose::Plugin, "a", QUOTA).unwrap();
        for n in 0..200 {
            set(&kv, &format!("key{n}"), &"value".repeat(20), None);
        }
        drop(disk);
        let good = std::fs::read(&file).unwrap();
        let mut flipped = good.clone();
        let at = good
            .windows(20)
            .position(|window| window == b"valuevaluevaluevalue")
            .expect("a value is in the file");
        flipped[at] ^= 1;
        for bad in [
            b"not a database at all".to_vec(),
            good[..good.len() / 2].to_vec(),
            flipped,
            vec![0xff; 100_000],
        ] {
            std::fs::write(&file, &bad).unwrap();
            let Err(error) = Disk::open(folder.path()) else {
                panic!("opened: {:?}", &bad[..20]);
            };
            let error = error.to_string();
            assert!(
                error.contains("kv.redb") && error.contains("damaged") && !error.contains('\n'),
                "{error}"
            );
        }
    }

    #[test]
    fn one_wrong_byte_anywhere_is_no_panic_and_no_wrong_value() {
        const KEYS: u32 = 300;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        let disk = open(folder.path());
        let kv = disk.store(Purpose::Plugin, "a", QUOTA).unwrap();
        for n in 0..KEYS {
            set(&kv, &format!("key{n}"), &n.to_string().repeat(20), None);
        }
        drop(disk);
        let good = std::fs::read(&file).unwrap();
        let mut refused = 0;
        // Densely in the header, then all over the file.
        let all_over = (0..good.len()).step_by(good.len() / 200);
        for at in (0..512).step_by(4).chain(all_over) {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            std::fs::write(&file, &bad).unwrap();
            let kv =
                Disk::open(folder.path()).and_then(|disk| disk.store(Purpose::Plugin, "a", QUOTA));
            let Ok(kv) = kv else {
                refused += 1;
                continue;
            };
            // Unused, or mended from what redb keeps twice.
            for n in 0..KEYS {
                let value = get(&kv, &format!("key{n}")).map(|(value, _)| value);
                assert_eq!(value, Some(n.to_string().repeat(20)), "byte {at}");
            }
        }
        assert!(refused > 0, "some bytes matter");
    }

    #[test]
    fn one_server_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let disk = open(folder.path());
        set(
            &disk.store(Purpose::Plugin, "a", QUOTA).unwrap(),
            "key",
            "1",
            None,
        );
        disk.shared.commit().unwrap();
        let Err(error) = Disk::open(folder.path()) else {
            panic!("opened twice");
        };
        assert!(error.to_string().contains("another process"), "{error}");
    }

    #[tokio::test]
    async fn what_can_not_be_written_stays_and_is_written_later() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        // A file where the folder should be: not even root can write there.
        std::fs::write(&state, "").unwrap();
        let disk = Disk::open(&state);
        // The database can't be looked for below a file.
        assert!(disk.is_err());
        std::fs::remove_file(&state).unwrap();
        let disk = open(&state);
        let kv = disk.store(Purpose::Plugin, "a", QUOTA).unwrap();
        std::fs::write(&state, "").unwrap();
        set(&kv, "key", "1", None);
        let error = kv.save().await.unwrap_err();
        assert!(error.contains("can't be created"), "{error}");
        assert_eq!(get(&kv, "key").unwrap().0, "1");
        std::fs::remove_file(&state).unwrap();
        kv.save().await.unwrap();
        drop(disk);
        let kv = open(&state).store(Purpose::Plugin, "a", QUOTA).unwrap();
        assert_eq!(get(&kv, "key").unwrap().0, "1");
    }

    #[test]
    fn a_store_that_is_used_again_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let disk = open(folder.path());
        let kv = disk.store(Purpose::Plugin, "a", QUOTA).unwrap();
        set(&kv, "key", "1", None);
        // Its application is removed and added before anything is written.
        drop(kv);
        let kv = disk.store(Purpose::Plugin, "a", QUOTA).unwrap();
        assert!(get(&kv, "key").is_some());
        drop(kv);
        disk.shared.commit().unwrap();
        assert!(disk.shared.stores.lock().is_empty(), "nobody needs it");
    }
}
