//! Shared object messages in words: `NAME VERSION [persistent] EVENT; EVENT`.
//!
//! The events (RTMP 1.0 section 7.1.4) by their numbers: 1 `use`, 2 `release`,
//! 3 `set NAME VALUE`, 4 `change NAME VALUE`, 5 `done NAME`, 6 `send VALUES`,
//! 7 `status CODE LEVEL`, 8 `clear`, 9 `gone NAME`, 10 `remove NAME`,
//! 11 `use-success`.

use super::value;
use crate::support::amf::{self, Amf};

/// The body of a message of type 19.
pub(crate) fn encode(text: &str) -> Vec<u8> {
    let (name, rest) = text.split_once(' ').expect("NAME VERSION EVENTS");
    let (version, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let version: u32 = version.parse().expect("a version");
    let events = rest.strip_prefix("persistent");
    let persistence: u32 = if events.is_some() { 2 } else { 0 };
    let mut out = key(name);
    out.extend(version.to_be_bytes());
    out.extend(persistence.to_be_bytes());
    out.extend([0; 4]);
    let events = events.unwrap_or(rest).split(';').map(str::trim);
    for text in events.filter(|text| !text.is_empty()) {
        let (kind, body) = event(text);
        out.push(kind);
        out.extend(u32::try_from(body.len()).expect("short").to_be_bytes());
        out.extend(body);
    }
    out
}

fn event(text: &str) -> (u8, Vec<u8>) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let pair = || {
        let (name, rest) = rest.split_once(' ').expect("NAME VALUE");
        [key(name), value::encode_all(&value::parse_all(rest))].concat()
    };
    match word {
        "use" => (1, vec![]),
        "release" => (2, vec![]),
        "set" => (3, pair()),
        "change" => (4, pair()),
        "done" => (5, key(rest)),
        "send" => (6, value::encode_all(&value::parse_all(rest))),
        "status" => {
            let (code, level) = rest.split_once(' ').expect("CODE LEVEL");
            (7, [key(code), key(level)].concat())
        }
        "clear" => (8, vec![]),
        "gone" => (9, key(rest)),
        "remove" => (10, key(rest)),
        "use-success" => (11, vec![]),
        other => panic!("no such event: {other:?}"),
    }
}

fn key(text: &str) -> Vec<u8> {
    let len = u16::try_from(text.len()).expect("short").to_be_bytes();
    [&len, text.as_bytes()].concat()
}

/// What a message of type 19 says: the object's name, and its events in words.
pub(crate) fn decode(body: &[u8]) -> (String, Vec<String>) {
    let mut rest = body;
    let name = text(&mut rest);
    // Version, persistence, flags.
    take(&mut rest, 12);
    let mut events = Vec::new();
    while !rest.is_empty() {
        let kind = take(&mut rest, 1)[0];
        let len = u32::from_be_bytes(take(&mut rest, 4).try_into().expect("4 bytes"));
        let mut data = take(&mut rest, len as usize);
        let data = &mut data;
        events.push(match kind {
            4 => {
                let name = text(data);
                format!("change {name}{}", values(data))
            }
            5 => format!("done {}", text(data)),
            6 => format!("send{}", values(data)),
            7 => format!("status {} {}", text(data), text(data)),
            8 => "clear".to_owned(),
            9 => format!("gone {}", text(data)),
            11 => "use-success".to_owned(),
            other => panic!("event {other} is not expected from a server"),
        });
    }
    (name, events)
}

fn take<'a>(input: &mut &'a [u8], count: usize) -> &'a [u8] {
    let (head, tail) = input.split_at(count);
    *input = tail;
    head
}

fn text(input: &mut &[u8]) -> String {
    let len = u16::from_be_bytes(take(input, 2).try_into().expect("2 bytes"));
    String::from_utf8_lossy(take(input, len.into())).into_owned()
}

fn values(data: &[u8]) -> String {
    let values = amf::decode(data);
    let words = values.iter().map(|value| match value {
        Amf::Number(number) => format!(" {number}"),
        Amf::Text(text) => format!(" {text:?}"),
        other => format!(" {other:?}"),
    });
    words.collect()
}
