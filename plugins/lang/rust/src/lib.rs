//! The policy `keyed` in Rust; ../README.md says what it does.

use std::collections::BTreeMap;
use std::time::Duration;

use livehost_sdk::{
    App, Client, ConnectDecision, ConnectRequest, DuplicateRule, PlayDecision, PlayGrant,
    PublishDecision, PublishGrant, Rejection, StreamRequest, accept, deny, http_client, kv, log,
};
use serde::Deserialize;
use subtle::ConstantTimeEq;

/// When a client may try again after the back end failed.
const RETRY: Duration = Duration::from_secs(5);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    keys: BTreeMap<String, Vec<String>>,
    apps: Option<Vec<String>>,
    #[serde(default)]
    moved: BTreeMap<String, String>,
    #[serde(default = "verbatim")]
    rename: String,
    #[serde(default)]
    on_duplicate: OnDuplicate,
    hook: Option<String>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnDuplicate {
    #[default]
    Reject,
    Replace,
    Standby,
}

impl From<OnDuplicate> for DuplicateRule {
    fn from(rule: OnDuplicate) -> Self {
        match rule {
            OnDuplicate::Reject => Self::Reject,
            OnDuplicate::Replace => Self::Replace,
            OnDuplicate::Standby => Self::Standby,
        }
    }
}

fn verbatim() -> String {
    "{name}".into()
}

struct Keyed(Config);

impl App for Keyed {
    fn configure(config: &str) -> Result<Self, String> {
        let config: Config = livehost_sdk::parse_config(config)?;
        if !config.rename.contains("{name}") {
            return Err("rename: expected a text with {name} in it".into());
        }
        Ok(Self(config))
    }

    fn on_connect(&self, req: &ConnectRequest) -> ConnectDecision {
        if let Some(url) = self.0.moved.get(&req.app) {
            return ConnectDecision::Redirect(url.clone());
        }
        match &self.0.apps {
            Some(apps) if !apps.contains(&req.app) => {
                deny(format!("there is no application \"{}\"", req.app))
            }
            _ => accept(),
        }
    }

    fn on_publish(&self, req: &StreamRequest) -> PublishDecision {
        self.publish(req).into()
    }

    fn on_play(&self, req: &StreamRequest) -> PlayDecision {
        PlayGrant::default().name(self.granted(&req.name)).into()
    }

    fn on_call(&self, _who: &Client, method: &str, amf0: &[u8]) -> Result<Vec<u8>, String> {
        if method != "count" {
            return Err("unknown".into());
        }
        let name = amf0_text(amf0).ok_or("count: expected the name of a stream")?;
        let entry = kv::get(&counter(&self.granted(name))).map_err(|_| "count: no store")?;
        let count = entry
            .and_then(|entry| String::from_utf8(entry.value).ok())
            .and_then(|text| text.parse().ok())
            .unwrap_or(0.0);
        Ok(amf0_number(count))
    }
}

impl Keyed {
    fn publish(&self, req: &StreamRequest) -> Result<PublishGrant, Rejection> {
        let shown = req.param("key").filter(|key| !key.is_empty());
        let shown = shown.ok_or_else(|| denied("a publish key is required: NAME?key=KEY"))?;
        if !self.opens(&req.name, shown) {
            return Err(denied("the publish key is wrong"));
        }
        let name = self.granted(&req.name);
        if let Some(url) = &self.0.hook {
            ask(url, req, &name)?;
        }
        if let Err(error) = kv::incr(&counter(&name), 1, None) {
            log::warn(format!("a publish was not counted: {error:?}"));
        }
        Ok(PublishGrant::default()
            .name(name)
            .on_duplicate(self.0.on_duplicate.into()))
    }

    /// The stream's own keys, else those of the longest prefix.
    fn keys(&self, name: &str) -> &[String] {
        let prefixes = self.0.keys.iter().filter_map(|(pattern, keys)| {
            let prefix = pattern.strip_suffix('*')?;
            name.starts_with(prefix).then_some((prefix.len(), keys))
        });
        let own = self.0.keys.get(name);
        own.or_else(|| Some(prefixes.max_by_key(|(length, _)| *length)?.1))
            .map_or(&[], Vec::as_slice)
    }

    /// Compares every key, so time does not tell which one was close.
    fn opens(&self, name: &str, shown: &str) -> bool {
        self.keys(name).iter().fold(false, |found, key| {
            found | bool::from(key.as_bytes().ct_eq(shown.as_bytes()))
        })
    }

    fn granted(&self, name: &str) -> String {
        self.0.rename.replacen("{name}", name, 1)
    }
}

fn denied(why: impl Into<String>) -> Rejection {
    Rejection::new(why).code("NetStream.Publish.Denied")
}

fn counter(name: &str) -> String {
    format!("publishes/{name}")
}

/// Asks the back end: 2xx accepts.
fn ask(url: &str, req: &StreamRequest, granted: &str) -> Result<(), Rejection> {
    let body = serde_json::json!({
        "hook": "publish",
        "app": req.app,
        "name": req.name,
        "stream": granted,
        "remote": req.client.remote,
    });
    let response = http_client::send(&http_client::Request {
        method: "POST".into(),
        url: url.into(),
        headers: vec![("content-type".into(), "application/json".into())],
        body: body.to_string().into_bytes(),
        timeout_ms: 0,
        follow_redirects: 0,
    })
    .map_err(|error| {
        log::warn(format!("the back end failed: {error:?}"));
        denied("the back end does not answer").retry_after(RETRY)
    })?;
    match response.status {
        200..=299 => Ok(()),
        status => Err(denied(format!("refused by the back end: status {status}"))),
    }
}

/// A string as AMF0 has it: marker 2, length in two bytes, UTF-8.
fn amf0_text(bytes: &[u8]) -> Option<&str> {
    let [2, high, low, rest @ ..] = bytes else {
        return None;
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    std::str::from_utf8(rest.get(..length)?).ok()
}

/// A number as AMF0 has it: marker 0, eight bytes, the highest first.
fn amf0_number(number: f64) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(number.to_be_bytes());
    bytes
}

livehost_sdk::export!(Keyed);
