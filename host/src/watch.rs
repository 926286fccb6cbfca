//! File changes, as a stream of paths.
//!
//! Flows in: the files to watch. Flows out: a file's path, once for each burst
//! of changes. Parent directories are watched, since an atomic rename (what
//! editors and deployers do) ends a watch on the file itself. Of a symbolic
//! link, the place it leads to is watched as well.

use std::collections::{HashMap, HashSet};
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

/// A burst of changes is over after so long without another.
const QUIET: Duration = Duration::from_millis(100);
/// A file that never rests is reported all the same.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often a directory that was removed is looked for.
const RETRY: Duration = Duration::from_millis(500);

/// Watches files until it is dropped.
#[derive(Debug)]
pub struct Watcher {
    shared: Arc<Shared>,
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
    /// 100 ms after the file was created, written, replaced or removed. The
    /// files need not exist, their directories must.
    ///
    /// Must run inside a tokio runtime.
    pub fn new(
        files: impl IntoIterator<Item = PathBuf>,
    ) -> Result<(Self, mpsc::Receiver<PathBuf>), WatchError> {
        let (seen, changes) = mpsc::channel(64);
        let missed = Arc::new(AtomicBool::new(false));
        let full = Arc::clone(&missed);
        let paths = Arc::<ArcSwap<HashSet<PathBuf>>>::default();
        let interesting = Arc::clone(&paths);
        // Must not wait: its thread also serves `watch` and `unwatch`, which
        // the receiving task calls.
        let watcher = notify::recommended_watcher(move |event| {
            if let Some(change) = Change::of(event)
                && change.is_about(&interesting.load())
                && seen.try_send(change).is_err()
            {
                full.store(true, Ordering::Release);
            }
        })
        .map_err(|error| WatchError {
            path: PathBuf::new(),
            reason: error.to_string(),
        })?;
        let shared = Arc::new(Shared(Mutex::new(Watched {
            watcher,
            paths,
            files: Vec::new(),
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
enum Change {
    /// Something happened to these paths.
    Paths(Vec<PathBuf>),
    /// Events were lost.
    Anything,
}

impl Change {
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
struct Shared(Mutex<Watched>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Watched {
    watcher: RecommendedWatcher,
    /// Places and directories, for the watcher's thread. It may not wait for
    /// the lock, which is held while a directory is given to it.
    paths: Arc<ArcSwap<HashSet<PathBuf>>>,
    /// As given.
    files: Vec<PathBuf>,
    /// Where a change means a change of which files.
    places: HashMap<PathBuf, Vec<PathBuf>>,
    directories: HashSet<PathBuf>,
    /// Directories that were removed.
    lost: HashSet<PathBuf>,
}

impl Watched {
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
            self.watcher
                .watch(directory, RecursiveMode::NonRecursive)
                .map_err(|error| WatchError {
                    path: directory.clone(),
                    reason: reason(&error),
                })?;
        }
        self.paths.store(Arc::new(paths().collect()));
        for directory in self.directories.difference(&wanted) {
            // It may be gone already.
            let _ = self.watcher.unwatch(directory);
        }
        self.lost.retain(|directory| wanted.contains(directory));
        self.directories = wanted;
        self.places = places;
        self.files = files;
        Ok(())
    }

    /// The watched files that `change` is about.
    fn concerned(&mut self, change: Change) -> Vec<PathBuf> {
        let Change::Paths(paths) = change else {
            return self.files.clone();
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
        let files = self.files.clone();
        if let Err(error) = self.set(files) {
            tracing::warn!(%error, "a moved file is not watched");
        }
    }

    /// Watches directories again that have come back; the files in them.
    fn find_lost(&mut self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let back: Vec<PathBuf> = self.lost.iter().filter(|d| d.is_dir()).cloned().collect();
        for directory in back {
            let _ = self.watcher.unwatch(&directory);
            let watched = self.watcher.watch(&directory, RecursiveMode::NonRecursive);
            if watched.is_err() {
                continue;
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

/// Reports each file once its changes have come to rest.
async fn debounce(
    shared: Arc<Shared>,
    mut changes: mpsc::Receiver<Change>,
    missed: Arc<AtomicBool>,
    report: mpsc::Sender<PathBuf>,
) {
    /// First and latest change of a burst.
    struct Burst(Instant, Instant);
    let mut bursts: HashMap<PathBuf, Burst> = HashMap::new();
    loop {
        let due = |burst: &Burst| (burst.1 + QUIET).min(burst.0 + PATIENCE);
        let next = bursts.values().map(due).min();
        let lost = !shared.lock().lost.is_empty();
        let retry = lost.then(|| Instant::now() + RETRY);
        let wake = [next, retry].into_iter().flatten().min();
        let change = match wake {
            Some(wake) => tokio::time::timeout_at(wake, changes.recv()).await.ok(),
            None => Some(changes.recv().await),
        };
        let now = Instant::now();
        let concerned = match change {
            // The watcher is gone.
            Some(None) => return,
            // Looked at in each turn: it may be set a little after the change
            // that found no room.
            _ if missed.swap(false, Ordering::AcqRel) => shared.lock().concerned(Change::Anything),
            Some(Some(change)) => shared.lock().concerned(change),
            None if lost => shared.lock().find_lost(),
            None => Vec::new(),
        };
        for file in concerned {
            bursts.entry(file).or_insert(Burst(now, now)).1 = now;
        }
        let rested: Vec<PathBuf> = bursts
            .iter()
            .filter(|(_, burst)| due(burst) <= now)
            .map(|(file, _)| file.clone())
            .collect();
        if !rested.is_empty() {
            shared.lock().follow_links();
        }
        for file in rested {
            bursts.remove(&file);
            if report.send(file).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const SOON: Duration = Duration::from_secs(20);

    async fn next(reports: &mut mpsc::Receiver<PathBuf>) -> PathBuf {
        tokio::time::timeout(SOON, reports.recv())
            .await
            .expect("a report in time")
            .expect("the watcher lives")
    }

    /// Nothing but `marker` is reported: whatever was pending comes before it,
    /// or never.
    async fn only(reports: &mut mpsc::Receiver<PathBuf>, marker: &Path) {
        tokio::time::sleep(2 * QUIET).await;
        fs::write(marker, "now").unwrap();
        assert_eq!(next(reports).await, marker);
    }

    #[tokio::test]
    async fn a_file_is_reported_once_for_every_way_to_replace_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.wasm");
        let marker = folder.path().join("marker");
        let (_watcher, mut reports) = Watcher::new([file.clone(), marker.clone()]).unwrap();

        fs::write(&file, "created").unwrap();
        assert_eq!(next(&mut reports).await, file);

        fs::write(&file, "written in place").unwrap();
        assert_eq!(next(&mut reports).await, file);

        for content in ["renamed over it", "twice: the watch survives"] {
            let new = folder.path().join("new");
            fs::write(&new, content).unwrap();
            fs::rename(&new, &file).unwrap();
            assert_eq!(next(&mut reports).await, file);
        }

        fs::remove_file(&file).unwrap();
        assert_eq!(next(&mut reports).await, file);
        only(&mut reports, &marker).await;
    }

    #[tokio::test]
    async fn reading_and_other_files_are_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.wasm");
        let marker = folder.path().join("marker");
        fs::write(&file, "there").unwrap();
        let (_watcher, mut reports) = Watcher::new([file.clone(), marker.clone()]).unwrap();
        fs::read(&file).unwrap();
        fs::write(folder.path().join("b.wasm"), "other").unwrap();
        only(&mut reports, &marker).await;
    }

    #[tokio::test]
    async fn a_busy_folder_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.wasm");
        let marker = folder.path().join("marker");
        let (_watcher, mut reports) = Watcher::new([file.clone(), marker.clone()]).unwrap();
        // More than can be looked at meanwhile: the task has no turn in between.
        for line in 0..500 {
            fs::write(folder.path().join("log"), line.to_string()).unwrap();
        }
        only(&mut reports, &marker).await;
    }

    #[tokio::test]
    async fn a_relative_path_comes_back_as_given() {
        let folder = tempfile::tempdir_in(".").unwrap();
        let name = folder.path().file_name().unwrap();
        let file = Path::new(name).join("a.wasm");
        let (_watcher, mut reports) = Watcher::new([file.clone()]).unwrap();
        fs::write(&file, "created").unwrap();
        assert_eq!(next(&mut reports).await, file);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn links_are_followed_also_after_they_moved() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        for version in ["v1", "v2"] {
            fs::create_dir(place(version)).unwrap();
            fs::write(place(version).join("a.wasm"), version).unwrap();
        }
        let link = place("a.wasm");
        symlink(place("v1/a.wasm"), &link).unwrap();
        let (_watcher, mut reports) = Watcher::new([link.clone()]).unwrap();

        fs::write(place("v1/a.wasm"), "v1 again").unwrap();
        assert_eq!(next(&mut reports).await, link);

        symlink(place("v2/a.wasm"), place("new")).unwrap();
        fs::rename(place("new"), &link).unwrap();
        assert_eq!(next(&mut reports).await, link);

        fs::write(place("v2/a.wasm"), "v2 again").unwrap();
        assert_eq!(next(&mut reports).await, link);
    }

    #[tokio::test]
    async fn a_directory_may_be_removed_and_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let plugins = folder.path().join("plugins");
        let file = plugins.join("a.wasm");
        fs::create_dir(&plugins).unwrap();
        fs::write(&file, "first").unwrap();
        let (_watcher, mut reports) = Watcher::new([file.clone()]).unwrap();

        fs::remove_dir_all(&plugins).unwrap();
        assert_eq!(next(&mut reports).await, file);
        fs::create_dir(&plugins).unwrap();
        fs::write(&file, "second").unwrap();
        assert_eq!(next(&mut reports).await, file);
        fs::write(&file, "third").unwrap();
        assert_eq!(next(&mut reports).await, file);
    }

    #[tokio::test]
    async fn the_set_of_files_can_change() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("1"), folder.path().join("2"));
        let (mut watcher, mut reports) = Watcher::new([first.clone()]).unwrap();
        watcher.set([second.clone()]).unwrap();
        fs::write(&first, "not any more").unwrap();
        only(&mut reports, &second).await;
    }

    #[tokio::test]
    async fn a_missing_directory_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let Err(error) = Watcher::new([missing.join("a.wasm")]) else {
            panic!("watched");
        };
        assert_eq!(error.path, missing);
    }
}
