//! `host plugin new`: a folder that builds a plugin.
//!
//! Flows in: a name and a language. Flows out: sources, cases, and all of the
//! interface that the build needs, from templates in this program: no checkout
//! of livehost is needed.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::ValueEnum;
use livehost_telemetry::say;

/// A file of the new folder, and its text.
type File = (&'static str, &'static str);

const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The interface, below a folder of the language's choice.
const WIT: &[File] = &[
    ("types.wit", include_str!("../../../../wit/0.1/types.wit")),
    (
        "imports.wit",
        include_str!("../../../../wit/0.1/imports.wit"),
    ),
    ("world.wit", include_str!("../../../../wit/0.1/world.wit")),
];

macro_rules! sdk {
    ($($file:literal),* $(,)?) => {
        &[$((
            concat!("livehost/sdk/src/", $file),
            include_str!(concat!("../../../../sdk/src/", $file)),
        )),*]
    };
}

/// The Rust SDK, as long as it is not on crates.io.
const SDK: &[File] = sdk![
    "amf0.rs",
    "app.rs",
    "auth.rs",
    "bindings.rs",
    "bindings_auth.rs",
    "bindings_calls.rs",
    "bindings_events.rs",
    "bindings_relays.rs",
    "bindings_shared_objects.rs",
    "clock.rs",
    "config.rs",
    "control.rs",
    "decision.rs",
    "export.rs",
    "http_client.rs",
    "import.rs",
    "kv.rs",
    "lib.rs",
    "log.rs",
    "registry.rs",
    "rejection.rs",
    "relays.rs",
    "shared_objects.rs",
    "testing.rs",
    "testing/amf0.rs",
    "testing/host.rs",
    "testing/requests.rs",
    "testing/session.rs",
    "timers.rs",
    "values.rs",
];

const RUST: &[File] = &[
    (".gitignore", include_str!("templates/rust/gitignore")),
    ("Cargo.toml", include_str!("templates/rust/Cargo.toml")),
    ("src/lib.rs", include_str!("templates/rust/lib.rs")),
    (
        "livehost/sdk/Cargo.toml",
        include_str!("templates/rust/sdk-Cargo.toml"),
    ),
];

const C: &[File] = &[
    (".gitignore", include_str!("templates/c/gitignore")),
    ("Makefile", include_str!("templates/c/Makefile")),
    ("plugin.c", include_str!("templates/c/plugin.c")),
];

const JAVASCRIPT: &[File] = &[
    (".gitignore", include_str!("templates/js/gitignore")),
    ("package.json", include_str!("templates/js/package.json")),
    ("plugin.js", include_str!("templates/js/plugin.js")),
];

const PYTHON: &[File] = &[
    (".gitignore", include_str!("templates/python/gitignore")),
    ("app.py", include_str!("templates/python/app.py")),
    (
        "requirements.txt",
        include_str!("templates/python/requirements.txt"),
    ),
];

/// The languages that `host plugin new` has a template for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TemplateLanguage {
    /// Rust, with the SDK
    Rust,
    /// C, compiled by Zig
    C,
    /// JavaScript, by componentize-js
    Js,
    /// Python, by componentize-py
    Python,
}

/// Makes the folder `parent/name`; prints what to do next.
///
/// # Errors
/// When the name can't be one, or the folder exists or can't be written.
pub fn new(name: &str, language: TemplateLanguage, parent: &Path) -> anyhow::Result<()> {
    check(name)?;
    let folder = parent.join(name);
    let shown = folder.display();
    ensure!(!folder.exists(), "expected a new name; {shown} exists");
    for (file, text) in files(language) {
        let text = text
            .replace("{{name}}", name)
            .replace("{{version}}", SDK_VERSION);
        write(&folder.join(file), &text)?;
    }
    say!(
        "{shown}: a plugin; next:\n  \
         host plugin build {shown}\n  \
         host plugin test {shown}/{name}.wasm {shown}/cases.ron"
    );
    Ok(())
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let write = || {
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(file, text)
    };
    write().with_context(|| format!("cannot write {}", file.display()))
}

/// Every language wants something of a name; this suits them all.
fn check(name: &str) -> anyhow::Result<()> {
    let good = name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.len() <= 64
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    // Crates that the template depends on, and Rust's own.
    let taken = ["core", "std", "alloc", "test", "livehost-sdk", "serde"].contains(&name);
    ensure!(
        good && !taken,
        "expected a name of lower-case letters, digits and hyphens, like studio-keys; \
         found {name:?}"
    );
    Ok(())
}

fn files(language: TemplateLanguage) -> Vec<(PathBuf, &'static str)> {
    let (own, wit): (&[File], _) = match language {
        TemplateLanguage::Rust => (RUST, "livehost/wit/0.1"),
        TemplateLanguage::C => (C, "wit/deps/livehost"),
        TemplateLanguage::Js => (JAVASCRIPT, "wit/deps/livehost"),
        TemplateLanguage::Python => (PYTHON, "wit/deps/livehost"),
    };
    let common = [("cases.ron", include_str!("templates/common/cases.ron"))];
    let more: &[File] = match language {
        TemplateLanguage::Rust => SDK,
        _ => &[(
            "wit/plugin.wit",
            include_str!("templates/common/plugin.wit"),
        )],
    };
    let files = own.iter().chain(&common).chain(more);
    let files = files.map(|(file, text)| (PathBuf::from(file), *text));
    let wit = WIT
        .iter()
        .map(|(file, text)| (Path::new(wit).join(file), *text));
    files.chain(wit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_sdk_and_interface_are_embedded() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        let count = |folder: &str| {
            let entries = std::fs::read_dir(root.join(folder)).unwrap();
            let files = entries.filter(|entry| entry.as_ref().unwrap().path().is_file());
            files.count()
        };
        assert_eq!(SDK.len(), count("sdk/src") + count("sdk/src/testing"));
        assert_eq!(WIT.len(), count("wit/0.1"));
    }

    #[test]
    fn the_copied_sdk_has_the_dependencies_of_the_original() {
        let dependencies = |text: &str| {
            let (_, rest) = text.split_once("[dependencies]").unwrap();
            let lines = rest.lines().filter(|line| line.contains('='));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../sdk/Cargo.toml");
        let original = std::fs::read_to_string(original).unwrap();
        let copy = include_str!("templates/rust/sdk-Cargo.toml");
        assert_eq!(dependencies(copy), dependencies(&original));
    }

    /// One set of tools to look after.
    #[test]
    fn the_templates_have_the_tools_of_plugins_lang() {
        let lang = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../plugins/lang");
        let read = |file: &str| std::fs::read_to_string(lang.join(file)).unwrap();
        let tools = read("tools.mk");
        let version = |name: &str| {
            let line = tools.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|rest| rest.strip_prefix(" := ")).unwrap()
        };
        let makefile = include_str!("templates/c/Makefile");
        for name in ["WIT_BINDGEN_VERSION", "ZIG_VERSION"] {
            let line = format!("{name} := {}\n", version(name));
            assert!(makefile.contains(&line), "{line}");
        }
        let requirements = include_str!("templates/python/requirements.txt");
        let python = format!("componentize-py=={}", version("COMPONENTIZE_PY_VERSION"));
        assert_eq!(requirements.trim(), python);
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        let (ours, theirs) = (
            json(&read("js/package.json")),
            json(include_str!("templates/js/package.json")),
        );
        for part in ["devDependencies", "overrides"] {
            assert_eq!(theirs[part], ours[part], "{part}");
        }
    }

    #[test]
    fn names_suit_every_language() {
        for good in ["studio", "studio-keys", "a1"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "", "Studio", "1a", "a/b", "..", "a_b", "a-", "-a", "a b", "std", "é",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_is_overwritten_and_no_place_is_left_open() {
        let parent = tempfile::tempdir().unwrap();
        let languages = [
            TemplateLanguage::Rust,
            TemplateLanguage::C,
            TemplateLanguage::Js,
            TemplateLanguage::Python,
        ];
        for (index, language) in languages.into_iter().enumerate() {
            let name = format!("plugin{index}");
            new(&name, language, parent.path()).unwrap();
            for (file, _) in files(language) {
                let text = std::fs::read_to_string(parent.path().join(&name).join(&file)).unwrap();
                let open = ["{{name}}", "{{version}}"]
                    .iter()
                    .any(|place| text.contains(place));
                assert!(!open, "{}", file.display());
            }
            let again = new(&name, language, parent.path()).unwrap_err();
            assert!(again.to_string().contains("exists"), "{again}");
        }
    }
}
