//! The configuration, read and checked.

use std::collections::BTreeMap;

use plugin_common::{OnDuplicate, OneOrMany, Span};
use serde::de::{Deserialize, Deserializer, Error as _};

use crate::call::Kind;
use crate::shape::Shape;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    shape: Shape,
    hooks: BTreeMap<String, String>,
    #[serde(default)]
    method: Method,
    #[serde(default = "timeout")]
    timeout: Span,
    #[serde(default)]
    on_failure: OnFailure,
    cache: Option<WrittenCache>,
    signature: Option<Signature>,
    #[serde(default)]
    headers: BTreeMap<String, Private>,
    #[serde(default = "server_id")]
    server_id: String,
    #[serde(default = "vhost")]
    vhost: String,
    #[serde(default)]
    on_duplicate: OnDuplicate,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCache {
    ttl: Span,
    #[serde(default = "all")]
    hooks: OneOrMany,
    /// Of refusals; none caches none.
    deny_ttl: Option<Span>,
}

/// How nginx-rtmp calls; the other shapes know POST only.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub enum Method {
    #[default]
    #[serde(rename = "POST", alias = "post")]
    Post,
    #[serde(rename = "GET", alias = "get")]
    Get,
}

/// What clients get while the back end can't be reached or takes too long.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OnFailureEach {
    connect: Failure,
    publish: Failure,
    play: Failure,
}

#[derive(Debug, serde::Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"deny\", \"allow\", or one of them for each of connect, publish and play"
)]
enum OnFailure {
    All(Failure),
    Each(OnFailureEach),
}

impl Default for OnFailure {
    fn default() -> Self {
        Self::All(Failure::Deny)
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Failure {
    #[default]
    Deny,
    Allow,
}

/// Signs requests.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    pub secret: Private,
    #[serde(default = "signature_header")]
    pub header: String,
}

/// A text that may be a secret: an error about it does not show it.
pub struct Private(pub String);

impl<'de> Deserialize<'de> for Private {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Ok(Self(text)),
            _ => Err(D::Error::custom("expected a text")),
        }
    }
}

/// Which answers are kept, and how long.
pub struct Cache {
    pub allow: Span,
    pub deny: Option<Span>,
    pub kinds: Vec<Kind>,
}

/// Checked.
pub struct Config {
    pub shape: Shape,
    pub urls: Vec<(Kind, String)>,
    pub method: Method,
    pub timeout: Span,
    allowed_on_failure: Vec<Kind>,
    pub cache: Option<Cache>,
    pub signature: Option<Signature>,
    pub headers: Vec<(String, String)>,
    pub server_id: String,
    pub vhost: String,
    pub on_duplicate: OnDuplicate,
}

fn timeout() -> Span {
    Span::seconds(2)
}
fn all() -> OneOrMany {
    OneOrMany(vec!["connect".into(), "publish".into(), "play".into()])
}
fn server_id() -> String {
    "livehost".into()
}
fn vhost() -> String {
    "__defaultVhost__".into()
}
fn signature_header() -> String {
    "X-Livehost-Signature".into()
}

impl Config {
    /// Reads the plugin's configuration.
    pub fn read(json: &str) -> Result<Self, String> {
        let written: Written = livehost_sdk::parse_config(json)?;
        let shape = written.shape;
        let urls = urls(shape, written.hooks)?;
        if written.method == Method::Get && shape != Shape::NginxRtmp {
            return Err("config: method: GET is for the shape nginx-rtmp only".into());
        }
        if written.timeout.0.is_zero() {
            return Err("config: timeout: expected more than 0".into());
        }
        let each = match written.on_failure {
            OnFailure::Each(each) => each,
            OnFailure::All(all) => OnFailureEach {
                connect: all,
                publish: all,
                play: all,
            },
        };
        let failures = [
            (Kind::Connect, each.connect),
            (Kind::Publish, each.publish),
            (Kind::Play, each.play),
        ];
        let allowed = failures.into_iter();
        let allowed = allowed.filter(|(_, failure)| *failure == Failure::Allow);
        let signature = written.signature;
        if signature.as_ref().is_some_and(|s| s.secret.0.is_empty()) {
            return Err("config: signature.secret: is empty".into());
        }
        let headers = written.headers.into_iter();
        Ok(Self {
            shape,
            urls,
            method: written.method,
            timeout: written.timeout,
            allowed_on_failure: allowed.map(|(kind, _)| kind).collect(),
            cache: written.cache.map(cache).transpose()?,
            signature,
            headers: headers.map(|(name, value)| (name, value.0)).collect(),
            server_id: written.server_id,
            vhost: written.vhost,
            on_duplicate: written.on_duplicate,
        })
    }

    /// Where a call goes; none when nobody asked for it.
    pub fn url(&self, kind: Kind) -> Option<&str> {
        let mut urls = self.urls.iter();
        urls.find(|(of, _)| *of == kind)
            .map(|(_, url)| url.as_str())
    }

    /// What a client gets when the back end can't be reached or takes too long.
    pub fn allows_on_failure(&self, kind: Kind) -> bool {
        self.allowed_on_failure.contains(&kind)
    }
}

/// `hooks`, under the names that the other server has for them.
fn urls(shape: Shape, hooks: BTreeMap<String, String>) -> Result<Vec<(Kind, String)>, String> {
    if hooks.is_empty() {
        return Err(format!(
            "config: hooks: none is given, expected some of {}",
            shape.hooks_listed()
        ));
    }
    let mut urls = Vec::new();
    for (hook, url) in hooks {
        let kinds = shape.kinds(&hook).ok_or_else(|| {
            let known = shape.hooks_listed();
            format!("config: hooks: unknown hook `{hook}`, expected some of {known}")
        })?;
        if !(url.starts_with("http://") || url.starts_with("https://")) || url.contains('#') {
            return Err(format!(
                "config: hooks.{hook}: expected a http:// or https:// URL"
            ));
        }
        urls.extend(kinds.iter().map(|kind| (*kind, url.clone())));
    }
    Ok(urls)
}

fn cache(written: WrittenCache) -> Result<Cache, String> {
    let kinds = written.hooks.0.iter().map(|word| match word.as_str() {
        "connect" => Ok(Kind::Connect),
        "publish" => Ok(Kind::Publish),
        "play" => Ok(Kind::Play),
        other => Err(format!(
            "config: cache.hooks: expected connect, publish or play, found {other:?}"
        )),
    });
    Ok(Cache {
        allow: written.ttl,
        deny: written.deny_ttl,
        kinds: kinds.collect::<Result<_, _>>()?,
    })
}
