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

use stamp::Stamp;

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
            if let Some(change) = Change::of(event)
                && change.is_about(&interesting.load())
                && seen.try_send(change).is_err()
            {
                full.store(true, Ordering::Release);
            }
        });
        let watcher = watcher.inspect_err(|error| say_deaf(&reason(error))).ok();
        let shared = Arc::new(Shared(Mutex::new(Watched {
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
    /// None when the system gives none: files are looked at all the same.
    watcher: Option<RecommendedWatcher>,
    /// The task goes on looking then: nobody else may have this end.
    _open: mpsc::Sender<Change>,
    /// Places and directories, for the watcher's thread. It may not wait for
    /// the lock, which is held while a directory is given to it.
    paths: Arc<ArcSwap<HashSet<PathBuf>>>,
    /// The files as given, and how each was when last looked at.
    stamps: HashMap<PathBuf, Stamp>,
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
            let stamp = before.remove(&file).unwrap_or_else(|| Stamp::of(&file));
            (file, stamp)
        });
        self.stamps = stamps.collect();
        Ok(())
    }

    fn files(&self) -> Vec<PathBuf> {
        self.stamps.keys().cloned().collect()
    }

    /// Those of `seen` that are other than when last looked at.
    fn compare(&mut self, seen: Vec<(PathBuf, Stamp)>) -> Vec<PathBuf> {
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
    fn concerned(&mut self, change: Change) -> Vec<PathBuf> {
        let Change::Paths(paths) = change else {
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
async fn look(shared: &Arc<Shared>) -> Vec<PathBuf> {
    let shared = Arc::clone(shared);
    let looked = tokio::task::spawn_blocking(move || {
        let files = shared.lock().files();
        let seen = files.into_iter().map(|file| (Stamp::of(&file), file));
        let seen = seen.map(|(stamp, file)| (file, stamp)).collect();
        shared.lock().compare(seen)
    });
    looked.await.unwrap_or_default()
}

/// Reports files once their changes have come to rest.
async fn debounce(
    shared: Arc<Shared>,
    mut changes: mpsc::Receiver<Change>,
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
            _ if missed.swap(false, Ordering::AcqRel) => shared.lock().concerned(Change::Anything),
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const SOON: Duration = Duration::from_secs(20);

    /// The one file that is reported next.
    async fn next(reports: &mut mpsc::Receiver<Vec<PathBuf>>) -> PathBuf {
        let mut all = next_all(reports).await;
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    async fn next_all(reports: &mut mpsc::Receiver<Vec<PathBuf>>) -> Vec<PathBuf> {
        tokio::time::timeout(SOON, reports.recv())
            .await
            .expect("a report in time")
            .expect("the watcher lives")
    }

    /// Nothing but `marker` is reported: whatever was pending comes before it,
    /// or never.
    async fn only(reports: &mut mpsc::Receiver<Vec<PathBuf>>, marker: &Path) {
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

    /// What a Kubernetes volume and a folder of releases have in common: a link
    /// on the way to the files is replaced, and what it led to may stay.
    #[cfg(unix)]
    async fn swapped(folder: &Path, link: &str, files: &[PathBuf], is_removed: bool) {
        use std::os::unix::fs::symlink;
        let (_watcher, mut reports) = Watcher::new(files.to_vec()).unwrap();
        for version in ["v2", "v3"] {
            let old = fs::read_link(folder.join(link)).unwrap();
            fs::create_dir(folder.join(version)).unwrap();
            for file in files {
                let name = file.file_name().unwrap();
                fs::write(folder.join(version).join(name), version).unwrap();
            }
            symlink(version, folder.join("new")).unwrap();
            fs::rename(folder.join("new"), folder.join(link)).unwrap();
            if is_removed {
                fs::remove_dir_all(folder.join(old)).unwrap();
            }
            assert_eq!(next_all(&mut reports).await, files, "{version}");
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_link_on_the_way_to_files_is_followed_and_they_are_reported_together() {
        use std::os::unix::fs::symlink;
        for is_removed in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path();
            fs::create_dir(folder.join("v1")).unwrap();
            for name in ["a.wasm", "config.ron"] {
                fs::write(folder.join("v1").join(name), "v1").unwrap();
            }
            symlink("v1", folder.join("..data")).unwrap();
            let inside = ["a.wasm", "config.ron"].map(|name| folder.join("..data").join(name));
            if is_removed {
                let linked = inside.clone().map(|inside| {
                    let name = inside.file_name().unwrap();
                    symlink(Path::new("..data").join(name), folder.join(name)).unwrap();
                    folder.join(name)
                });
                swapped(folder, "..data", &linked, true).await;
            } else {
                swapped(folder, "..data", &inside, false).await;
            }
        }
    }

    #[tokio::test]
    async fn without_the_system_s_help_files_are_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.wasm");
        let (watcher, mut reports) = Watcher::new([file.clone()]).unwrap();
        watcher.shared.lock().watcher = None;
        for content in ["created", "written"] {
            fs::write(&file, content).unwrap();
            assert_eq!(next(&mut reports).await, file);
        }
    }
}
