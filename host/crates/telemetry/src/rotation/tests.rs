use std::os::unix::fs::PermissionsExt;

use super::*;

fn file(folder: &Path, size: u64, files: usize) -> RotatingFile {
    let limits = RotationLimits { size, files };
    RotatingFile::new(folder.join("a.log"), limits)
}

/// What is in the file and in those that were full, the newest first.
fn kept(folder: &Path) -> Vec<String> {
    let full = (1..10).map(|number| format!("a.log.{number}"));
    let names = ["a.log".to_owned()].into_iter().chain(full);
    let texts = names.map(|name| fs::read_to_string(folder.join(name)));
    texts.map_while(Result::ok).collect()
}

#[test]
fn a_full_file_makes_room_and_so_many_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = file(folder.path(), 8, 2);
    assert_eq!(kept(folder.path()), [""; 0]);
    for (line, expected) in [
        ("one\n", &["one\n"][..]),
        ("two\n", &["one\ntwo\n"][..]),
        ("3\n", &["3\n", "one\ntwo\n"][..]),
        ("four\n", &["3\nfour\n", "one\ntwo\n"][..]),
        // Longer than a file, and in a file of its own.
        ("fourteen\n", &["fourteen\n", "3\nfour\n", "one\ntwo\n"][..]),
        ("5\n", &["5\n", "fourteen\n", "3\nfour\n"][..]),
    ] {
        file.write_lines(line.as_bytes());
        assert_eq!(kept(folder.path()), expected, "{line}");
    }
}

#[test]
fn many_lines_at_once_are_cut_between_lines() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = file(folder.path(), 8, 3);
    file.write_all(b"a\nbb\nccc\ndddddddddddd\ne\nf\n").unwrap();
    let expected = ["e\nf\n", "dddddddddddd\n", "ccc\n", "a\nbb\n"];
    assert_eq!(kept(folder.path()), expected);
}

#[test]
fn a_lower_limit_removes_what_is_beyond_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = file(folder.path(), 2, 5);
    file.write_lines(b"1\n2\n3\n4\n5\n");
    assert_eq!(kept(folder.path()).len(), 5);
    file.set_limits(RotationLimits { size: 2, files: 1 });
    file.write_lines(b"6\n");
    assert_eq!(kept(folder.path()), ["6\n", "5\n"]);
    file.set_limits(RotationLimits { size: 2, files: 0 });
    file.write_lines(b"7\n");
    assert_eq!(kept(folder.path()), ["7\n"]);
}

#[test]
fn what_is_there_is_continued_in_a_folder_that_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("logs/today");
    file(&inner, 8, 1).write_lines(b"one\n");
    file(&inner, 8, 1).write_lines(b"two\n");
    file(&inner, 8, 1).write_lines(b"3\n");
    assert_eq!(kept(&inner), ["3\n", "one\ntwo\n"]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    // The tests' umask may take more away.
    assert_eq!(mode(&inner.join("a.log")) & !0o640, 0);
    assert_eq!(mode(&inner) & !0o700, 0);
}

#[test]
fn a_file_that_was_moved_or_removed_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = file(folder.path(), 100, 1);
    file.write_lines(b"one\n");
    fs::rename(folder.path().join("a.log"), folder.path().join("moved")).unwrap();
    file.write_lines(b"two\n");
    assert_eq!(kept(folder.path()), ["two\n"]);
    fs::remove_file(folder.path().join("a.log")).unwrap();
    file.write_lines(b"3\n");
    assert_eq!(kept(folder.path()), ["3\n"]);
    let moved = fs::read_to_string(folder.path().join("moved")).unwrap();
    assert_eq!(moved, "one\n");
}

#[test]
fn what_cannot_be_written_is_counted_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("a.log");
    fs::create_dir(&in_the_way).unwrap();
    let mut file = file(folder.path(), 100, 1);
    file.write_lines(b"one\ntwo\n");
    file.write_lines(b"3\n");
    assert_eq!(file.lost, 3);
    fs::remove_dir(&in_the_way).unwrap();
    file.write_lines(b"four\n");
    assert_eq!((file.lost, kept(folder.path())), (0, vec!["four\n".into()]));
}

#[test]
fn a_pipe_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("a.log");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    let mut file = file(folder.path(), 100, 1);
    file.write_lines(b"one\n");
    assert_eq!(file.lost, 1);
}
