//! File changes, as a stream of paths.
//!
//! Flows in: the files to watch. Flows out: the paths of those that changed, once
//! for each burst of changes. Parent directories are watched, since an atomic
//! rename (what editors and deployers do) ends a watch on the file itself. Of a
//! symbolic link, the place it leads to is watched as well.
//!
//! The system tells nobody that a link on the way to a file leads elsewhere now
//! (`current`, the `..data` of a Kubernetes volume), nor what another machine
//! wrote. So every 2 s the files are looked at, too.

mod stamp;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::warn;

use stamp::FileStamp;

/// A burst of changes is over after so long without another.
const QUIET: Duration = Duration::from_millis(100);
/// Files that never rest are reported all the same.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often a directory that was removed is looked for.
const RETRY: Duration = Duration::from_millis(500);
/// How often all files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Watches files until it is dropped.
#[derive(Debug)]
pub struct Watcher {
    shared: Arc<SharedFiles>,
    task: JoinHandle<()>,
}

/// A file can't be watched.
#[derive(Debug, thiserror::Error)]
#[error("can't watch {}: {reason}", path.display())]
pub struct WatchError {
    /// The file or its directory.
    pub path: PathBuf,
    /// What the operating system said.
    pub reason: String,
}

impl Watcher {
    /// Starts to watch `files`. Each path arrives, exactly as given, about
    /// 100 ms after the file was created, written, replaced or removed, and 2 s
    /// later where the system tells nothing; what changed together arrives
    /// together. The files need not exist, their directories must.
    ///
    /// Must run inside a tokio runtime.
    pub fn new(
        files: impl IntoIterator<Item = PathBuf>,
    ) -> Result<(Self, mpsc::Receiver<Vec<PathBuf>>), WatchError> {
        let (seen, changes) = mpsc::channel(64);
        let missed = Arc::new(AtomicBool::new(false));
        let full = Arc::clone(&missed);
        let paths = Arc::<ArcSwap<HashSet<PathBuf>>>::default();
        let interesting = Arc::clone(&paths);
        let open = seen.clone();
        // Must not wait: its thread also serves `watch` and `unwatch`, which
        // the receiving task calls.
        let watcher = notify::recommended_watcher(move |event| {
            if let Some(change) = Reported::of(event)
                && change.is_about(&interesting.load())
                && seen.try_send(change).is_err()
            {
                full.store(true, Ordering::Release);
            }
        });
        let watcher = watcher.inspect_err(|error| say_deaf(&reason(error))).ok();
        let shared = Arc::new(SharedFiles(Mutex::new(WatchedFiles {
            watcher,
            _open: open,
            paths,
            stamps: HashMap::new(),
            places: HashMap::new(),
            directories: HashSet::new(),
            lost: HashSet::new(),
        })));
        shared.lock().set(files.into_iter().collect())?;
        let (report, reports) = mpsc::channel(64);
        let task = tokio::spawn(debounce(Arc::clone(&shared), changes, missed, report));
        Ok((Self { shared, task }, reports))
    }

    /// Replaces the set of watched files. After an error the old set is still
    /// watched.
    pub fn set(&mut self, files: impl IntoIterator<Item = PathBuf>) -> Result<(), WatchError> {
        self.shared.lock().set(files.into_iter().collect())
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the system reported.
#[derive(Debug)]
enum Reported {
    /// Something happened to these paths.
    Paths(Vec<PathBuf>),
    /// Events were lost.
    Anything,
}

impl Reported {
    fn of(event: notify::Result<notify::Event>) -> Option<Self> {
        let Ok(event) = event else {
            return Some(Self::Anything);
        };
        if event.need_rescan() {
            return Some(Self::Anything);
        }
        match event.kind {
            // Our own reading must not count as a change.
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {}
            EventKind::Access(_) => return None,
            _ => {}
        }
        Some(Self::Paths(event.paths))
    }

    /// Others in the same folder, such as the log of a server started there,
    /// are written all the time: nobody is woken for them.
    fn is_about(&self, interesting: &HashSet<PathBuf>) -> bool {
        match self {
            Self::Paths(paths) => paths.iter().any(|path| interesting.contains(path)),
            Self::Anything => true,
        }
    }
}

#[derive(Debug)]
struct SharedFiles(Mutex<WatchedFiles>);

impl SharedFiles {
    fn lock(&self) -> MutexGuard<'_, WatchedFiles> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct WatchedFiles {
    /// None when the system gives none: files are looked at all the same.
    watcher: Option<RecommendedWatcher>,
    /// The task goes on looking then: nobody else may have this end.
    _open: mpsc::Sender<Reported>,
    /// Places and directories, for the watcher's thread. It may not wait for
    /// the lock, which is held while a directory is given to it.
    paths: Arc<ArcSwap<HashSet<PathBuf>>>,
    /// The files as given, and how each was when last looked at.
    stamps: HashMap<PathBuf, FileStamp>,
    /// Where a change means a change of which files.
    places: HashMap<PathBuf, Vec<PathBuf>>,
    directories: HashSet<PathBuf>,
    /// Directories that were removed.
    lost: HashSet<PathBuf>,
}

impl WatchedFiles {
    fn set(&mut self, files: Vec<PathBuf>) -> Result<(), WatchError> {
        let places = places(&files)?;
        let wanted: HashSet<PathBuf> = places
            .keys()
            .filter_map(|place| place.parent().map(Path::to_owned))
            .collect();
        let paths = || places.keys().chain(&wanted).cloned();
        // Those from before as well, until it is certain that they are not
        // watched any more.
        let before = self.paths.load_full();
        self.paths
            .store(Arc::new(before.iter().cloned().chain(paths()).collect()));
        for directory in wanted.difference(&self.directories) {
            let Some(watcher) = &mut self.watcher else {
                break;
            };
            match watcher.watch(directory, RecursiveMode::NonRecursive) {
                Ok(()) => {}
                Err(error) if is_full(&error) => say_deaf(&reason(&error)),
                Err(error) => {
                    return Err(WatchError {
                        path: directory.clone(),
                        reason: reason(&error),
                    });
                }
            }
        }
        self.paths.store(Arc::new(paths().collect()));
        for directory in self.directories.difference(&wanted) {
            // It may be gone already.
            let _ = self
                .watcher
                .as_mut()
                .map(|watcher| watcher.unwatch(directory));
        }
        self.lost.retain(|directory| wanted.contains(directory));
        self.directories = wanted;
        self.places = places;
        let mut before = std::mem::take(&mut self.stamps);
        let stamps = files.into_iter().map(|file| {
            let stamp = before.remove(&file).unwrap_or_else(|| FileStamp::of(&file));
            (file, stamp)
        });
        self.stamps = stamps.collect();
        Ok(())
    }

    fn files(&self) -> Vec<PathBuf> {
        self.stamps.keys().cloned().collect()
    }

    /// Those of `seen` that are other than when last looked at.
    fn compare(&mut self, seen: Vec<(PathBuf, FileStamp)>) -> Vec<PathBuf> {
        let mut changed = Vec::new();
        for (file, stamp) in seen {
            if let Some(known) = self.stamps.get_mut(&file)
                && *known != stamp
            {
                *known = stamp;
                changed.push(file);
            }
        }
        changed
    }

    /// The watched files that `change` is about.
    fn concerned(&mut self, change: Reported) -> Vec<PathBuf> {
        let Reported::Paths(paths) = change else {
            return self.files();
        };
        let mut concerned = Vec::new();
        for path in paths {
            if let Some(files) = self.places.get(&path) {
                concerned.extend(files.iter().cloned());
            }
            if self.directories.contains(&path) && !path.is_dir() {
                self.lost.insert(path);
            }
        }
        concerned
    }

    /// A link may lead elsewhere now; a failure leaves the watches as they are.
    fn follow_links(&mut self) {
        let files = self.files();
        if let Err(error) = self.set(files) {
            warn!(%error, "a moved file is not watched");
        }
    }

    /// Watches directories again that have come back; the files in them.
    fn find_lost(&mut self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let back: Vec<PathBuf> = self.lost.iter().filter(|d| d.is_dir()).cloned().collect();
        for directory in back {
            if let Some(watcher) = &mut self.watcher {
                let _ = watcher.unwatch(&directory);
                let watched = watcher.watch(&directory, RecursiveMode::NonRecursive);
                if watched.is_err() {
                    continue;
                }
            }
            let inside = self
                .places
                .iter()
                .filter(|(place, _)| place.parent() == Some(&directory))
                .flat_map(|(_, files)| files.iter().cloned());
            found.extend(inside);
            self.lost.remove(&directory);
        }
        found
    }
}

/// Each file's own place, and the place that links lead to.
fn places(files: &[PathBuf]) -> Result<HashMap<PathBuf, Vec<PathBuf>>, WatchError> {
    let mut places: HashMap<PathBuf, Vec<PathBuf>> = HashMap::new();
    for file in files {
        let place = std::path::absolute(file).map_err(|error| WatchError {
            path: file.clone(),
            reason: error.to_string(),
        })?;
        if let Ok(target) = place.canonicalize()
            && target != place
        {
            places.entry(target).or_default().push(file.clone());
        }
        places.entry(place).or_default().push(file.clone());
    }
    Ok(places)
}

/// The system's words, without notify's list of paths.
fn reason(error: &notify::Error) -> String {
    match &error.kind {
        notify::ErrorKind::Io(error) => error.to_string(),
        notify::ErrorKind::PathNotFound => "the directory does not exist".into(),
        other => format!("{other:?}"),
    }
}

/// More is not watched on this machine.
fn is_full(error: &notify::Error) -> bool {
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => true,
        notify::ErrorKind::Io(error) => error.kind() == std::io::ErrorKind::StorageFull,
        _ => false,
    }
}

fn say_deaf(reason: &str) {
    warn!(
        reason,
        "the system does not tell of changed files, so they are looked at every 2 s: raise the \
         sysctls fs.inotify.max_user_instances and fs.inotify.max_user_watches"
    );
}

/// Looks at all files; those that are other than before. A file system may take
/// its time, so no thread of the runtime waits for it.
async fn look(shared: &Arc<SharedFiles>) -> Vec<PathBuf> {
    let shared = Arc::clone(shared);
    let looked = tokio::task::spawn_blocking(move || {
        let files = shared.lock().files();
        let seen = files.into_iter().map(|file| (FileStamp::of(&file), file));
        let seen = seen.map(|(stamp, file)| (file, stamp)).collect();
        shared.lock().compare(seen)
    });
    looked.await.unwrap_or_default()
}

/// Reports files once their changes have come to rest.
async fn debounce(
    shared: Arc<SharedFiles>,
    mut changes: mpsc::Receiver<Reported>,
    missed: Arc<AtomicBool>,
    report: mpsc::Sender<Vec<PathBuf>>,
) {
    /// First and latest change.
    struct Burst(Instant, Instant);
    let mut burst: Option<Burst> = None;
    let mut changed = BTreeSet::new();
    let mut look_at = Instant::now() + LOOK;
    loop {
        let due = burst
            .as_ref()
            .map(|burst| (burst.1 + QUIET).min(burst.0 + PATIENCE));
        let lost = !shared.lock().lost.is_empty();
        let retry = lost.then(|| Instant::now() + RETRY);
        let wake = [due, retry]
            .into_iter()
            .flatten()
            .fold(look_at, Instant::min);
        let change = tokio::time::timeout_at(wake, changes.recv()).await.ok();
        let now = Instant::now();
        let mut concerned = match change {
            // The watcher is gone.
            Some(None) => return,
            // Looked at in each turn: it may be set a little after the change
            // that found no room.
            _ if missed.swap(false, Ordering::AcqRel) => {
                shared.lock().concerned(Reported::Anything)
            }
            Some(Some(change)) => shared.lock().concerned(change),
            None if lost => shared.lock().find_lost(),
            None => Vec::new(),
        };
        if look_at <= now {
            concerned.extend(look(&shared).await);
            look_at = Instant::now() + LOOK;
        }
        if !concerned.is_empty() {
            burst.get_or_insert(Burst(now, now)).1 = now;
            changed.extend(concerned);
        }
        if due.is_none_or(|due| now < due) {
            continue;
        }
        burst = None;
        // A link that leads elsewhere may have moved them all.
        changed.extend(look(&shared).await);
        shared.lock().follow_links();
        let rested = std::mem::take(&mut changed).into_iter().collect();
        if report.send(rested).await.is_err() {
            return;
        }
    }
}
