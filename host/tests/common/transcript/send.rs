//! What a client sends: a line of a transcript to bytes.

use super::{body, hex, shared_object, value};
use crate::support::chunks;

/// The default application and its URL.
const APP: &str = "live";

/// What one line sends.
#[derive(Debug)]
pub(crate) enum Send {
    /// The handshake.
    Hello,
    /// Bytes as they are.
    Raw(Vec<u8>),
    /// A message, cut into chunks of the size in force.
    Message {
        chunk_stream: u8,
        kind: u8,
        timestamp: u32,
        stream: u32,
        body: Vec<u8>,
    },
    /// From now on so many bytes at a time.
    Piece(usize),
    /// Nothing more will come.
    End,
}

/// The lines that a verb stands for.
pub(super) fn expanded(text: &str) -> Option<Vec<String>> {
    let words: Vec<_> = text.split_whitespace().collect();
    let line = |text: &str| text.to_owned();
    let app = |at: usize| words.get(at).copied().unwrap_or(APP);
    Some(match words[..] {
        ["connected", ..] => {
            let app = app(1);
            vec![
                line("> chunk-size 4096"),
                format!(
                    "> command connect 1 {{app: \"{app}\", type: \"nonprivate\", flashVer: \
                     \"FMLE/3.0 (compatible; FMSc/1.0)\", tcUrl: \"rtmp://127.0.0.1/{app}\"}}"
                ),
                line("< _result 1 _ {code: \"NetConnection.Connect.Success\"}"),
            ]
        }
        ["publishing", name, ..] => vec![
            format!("> connected {}", app(2)),
            format!("> command releaseStream 2 null \"{name}\""),
            format!("> command FCPublish 3 null \"{name}\""),
            line("> command createStream 4 null"),
            line("< _result 4 null 1"),
            format!("> command@1 publish 5 null \"{name}\" \"live\""),
            line("< onStatus@1 _ _ {code: \"NetStream.Publish.Start\"}"),
        ],
        ["playing", name, ..] => vec![
            format!("> connected {}", app(2)),
            line("> command createStream 2 null"),
            line("< _result 2 null 1"),
            format!("> command@1 play 0 null \"{name}\" -2000"),
            line("> buffer-length 1 3000"),
            line("< onStatus@1 _ _ {code: \"NetStream.Play.Start\"}"),
        ],
        _ => return None,
    })
}

pub(super) fn parse(text: &str) -> Send {
    let (mut verb, mut rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut stream = None;
    if let Some((name, number)) = verb.split_once('@') {
        verb = name;
        stream = Some(number.parse().expect("a message stream"));
    }
    let mut timestamp = 0;
    if let Some(after) = rest.strip_prefix("ts=") {
        let (number, after) = after.split_once(' ').unwrap_or((after, ""));
        timestamp = number.parse().expect("a timestamp");
        rest = after;
    }
    let message = |chunk_stream, kind, stream, body| Send::Message {
        chunk_stream,
        kind,
        timestamp,
        stream,
        body,
    };
    let numbers = || {
        let numbers = rest.split_whitespace();
        numbers.flat_map(|n| n.parse::<u32>().expect("a number").to_be_bytes())
    };
    let control = |kind, event: &[u8]| {
        let body = event.iter().copied().chain(numbers()).collect();
        message(2, kind, 0, body)
    };
    let with_marker = |body: Vec<u8>| [vec![0], body].concat();
    match verb {
        "hello" => Send::Hello,
        "raw" => Send::Raw(hex(rest)),
        "piece" => Send::Piece(rest.parse().expect("a number of bytes")),
        "end" => Send::End,
        "chunk-size" => control(1, &[]),
        "abort" => control(2, &[]),
        "ack" => control(3, &[]),
        "buffer-length" => control(4, &[0, 3]),
        "ping" => control(4, &[0, 6]),
        "pong" => control(4, &[0, 7]),
        "window-ack" => control(5, &[]),
        "peer-bandwidth" => {
            let (size, limit) = rest.split_once(' ').expect("SIZE LIMIT");
            let size = size.parse::<u32>().expect("a number").to_be_bytes();
            let limit = limit.parse().expect("0, 1 or 2");
            message(2, 6, 0, size.into_iter().chain([limit]).collect())
        }
        "command" => message(3, 20, stream.unwrap_or(0), named(rest)),
        "command3" => message(3, 17, stream.unwrap_or(0), with_marker(named(rest))),
        "data" => message(6, 18, stream.unwrap_or(1), values(rest)),
        "data3" => message(6, 15, stream.unwrap_or(1), with_marker(values(rest))),
        "audio" => message(4, 8, stream.unwrap_or(1), body(rest)),
        "video" => message(6, 9, stream.unwrap_or(1), body(rest)),
        "so" => message(3, 19, 0, shared_object::encode(rest)),
        "so3" => message(3, 16, 0, with_marker(shared_object::encode(rest))),
        "message" => {
            let (fields, rest) = fields(rest);
            let get = |name: &str, usual| fields.get(name).copied().flatten().unwrap_or(usual);
            Send::Message {
                chunk_stream: u8::try_from(get("cs", 6)).expect("a short chunk stream id"),
                kind: u8::try_from(get("type", 0)).expect("a message type"),
                timestamp: get("ts", 0),
                stream: stream.unwrap_or(get("msid", 0)),
                body: body(rest),
            }
        }
        "chunk" => Send::Raw(chunk(rest)),
        other => panic!("no such verb: {other:?}"),
    }
}

/// A command's name without quotes, then values.
fn named(text: &str) -> Vec<u8> {
    let (name, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut out = value::encode_all(&[value::Value::Text(name.to_owned())]);
    out.extend(values(rest));
    out
}

fn values(text: &str) -> Vec<u8> {
    value::encode_all(&value::parse_all(text))
}

type Numbers<'a> = std::collections::BTreeMap<&'a str, Option<u32>>;

/// `name=number` words, and what follows them.
fn fields(text: &str) -> (Numbers<'_>, &str) {
    let mut fields = Numbers::new();
    let mut rest = text.trim_start();
    while let Some((word, after)) = rest.split_once(' ').or(Some((rest, "")))
        && let Some((name, number)) = word.split_once('=')
    {
        fields.insert(name, number.parse().ok());
        rest = after.trim_start();
    }
    (fields, rest)
}

/// One chunk as its fields say: `fmt cs ts len type msid`, and `ext` for an
/// extended timestamp on a chunk that would not have one.
fn chunk(text: &str) -> Vec<u8> {
    let (fields, rest) = fields(text);
    let get = |name: &str| fields.get(name).copied().flatten();
    let body = body(rest);
    let format = u8::try_from(get("fmt").expect("fmt=")).expect("0 to 3");
    let chunk_stream = get("cs").expect("cs=");
    let mut out = Vec::new();
    match chunk_stream {
        0..=63 => out.push(format << 6 | chunk_stream as u8),
        64..=319 => out.extend([format << 6, (chunk_stream - 64) as u8]),
        _ => {
            let id = chunk_stream - 64;
            out.extend([format << 6 | 1, id as u8, (id >> 8) as u8]);
        }
    }
    let time = get("ts").unwrap_or(0);
    if format < 3 {
        out.extend(&time.min(0xff_ffff).to_be_bytes()[1..]);
    }
    if format < 2 {
        let len = get("len").unwrap_or(u32::try_from(body.len()).expect("short"));
        out.extend(&len.to_be_bytes()[1..]);
        out.push(u8::try_from(get("type").expect("type=")).expect("a message type"));
    }
    if format == 0 {
        out.extend(get("msid").unwrap_or(0).to_le_bytes());
    }
    if format < 3 && time >= 0xff_ffff {
        out.extend(time.to_be_bytes());
    }
    out.extend(get("ext").into_iter().flat_map(u32::to_be_bytes));
    out.extend(body);
    out
}

/// An event of the state machine in its normal form: media with its body in
/// hex.
pub(super) fn event(text: &str) -> String {
    let (head, rest) = text.split_once(' ').unwrap_or((text, ""));
    if head == "so" {
        return format!("so {}", shown(&shared_object::encode(rest)));
    }
    let is_media = ["audio", "video", "data"].contains(&head.split('@').next().unwrap_or(head));
    let Some((time, rest)) = rest.split_once(' ').filter(|_| is_media) else {
        return text.to_owned();
    };
    let bytes = match head {
        _ if head.starts_with("data") => values(rest),
        _ => body(rest),
    };
    format!("{head} {time} {}", shown(&bytes))
}

/// Bytes in hex.
pub(crate) fn shown(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a message in chunks of `size`.
pub(super) fn chunked(send: &Send, size: usize) -> Vec<u8> {
    match send {
        Send::Raw(bytes) => bytes.clone(),
        Send::Message {
            chunk_stream,
            kind,
            timestamp,
            stream,
            body,
        } => chunks::encode(*chunk_stream, *kind, *timestamp, *stream, body, size),
        Send::Hello | Send::Piece(_) | Send::End => Vec::new(),
    }
}
