//! Who asks, and what they may.
//!
//! Over TCP a request names a token (`Authorization: Bearer TOKEN`, RFC 6750); the
//! configuration has the SHA-256 of each, with its scopes. A token has 256 random
//! bits, so its hash need not be slow. At the control socket the file's mode has
//! decided already: who connects may do everything.

use std::collections::BTreeSet;
use std::fmt;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use livehost_telemetry::limited;
use livehost_telemetry::log::STRANGERS;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::connection::Peer;
use crate::problem::Problem;

/// What a token may be for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// See everything.
    Read,
    /// Act on streams and clients: kick, stop, forward, send data.
    Media,
    /// Act on the server: reload, drain, the log's level.
    Admin,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "Read",
            Self::Media => "Media",
            Self::Admin => "Admin",
        })
    }
}

/// A token, as the configuration has it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// What the log calls who uses it.
    pub name: String,
    /// SHA-256 of the token's text.
    pub sha256: [u8; 32],
    /// What it may be used for; nothing else.
    pub scopes: BTreeSet<Scope>,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// Who may ask over TCP, and under which names the server is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessSettings {
    /// Without any, nobody may.
    pub tokens: Vec<Token>,
    /// Names of this server in URLs, beside its addresses and `localhost`.
    pub hosts: Vec<String>,
}

/// Who asks, once that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// The token's name, or the socket with the user's number.
    pub name: String,
    scopes: BTreeSet<Scope>,
}

impl Operator {
    /// Who connected to the control socket.
    fn at_the_socket(uid: u32) -> Self {
        Self {
            name: format!("uid {uid}"),
            scopes: [Scope::Read, Scope::Media, Scope::Admin].into(),
        }
    }

    fn need(&self, scope: Scope) -> Result<(), Problem> {
        if self.scopes.contains(&scope) {
            return Ok(());
        }
        let detail = format!("expected a token with the scope {scope}");
        Err(Problem::new(StatusCode::FORBIDDEN, detail))
    }
}

/// Finds out who sends a request with these headers.
///
/// # Errors
/// A [`Problem`] with status 401.
pub(crate) fn identify(
    settings: &AccessSettings,
    peer: &Peer,
    headers: &HeaderMap,
) -> Result<Operator, Problem> {
    let remote = match peer {
        Peer::Socket { uid } => return Ok(Operator::at_the_socket(*uid)),
        Peer::Tcp { remote, .. } => remote,
    };
    let refused = |detail: &str| Problem::new(StatusCode::UNAUTHORIZED, detail);
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Err(refused(
            "expected `Authorization: Bearer TOKEN`; tokens are in the configuration, `api.tokens`",
        ));
    };
    let shown = value.to_str().ok().and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let Some(shown) = shown else {
        return Err(refused("expected `Authorization: Bearer TOKEN`"));
    };
    let digest: [u8; 32] = Sha256::digest(shown.as_bytes()).into();
    // All of them are compared: the time tells nothing.
    let found = settings.tokens.iter().fold(None, |found, token| {
        let is_same = bool::from(token.sha256.ct_eq(&digest));
        if is_same { Some(token) } else { found }
    });
    match found {
        Some(token) => Ok(Operator {
            name: token.name.clone(),
            scopes: token.scopes.clone(),
        }),
        None => {
            limited!(WARN, STRANGERS.admits(), %remote,
                "API request refused: nobody knows its token");
            Err(refused("nobody knows this token"))
        }
    }
}

/// An extractor: who asks may see.
#[derive(Debug)]
pub struct Reads;
/// An extractor: who asks may act on streams and clients.
#[derive(Debug)]
pub struct SteersMedia(pub Operator);
/// An extractor: who asks may act on the server.
#[derive(Debug)]
pub struct Administers(pub Operator);

fn operator(parts: &Parts, scope: Scope) -> Result<Operator, Problem> {
    // The router puts it there for whatever is behind it.
    let operator = parts
        .extensions
        .get::<Operator>()
        .ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "expected to know who asks"))?;
    operator.need(scope)?;
    Ok(operator.clone())
}

impl<S: Send + Sync> FromRequestParts<S> for Reads {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        operator(parts, Scope::Read).map(|_| Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SteersMedia {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        operator(parts, Scope::Media).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Administers {
    type Rejection = Problem;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        operator(parts, Scope::Admin).map(Self)
    }
}
