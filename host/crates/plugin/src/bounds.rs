//! How long a plugin's answers may be. What is longer is no answer: a part that
//! is left out could be the one that a later decision depends on.
//!
//! Texts for people are cut instead, in [`super::convert`]. docs/plugins.md has
//! the table.

use livehost_policy::PolicyError;

/// Pairs of one list. `attrs` live as long as the connection, and are in every
/// request and event of it.
const MAX_PAIRS: usize = 64;
/// Keys and values of one list of pairs, in bytes.
const MAX_PAIRS_BYTES: usize = 16 << 10;
/// A URL that a client is sent to, or a stream, in bytes.
pub(super) const MAX_URL: usize = 4 << 10;
/// Servers that one grant has a stream pushed to.
const MAX_FORWARDS: usize = 64;
/// The path of a recording, in bytes.
pub(super) const MAX_RECORDING: usize = 1 << 10;
/// A word: a container, a handler, in bytes.
pub(super) const MAX_WORD: usize = 255;
/// Values of a data message to a stream's players, in bytes: as long as the
/// longest broadcast of a shared object is by default.
pub(super) const MAX_DATA: usize = 256 << 10;
/// A password, in bytes.
pub(super) const MAX_PASSWORD: usize = 1 << 10;
/// A salt or a hash, in bytes.
pub(super) const MAX_HASH: usize = 128;

/// A part of an answer that is too long.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected at most {max} {unit} of {what}, found {found}")]
pub(super) struct TooLong {
    what: &'static str,
    unit: &'static str,
    max: usize,
    found: usize,
}

/// The answer to `hook`, if it keeps to its bounds.
pub(super) fn usable<D>(hook: &'static str, answer: Result<D, TooLong>) -> Result<D, PolicyError> {
    answer.map_err(|too_long| PolicyError::Unusable {
        hook,
        reason: too_long.to_string(),
    })
}

fn at_most(
    what: &'static str,
    unit: &'static str,
    found: usize,
    max: usize,
) -> Result<(), TooLong> {
    match found <= max {
        true => Ok(()),
        false => Err(TooLong {
            what,
            unit,
            max,
            found,
        }),
    }
}

/// `text`, which has at most `max` bytes.
pub(super) fn text(what: &'static str, text: String, max: usize) -> Result<String, TooLong> {
    at_most(what, "bytes", text.len(), max).map(|()| text)
}

pub(super) fn pairs(
    what: &'static str,
    pairs: Vec<(String, String)>,
) -> Result<Vec<(String, String)>, TooLong> {
    at_most(what, "pairs", pairs.len(), MAX_PAIRS)?;
    let bytes = pairs
        .iter()
        .map(|(key, value)| key.len().saturating_add(value.len()))
        .fold(0, usize::saturating_add);
    at_most(what, "bytes", bytes, MAX_PAIRS_BYTES)?;
    Ok(pairs)
}

pub(super) fn forwards(urls: Vec<String>) -> Result<Vec<String>, TooLong> {
    const WHAT: &str = "forward-to";
    at_most(WHAT, "URLs", urls.len(), MAX_FORWARDS)?;
    urls.into_iter()
        .map(|url| text(WHAT, url, MAX_URL))
        .collect()
}
