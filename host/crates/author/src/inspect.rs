//! `host plugin inspect`: what a component exports, and what it asks for.
//!
//! Flows in: a file. Flows out: its interface, on standard output, as text or
//! JSON. Nothing of the component is compiled or run.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use livehost_plugin::{OPTIONAL, TRACK};
use livehost_ron::units::format_size;
use livehost_telemetry::terminal;
use serde::Serialize;
use sha2::{Digest, Sha256};
use wasmparser::{Parser, Payload};

/// A larger file is not read, in bytes.
const MAX_FILE: u64 = 256 << 20;
/// The package of the interface.
const PACKAGE: &str = "livehost:app/";
/// What every plugin exports.
const REQUIRED: [&str; 2] = ["lifecycle", "policy"];

/// What is known about a component without running it.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Inspection {
    file: String,
    bytes: usize,
    sha256: String,
    /// `app`, `app-full`, or none if it is no plugin.
    world: Option<&'static str>,
    /// Of the interface it was built against: `0.1.0`.
    version: Option<String>,
    /// Of the interface of this host: `0.1`.
    host_track: &'static str,
    /// Why this host can't run it; empty if it can.
    problems: Vec<String>,
    optional: Vec<Exported>,
    capabilities: Vec<Capability>,
    imports: Vec<String>,
    exports: Vec<String>,
}

/// An interface that the component exports and needn't.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Exported {
    name: String,
    /// Whether this host calls it.
    called: bool,
    meaning: &'static str,
}

/// Something that the component can ask its host for.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Capability {
    name: &'static str,
    /// Whether this host gives it.
    given: bool,
    meaning: &'static str,
}

/// Imports by their beginning, and what they are to an operator.
const CAPABILITIES: &[(&str, Capability)] = &[
    given("livehost:app/log@", "log", "lines in the host's log"),
    given("livehost:app/kv@", "kv", "the application's state"),
    given("livehost:app/timers@", "timers", "calls at a later time"),
    given(
        "livehost:app/registry@",
        "registry",
        "reads the application's streams and clients",
    ),
    given(
        "livehost:app/control@",
        "control",
        "ends connections and streams, forwards",
    ),
    given(
        "livehost:app/http-client@",
        "http",
        "HTTP to the hosts of http.allow",
    ),
    given("wasi:http/", "wasi:http", "HTTP to the hosts of http.allow"),
    given("wasi:clocks/", "clocks", "the time"),
    given("wasi:random/", "random", "random numbers"),
    given("wasi:cli/stdout@", "stdout", "goes to the log"),
    given("wasi:cli/stderr@", "stderr", "goes to the log"),
    refused("wasi:filesystem/", "files", "not given: there are no files"),
    refused(
        "wasi:sockets/",
        "sockets",
        "not given: every connection is refused",
    ),
    refused(
        "wasi:cli/environment@",
        "environment",
        "not given: it is empty",
    ),
];

const fn given(
    prefix: &'static str,
    name: &'static str,
    meaning: &'static str,
) -> (&'static str, Capability) {
    (
        prefix,
        Capability {
            name,
            given: true,
            meaning,
        },
    )
}

const fn refused(
    prefix: &'static str,
    name: &'static str,
    meaning: &'static str,
) -> (&'static str, Capability) {
    (
        prefix,
        Capability {
            name,
            given: false,
            meaning,
        },
    )
}

/// Packages whose interfaces this host offers.
const OFFERED: &[&str] = &[
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:http/outgoing-handler@",
    "wasi:http/types@",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];

/// Prints what is known about the component in `file`.
///
/// # Errors
/// When the file can't be read or is no component. A component that this host
/// can't run is none: the output says why.
pub fn inspect(file: &Path, json: bool) -> anyhow::Result<()> {
    let inspection = read(file)?;
    if json {
        terminal::print(format_args!(
            "{}",
            serde_json::to_string_pretty(&inspection)?
        ))?;
    } else {
        terminal::print(format_args!("{}", text(&inspection).trim_end()))?;
    }
    Ok(())
}

/// Why this host can't run the component in `file`; empty if it can.
///
/// # Errors
/// When the file can't be read or is no component.
pub(super) fn problems(file: &Path) -> anyhow::Result<Vec<String>> {
    read(file).map(|inspection| inspection.problems)
}

fn read(file: &Path) -> anyhow::Result<Inspection> {
    let mut bytes = Vec::new();
    std::fs::File::open(file)
        .and_then(|opened| opened.take(MAX_FILE).read_to_end(&mut bytes))
        .with_context(|| format!("cannot read {}", file.display()))?;
    examine(&file.display().to_string(), &bytes)
        .with_context(|| format!("{} is no WebAssembly component", file.display()))
}

fn examine(file: &str, bytes: &[u8]) -> anyhow::Result<Inspection> {
    let (imports, exports) = interface(bytes)?;
    let exported = |name: &str| {
        let prefix = format!("{PACKAGE}{name}@");
        exports
            .iter()
            .find_map(|export| export.strip_prefix(prefix.as_str()))
    };
    let version = exported("policy").map(str::to_owned);
    let mut problems = Vec::new();
    for name in REQUIRED {
        match exported(name) {
            None => problems.push(format!("it does not export {PACKAGE}{name}")),
            Some(version) if !on_track(version) => problems.push(format!(
                "it was built against version {version} of the interface, expected {TRACK}.x"
            )),
            Some(_) => {}
        }
    }
    problems.dedup();
    problems.extend(
        imports
            .iter()
            .filter(|import| !is_offered(import))
            .map(|import| format!("it imports {import}, which this host does not offer")),
    );
    let optional = optional(&exports);
    let has = |name| {
        optional
            .iter()
            .any(|exported: &Exported| exported.name == name)
    };
    let world = match version {
        None => None,
        Some(_) if has("events") && has("calls") => Some("app-full"),
        Some(_) => Some("app"),
    };
    let mut capabilities: Vec<Capability> = Vec::new();
    for (
        prefix,
        Capability {
            name,
            given,
            meaning,
        },
    ) in CAPABILITIES
    {
        if imports.iter().any(|import| import.starts_with(prefix)) {
            let (name, given, meaning) = (*name, *given, *meaning);
            capabilities.push(Capability {
                name,
                given,
                meaning,
            });
        }
    }
    let digest = Sha256::digest(bytes);
    Ok(Inspection {
        file: file.to_owned(),
        bytes: bytes.len(),
        sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        world,
        version,
        host_track: TRACK,
        problems,
        optional,
        capabilities,
        imports,
        exports,
    })
}

/// Those of the interface, in its order, then those of later versions of it.
fn optional(exports: &[String]) -> Vec<Exported> {
    let ours = |export: &String| {
        let (name, version) = export.strip_prefix(PACKAGE)?.split_once('@')?;
        on_track(version).then(|| name.to_owned())
    };
    let mut found: Vec<String> = exports.iter().filter_map(ours).collect();
    found.retain(|name| !REQUIRED.contains(&name.as_str()));
    let place = |name: &String| OPTIONAL.iter().position(|known| known.name == name);
    found.sort_by_key(|name| place(name).unwrap_or(usize::MAX));
    let found = found.into_iter().map(|name| {
        let known = place(&name).and_then(|place| OPTIONAL.get(place));
        Exported {
            called: known.is_some(),
            meaning: known.map_or("of a later version: this host does not call it", |known| {
                known.meaning
            }),
            name,
        }
    });
    found.collect()
}

/// Whether a plugin of this version of the interface can run here.
fn on_track(version: &str) -> bool {
    let rest = version.strip_prefix(TRACK);
    rest.is_some_and(|rest| rest.starts_with('.'))
}

fn is_offered(import: &str) -> bool {
    match import.strip_prefix(PACKAGE) {
        Some(own) => own
            .split_once('@')
            .is_some_and(|(_, version)| on_track(version)),
        None => OFFERED.iter().any(|prefix| import.starts_with(prefix)),
    }
}

/// The names that the outermost component imports and exports.
fn interface(bytes: &[u8]) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let (mut imports, mut exports) = (Vec::new(), Vec::new());
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::Version { encoding, .. } => {
                if depth == 0 && encoding != wasmparser::Encoding::Component {
                    anyhow::bail!(
                        "it is a core module, expected a component: build it for the target \
                         wasm32-wasip2"
                    );
                }
                depth = depth.saturating_add(1);
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for export in section {
                    exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    imports.sort_unstable();
    exports.sort_unstable();
    Ok((imports, exports))
}

fn text(inspection: &Inspection) -> String {
    let Inspection {
        file,
        bytes,
        sha256,
        ..
    } = inspection;
    let mut out = String::new();
    // Writing to a String can't fail.
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(out, "  {name:<11} {value}");
    };
    let size = u64::try_from(*bytes).unwrap_or(u64::MAX);
    line(
        "size",
        &format!("{} ({bytes} bytes)", format_size(size / 1024 * 1024)),
    );
    line("sha256", sha256);
    match (&inspection.version, inspection.world) {
        (Some(version), Some(world)) => {
            line(
                "interface",
                &format!("livehost:app {version}, world {world}"),
            );
        }
        _ => line("interface", "none of livehost"),
    }
    let track = inspection.host_track;
    if inspection.problems.is_empty() {
        line("this host", &format!("can run it (track {track})"));
    }
    for problem in &inspection.problems {
        line(
            "this host",
            &format!("can't run it (track {track}): {problem}"),
        );
    }
    if inspection.optional.is_empty() {
        line("optional", "exports none of the optional interfaces");
    }
    for (index, exported) in inspection.optional.iter().enumerate() {
        let title = if index == 0 { "optional" } else { "" };
        let Exported { name, meaning, .. } = exported;
        line(title, &format!("{name:<12} {meaning}"));
    }
    for (index, capability) in inspection.capabilities.iter().enumerate() {
        let title = if index == 0 { "asks for" } else { "" };
        line(
            title,
            &format!("{:<12} {}", capability.name, capability.meaning),
        );
    }
    for (title, names) in [
        ("imports", &inspection.imports),
        ("exports", &inspection.exports),
    ] {
        for (index, name) in names.iter().enumerate() {
            line(if index == 0 { title } else { "" }, name);
        }
    }
    format!("{file}\n{out}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_the_track_fit() {
        assert!(on_track("0.1.0") && on_track("0.1.12"));
        assert!(!on_track("0.2.0") && !on_track("0.10.0") && !on_track("1.0.1"));
    }

    #[test]
    fn imports_are_known_by_package_and_track() {
        assert!(is_offered("livehost:app/kv@0.1.7"));
        assert!(is_offered("wasi:io/streams@0.2.6"));
        assert!(!is_offered("livehost:app/kv@0.2.0"));
        assert!(!is_offered("wasi:http/incoming-handler@0.2.0"));
        assert!(!is_offered("other:thing/x@1.0.0"));
    }

    #[test]
    fn files_that_are_no_component_are_errors() {
        let core = wasm_header(&[1, 0, 0, 0]);
        let error = examine("x", &core).unwrap_err().to_string();
        assert!(error.contains("wasm32-wasip2"), "{error}");
        assert!(examine("x", b"#!/bin/sh").is_err());
        assert!(examine("x", b"").is_err());
    }

    #[test]
    fn an_empty_component_is_no_plugin() {
        let inspection = examine("x", &wasm_header(&[13, 0, 1, 0])).unwrap();
        assert_eq!(inspection.world, None);
        assert_eq!(inspection.problems.len(), 2);
        assert!(text(&inspection).contains("does not export livehost:app/policy"));
    }

    #[test]
    fn optional_interfaces_are_shown_with_what_becomes_of_them() {
        let exports = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let exports: Vec<String> = exports(&[
            "livehost:app/auth@0.1.3",
            "livehost:app/calls@0.2.0",
            "livehost:app/events@0.1.0",
            "livehost:app/later@0.1.3",
            "livehost:app/policy@0.1.0",
            "other:app/events@0.1.0",
        ]);
        let found = optional(&exports);
        let found: Vec<_> = found.iter().map(|e| (e.name.as_str(), e.called)).collect();
        assert_eq!(found, [("events", true), ("auth", true), ("later", false)]);
    }

    fn wasm_header(version: &[u8]) -> Vec<u8> {
        [b"\0asm", version].concat()
    }
}
