//! A server session whose owner accepts everything.

use livehost_rtmp::{
    handshake::RANDOM_LEN,
    session::{
        Output,
        server::{Media, MediaKind, ServerConfig, ServerEvent, ServerSession},
    },
    shared_object::SharedObjectMessage,
};
use livehost_wire::amf0;

use crate::transcript::replay::{Received, Wire};

#[derive(Debug)]
pub(crate) struct Machine {
    session: ServerSession,
    /// Sent, and not taken yet.
    input: Vec<u8>,
    output: Vec<u8>,
    events: Vec<String>,
    ended: bool,
    failed: bool,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self {
            session: ServerSession::new(ServerConfig::default(), [7; RANDOM_LEN], 0),
            input: Vec::new(),
            output: Vec::new(),
            events: Vec::new(),
            ended: false,
            failed: false,
        }
    }

    fn drain(&mut self) -> bool {
        let mut answered = false;
        while let Some(output) = self.session.poll_output() {
            match output {
                Output::Send(bytes) => self.output.extend(bytes),
                Output::Event(ServerEvent::SharedObject(message))
                    if SharedObjectMessage::decode(&message).is_err() =>
                {
                    self.failed = true;
                }
                Output::Event(event) => {
                    self.events.push(told(&event));
                    answered |= answer(&mut self.session, &event);
                }
            }
        }
        answered
    }
}

impl Wire for Machine {
    fn send(&mut self, bytes: &[u8]) {
        self.input.extend(bytes);
        let mut goes_on = !self.failed;
        while goes_on {
            let mut rest = &self.input[..];
            self.failed = self.session.handle_input(&mut rest).is_err();
            let taken = self.input.len() - rest.len();
            self.input.drain(..taken);
            goes_on = self.drain() && !self.failed;
        }
    }

    fn end(&mut self) {
        self.ended = true;
    }

    fn receive(&mut self) -> Received {
        if !self.output.is_empty() {
            Received::Bytes(std::mem::take(&mut self.output))
        } else if self.ended || self.failed {
            Received::Closed
        } else {
            Received::Nothing
        }
    }

    fn events(&mut self) -> Vec<String> {
        std::mem::take(&mut self.events)
    }
}

/// Yes to everything, as the server's defaults are; true if it was a question.
fn answer(session: &mut ServerSession, event: &ServerEvent) -> bool {
    match event {
        ServerEvent::Connect(_) => session.accept_connect(None, None),
        ServerEvent::Publish(_) => session.accept_publish(),
        ServerEvent::Play(_) => session.accept_play(),
        ServerEvent::Call { name, .. } => {
            session.answer_call(Err(format!("the application has no method {name:?}")));
        }
        ServerEvent::SharedObject(_) => session.finish_shared_object(),
        _ => return false,
    }
    true
}

/// An event as transcripts write it.
fn told(event: &ServerEvent) -> String {
    match event {
        ServerEvent::Connect(connect) => format!("connect {}", connect.app()),
        ServerEvent::Publish(publish) => {
            format!(
                "publish@{} {} {}",
                publish.stream, publish.name, publish.mode
            )
        }
        ServerEvent::Play(play) => format!("play@{} {} {}", play.stream, play.name, play.start),
        ServerEvent::Call { name, arguments } => {
            let arguments = amf0::encode_all(arguments);
            format!("call {name} {}", shown(&arguments))
        }
        ServerEvent::SharedObject(message) => match SharedObjectMessage::decode(message) {
            Ok(message) => format!("so {}", shown(&message.encode())),
            Err(error) => format!("so: {error}"),
        },
        ServerEvent::Media(media) => told_media(media),
        ServerEvent::Unpublish { stream, reason } => {
            format!("unpublish@{stream} {}", reason.as_str())
        }
        ServerEvent::StopPlay { stream, reason } => {
            format!("stop-play@{stream} {}", reason.as_str())
        }
        ServerEvent::Pause { stream, paused } => format!("pause@{stream} {paused}"),
        ServerEvent::Receive {
            stream,
            kind,
            wanted,
        } => format!("receive@{stream} {} {wanted}", word(*kind)),
        ServerEvent::BufferLength { stream, millis } => format!("buffer-length@{stream} {millis}"),
        ServerEvent::Pong => "pong".to_owned(),
    }
}

fn told_media(media: &Media) -> String {
    let kind = word(media.kind);
    format!(
        "{kind}@{} {} {}",
        media.stream,
        media.timestamp,
        shown(&media.payload)
    )
}

fn word(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
        MediaKind::Data => "data",
    }
}

fn shown(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
