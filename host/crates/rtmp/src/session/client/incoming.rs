//! What the server sends, turned into state and events.

use livehost_wire::amf0::{Properties, Value};

use super::{
    ClientEvent, ClientSession, Intent, Pending, Redirect, RefusedCommand, ServerRejection,
};
use crate::{
    aggregate,
    command::Command,
    control::{ProtocolControl, UserControl},
    message::{Message, type_id},
    session::SessionError,
};

impl ClientSession {
    pub(super) fn handle_message(&mut self, message: Message) -> Result<(), SessionError> {
        match message.type_id {
            type_id::COMMAND_AMF0 | type_id::COMMAND_AMF3 => {
                let command = Command::decode(&message)?;
                return self.handle_command(message.message_stream_id, command);
            }
            type_id::AGGREGATE => {
                for part in aggregate::split(&message)? {
                    self.handle_media(part);
                }
            }
            type_id::USER_CONTROL => {
                // The link has answered what must be answered.
                if let Ok(ProtocolControl::UserControl(event)) =
                    ProtocolControl::decode(message.type_id, &message.payload)
                {
                    self.handle_user_control(&event);
                }
            }
            _ => self.handle_media(message),
        }
        Ok(())
    }

    fn handle_media(&mut self, message: Message) {
        let event = match message.type_id {
            type_id::AUDIO => ClientEvent::Audio(message),
            type_id::VIDEO => ClientEvent::Video(message),
            type_id::DATA_AMF0 | type_id::DATA_AMF3 => ClientEvent::Data(message),
            // Shared objects and types nobody defined are passed over.
            _ => return,
        };
        self.events.push_back(event);
    }

    fn handle_user_control(&mut self, event: &UserControl) {
        let event = match *event {
            UserControl::StreamBegin(stream) => ClientEvent::StreamBegin(stream),
            UserControl::StreamEof(stream) => ClientEvent::StreamEof(stream),
            UserControl::PingResponse(millis) => ClientEvent::Pong(millis),
            _ => return,
        };
        self.events.push_back(event);
    }

    fn handle_command(&mut self, stream: u32, command: Command) -> Result<(), SessionError> {
        match command.name.as_str() {
            "_result" => self.handle_answer(command, true),
            "_error" => self.handle_answer(command, false),
            "onStatus" => {
                self.handle_status(stream, &command);
                Ok(())
            }
            _ => {
                self.events
                    .push_back(ClientEvent::Command { stream, command });
                Ok(())
            }
        }
    }

    /// A `_result` or `_error`. Answers nobody waits for are passed over: those
    /// of releaseStream and its kin, which servers answer as they like.
    fn handle_answer(&mut self, command: Command, ok: bool) -> Result<(), SessionError> {
        let transaction = command.transaction_id as u32;
        match self.pending.remove(&transaction) {
            None => {}
            Some(Pending::Connect) if ok => {
                let server = command.object.into_object().unwrap_or_default();
                self.events.push_back(ClientEvent::Connected { server });
                self.start();
            }
            Some(Pending::Connect) => self.reject(RefusedCommand::Connect, &command),
            Some(Pending::CreateStream(intent)) if ok => {
                // As a u32 it saturates; 0 is the connection itself.
                let id = command.number(0).unwrap_or_default();
                match id as u32 {
                    0 => {
                        return Err(SessionError::Violation {
                            expected: "createStream answered with a message stream from 1 on",
                            found: format!("{id}"),
                        });
                    }
                    stream => self.use_stream(stream, intent),
                }
            }
            Some(Pending::CreateStream(_)) => self.reject(RefusedCommand::CreateStream, &command),
            Some(Pending::Call) => self.events.push_back(ClientEvent::CallAnswered {
                transaction,
                ok,
                values: command.arguments,
            }),
        }
        Ok(())
    }

    fn handle_status(&mut self, stream: u32, command: &Command) {
        let stream = self.stream_meant(stream);
        let info = command.info();
        let level = text(info, "level");
        let code = text(info, "code");
        if let Some(state) = self.streams.get_mut(&stream).filter(|state| !state.started) {
            let (start, started, refused) = match state.intent {
                Intent::Publish { .. } => (
                    "NetStream.Publish.Start",
                    ClientEvent::PublishStarted { stream },
                    RefusedCommand::Publish { stream },
                ),
                Intent::Play { .. } => (
                    "NetStream.Play.Start",
                    ClientEvent::PlayStarted { stream },
                    RefusedCommand::Play { stream },
                ),
            };
            if code == start {
                state.started = true;
                self.events.push_back(started);
                return;
            }
            if level == "error" {
                self.streams.remove(&stream);
                self.reject(refused, command);
                return;
            }
        } else if self.streams.is_empty() && Redirect::read(info).is_some() {
            // Before anything is there that it could be about: it is about all.
            self.reject(RefusedCommand::Connect, command);
            return;
        }
        self.events.push_back(ClientEvent::Status {
            stream,
            level,
            code,
            description: text(info, "description"),
        });
    }

    /// Some servers put a status on message stream 0, or on another than it is
    /// about: then the only one that waits for an answer is meant.
    fn stream_meant(&self, stream: u32) -> u32 {
        if self.streams.contains_key(&stream) {
            return stream;
        }
        let mut waiting = self.streams.iter().filter(|(_, state)| !state.started);
        match (waiting.next(), waiting.next()) {
            (Some((only, _)), None) => *only,
            _ => stream,
        }
    }

    fn reject(&mut self, what: RefusedCommand, command: &Command) {
        let info = command.info();
        self.events
            .push_back(ClientEvent::Rejected(ServerRejection {
                what,
                code: text(info, "code"),
                description: text(info, "description"),
                redirect: Redirect::read(info),
            }));
    }
}

/// A property's text, or none.
fn text(info: Option<&Properties>, name: &str) -> String {
    info.and_then(|info| info.get(name))
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
