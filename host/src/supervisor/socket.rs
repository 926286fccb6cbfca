//! Where control sockets are.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;

use crate::config::SocketPlace;

/// The folder below one that users or servers share.
const FOLDER: &str = "livehost";
/// What socket files end with.
const EXTENSION: &str = "sock";

/// Where this process's is; none if there shall be none.
pub(super) fn path(place: &SocketPlace) -> Option<PathBuf> {
    match place {
        SocketPlace::Off => None,
        SocketPlace::At(path) => Some(path.clone()),
        SocketPlace::Auto => {
            let folder = folders().into_iter().next()?;
            Some(folder.join(format!("{}.{EXTENSION}", std::process::id())))
        }
    }
}

/// Folders in which a server's may be, the likeliest first.
fn folders() -> Vec<PathBuf> {
    // Systemd's may be several, joined by colons.
    let of_unit = env::var_os("RUNTIME_DIRECTORY");
    let of_unit = of_unit.and_then(|folders| env::split_paths(&folders).next());
    let of_user = env::var_os("XDG_RUNTIME_DIR").map(|folder| PathBuf::from(folder).join(FOLDER));
    let of_system = PathBuf::from("/run").join(FOLDER);
    let given = [of_unit, of_user].into_iter().flatten();
    given
        .filter(|folder| folder.is_absolute())
        .chain([of_system])
        .collect()
}

/// Sockets that are there, of servers that run or have crashed.
#[must_use]
pub fn there() -> Vec<PathBuf> {
    let folders = folders().into_iter();
    let entries = folders
        .filter_map(|folder| folder.read_dir().ok())
        .flatten();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut sockets: Vec<_> = paths
        .filter(|path| path.extension() == Some(OsStr::new(EXTENSION)))
        .collect();
    sockets.sort();
    sockets.dedup();
    sockets
}
