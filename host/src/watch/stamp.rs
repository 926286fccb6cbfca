//! What tells one state of a file from another without reading it.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A file as it was at one moment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileStamp(Option<FileState>);

#[derive(Debug, PartialEq, Eq)]
struct FileState {
    /// Where all links lead.
    place: PathBuf,
    /// Another file at the same place has another.
    identity: (u64, u64),
    size: u64,
    modified: Option<SystemTime>,
}

impl FileStamp {
    /// The file at `path` now; a missing one is a state, too.
    pub(super) fn of(path: &Path) -> Self {
        let found = || {
            let place = path.canonicalize().ok()?;
            let metadata = place.metadata().ok()?;
            #[cfg(unix)]
            let identity = {
                use std::os::unix::fs::MetadataExt as _;
                (metadata.dev(), metadata.ino())
            };
            #[cfg(not(unix))]
            let identity = (0, 0);
            Some(FileState {
                place,
                identity,
                size: metadata.len(),
                modified: metadata.modified().ok(),
            })
        };
        Self(found())
    }
}
