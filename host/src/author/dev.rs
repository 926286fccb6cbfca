//! `host dev`: a server, and beside it a builder of plugins.
//!
//! Flows in: a configuration, and changes of the sources of its plugins. Flows
//! out: new components, which the server takes up like any other reload.
//!
//! A plugin has sources if it is what `host plugin build` would make of the
//! folder it lies in: `FOLDER/NAME.wasm` with NAME the folder's name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use livehost_author::build::{BuildPurpose, Project, Running};
use livehost_telemetry::{say, terminal};
use notify::event::EventKind;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::config::Config;
use crate::supervisor;

/// A burst of changes is over after so long without another: editors write
/// several files.
const QUIET: Duration = Duration::from_millis(50);
/// How soon the end is noticed.
const PATIENCE: Duration = Duration::from_millis(200);
/// Folders that builds write to, beside those that begin with a dot.
const BUILT: &[&str] = &["target", "node_modules", "bindings", "__pycache__"];
/// More folders of one plugin are not watched.
const MAX_FOLDERS: usize = 1000;

/// Builds, serves, and builds again until SIGINT or SIGTERM.
///
/// # Errors
/// As [`supervisor::run`]; also when a plugin was never built and can't be.
pub async fn dev(file: &Path) -> anyhow::Result<()> {
    let projects = projects(file)?;
    let running = Running::default();
    let stop = Arc::new(AtomicBool::new(false));
    // It watches from now on: what is saved during the first build is built
    // next.
    let builder = Builder::new(projects, Arc::clone(&running), Arc::clone(&stop))?;
    for project in &builder.projects {
        if let Err(error) = build(project, &running) {
            let built = project.component().is_file();
            anyhow::ensure!(built, "{}: {error:#}", project.folder.display());
            tell(project, &format!("{error:#}; the last build serves"));
        }
    }
    let thread = std::thread::Builder::new().name("plugin-builder".into());
    let thread = thread.spawn(move || builder.run())?;
    let served = supervisor::run(file).await;
    stop.store(true, Ordering::Release);
    if let Some(mut child) = running.lock().take() {
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
    }
    if thread.join().is_err() {
        terminal::complain(format_args!("dev: the builder of plugins panicked"));
    }
    served
}

/// The sources of the applications' plugins.
fn projects(file: &Path) -> anyhow::Result<Vec<Project>> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the configuration {}", file.display()))?;
    // Not `load`: the components may not be there yet.
    let config = Config::parse(&std::path::absolute(file)?, &text)?;
    let mut projects: Vec<Project> = Vec::new();
    for (name, application) in &config.applications {
        let folder = application.plugin.parent().map(Project::open);
        let same = |project: &Project| project.component() == application.plugin;
        match folder {
            Some(Ok(project)) if same(&project) => {
                say!("dev: {name}: built from {}", project.folder.display());
                if !projects.contains(&project) {
                    projects.push(project);
                }
            }
            _ => say!(
                "dev: {name}: {} has no sources beside it",
                application.plugin.display()
            ),
        }
    }
    Ok(projects)
}

fn build(project: &Project, running: &Running) -> anyhow::Result<()> {
    let start = Instant::now();
    project.build(BuildPurpose::Live, running)?;
    tell(
        project,
        &format!("built in {:.1} s", start.elapsed().as_secs_f32()),
    );
    Ok(())
}

fn tell(project: &Project, what: &str) {
    let name = project.folder.file_name().unwrap_or_default();
    say!("dev: {}: {what}", name.display());
}

/// Builds what has changed.
struct Builder {
    projects: Vec<Project>,
    running: Running,
    stop: Arc<AtomicBool>,
    watcher: RecommendedWatcher,
    changes: mpsc::Receiver<PathBuf>,
}

impl Builder {
    fn new(
        projects: Vec<Project>,
        running: Running,
        stop: Arc<AtomicBool>,
    ) -> anyhow::Result<Self> {
        let (changed, changes) = mpsc::sync_channel(1024);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if matches!(event.kind, EventKind::Access(_)) {
                return;
            }
            for path in event.paths {
                // Full: there is enough to build from.
                let _ = changed.try_send(path);
            }
        });
        let mut builder = Self {
            projects,
            running,
            stop,
            watcher: watcher.context("sources can't be watched")?,
            changes,
        };
        builder.watch();
        Ok(builder)
    }

    /// Watches every folder of sources; those watched already stay so.
    fn watch(&mut self) {
        for project in &self.projects {
            for folder in folders(&project.folder) {
                if let Err(error) = self.watcher.watch(&folder, RecursiveMode::NonRecursive) {
                    tell(
                        project,
                        &format!("{} is not watched: {error}", folder.display()),
                    );
                }
            }
        }
    }

    fn run(mut self) {
        while !self.stop.load(Ordering::Acquire) {
            let mut changed = BTreeSet::new();
            let mut wait = PATIENCE;
            while let Ok(path) = self.changes.recv_timeout(wait) {
                if let Some(index) = self.project_of(&path) {
                    changed.insert(index);
                    wait = QUIET;
                }
            }
            for project in changed.iter().filter_map(|index| self.projects.get(*index)) {
                if let Err(error) = build(project, &self.running)
                    && !self.stop.load(Ordering::Acquire)
                {
                    tell(project, &format!("{error:#}; the last build serves"));
                }
            }
            if !changed.is_empty() {
                self.watch();
            }
        }
    }

    /// Whose source `path` is, if it is one.
    fn project_of(&self, path: &Path) -> Option<usize> {
        let mut projects = self.projects.iter();
        projects.position(|project| {
            let inside = path.strip_prefix(&project.folder);
            inside.is_ok_and(is_source)
        })
    }
}

/// Whether a path below a plugin's folder is written by people.
fn is_source(path: &Path) -> bool {
    let made = |name: &std::ffi::OsStr| {
        let name = name.to_string_lossy();
        name.starts_with('.')
            || BUILT.contains(&&*name)
            || [".wasm", ".new", "~", ".lock", "package-lock.json"]
                .iter()
                .any(|end| name.ends_with(end))
    };
    !path.iter().any(made)
}

/// `root` and the folders of sources below it.
fn folders(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned()];
    let mut next = 0;
    while let Some(folder) = found.get(next).filter(|_| next < MAX_FOLDERS) {
        next = next.saturating_add(1);
        // One that can't be read has no sources.
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let entries = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let more: Vec<_> = entries
            .map(|entry| entry.path())
            .filter(|path| path.strip_prefix(root).is_ok_and(is_source))
            .collect();
        found.extend(more);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_builds_write_is_no_source() {
        for source in [
            "src/lib.rs",
            "Cargo.toml",
            "cases.ron",
            "wit/plugin.wit",
            "",
        ] {
            assert!(is_source(Path::new(source)), "{source}");
        }
        for built in [
            "target/x/y.rs",
            "studio.wasm",
            ".git/HEAD",
            "src/.lib.rs.swp",
            "Cargo.lock",
        ] {
            assert!(!is_source(Path::new(built)), "{built}");
        }
    }

    #[test]
    fn folders_of_builds_are_not_entered() {
        let root = tempfile::tempdir().unwrap();
        for folder in ["src/a", "target/debug", ".git/objects"] {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let mut found = folders(root.path());
        found.sort();
        let expected = ["", "src", "src/a"].map(|folder| root.path().join(folder));
        // `join("")` ends with a separator, which comparisons of paths ignore.
        assert_eq!(found, expected);
    }

    #[test]
    fn only_plugins_in_their_own_folder_have_sources() {
        let root = tempfile::tempdir().unwrap();
        let studio = root.path().join("studio");
        std::fs::create_dir(&studio).unwrap();
        std::fs::write(studio.join("Cargo.toml"), "").unwrap();
        let file = root.path().join("config.ron");
        let config = r#"(
            applications: {
                "a": (plugin: "studio/studio.wasm"),
                "b": (plugin: "studio/other.wasm"),
                "c": (plugin: "elsewhere/x.wasm"),
            },
            acceptors: [(listen: "127.0.0.1:0")],
        )"#;
        std::fs::write(&file, config).unwrap();
        let projects = projects(&file).unwrap();
        let folders: Vec<_> = projects.iter().map(|project| &project.folder).collect();
        assert_eq!(folders, [&studio]);
    }
}
