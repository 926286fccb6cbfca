//! Whether a log filter says what it seems to say.
//!
//! Flows in: a filter as `RUST_LOG` has it. Flows out: nothing, or what is wrong: the
//! filter's own parser takes any word for a module that logs everything, so that a
//! slip in a level would silence the log.

use livehost_settings::{Wrong, suggest};
use tracing_subscriber::EnvFilter;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// What is wrong with `filter`.
pub(super) fn check(filter: &str) -> Result<(), Wrong> {
    let slip = filter.split(',').map(str::trim).find(|part| {
        !part.contains(['=', '[', ':']) && !LEVELS.contains(&part.to_lowercase().as_str())
    });
    if let Some(word) = slip {
        let expected = format!("a level ({}) or module=level", LEVELS.join(", "));
        return Err(Wrong {
            help: suggest(word, &LEVELS),
            ..Wrong::expected(&expected, word)
        });
    }
    let parsed = EnvFilter::builder().parse(filter).map_err(|error| {
        let mut wrong = Wrong::expected("a log filter, like \"info,livehost_hub=debug\"", filter);
        wrong.message += &format!(": {error}");
        wrong
    });
    parsed.map(drop)
}
