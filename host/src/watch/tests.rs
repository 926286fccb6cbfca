use std::fs;

use super::*;

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
