//! MediaMTX: its HTTP authentication. JSON out; 20x or anything else in.

use livehost_sdk::http_client::Response;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{Content, Verdict};
use crate::call::{Call, Kind};
use crate::encode::{hex, param};

/// One URL is asked about everything. Its other hooks run commands.
pub const HOOKS: &[(&str, &[Kind])] = &[("auth", &[Kind::Publish, Kind::Play])];

pub fn content(kind: Kind, call: &Call<'_>) -> Content {
    let of_either = |key: &str| {
        param(&call.args, key)
            .or_else(|| param(&call.connection.args, key))
            .unwrap_or_default()
    };
    let token = Some(of_either("token")).filter(|token| !token.is_empty());
    let body = json!({
        "user": of_either("user"),
        "password": of_either("pass"),
        "token": token.unwrap_or_else(|| of_either("jwt")),
        "ip": call.ip(),
        "action": if kind == Kind::Publish { "publish" } else { "read" },
        "path": format!("{}/{}", call.app, call.name),
        "protocol": "rtmp",
        "id": uuid(call.client.conn),
        "query": call.args,
        "userAgent": call.connection.flash_ver,
    });
    Content {
        content_type: "application/json",
        text: body.to_string(),
    }
}

/// The connection's number as a UUID, the same in all calls (RFC 9562 section
/// 5.8: version 8, content of one's own).
fn uuid(conn: u64) -> String {
    let digest = Sha256::digest(conn.to_be_bytes());
    let mut bytes = <[u8; 16]>::default();
    for (byte, from) in bytes.iter_mut().zip(digest.iter()) {
        *byte = *from;
    }
    let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
    *version = *version & 0x0f | 0x80;
    *variant = *variant & 0x3f | 0x80;
    let digits = hex(&bytes);
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    [
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-")
}

pub fn verdict(response: &Response) -> Verdict {
    match response.status {
        200..=299 => Verdict::Allow,
        _ => Verdict::denied(),
    }
}
