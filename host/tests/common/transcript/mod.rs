//! Scripted sessions: what a client sends, and what must come back.
//!
//! The files in `host/testdata/transcripts` are replayed against the state
//! machine alone (`crates/rtmp/tests/transcripts.rs`) and against the real
//! server (`tests/e2e/transcripts.rs`). A file has one behaviour and begins with
//! `row:` (whose behaviour it is) and, where only the whole server can answer,
//! `only: server`. Then, a line each:
//!
//! ```text
//! > VERB ...     the client sends; B> another client, C> a third
//! < MESSAGE ...  the server's next messages contain this one
//! !< MESSAGE ... no such message has come so far
//! <= MESSAGE ... like <, from the hub or a policy: for the whole server only
//! = EVENT ...    what the state machine tells its owner: for it only
//! ```
//!
//! What is sent: `connected [APP]`, `publishing NAME [APP]`, `playing NAME
//! [APP]` (everything up to there, as OBS does it), `command`, `command3`,
//! `data`, `data3`, `audio`, `video`, `message`, `chunk`, `chunk-size`,
//! `window-ack`, `ack`, `ping`, `peer-bandwidth`, `buffer-length`, `abort`,
//! `raw`, `piece N` (from now on N bytes at a time), `hello` (the handshake,
//! otherwise done before the first line), `end` (the client sends no more).
//! `so` and `so3` (AMF3's) are shared object messages, in the words of
//! [`shared_object`]. `@N` behind the verb is the message stream. Bodies are hex, `00*9` for many,
//! or one of the words in [`body`].

pub(crate) mod replay;
mod send;
pub(crate) mod shared_object;
pub(crate) mod value;

use std::{fs, path::Path};

use value::{Value, parse_all};

/// One behaviour.
#[derive(Debug)]
pub(crate) struct Transcript {
    pub(crate) name: String,
    /// Only the whole server answers so.
    pub(crate) server_only: bool,
    pub(crate) steps: Vec<Step>,
}

#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) text: String,
    pub(crate) client: char,
    pub(crate) action: Action,
}

#[derive(Debug)]
pub(crate) enum Action {
    Send(send::Send),
    Expect(Pattern),
    ExpectOfServer(Pattern),
    Never(Pattern),
    Event(String),
}

/// What a message of the server must be.
#[derive(Debug)]
pub(crate) enum Pattern {
    /// The server closes the connection.
    Closed,
    Command {
        stream: Option<u32>,
        name: String,
        values: Vec<Value>,
    },
    Data {
        stream: Option<u32>,
        timestamp: Option<u32>,
        values: Vec<Value>,
    },
    /// Audio, video, or a control message: its type and how its body begins.
    Message {
        kind: u8,
        stream: Option<u32>,
        timestamp: Option<u32>,
        body: Vec<u8>,
    },
}

impl Transcript {
    /// Has `client` send so many bytes at a time.
    #[allow(dead_code, reason = "only where it is quick")]
    pub(crate) fn cut(&mut self, client: char, piece: usize) {
        let step = Step {
            line: 0,
            text: format!("> piece {piece}"),
            client,
            action: Action::Send(send::Send::Piece(piece)),
        };
        self.steps.insert(0, step);
    }
}

/// All transcripts of the folder, by name.
pub(crate) fn all(folder: &Path) -> Vec<Transcript> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the folder of the transcripts")
        .map(|entry| entry.expect("readable").path())
        .filter(|file| file.extension().is_some_and(|e| e == "txt"))
        .collect();
    files.sort();
    files.iter().map(|file| read(file)).collect()
}

pub(crate) fn read(file: &Path) -> Transcript {
    let name = file.file_stem().and_then(|name| name.to_str());
    let text = fs::read_to_string(file).expect("a readable transcript");
    let mut transcript = Transcript {
        name: name.expect("a name").to_owned(),
        server_only: false,
        steps: Vec::new(),
    };
    assert!(
        text.starts_with("row: "),
        "{}: the first line says whose behaviour it is",
        file.display()
    );
    for (index, line) in text.lines().enumerate() {
        let line_number = index + 1;
        match line.trim() {
            "" => {}
            "only: server" => transcript.server_only = true,
            line if line.starts_with('#') || line.starts_with("row: ") => {}
            line => add(&mut transcript.steps, line_number, line),
        }
    }
    transcript
}

fn add(steps: &mut Vec<Step>, line: usize, text: &str) {
    let (arrow, rest) = text.split_once(' ').unwrap_or((text, ""));
    let (client, arrow) = match arrow.chars().next() {
        Some(letter @ 'A'..='Z') => (letter, &arrow[1..]),
        _ => ('A', arrow),
    };
    let rest = rest.trim();
    if arrow == ">"
        && let Some(lines) = send::expanded(rest)
    {
        for inner in lines {
            let (arrow, rest) = inner.split_once(' ').expect("an arrow");
            add(steps, line, &format!("{client}{arrow} {rest}"));
        }
        return;
    }
    let action = match arrow {
        ">" => Action::Send(send::parse(rest)),
        "<" => Action::Expect(pattern(rest)),
        "<=" => Action::ExpectOfServer(pattern(rest)),
        "!<" => Action::Never(pattern(rest)),
        "=" => Action::Event(send::event(rest)),
        other => panic!("line {line}: no such arrow: {other:?}"),
    };
    steps.push(Step {
        line,
        text: text.to_owned(),
        client,
        action,
    });
}

fn pattern(text: &str) -> Pattern {
    let (mut head, mut rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut stream = None;
    if let Some((name, number)) = head.split_once('@') {
        head = name;
        stream = Some(number.parse().expect("a message stream"));
    }
    let mut timestamp = None;
    if let Some(after) = rest.strip_prefix("ts=") {
        let (number, after) = after.split_once(' ').unwrap_or((after, ""));
        timestamp = Some(number.parse().expect("a timestamp"));
        rest = after;
    }
    let numbers = || {
        rest.split_whitespace()
            .map(|n| n.parse::<u32>().expect("a number"))
    };
    let control = |kind: u8, event: &[u8]| {
        let body = numbers().flat_map(u32::to_be_bytes);
        Pattern::Message {
            kind,
            stream,
            timestamp,
            body: event.iter().copied().chain(body).collect(),
        }
    };
    match head {
        "closed" => Pattern::Closed,
        "chunk-size" => control(1, &[]),
        "ack" => control(3, &[]),
        "begin" => control(4, &[0, 0]),
        "eof" => control(4, &[0, 1]),
        "ping" => control(4, &[0, 6]),
        "pong" => control(4, &[0, 7]),
        "window-ack" => control(5, &[]),
        "peer-bandwidth" => {
            let numbers: Vec<u32> = numbers().collect();
            let [size, limit] = numbers[..] else {
                panic!("peer-bandwidth SIZE LIMIT");
            };
            let limit = u8::try_from(limit).expect("0, 1 or 2");
            Pattern::Message {
                kind: 6,
                stream,
                timestamp,
                body: size.to_be_bytes().into_iter().chain([limit]).collect(),
            }
        }
        "audio" | "video" => Pattern::Message {
            kind: if head == "audio" { 8 } else { 9 },
            stream,
            timestamp,
            body: body(rest),
        },
        "so" | "so3" => Pattern::Message {
            kind: if head == "so" { 19 } else { 16 },
            stream: Some(0),
            timestamp,
            body: match head {
                "so" => shared_object::encode(rest),
                _ => [vec![0], shared_object::encode(rest)].concat(),
            },
        },
        "data" => Pattern::Data {
            stream,
            timestamp,
            values: parse_all(rest),
        },
        name => Pattern::Command {
            stream,
            name: name.to_owned(),
            values: parse_all(rest),
        },
    }
}

/// A message's body: hex, repetitions like `00*9`, and words for media that a
/// decoder would take.
pub(crate) fn body(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for word in text.split_whitespace() {
        match word {
            // H.264 constrained baseline, 320x180, as x264 describes it.
            "avc-header" => out.extend(hex(
                "17000000000142c00dffe1001a6742c00dd90141961fe7808800000303e80000bb8078a15240\
                 01000568cb83cb20",
            )),
            "keyframe" => out.extend(hex("1701000000000000056588840000")),
            "frame" => out.extend(hex("270100000000000005419a000000")),
            // AAC-LC, 48 kHz, stereo.
            "aac-header" => out.extend(hex("af001190")),
            "aac" => out.extend(hex("af01210a5a5a")),
            repeated if repeated.contains('*') => {
                let (what, count) = repeated.split_once('*').expect("HEX*COUNT");
                out.extend(hex(what).repeat(count.parse().expect("a count")));
            }
            bytes => out.extend(hex(bytes)),
        }
    }
    out
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).unwrap_or_else(|| panic!("no hex: {text}")) as u8)
        .collect();
    assert!(digits.len().is_multiple_of(2), "half a byte: {text}");
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}
