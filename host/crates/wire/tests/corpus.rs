//! What fuzzing found, once more: `make fuzz` says how it came to be.

// clippy.toml allows these in test functions; helpers are tests as well.
#![allow(clippy::expect_used, clippy::panic)]

use std::{fs, panic::catch_unwind, path::Path};

use livehost_wire::fuzz;

#[test]
fn no_amf0_makes_its_reader_panic() {
    replay("amf0", fuzz::amf0);
}

#[test]
fn no_amf3_makes_its_reader_panic() {
    replay("amf3", fuzz::amf3);
}

#[test]
fn no_flv_tag_makes_its_reader_panic() {
    replay("flv_tag", fuzz::flv_tag);
}

/// Runs a target on each file of its corpus.
fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let files = fs::read_dir(folder.join(name)).expect("the corpus is in the repository");
    let mut count = 0;
    for file in files {
        let path = file.expect("a readable folder").path();
        let data = fs::read(&path).expect("a readable file");
        if catch_unwind(|| target(&data)).is_err() {
            panic!("{} fails: see above", path.display());
        }
        count += 1;
    }
    assert!(count > 10, "expected a corpus, found {count} files");
}
