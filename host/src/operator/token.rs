//! `host token`: makes what the API over TCP is asked with.

use std::fmt::Write as _;

use anyhow::{Context as _, ensure};
use livehost_telemetry::terminal;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::print_json;
use crate::cli::TokenScope;

/// In front of every token: so it is recognised where it should not be, and is not
/// taken for its hash.
const PREFIX: &str = "livehost_";
/// Bytes of the longest name.
const MAX_NAME: usize = 64;

/// Makes a token of 256 random bits and prints it, with what `config.ron` has of it.
pub(super) fn make(name: &str, scopes: &[TokenScope], json: bool) -> anyhow::Result<()> {
    let is_name = !name.is_empty() && name.len() <= MAX_NAME && !name.contains(char::is_control);
    ensure!(
        is_name,
        "the name: expected up to {MAX_NAME} visible characters"
    );
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).context("no randomness")?;
    let token = format!("{PREFIX}{}", hex(&secret));
    let sha256 = hex(&Sha256::digest(token.as_bytes()));
    let mut words: Vec<String> = Vec::new();
    for scope in scopes.iter().map(|scope| format!("{scope:?}")) {
        if !words.contains(&scope) {
            words.push(scope);
        }
    }
    if json {
        return print_json(&json!({
            "token": token, "name": name, "sha256": sha256, "scopes": words,
        }));
    }
    terminal::print(format_args!("{token}"))?;
    terminal::complain(format_args!(
        "\nThis is the token; nobody can show it again. The configuration has its hash:\n\n  {}",
        line(name, &sha256, &words)
    ));
    Ok(())
}

/// The field of `config.ron`.
pub(super) fn line(name: &str, sha256: &str, scopes: &[String]) -> String {
    let scopes = scopes.join(", ");
    format!("api: (tokens: {{{name:?}: (sha256: \"{sha256}\", scopes: [{scopes}])}}),")
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
