//! Reads who may ask the API, and where.
//!
//! Flows in: the fields of the section `api`. Flows out: the [`ApiConfig`]. A token's
//! text is never in the file: its hash is.

use std::collections::BTreeSet;
use std::path::PathBuf;

use livehost_ron::reader::{Fields, word};
use livehost_server_http::{AccessSettings, Scope, Token};
use livehost_settings::{Setting, SettingsReader as _, TextError, words};

use super::load::FileContext;

/// Who may ask the API, and where.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ApiConfig {
    /// Who may ask over TCP.
    pub access: AccessSettings,
    /// Where the control socket is.
    pub socket: SocketPlace,
}

/// Where the control socket is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SocketPlace {
    /// Where the system has such things, named by the process's number.
    #[default]
    Auto,
    /// Nowhere.
    Off,
    /// There; absolute.
    At(PathBuf),
}

const SCOPES: &[(&str, Scope)] = words!(Scope: Read, Media, Admin);
const SHA256: &str = "64 hexadecimal digits";

pub(super) fn api(fields: &mut Fields<'_, '_>, context: &FileContext<'_>) -> ApiConfig {
    fields.section("api", "Api", |f| ApiConfig {
        access: AccessSettings {
            tokens: tokens(f),
            hosts: f.list(
                Setting::new(
                    "hosts",
                    "Names of this server in URLs. A request that names another host is \
                     refused; addresses and `localhost` are always its own.",
                ),
                Vec::new(),
                "names, like \"media.example.com\"",
                "a host's name in quotes, like \"media.example.com\"",
                host,
            ),
        },
        socket: socket(f, context),
    })
}

fn host(text: &str) -> Result<String, TextError> {
    let is_name = !text.is_empty()
        && text.len() <= 253
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    match is_name {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(TextError::expected("a host's name without port", text)),
    }
}

fn socket(fields: &mut Fields<'_, '_>, context: &FileContext<'_>) -> SocketPlace {
    let field = Setting::new(
        "socket",
        "The control socket, by which `host status` and its like find the server: its \
         path, `\"auto\"` or `\"off\"`. Auto is `livehost/PID.sock` in `$XDG_RUNTIME_DIR`, \
         or in `/run`, or `PID.sock` in systemd's `$RUNTIME_DIRECTORY`.",
    );
    let allowed = "a path, \"auto\" or \"off\"";
    let text = fields.text(
        field,
        "auto".to_owned(),
        allowed,
        "a path in quotes",
        |text| match text.is_empty() {
            true => Err(TextError::expected(allowed, text)),
            false => Ok(()),
        },
    );
    match text.as_str() {
        "auto" => SocketPlace::Auto,
        "off" => SocketPlace::Off,
        path => SocketPlace::At(context.base.join(path)),
    }
}

fn tokens(fields: &mut Fields<'_, '_>) -> Vec<Token> {
    let field = Setting::new(
        "tokens",
        "Who may ask over TCP, by a name for the log. `host token` makes one.",
    );
    let allowed = "{\"name\": (sha256: \"...\", scopes: [Read])}";
    let Some(node) = fields.take(field, "{}", allowed) else {
        return Vec::new();
    };
    let path = fields.path_of("tokens");
    let Some(entries) = node.entries() else {
        fields.findings.expected(node, &path, allowed);
        return Vec::new();
    };
    let mut tokens: Vec<Token> = Vec::new();
    for (key, value) in entries {
        let name: String = key.scalar().unwrap_or_default();
        let is_known = tokens.iter().any(|token| token.name == name);
        if name.is_empty() || name.len() > 64 || name.contains(char::is_control) || is_known {
            let expected = "a name of up to 64 characters, each once";
            fields.findings.expected(key, &path, expected);
        }
        let path = format!("{path}.\"{}\"", name.escape_debug());
        let token = Fields::read(fields.findings, path, "Token", Some(value), |f| {
            let field = Setting::new("sha256", "SHA-256 of the token's text.");
            let digest = f.require(field, SHA256).and_then(|node| {
                let text: String = node.scalar().unwrap_or_default();
                let digest = digest(&text);
                if digest.is_none() {
                    // Not what was found: it may be the token.
                    let message = format!("expected {SHA256}, as `host token` prints them");
                    let path = f.path_of("sha256");
                    f.findings.problem(node.span(), &path, message);
                }
                digest
            });
            let scopes = scopes(f);
            Some(Token {
                name,
                sha256: digest?,
                scopes,
            })
        });
        tokens.extend(token);
    }
    tokens
}

fn scopes(fields: &mut Fields<'_, '_>) -> BTreeSet<Scope> {
    let field = Setting::new(
        "scopes",
        "What it may be used for: `Read` to see, `Media` to act on streams and clients, \
         `Admin` to act on the server. One does not have another in it.",
    );
    let allowed = "of Read, Media, Admin";
    let path = fields.path_of(field.name);
    let mut scopes = BTreeSet::new();
    for item in fields.items(field, allowed) {
        scopes.extend(word(fields.findings, item, &path, SCOPES, allowed));
    }
    scopes
}

fn digest(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut digest = [0; 32];
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(digest)
}
