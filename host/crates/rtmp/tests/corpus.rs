//! What fuzzing found, once more: `make fuzz` says how it came to be.

// clippy.toml allows these in test functions; helpers are tests as well.
#![allow(clippy::expect_used, clippy::panic)]

use std::{fs, panic::catch_unwind, path::Path};

use livehost_rtmp::fuzz;

#[test]
fn nothing_that_a_client_sends_makes_the_server_panic() {
    replay("session", fuzz::session);
}

#[test]
fn no_handshake_makes_an_end_panic() {
    replay("handshake", fuzz::handshake);
}

#[test]
fn no_chunk_stream_makes_its_reader_panic() {
    replay("chunk", fuzz::chunk);
}

#[test]
fn no_message_makes_its_decoders_panic() {
    replay("message", fuzz::message);
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
