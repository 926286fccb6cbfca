//! Whether a log filter says what it seems to say.
//!
//! Flows in: a filter, of the configuration or of `RUST_LOG`. Flows out: nothing, or
//! what is wrong: the filter's own parser takes any word for a module, so that a slip
//! in a name filters nothing, and one in a level silences the log.

use livehost_settings::{TextError, suggest};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// What writes log lines: the server's crates, and then those of others.
const CRATES: [&str; 16] = [
    "livehost",
    "livehost_app",
    "livehost_decisions",
    "livehost_hub",
    "livehost_net",
    "livehost_plugin",
    "livehost_policy",
    "livehost_relay",
    "livehost_server_http",
    "livehost_server_rtmp",
    "livehost_telemetry",
    "h2",
    "hyper_util",
    "wasmtime_wasi",
    "wasmtime_wasi_http",
    "wasmtime_wasi_io",
];

/// The modules of `livehost` itself. Its others became crates.
const MODULES: [&str; 2] = ["supervisor", "watch"];

/// What is wrong with `filter`.
pub(super) fn check(filter: &str) -> Result<(), TextError> {
    if filter.split(',').all(|part| part.trim().is_empty()) {
        let expected = "a level or module=level: without any, no line is written";
        return Err(TextError::expected(expected, filter));
    }
    filter.split(',').map(str::trim).try_for_each(part)?;
    EnvFilter::builder()
        .parse(filter)
        .map(drop)
        .map_err(|error| {
            let mut wrong =
                TextError::expected("a log filter, like \"info,livehost_hub=debug\"", filter);
            wrong.message += &format!(": {error}");
            wrong
        })
}

/// One part of a filter: a level, or `module[span]=level` without some of it.
fn part(part: &str) -> Result<(), TextError> {
    let target = part.split(['=', '[']).next().unwrap_or_default();
    if target.is_empty() || part.parse::<LevelFilter>().is_ok() || is_known(target) {
        return Ok(());
    }
    if target == part && !target.contains(':') {
        let expected = format!("a level ({}) or module=level", LEVELS.join(", "));
        return Err(TextError {
            help: suggest(target, &LEVELS).or_else(|| suggest(target, &CRATES)),
            ..TextError::expected(&expected, part)
        });
    }
    let expected = format!("a crate that writes log lines ({})", CRATES.join(", "));
    let help = match target.strip_prefix("livehost::") {
        Some(module) => moved(module),
        None => suggest(target, &CRATES),
    };
    Err(TextError {
        help,
        ..TextError::expected(&expected, target)
    })
}

/// A filter takes the beginning of a name for all that begin so; here it has to be
/// whole words of it, or a level that was cut off would be one.
fn is_known(target: &str) -> bool {
    CRATES.iter().any(|name| {
        let rest = target
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix("::"));
        let is_module =
            |rest: &str| *name != "livehost" || MODULES.iter().any(|module| first(rest) == *module);
        let begins = name
            .strip_prefix(target)
            .is_some_and(|more| more.is_empty() || more.starts_with('_'));
        begins || rest.is_some_and(is_module)
    })
}

/// The crate that a module of the server has become, if it is called alike.
fn moved(module: &str) -> Option<String> {
    let module = first(module);
    let name = format!(
        "livehost_{}",
        if module == "server" {
            "server_rtmp"
        } else {
            module
        }
    );
    CRATES
        .contains(&name.as_str())
        .then(|| format!("what `livehost::{module}` wrote are lines of `{name}` now"))
}

fn first(path: &str) -> &str {
    path.split("::").next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn what_writes_lines_is_taken() {
        for filter in [
            "info",
            "3, Debug",
            "WARN,livehost=debug",
            "info,livehost_hub=debug,livehost_server_rtmp::session=trace",
            "info,livehost::supervisor::server=debug",
            "info,[session{conn=7}]=debug,livehost_net[session]=trace",
            "off,livehost_relay",
            "warn,wasmtime=debug,h2=info,",
        ] {
            assert_eq!(check(filter), Ok(()), "{filter}");
        }
    }

    #[test]
    fn what_writes_none_is_refused_with_what_was_meant() {
        for (filter, found, help) in [
            (
                "info,livehost::hub=debug",
                "livehost::hub",
                "lines of `livehost_hub` now",
            ),
            (
                "livehost::hub::lanes=debug",
                "livehost::hub::lanes",
                "lines of `livehost_hub` now",
            ),
            (
                "livehost::hub",
                "livehost::hub",
                "lines of `livehost_hub` now",
            ),
            (
                "livehost::server=debug",
                "livehost::server",
                "lines of `livehost_server_rtmp` now",
            ),
            (
                "info,livehost_hubs=debug",
                "livehost_hubs",
                "did you mean `livehost_hub`?",
            ),
            (
                "info,livehost-net=debug",
                "livehost-net",
                "did you mean `livehost_net`?",
            ),
            ("inof", "inof", "did you mean `info`?"),
            (
                "warn,livehost_relais",
                "livehost_relais",
                "did you mean `livehost_relay`?",
            ),
        ] {
            let wrong = check(filter).expect_err(filter);
            let found = format!("; found \"{found}\"");
            assert!(
                wrong.message.ends_with(&found),
                "{filter}: {}",
                wrong.message
            );
            let given = wrong.help.unwrap_or_default();
            assert!(given.contains(help), "{filter}: {given}");
        }
        for filter in [
            "livehost::session=debug",
            "info,tokio=debug",
            "livehost_hub=loud",
            "",
            " , ",
            "w",
            "info,l=off",
        ] {
            assert!(check(filter).is_err(), "{filter}");
        }
    }

    /// Everything that depends on `tracing` is known, and nothing else.
    #[test]
    fn the_crates_are_those_that_log() {
        let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../Cargo.lock");
        let lock = fs::read_to_string(lock).unwrap();
        let logs = |package: &&str| package.contains("\n \"tracing\",\n");
        let names = lock.split("[[package]]").filter(logs).map(|package| {
            let name = package.split('"').nth(1).unwrap();
            name.replace('-', "_")
        });
        let mut names: BTreeSet<String> = names.collect();
        // What takes the lines, and the model checker, which no server has in it.
        names.retain(|name| name != "tracing_subscriber" && !name.starts_with("shuttle"));
        assert_eq!(names, CRATES.map(str::to_owned).into());
    }
}
