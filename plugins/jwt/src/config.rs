//! The configuration, and the checks of claims that it asks for.

use std::time::Duration;

use plugin_common::{OnDuplicate, OneOrMany, Span};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::claims::{self, Permit};
use crate::key::Key;

/// As written, but for `keys`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Read one by one: an error must not show a secret.
    #[serde(default)]
    keys: Vec<Value>,
    pub jwks: Option<Jwks>,
    issuer: Option<OneOrMany>,
    audience: Option<OneOrMany>,
    #[serde(default = "leeway")]
    leeway: Span,
    #[serde(default = "yes")]
    require_exp: bool,
    #[serde(default = "params")]
    pub params: OneOrMany,
    #[serde(default = "stream_claim")]
    stream_claim: Option<String>,
    #[serde(default = "action_claim")]
    action_claim: Option<String>,
    #[serde(default = "open")]
    pub connect: Entry,
    #[serde(default)]
    pub publish: Entry,
    #[serde(default)]
    pub play: Entry,
    #[serde(default)]
    pub play_until_expiry: bool,
    #[serde(default)]
    pub on_duplicate: OnDuplicate,
}

/// Who gets in without a token.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Entry {
    /// Everybody.
    Open,
    /// Nobody.
    #[default]
    Token,
}

/// A key set to fetch.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwks {
    pub url: String,
    /// How old a set may be before it is fetched again.
    #[serde(default = "refresh")]
    pub refresh: Span,
    /// How old it may be when it can't be fetched again.
    #[serde(default = "stale")]
    pub stale: Span,
    /// How long after an attempt no unknown key causes another.
    #[serde(default = "cooldown")]
    pub cooldown: Span,
    #[serde(default = "timeout")]
    pub timeout: Span,
}

impl Jwks {
    /// Where the set is in the application's state.
    pub fn set_key(&self) -> String {
        format!("jwks {}", self.url)
    }

    /// Where the last attempt is.
    pub fn attempt_key(&self) -> String {
        format!("jwks-attempt {}", self.url)
    }
}

fn yes() -> bool {
    true
}
fn open() -> Entry {
    Entry::Open
}
fn leeway() -> Span {
    Span::seconds(30)
}
fn params() -> OneOrMany {
    OneOrMany(vec!["token".into(), "jwt".into()])
}
fn stream_claim() -> Option<String> {
    Some("stream".into())
}
fn action_claim() -> Option<String> {
    Some("action".into())
}
fn refresh() -> Span {
    Span::seconds(3600)
}
fn stale() -> Span {
    Span::seconds(24 * 3600)
}
fn cooldown() -> Span {
    Span::seconds(30)
}
fn timeout() -> Span {
    Span::seconds(2)
}

impl Config {
    /// Reads the plugin's configuration.
    pub fn read(json: &str) -> Result<(Self, Vec<Key>), String> {
        let config: Self = livehost_sdk::parse_config(json)?;
        let keys = config.keys.iter().enumerate().map(|(index, entry)| {
            Key::configured(entry).map_err(|error| format!("config: keys[{index}]: {error}"))
        });
        let keys: Vec<Key> = keys.collect::<Result<_, _>>()?;
        if keys.is_empty() && config.jwks.is_none() {
            return Err("config: no key to check tokens with: give keys or jwks".into());
        }
        if config.params.0.is_empty() {
            return Err(
                "config: params: no parameter is listed, expected one such as \"token\"".into(),
            );
        }
        if let Some(jwks) = &config.jwks {
            let known = jwks.url.starts_with("https://") || jwks.url.starts_with("http://");
            if !known || jwks.url.len() > 400 {
                return Err(
                    "config: jwks.url: expected a https:// or http:// URL of at most 400 bytes"
                        .into(),
                );
            }
            if jwks.refresh.0.is_zero() || jwks.stale < jwks.refresh {
                return Err(
                    "config: jwks.refresh: expected more than 0, and jwks.stale not below it"
                        .into(),
                );
            }
        }
        Ok((config, keys))
    }

    /// Are the times, issuer and audience of a token right? Gives what it
    /// permits.
    pub fn check(&self, claims: &Map<String, Value>, now: Duration) -> Result<Permit, String> {
        let permit = Permit {
            streams: self.listed(claims, self.stream_claim.as_deref(), claims::texts)?,
            actions: self.listed(claims, self.action_claim.as_deref(), claims::words)?,
            expires: claims::seconds(claims, "exp")?,
            subject: claims::text(claims, "sub"),
        };
        if permit.expires.is_none() && self.require_exp {
            return Err("the token never expires (it has no exp)".into());
        }
        self.check_expiry(&permit, now)?;
        let begins = claims::seconds(claims, "nbf")?;
        if begins.is_some_and(|begins| Duration::from_secs(begins) > now + self.leeway.0) {
            return Err("the token is not valid yet".into());
        }
        if let Some(OneOrMany(wanted)) = &self.issuer
            && !claims::text(claims, "iss").is_some_and(|issuer| wanted.contains(&issuer))
        {
            return Err("the token's issuer is not accepted here".into());
        }
        if let Some(OneOrMany(wanted)) = &self.audience {
            let audience = claims.get("aud").and_then(claims::texts);
            if !audience.is_some_and(|all| all.iter().any(|one| wanted.contains(one))) {
                return Err("the token is for another audience".into());
            }
        }
        Ok(permit)
    }

    /// Has a token that was good once expired?
    pub fn check_expiry(&self, permit: &Permit, now: Duration) -> Result<(), String> {
        let end = permit.expires.map(Duration::from_secs);
        if end.is_some_and(|end| end.saturating_add(self.leeway.0) <= now) {
            return Err("the token has expired".into());
        }
        Ok(())
    }

    /// The texts of a claim; none when the claim is configured not to count.
    fn listed(
        &self,
        claims: &Map<String, Value>,
        claim: Option<&str>,
        read: fn(&Value) -> Option<Vec<String>>,
    ) -> Result<Option<Vec<String>>, String> {
        let Some(name) = claim else {
            return Ok(None);
        };
        let value = claims::find(claims, name);
        let value = value.ok_or_else(|| format!("the token has no claim {name:?}"))?;
        let texts = read(value);
        texts
            .map(Some)
            .ok_or_else(|| format!("the token's claim {name:?} is no text and no list of texts"))
    }
}
