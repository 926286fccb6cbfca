//! SRS: its HTTP callbacks. JSON out; status 200 with `0` or `{"code": 0}` in.

use livehost_sdk::http_client::Response;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{Content, Verdict};
use crate::call::{Call, Kind};
use crate::config::Config;
use crate::encode::{hex, param};

pub const HOOKS: &[(&str, &[Kind])] = &[
    ("on_connect", &[Kind::Connect]),
    ("on_close", &[Kind::Disconnect]),
    ("on_publish", &[Kind::Publish]),
    ("on_unpublish", &[Kind::PublishDone]),
    ("on_play", &[Kind::Play]),
    ("on_stop", &[Kind::PlayDone]),
];

/// Longest reason of a back end that clients are shown, in characters.
const MAX_REASON: usize = 200;

pub fn content(kind: Kind, call: &Call<'_>, config: &Config) -> Content {
    let connection = call.connection;
    let vhost = param(&call.args, "vhost")
        .or_else(|| param(&connection.args, "vhost"))
        .unwrap_or_else(|| config.vhost.clone());
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("server_id", json!(config.server_id));
    put("action", json!(word(kind)));
    put("client_id", json!(call.client.conn.to_string()));
    put("ip", json!(call.ip()));
    put("vhost", json!(vhost));
    put("app", json!(call.app));
    put("tcUrl", json!(connection.tc_url));
    match kind {
        Kind::Connect => _ = put("pageUrl", json!(connection.page_url)),
        Kind::Disconnect => {
            put("send_bytes", json!(call.end.map(|end| end.bytes_out)));
            put("recv_bytes", json!(call.end.map(|end| end.bytes_in)));
        }
        _ => {
            let url = format!("{vhost}/{}/{}", call.app, call.name);
            let digest = hex(&Sha256::digest(&url));
            put("stream", json!(call.name));
            let param = match call.args.as_str() {
                "" => String::new(),
                args => format!("?{args}"),
            };
            put("param", json!(param));
            put(
                "stream_id",
                json!(format!("vid-{}", digest.get(..7).unwrap_or_default())),
            );
            put("stream_url", json!(url));
            if kind == Kind::Play {
                put("pageUrl", json!(connection.page_url));
            }
        }
    }
    Content {
        content_type: "application/json",
        text: Value::Object(object).to_string(),
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Connect => "on_connect",
        Kind::Publish => "on_publish",
        Kind::Play => "on_play",
        Kind::PublishDone => "on_unpublish",
        Kind::PlayDone | Kind::Done => "on_stop",
        Kind::Disconnect => "on_close",
    }
}

pub fn verdict(response: &Response) -> Result<Verdict, String> {
    if response.status != 200 {
        return Ok(Verdict::denied());
    }
    let body: Value = serde_json::from_slice(&response.body)
        .map_err(|_| "an answer that is neither 0 nor JSON with a code".to_owned())?;
    let code = body.get("code").unwrap_or(&body);
    match code.as_i64() {
        Some(0) => Ok(Verdict::Allow),
        Some(_) => Ok(match body.get("msg").and_then(Value::as_str) {
            Some(text) if !text.is_empty() => {
                let printable = text.chars().filter(|c| !c.is_control());
                Verdict::Deny(printable.take(MAX_REASON).collect())
            }
            _ => Verdict::denied(),
        }),
        None => Err("an answer without a code".into()),
    }
}
