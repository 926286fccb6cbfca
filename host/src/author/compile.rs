//! `host plugin compile`, and where the other tools keep compiled code.
//!
//! Flows in: components. Flows out: their machine code, where a server looks
//! for it: in the folder `state` of its configuration.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, ensure};
use livehost_plugin::{Compiler, Runtime, Storage, compile_ahead};
use livehost_telemetry::say;

use crate::cli::StateFolder;
use crate::config::Config;

/// The configuration that is meant when none is named.
const CONFIG: &str = "config.ron";

/// Compiles `files`, or if there are none the plugins of the configuration.
///
/// # Errors
/// When one can't be compiled, is no plugin for this host, or can't be kept.
pub async fn compile(files: &[PathBuf], folder: &StateFolder) -> anyhow::Result<()> {
    let (state, plugins) = find(folder)?.context(
        "no folder to keep it in: name the server's configuration (--config config.ron) or its \
         state folder (--state DIR)",
    )?;
    let files = match files.is_empty() {
        true => plugins,
        false => files.to_vec(),
    };
    ensure!(!files.is_empty(), "no component is named");
    own(&state)?;
    let runtime = Runtime::new(&Storage::Compiled(state), Compiler::Child)?;
    for file in files {
        let begin = Instant::now();
        let kept = compile_ahead(&runtime, &file).await;
        let kept = kept.map_err(|fault| anyhow::anyhow!("{} {fault}", file.display()))?;
        let (file, place) = (file.display(), kept.file.display());
        match kept.is_new {
            true => say!(
                "{file}: compiled in {:.1} s: {place}",
                begin.elapsed().as_secs_f32()
            ),
            false => say!("{file}: compiled already: {place}"),
        }
    }
    Ok(())
}

/// Where the other tools find and keep compiled code: as a server does, if
/// there is one whose folder they may use.
///
/// # Errors
/// When the configuration that is named can't be read.
pub(super) fn storage(folder: &StateFolder) -> anyhow::Result<Storage> {
    let state = match find(folder) {
        Ok(found) => found.map(|(state, _)| state),
        // Of a configuration that nobody has named.
        Err(_) if folder.config.is_none() => None,
        Err(error) => return Err(error),
    };
    let state = state.filter(|state| own(state).is_ok());
    Ok(state.map_or(Storage::Memory, Storage::Compiled))
}

/// The state folder that is meant, and the plugins of its configuration.
fn find(folder: &StateFolder) -> anyhow::Result<Option<(PathBuf, Vec<PathBuf>)>> {
    let config = match (&folder.state, &folder.config) {
        (Some(state), _) => return Ok(Some((state.clone(), Vec::new()))),
        (None, Some(config)) => config,
        (None, None) if Path::new(CONFIG).is_file() => Path::new(CONFIG),
        (None, None) => return Ok(None),
    };
    let text = std::fs::read_to_string(config)
        .with_context(|| format!("cannot read the configuration {}", config.display()))?;
    // Not `load`: some components may not be there yet.
    let config = Config::parse(config, &text)?;
    let plugins = config.applications.into_values();
    let mut plugins: Vec<_> = plugins.map(|application| application.plugin).collect();
    plugins.sort();
    plugins.dedup();
    Ok(Some((config.state, plugins)))
}

/// A server loads only what its own user has put there.
fn own(state: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(metadata) = state.metadata() else {
        // It is made, and belongs to this user.
        return Ok(());
    };
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    ensure!(
        owner == user,
        "{} belongs to user {owner}, this is user {user}: a server uses compiled code of its own \
         user only, so run this as that one (sudo -u '#{owner}' ...)",
        state.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_configuration_says_where_and_which() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("site.ron");
        let text = r#"(
            state: "kept",
            applications: {"a": (plugin: "p.wasm"), "b": (plugin: "p.wasm"), "c": (plugin: "q.wasm")},
            acceptors: [(listen: "127.0.0.1:0")],
        )"#;
        std::fs::write(&file, text).unwrap();
        let folder = StateFolder {
            config: Some(file.clone()),
            state: None,
        };
        let (state, plugins) = find(&folder).unwrap().unwrap();
        assert_eq!(state, root.path().join("kept"));
        assert_eq!(plugins, ["p.wasm", "q.wasm"].map(|p| root.path().join(p)));
        assert_eq!(storage(&folder).unwrap(), Storage::Compiled(state));
        std::fs::write(&file, "(").unwrap();
        assert!(storage(&folder).is_err(), "it was named, so it counts");
    }

    #[test]
    fn without_any_nothing_is_kept() {
        // Tests run in the folder of the crate, which has no config.ron.
        let folder = StateFolder::default();
        assert_eq!(storage(&folder).unwrap(), Storage::Memory);
    }

    #[test]
    fn a_folder_of_another_user_is_not_written_to() {
        let root = tempfile::tempdir().unwrap();
        assert!(own(root.path()).is_ok());
        // Root may give it away; for all others the root folder is another's.
        let other = match std::os::unix::fs::chown(root.path(), Some(65534), None) {
            Ok(()) => root.path(),
            Err(_) => Path::new("/"),
        };
        let error = own(other).unwrap_err().to_string();
        assert!(error.contains("belongs to user "), "{error}");
    }
}
