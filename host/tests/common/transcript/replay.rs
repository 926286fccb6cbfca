//! Replays a transcript against something that answers.

use std::{collections::BTreeMap, collections::VecDeque, time::Instant};

use super::{
    Action, Pattern, Step, Transcript,
    send::{self, Send, shown},
    value::all_match,
};
use crate::support::{
    amf,
    chunks::{self, Message, Reader},
};

/// What a connection to the server under test can do.
pub(crate) trait Wire {
    /// Sends; what goes wrong shows when something is expected.
    fn send(&mut self, bytes: &[u8]);
    /// Nothing more will be sent.
    fn end(&mut self);
    /// What has come; waits for it where that makes sense.
    fn receive(&mut self) -> Received;
    /// What the state machine told its owner since the last time.
    fn events(&mut self) -> Vec<String>;
}

pub(crate) enum Received {
    Bytes(Vec<u8>),
    /// Nothing came in time, or ever will.
    Nothing,
    /// The server closed the connection.
    Closed,
}

/// Whether it is the whole server that answers, or its state machine alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    Server,
    Machine,
}

/// One client of a transcript.
struct Client {
    wire: Box<dyn Wire>,
    reader: Reader,
    /// Came, and nothing was expected of it yet.
    waiting: VecDeque<Message>,
    passed: Vec<Message>,
    events: VecDeque<String>,
    chunk_size: usize,
    piece: usize,
    is_open: bool,
    closed: bool,
    pings: u32,
}

/// Replays it; what is wrong is the error.
pub(crate) fn replay(
    transcript: &Transcript,
    scope: Scope,
    mut connect: impl FnMut() -> Box<dyn Wire>,
) -> Result<(), String> {
    let mut clients: BTreeMap<char, Client> = BTreeMap::new();
    for step in &transcript.steps {
        let client = clients
            .entry(step.client)
            .or_insert_with(|| Client::new(connect()));
        client.step(step, scope).map_err(|why| {
            format!(
                "{}:{}: {}\n    {why}",
                transcript.name, step.line, step.text
            )
        })?;
    }
    // Whoever was not closed on purpose is served on, and leaves in peace.
    for (letter, mut client) in clients {
        client
            .finish()
            .map_err(|why| format!("{}: at the end, client {letter}: {why}", transcript.name))?;
    }
    Ok(())
}

impl Client {
    fn new(wire: Box<dyn Wire>) -> Self {
        Self {
            wire,
            reader: Reader::new(),
            waiting: VecDeque::new(),
            passed: Vec::new(),
            events: VecDeque::new(),
            chunk_size: 128,
            piece: usize::MAX,
            is_open: false,
            closed: false,
            pings: 0,
        }
    }

    fn step(&mut self, step: &Step, scope: Scope) -> Result<(), String> {
        match &step.action {
            Action::Send(send) => self.send(send),
            Action::ExpectOfServer(_) if scope == Scope::Machine => Ok(()),
            Action::Expect(Pattern::Closed) | Action::ExpectOfServer(Pattern::Closed) => {
                self.expect_close()
            }
            Action::Expect(pattern) | Action::ExpectOfServer(pattern) => self.expect(pattern),
            Action::Never(pattern) => self.expect_never(pattern),
            Action::Event(_) if scope == Scope::Server => Ok(()),
            Action::Event(event) => self.expect_event(event),
        }
    }

    fn send(&mut self, send: &Send) -> Result<(), String> {
        match send {
            Send::Hello => return self.shake_hands(),
            Send::Piece(size) => {
                self.piece = *size;
                return Ok(());
            }
            Send::End => {
                self.wire.end();
                return Ok(());
            }
            _ if !self.is_open && !matches!(send, Send::Raw(_)) => self.shake_hands()?,
            _ => {}
        }
        self.bytes(&send::chunked(send, self.chunk_size));
        if let Send::Message { kind: 1, body, .. } = send
            && let Ok(size) = <[u8; 4]>::try_from(body.as_slice())
            && size != [0; 4]
        {
            self.chunk_size = u32::from_be_bytes(size) as usize;
        }
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(self.piece) {
            self.wire.send(piece);
        }
    }

    fn shake_hands(&mut self) -> Result<(), String> {
        const HELLO: usize = 1536;
        self.is_open = true;
        let mut hello = vec![3];
        hello.extend([0; 8]);
        hello.extend((0..HELLO - 8).map(|i| (i.wrapping_mul(31) >> 3) as u8));
        self.bytes(&hello);
        let mut answer = Vec::new();
        while answer.len() < 1 + 2 * HELLO {
            match self.wire.receive() {
                Received::Bytes(bytes) => answer.extend(bytes),
                _ => return Err(format!("{} bytes of a handshake came", answer.len())),
            }
        }
        self.bytes(&answer[1..=HELLO]);
        self.reader.push(&answer[1 + 2 * HELLO..]);
        Ok(())
    }

    /// Takes what has come; false when nothing more does.
    fn more(&mut self) -> bool {
        let received = self.wire.receive();
        self.events.extend(self.wire.events());
        let more = match received {
            Received::Bytes(bytes) => {
                self.reader.push(&bytes);
                true
            }
            Received::Nothing => false,
            Received::Closed => {
                self.closed = true;
                false
            }
        };
        while let Some(message) = self.reader.next(Instant::now()) {
            self.waiting.push_back(message);
        }
        more
    }

    fn expect(&mut self, pattern: &Pattern) -> Result<(), String> {
        let before = self.passed.len();
        loop {
            while let Some(message) = self.waiting.pop_front() {
                let found = matches(pattern, &message);
                self.passed.push(message);
                if found {
                    return Ok(());
                }
            }
            if !self.more() && self.waiting.is_empty() {
                return Err(format!("came instead: {}", self.came(before)));
            }
        }
    }

    fn came(&self, from: usize) -> String {
        let came: Vec<_> = self.passed[from..].iter().map(describe).collect();
        let end = if self.closed {
            "the end"
        } else {
            "nothing more"
        };
        came.into_iter()
            .chain([end.to_owned()])
            .collect::<Vec<_>>()
            .join("; ")
    }

    fn expect_close(&mut self) -> Result<(), String> {
        let before = self.passed.len();
        while self.more() {}
        self.passed.extend(self.waiting.drain(..));
        if self.closed {
            return Ok(());
        }
        Err(format!("still open; came: {}", self.came(before)))
    }

    fn expect_never(&mut self, pattern: &Pattern) -> Result<(), String> {
        self.catch_up()?;
        let mut all = self.passed.iter().chain(&self.waiting);
        match all.find(|message| matches(pattern, message)) {
            Some(message) => Err(format!("came: {}", describe(message))),
            None => Ok(()),
        }
    }

    fn expect_event(&mut self, wanted: &str) -> Result<(), String> {
        while self.more() {}
        self.events.extend(self.wire.events());
        let mut came = Vec::new();
        while let Some(event) = self.events.pop_front() {
            if event == wanted {
                return Ok(());
            }
            came.push(event);
        }
        let came: Vec<_> = came.iter().map(|event| brief(event)).collect();
        let wanted = brief(wanted);
        Err(format!(
            "wanted {wanted}; told instead: {}",
            came.join("; ")
        ))
    }

    /// Until everything sent so far has been answered: a ping is answered last.
    fn catch_up(&mut self) -> Result<(), String> {
        if !self.is_open || self.closed {
            return Ok(());
        }
        self.pings += 1;
        let mark = (0xC0DE_0000 | self.pings).to_be_bytes();
        let ping: Vec<u8> = [0, 6].into_iter().chain(mark).collect();
        let pong: Vec<u8> = [0, 7].into_iter().chain(mark).collect();
        self.wire
            .send(&chunks::encode(2, 4, 0, 0, &ping, self.chunk_size));
        loop {
            let at = self.waiting.iter().position(|m| m.payload == pong);
            if let Some(at) = at {
                self.waiting.remove(at);
                return Ok(());
            }
            if !self.more() && !self.waiting.iter().any(|m| m.payload == pong) {
                let came: Vec<_> = self.waiting.iter().map(describe).collect();
                let end = if self.closed { "closed" } else { "silent" };
                return Err(format!(
                    "a ping is not answered ({end}); came: {}",
                    came.join("; ")
                ));
            }
        }
    }

    fn finish(&mut self) -> Result<(), String> {
        self.catch_up()?;
        self.wire.end();
        while self.more() {}
        Ok(())
    }
}

fn matches(pattern: &Pattern, message: &Message) -> bool {
    let of = |wanted: &Option<u32>, found: u32| wanted.is_none_or(|wanted| wanted == found);
    match pattern {
        Pattern::Closed => false,
        Pattern::Command {
            stream,
            name,
            values,
        } => {
            if message.kind != chunks::COMMAND || !of(stream, message.stream) {
                return false;
            }
            let found = amf::decode(&message.payload);
            let is_named = found.first().and_then(amf::Amf::text) == Some(name);
            is_named && all_match(values, &found[1..])
        }
        Pattern::Data {
            stream,
            timestamp,
            values,
        } => {
            message.kind == 18
                && of(stream, message.stream)
                && of(timestamp, message.timestamp)
                && all_match(values, &amf::decode(&message.payload))
        }
        Pattern::Message {
            kind,
            stream,
            timestamp,
            body,
        } => {
            message.kind == *kind
                && of(stream, message.stream)
                && of(timestamp, message.timestamp)
                && message.payload.starts_with(body)
        }
    }
}

fn describe(message: &Message) -> String {
    let body = match message.kind {
        18 | 20 => format!("{:?}", amf::decode(&message.payload)),
        _ => shown(message.payload.get(..24).unwrap_or(&message.payload)),
    };
    format!(
        "type {}@{} ts={} {body}",
        message.kind, message.stream, message.timestamp
    )
}

fn brief(text: &str) -> String {
    text.chars().take(160).collect()
}
