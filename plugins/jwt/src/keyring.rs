//! All keys: those of the configuration, and a set fetched from a URL.
//!
//! Flows in: tokens, the host's HTTP and state. Flows out: claims of tokens
//! whose signature is right. The fetched set is kept in the application's
//! state for all instances, and parsed once per instance.

use std::cell::RefCell;
use std::time::Duration;

use livehost_sdk::http_client::Request;
use livehost_sdk::log::Level;
use plugin_common::Host;
use serde_json::{Map, Value};

use crate::config::Jwks;
use crate::key::Key;
use crate::token::Token;

/// Keys of a fetched set that are looked at.
const MAX_KEYS: usize = 64;

/// Finds the key of a token.
pub struct Keyring {
    configured: Vec<Key>,
    jwks: Option<Jwks>,
    fetched: RefCell<Fetched>,
    host: Host,
}

/// A set as parsed, and when it was fetched.
#[derive(Default)]
struct Fetched {
    at: Duration,
    keys: Vec<Key>,
}

enum Found {
    Right,
    Wrong,
    NoKey,
}

impl Keyring {
    pub fn new(configured: Vec<Key>, jwks: Option<Jwks>, host: Host) -> Self {
        Self {
            configured,
            jwks,
            fetched: RefCell::default(),
            host,
        }
    }

    /// The claims of a token whose signature is right.
    pub fn verify(&self, text: &str) -> Result<Map<String, Value>, String> {
        let token = Token::parse(text)?;
        let mut found = try_keys(&self.configured, &token);
        if let (Some(jwks), false) = (&self.jwks, matches!(found, Found::Right)) {
            self.freshen(jwks);
            found = found.or(try_keys(&self.fetched.borrow().keys, &token));
            // A key that came after the set was fetched. Without an id, a
            // wrong signature may mean the same.
            let newer = match found {
                Found::Right => false,
                Found::Wrong => token.kid.is_none(),
                Found::NoKey => true,
            };
            if newer && self.fetch_if_due(jwks) {
                found = try_keys(&self.fetched.borrow().keys, &token);
            }
            if matches!(found, Found::NoKey) && self.fetched.borrow().keys.is_empty() {
                return Err("no key to check the token with could be fetched, try again".into());
            }
        }
        match found {
            Found::Right => Ok(token.claims()?),
            Found::Wrong => Err("the token's signature is wrong".into()),
            Found::NoKey => Err("the token is signed with no key known here".into()),
        }
    }

    /// Before the first token: makes sure that there is a set.
    pub fn warm(&self) {
        if let Some(jwks) = &self.jwks {
            self.freshen(jwks);
        }
    }

    /// Fetches the set, due or not.
    pub fn refresh(&self) {
        if let Some(jwks) = &self.jwks {
            self.fetch(jwks);
        }
    }

    /// Takes over what another instance fetched; fetches when nobody did in
    /// time. A set that can't be renewed serves on until it is stale.
    fn freshen(&self, jwks: &Jwks) {
        let age = |fetched: &Fetched| self.host.now().saturating_sub(fetched.at);
        if age(&self.fetched.borrow()) < jwks.refresh.0 {
            return;
        }
        self.load(jwks);
        if age(&self.fetched.borrow()) >= jwks.refresh.0 {
            self.fetch_if_due(jwks);
        }
        if age(&self.fetched.borrow()) >= jwks.stale.0 {
            *self.fetched.borrow_mut() = Fetched::default();
        }
    }

    /// Fetches unless somebody tried a moment ago; true if the set is another
    /// one now.
    fn fetch_if_due(&self, jwks: &Jwks) -> bool {
        if self.host.claim(&jwks.attempt_key(), jwks.cooldown.0) {
            self.fetch(jwks)
        } else {
            self.load(jwks)
        }
    }

    fn fetch(&self, jwks: &Jwks) -> bool {
        let body = match self.get(jwks) {
            Ok(body) => body,
            Err(error) => {
                let fields = [("url", jwks.url.as_str()), ("error", &error)];
                let text = "the key set could not be fetched";
                self.host.log(Level::Warn, text, &fields);
                return false;
            }
        };
        let at = self.host.now();
        let kept = format!("{}\n{body}", at.as_millis());
        self.host
            .set(&jwks.set_key(), kept.as_bytes(), jwks.stale.0);
        self.take(at, &body)
    }

    fn get(&self, jwks: &Jwks) -> Result<String, String> {
        let response = self.host.http(&Request {
            method: "GET".into(),
            url: jwks.url.clone(),
            headers: vec![("accept".into(), "application/json".into())],
            body: Vec::new(),
            timeout_ms: u32::try_from(jwks.timeout.millis()).unwrap_or(u32::MAX),
            follow_redirects: 2,
        });
        let response = response.map_err(|error| format!("{error:?}"))?;
        if response.status != 200 {
            return Err(format!("expected status 200, got {}", response.status));
        }
        let body = String::from_utf8(response.body).map_err(|_| "the answer is no text")?;
        // Nothing useful replaces nothing useful only.
        parse(&body).map(|_| body)
    }

    /// What another instance fetched, if that is newer; true if it is.
    fn load(&self, jwks: &Jwks) -> bool {
        let kept = self.host.get(&jwks.set_key());
        let kept = kept.and_then(|bytes| String::from_utf8(bytes).ok());
        let Some((at, body)) = kept.as_deref().and_then(|text| text.split_once('\n')) else {
            return false;
        };
        let at = Duration::from_millis(at.parse().unwrap_or_default());
        at > self.fetched.borrow().at && self.take(at, body)
    }

    fn take(&self, at: Duration, body: &str) -> bool {
        match parse(body) {
            Ok(keys) => {
                *self.fetched.borrow_mut() = Fetched { at, keys };
                true
            }
            Err(_) => false,
        }
    }
}

impl Found {
    /// The better of two answers.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Right, _) | (_, Self::Right) => Self::Right,
            (Self::Wrong, _) | (_, Self::Wrong) => Self::Wrong,
            (Self::NoKey, Self::NoKey) => Self::NoKey,
        }
    }
}

fn try_keys(keys: &[Key], token: &Token<'_>) -> Found {
    let mut found = Found::NoKey;
    for key in keys.iter().filter(|key| key.is_for(token)) {
        if key.verifies(token) {
            return Found::Right;
        }
        found = Found::Wrong;
    }
    found
}

/// The keys of a set that can be used here; others are passed over, as RFC
/// 7517 section 5 wants it.
fn parse(body: &str) -> Result<Vec<Key>, String> {
    let set: Value = serde_json::from_str(body).map_err(|_| "the answer is no JSON")?;
    let keys = set.get("keys").and_then(Value::as_array);
    let keys = keys.ok_or("expected an object with a list of keys")?;
    let usable: Vec<Key> = keys
        .iter()
        .take(MAX_KEYS)
        .filter_map(|jwk| Key::fetched(jwk).ok())
        .collect();
    if usable.is_empty() {
        return Err(format!(
            "none of its {} keys can be used: expected RS256 or ES256",
            keys.len()
        ));
    }
    Ok(usable)
}
