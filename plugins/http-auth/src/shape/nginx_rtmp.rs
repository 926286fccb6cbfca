//! nginx-rtmp: `on_connect` and the like of its notify module. Form fields
//! out; 2xx, 3xx with a Location, or anything else in.

use livehost_sdk::http_client::Response;

use super::{Content, Verdict};
use crate::call::{Call, Kind};
use crate::encode::{decode, percent, pieces};

pub const HOOKS: &[(&str, &[Kind])] = &[
    ("on_connect", &[Kind::Connect]),
    ("on_disconnect", &[Kind::Disconnect]),
    ("on_publish", &[Kind::Publish]),
    ("on_publish_done", &[Kind::PublishDone]),
    ("on_play", &[Kind::Play]),
    ("on_play_done", &[Kind::PlayDone]),
    ("on_done", &[Kind::Done]),
];

/// The fields of a call, then the client's own parameters. Those that have
/// the name of a field are left out: a back end may read the last one.
pub fn content(kind: Kind, call: &Call<'_>) -> Content {
    let connection = call.connection;
    let mut fields = vec![
        ("app", call.app.clone()),
        ("flashver", connection.flash_ver.clone()),
        ("swfurl", connection.swf_url.clone()),
        ("tcurl", connection.tc_url.clone()),
        ("pageurl", connection.page_url.clone()),
        ("addr", call.ip()),
    ];
    match kind {
        // A connection has no number yet; the clock of RTMP starts at 0.
        Kind::Connect => fields.push(("epoch", "0".into())),
        _ => fields.push(("clientid", call.client.conn.to_string())),
    }
    fields.push(("call", word(kind).into()));
    if !call.name.is_empty() {
        fields.push(("name", call.name.clone()));
    }
    match kind {
        Kind::Publish => fields.push(("type", call.mode.to_owned())),
        Kind::Play => fields.extend([
            ("start", start(call).to_string()),
            ("duration", "0".into()),
            ("reset", "0".into()),
        ]),
        _ => {}
    }
    let args = match kind {
        Kind::Connect | Kind::Disconnect => &connection.args,
        _ => &call.args,
    };
    let own = pieces(args).filter(|(key, _)| !RESERVED.contains(&decode(key).as_str()));
    let own = own.map(|(key, value)| format!("{key}={value}"));
    let fields = fields.iter();
    let fields = fields.map(|(key, value)| format!("{key}={}", percent(value)));
    Content {
        content_type: "application/x-www-form-urlencoded",
        text: fields.chain(own).collect::<Vec<_>>().join("&"),
    }
}

/// Milliseconds; -1000 for live, -2000 for whatever there is, as unsigned
/// numbers of 32 bits.
fn start(call: &Call<'_>) -> u32 {
    match (call.start, call.mode) {
        // A float becomes the nearest number there is.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        (Some(seconds), _) => (seconds * 1000.0) as u32,
        (None, "live") => 0u32.wrapping_sub(1000),
        (None, _) => 0u32.wrapping_sub(2000),
    }
}

const RESERVED: [&str; 15] = [
    "app", "flashver", "swfurl", "tcurl", "pageurl", "addr", "epoch", "clientid", "call", "name",
    "type", "start", "duration", "reset", "recorder",
];

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Connect => "connect",
        Kind::Publish => "publish",
        Kind::Play => "play",
        Kind::PublishDone => "publish_done",
        Kind::PlayDone => "play_done",
        Kind::Done => "done",
        Kind::Disconnect => "disconnect",
    }
}

pub fn verdict(response: &Response) -> Result<Verdict, String> {
    match response.status {
        200..=299 => Ok(Verdict::Allow),
        300..=399 => {
            let mut headers = response.headers.iter();
            let location = headers.find(|(name, _)| name.eq_ignore_ascii_case("location"));
            let to = location.map(|(_, to)| to.trim()).unwrap_or_default();
            elsewhere(to).ok_or_else(|| {
                format!(
                    "status {} whose Location is neither a name nor a rtmp:// URL",
                    response.status
                )
            })
        }
        _ => Ok(Verdict::denied()),
    }
}

fn elsewhere(to: &str) -> Option<Verdict> {
    if let Some((scheme, _)) = to.split_once("://") {
        let rtmp = ["rtmp", "rtmps"].contains(&scheme.to_ascii_lowercase().as_str());
        return rtmp.then(|| Verdict::Elsewhere(to.to_owned()));
    }
    let name = to.split('?').next().unwrap_or_default().trim_matches('/');
    (!name.is_empty()).then(|| Verdict::Elsewhere(decode(name)))
}
