//! Calls the back end: signs, sends, keeps answers, and says in the log what
//! went wrong. URLs are logged without their queries, and bodies never.

use hmac::{Hmac, KeyInit, Mac};
use livehost_sdk::http_client::{HttpError, Request, Response};
use livehost_sdk::log::Level;
use plugin_common::Host;
use sha2::{Digest, Sha256};

use crate::call::{Call, Kind};
use crate::config::{Config, Method};
use crate::encode::hex;
use crate::shape::{Content, Verdict};

/// The back end and how to talk to it.
pub struct Backend {
    pub config: Config,
    host: Host,
}

/// What came of a question.
#[derive(Debug)]
pub enum Answer {
    Verdict(Verdict),
    /// None came that could be used, and the client is refused then.
    Failed,
}

/// Why there is no verdict.
enum Failure {
    /// There was no answer: nobody could be reached, or not in time.
    Silent(String),
    /// There was one, or the request was not sent: what a client says may be
    /// the reason, so it never lets the client in.
    Unusable(String),
}

impl Failure {
    fn reason(&self) -> &str {
        match self {
            Self::Silent(reason) | Self::Unusable(reason) => reason,
        }
    }
}

impl Backend {
    pub fn new(config: Config, host: Host) -> Self {
        Self { config, host }
    }

    /// Is the back end told about this?
    pub fn notifies(&self, kind: Kind) -> bool {
        self.config.url(kind).is_some()
    }

    /// Asks for a decision; what has no hook is allowed.
    pub fn ask(&self, kind: Kind, call: &Call<'_>) -> Answer {
        let Some(url) = self.config.url(kind) else {
            return Answer::Verdict(Verdict::Allow);
        };
        let caching = self.config.cache.as_ref();
        let caching = caching.filter(|cache| cache.kinds.contains(&kind));
        let key = caching.map(|_| cache_key(kind, url, call));
        if let Some(known) = key.as_deref().and_then(|key| self.known(key)) {
            return Answer::Verdict(known);
        }
        let answer = self.send(url, kind, call);
        let verdict = answer.and_then(|response| {
            let verdict = self.config.shape.verdict(&response);
            verdict.map_err(Failure::Unusable)
        });
        match verdict {
            Ok(verdict) => {
                let ttl = caching.and_then(|cache| match verdict {
                    Verdict::Deny(_) => cache.deny,
                    _ => Some(cache.allow),
                });
                if let (Some(ttl), Some(key)) = (ttl, key)
                    && let Ok(json) = serde_json::to_vec(&verdict)
                {
                    self.host.set(&key, &json, ttl.0);
                }
                Answer::Verdict(verdict)
            }
            Err(failure) => {
                let is_silent = matches!(failure, Failure::Silent(_));
                let allow = is_silent && self.config.allows_on_failure(kind);
                let outcome = if allow { "allow" } else { "deny" };
                self.failed(url, kind, failure.reason(), outcome);
                match allow {
                    true => Answer::Verdict(Verdict::Allow),
                    false => Answer::Failed,
                }
            }
        }
    }

    /// Tells what happened; the answer does not matter.
    pub fn notify(&self, kind: Kind, call: &Call<'_>) {
        let Some(url) = self.config.url(kind) else {
            return;
        };
        match self.send(url, kind, call) {
            Ok(response) if response.status < 400 => {}
            Ok(response) => self.failed(url, kind, &format!("status {}", response.status), "-"),
            Err(failure) => self.failed(url, kind, failure.reason(), "-"),
        }
    }

    fn known(&self, key: &str) -> Option<Verdict> {
        let json = self.host.get(key)?;
        serde_json::from_slice(&json).ok()
    }

    fn send(&self, url: &str, kind: Kind, call: &Call<'_>) -> Result<Response, Failure> {
        let Content { content_type, text } = self.config.shape.content(kind, call, &self.config);
        let mut headers = self.config.headers.clone();
        headers.push(("user-agent".into(), "livehost".into()));
        if let Some(signature) = &self.config.signature {
            let secret = signature.secret.0.as_bytes();
            let mac = Hmac::<Sha256>::new_from_slice(secret);
            let mut mac = mac.map_err(|error| Failure::Unusable(error.to_string()))?;
            mac.update(text.as_bytes());
            let hex = hex(&mac.finalize().into_bytes());
            headers.push((signature.header.clone(), format!("sha256={hex}")));
        }
        let (method, url, body) = match self.config.method {
            Method::Post => {
                headers.push(("content-type".into(), content_type.into()));
                ("POST", url.to_owned(), text.into_bytes())
            }
            Method::Get => {
                let and = if url.contains('?') { '&' } else { '?' };
                ("GET", format!("{url}{and}{text}"), Vec::new())
            }
        };
        let response = self.host.http(&Request {
            method: method.into(),
            url,
            headers,
            body,
            timeout_ms: u32::try_from(self.config.timeout.millis()).unwrap_or(u32::MAX),
            // A 3xx is an answer to us.
            follow_redirects: 0,
        });
        response.map_err(|error| match error {
            HttpError::Timeout => Failure::Silent("no answer in time".into()),
            HttpError::Connect(error) => Failure::Silent(format!("cannot connect: {error}")),
            HttpError::Denied => {
                let reason = "the application's http configuration does not allow it";
                Failure::Unusable(reason.into())
            }
            HttpError::TooLarge => Failure::Unusable("the answer is too large".into()),
            HttpError::Protocol(error) => Failure::Unusable(format!("not understood: {error}")),
        })
    }

    fn failed(&self, url: &str, kind: Kind, error: &str, outcome: &str) {
        let call = format!("{kind:?}");
        let fields = [
            ("url", shown(url)),
            ("call", &call),
            ("error", error),
            ("outcome", outcome),
        ];
        self.host.log(Level::Warn, "the back end failed", &fields);
    }
}

/// A URL as far as it holds no credentials.
fn shown(url: &str) -> &str {
    let url = url.split('?').next().unwrap_or_default();
    match url.split_once("://") {
        Some((_, rest))
            if rest
                .split('/')
                .next()
                .is_some_and(|host| host.contains('@')) =>
        {
            "(hidden, it holds credentials)"
        }
        _ => url,
    }
}

/// Where an answer is kept: everything that the question is made of, but for
/// the connection's number and port; as a digest, since some of it is secret.
fn cache_key(kind: Kind, url: &str, call: &Call<'_>) -> String {
    let mut digest = Sha256::new();
    let ip = call.ip();
    let connection = call.connection;
    let kind = format!("{kind:?}");
    for part in [
        &kind,
        url,
        &ip,
        &call.app,
        &call.name,
        &call.args,
        call.mode,
        &connection.tc_url,
        &connection.flash_ver,
        &connection.swf_url,
        &connection.page_url,
        &connection.args,
    ] {
        // With the length in front, no two lists look alike.
        digest.update(part.len().to_be_bytes());
        digest.update(part.as_bytes());
    }
    format!("answer {}", hex(&digest.finalize()))
}
