//! What real clients do, replayed against the server's state machine alone.
//!
//! Each test is a file of `host/testdata/transcripts`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's way to fail; clippy's own allowance covers test functions only"
)]

mod machine;
mod support;
#[allow(dead_code, reason = "the end-to-end tests need more of it")]
#[path = "../../../../tests/common/transcript/mod.rs"]
mod transcript;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use machine::Machine;
use transcript::replay::{Scope, replay};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/transcripts")
}

fn run(test: &str) {
    let file = folder().join(test.replace('_', "-")).with_extension("txt");
    let transcript = transcript::read(&file);
    if transcript.server_only {
        return;
    }
    let outcome = replay(&transcript, Scope::Machine, || Box::new(Machine::new()));
    if let Err(why) = outcome {
        panic!("{why}");
    }
    // However the network cuts what a client sends, the answers are the same.
    for piece in [1, 7] {
        let mut slow = transcript::read(&file);
        for client in ['A', 'B', 'C'] {
            slow.cut(client, piece);
        }
        if let Err(why) = replay(&slow, Scope::Machine, || Box::new(Machine::new())) {
            panic!("{piece} bytes at a time: {why}");
        }
    }
}

macro_rules! transcripts {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name));
        })*

        #[test]
        fn every_transcript_is_a_test() {
            let mut tests = vec![$(stringify!($name).replace('_', "-")),*];
            let files = transcript::all(&folder());
            let mut files: Vec<_> = files.into_iter().map(|t| t.name).collect();
            tests.sort();
            files.sort();
            assert_eq!(tests, files, "the list in this file, and the files");
        }
    };
}

/// `docs/clients.md` names every transcript, and none that there isn't.
#[test]
fn the_table_of_clients_names_every_transcript() {
    let files: BTreeSet<_> = transcript::all(&folder())
        .into_iter()
        .map(|transcript| transcript.name)
        .collect();
    let text =
        fs::read_to_string(folder().join("../../../docs/clients.md")).expect("docs/clients.md");
    let named: BTreeSet<_> = text
        .lines()
        .filter(|line| line.starts_with('|'))
        // The last cell but one; cells before it may hold anything.
        .filter_map(|line| line.trim_matches('|').rsplit(" | ").nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect();
    let unnamed: Vec<_> = files.difference(&named).collect();
    let missing: Vec<_> = named.difference(&files).collect();
    assert!(unnamed.is_empty(), "not in docs/clients.md: {unnamed:?}");
    assert!(missing.is_empty(), "no such transcript: {missing:?}");
}

include!("list.rs");
