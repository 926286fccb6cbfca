//! Where control sockets are: the server makes its own there, and the command line
//! looks for those of this machine's servers.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use crate::config::SocketPlace;

/// The folder below one that users or servers share.
const FOLDER: &str = "livehost";
/// What socket files end with.
const EXTENSION: &str = "sock";

/// Where this process's is; none if there shall be none.
pub(crate) fn path(place: &SocketPlace) -> Option<PathBuf> {
    match place {
        SocketPlace::Off => None,
        SocketPlace::At(path) => Some(path.clone()),
        SocketPlace::Auto => {
            let folder = folders(|name| env::var_os(name)).into_iter().next()?;
            Some(folder.join(format!("{}.{EXTENSION}", std::process::id())))
        }
    }
}

/// Sockets of servers that run, or that have crashed.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    /// The files, sorted.
    pub(crate) paths: Vec<PathBuf>,
    /// Where was looked.
    pub(crate) folders: Vec<PathBuf>,
    /// Where nobody could look, though something is there.
    pub(crate) unreadable: Vec<(PathBuf, io::Error)>,
}

impl Sockets {
    /// Those of this machine that the environment leads to.
    pub(crate) fn look() -> Self {
        Self::look_in(folders(|name| env::var_os(name)))
    }

    /// Those of these folders.
    pub(crate) fn look_in(folders: Vec<PathBuf>) -> Self {
        let mut sockets = Self {
            folders,
            ..Self::default()
        };
        for folder in &sockets.folders {
            match folder.read_dir() {
                Ok(entries) => {
                    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
                    let is_socket =
                        |path: &PathBuf| path.extension() == Some(OsStr::new(EXTENSION));
                    sockets.paths.extend(paths.filter(is_socket));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => sockets.unreadable.push((folder.clone(), error)),
            }
        }
        sockets.paths.sort();
        sockets
    }

    /// That of the process `pid`.
    pub(crate) fn of_process(&self, pid: u32) -> Option<&Path> {
        let name = OsString::from(format!("{pid}.{EXTENSION}"));
        let mut paths = self.paths.iter().map(PathBuf::as_path);
        paths.find(|path| path.file_name() == Some(&name))
    }
}

/// Folders in which a server's may be, the likeliest first, each once.
fn folders(variable: impl Fn(&str) -> Option<OsString>) -> Vec<PathBuf> {
    // Systemd's may be several, joined by colons.
    let of_unit = variable("RUNTIME_DIRECTORY");
    let of_unit = of_unit.and_then(|folders| env::split_paths(&folders).next());
    let of_user = variable("XDG_RUNTIME_DIR").map(|folder| PathBuf::from(folder).join(FOLDER));
    let of_system = PathBuf::from("/run").join(FOLDER);
    let given = [of_unit, of_user].into_iter().flatten();
    let mut folders: Vec<PathBuf> = Vec::new();
    for folder in given
        .filter(|folder| folder.is_absolute())
        .chain([of_system])
    {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn looked(variables: &[(&str, &str)]) -> Vec<String> {
        let found = folders(|name| {
            let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
            Some(OsString::from(value))
        });
        found
            .iter()
            .map(|path| path.display().to_string())
            .collect()
    }

    #[test]
    fn the_unit_comes_before_the_user_and_the_user_before_the_system() {
        assert_eq!(looked(&[]), ["/run/livehost"]);
        assert_eq!(
            looked(&[
                ("XDG_RUNTIME_DIR", "/run/user/7"),
                ("RUNTIME_DIRECTORY", "/run/a:/run/b"),
            ]),
            ["/run/a", "/run/user/7/livehost", "/run/livehost"]
        );
        let twice = [
            ("RUNTIME_DIRECTORY", "/run/livehost"),
            ("XDG_RUNTIME_DIR", "not/absolute"),
        ];
        assert_eq!(looked(&twice), ["/run/livehost"]);
    }

    #[test]
    fn sockets_are_found_by_their_names() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["20.sock", "7.sock", "7.pid"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let missing = folder.path().join("missing");
        let sockets = Sockets::look_in(vec![missing.clone(), folder.path().to_owned()]);
        let names = sockets.paths.iter().map(|path| path.file_name().unwrap());
        assert_eq!(names.collect::<Vec<_>>(), ["20.sock", "7.sock"]);
        assert!(
            sockets.unreadable.is_empty(),
            "what is not there is not wrong"
        );
        let seventh = folder.path().join("7.sock");
        assert_eq!(sockets.of_process(7), Some(seventh.as_path()));
        assert_eq!(sockets.of_process(2), None);

        let file = folder.path().join("7.pid");
        let sockets = Sockets::look_in(vec![file]);
        assert_eq!(sockets.unreadable.len(), 1);
    }
}
