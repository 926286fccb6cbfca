//! The commands a client sends (RTMP 1.0 section 7.2), and those that
//! encoders have sent since the Flash Media Live Encoder.

use livehost_wire::amf0::Value;

use super::replies::shown;
use super::{
    Connect, ConnectState, MediaKind, PendingQuestion, Play, Publish, ServerEvent, ServerSession,
    ServerStream, StreamStop,
};
use crate::command::Command;
use crate::session::SessionError;
use crate::session::capabilities::Capabilities;

/// Stream names longer than this are refused: no encoder's field is longer,
/// and every name is logged and kept. An application's is the owner's to judge.
const MAX_NAME: usize = 4096;
/// Method names longer than this are nobody's.
const MAX_METHOD: usize = 255;

impl ServerSession {
    pub(super) fn handle_command(
        &mut self,
        stream: u32,
        command: Command,
    ) -> Result<(), SessionError> {
        if self.connection == ConnectState::Unconnected && command.name != "connect" {
            return Err(SessionError::Violation {
                expected: "connect as the first command",
                found: format!("command {:?}", abbreviate(&command.name)),
            });
        }
        let transaction = command.transaction_id;
        match command.name.as_str() {
            "connect" => self.handle_connect(command)?,
            "createStream" => self.handle_create_stream(transaction),
            "deleteStream" => {
                let id = command.arguments.first().and_then(Value::as_f64);
                self.handle_delete_stream(id.map_or(stream, |id| id as u32));
            }
            "closeStream" | "close" => self.stop(stream, StreamStop::CloseStream),
            "releaseStream" | "_checkbw" | "checkBandwidth" | "FCUnsubscribe" => {
                self.reply_result(transaction, &Value::Undefined);
            }
            "FCPublish" => self.handle_fc_publish(transaction, &command),
            "FCUnpublish" => self.handle_fc_unpublish(transaction, &command),
            "publish" => self.handle_publish(stream, command),
            "play" => self.handle_play(stream, &command),
            "FCSubscribe" => {
                self.reply_result(transaction, &Value::Undefined);
                self.send_on_fc("onFCSubscribe", "NetStream.Play.Start", "Subscribed.");
            }
            "getStreamLength" => {
                // Live streams have no length.
                self.reply_result(transaction, &Value::Number(0.0));
            }
            "pause" | "pauseRaw" => self.handle_pause(stream, &command),
            "seek" => self.send_status(
                stream,
                "error",
                "NetStream.Seek.Failed",
                "A live stream has no positions to seek.",
            ),
            "receiveAudio" => self.handle_receive(stream, MediaKind::Audio, &command),
            "receiveVideo" => self.handle_receive(stream, MediaKind::Video, &command),
            // Answers to the server's own calls: onBWDone is the only one.
            "_result" | "_error" | "onStatus" => {}
            method if method.len() > MAX_METHOD => {
                let length = method.len();
                self.reply_error(
                    transaction,
                    "NetConnection.Call.Failed",
                    &format!(
                        "The method's name has {length} bytes; at most {MAX_METHOD} are allowed."
                    ),
                );
            }
            _ => {
                self.question = Some(PendingQuestion::Call {
                    transaction,
                    name: command.name.clone(),
                });
                self.events.push_back(ServerEvent::Call {
                    name: command.name,
                    arguments: command.arguments,
                });
            }
        }
        Ok(())
    }

    fn handle_connect(&mut self, command: Command) -> Result<(), SessionError> {
        if self.connection != ConnectState::Unconnected {
            self.reply_error(
                command.transaction_id,
                "NetConnection.Call.Failed",
                "The connection is already connected.",
            );
            return Ok(());
        }
        let Some(properties) = command.object.into_object() else {
            return Err(SessionError::Violation {
                expected: "connect with a command object",
                found: "connect without one".to_owned(),
            });
        };
        let capabilities = Capabilities::of_connect(&properties);
        self.capabilities = capabilities.is_enhanced().then(|| Box::new(capabilities));
        self.question = Some(PendingQuestion::Connect {
            transaction: command.transaction_id,
            object_encoding: properties
                .get("objectEncoding")
                .and_then(Value::as_f64)
                .unwrap_or(0.0),
        });
        self.events.push_back(ServerEvent::Connect(Connect {
            properties,
            arguments: command.arguments,
        }));
        Ok(())
    }

    fn handle_create_stream(&mut self, transaction: f64) {
        if self.streams.len() >= self.config.max_streams {
            self.reply_error(
                transaction,
                "NetConnection.Call.Failed",
                &format!(
                    "A connection may hold {} message streams.",
                    self.config.max_streams
                ),
            );
            return;
        }
        // Clients may hold ids they chose themselves; there are fewer of them
        // than ids, so this ends.
        while self.next_stream == 0 || self.streams.contains_key(&self.next_stream) {
            self.next_stream = self.next_stream.wrapping_add(1);
        }
        let id = self.next_stream;
        self.next_stream = id.wrapping_add(1);
        self.streams.insert(id, ServerStream::Idle);
        self.reply_result(transaction, &Value::Number(f64::from(id)));
    }

    fn handle_delete_stream(&mut self, id: u32) {
        self.stop(id, StreamStop::DeleteStream);
        self.streams.remove(&id);
    }

    /// Ends what runs on a message stream; the stream itself stays.
    fn stop(&mut self, stream: u32, reason: StreamStop) {
        let Some(state) = self.streams.get_mut(&stream) else {
            return;
        };
        match std::mem::replace(state, ServerStream::Idle) {
            ServerStream::Idle => {}
            ServerStream::Publishing { .. } => {
                self.follow_trust();
                self.send_status(
                    stream,
                    "status",
                    "NetStream.Unpublish.Success",
                    "The stream is no longer published.",
                );
                self.events
                    .push_back(ServerEvent::Unpublish { stream, reason });
            }
            ServerStream::Playing => {
                self.events
                    .push_back(ServerEvent::StopPlay { stream, reason });
            }
        }
    }

    /// Some encoders send `publish` only after `onFCPublish`. It says no more
    /// than that a `publish` may follow: what becomes of that is decided then.
    fn handle_fc_publish(&mut self, transaction: f64, command: &Command) {
        let name = command.arguments.first().and_then(Value::as_str);
        let text = format!(
            "FCPublish to stream {}.",
            abbreviate(shown(name.unwrap_or_default()))
        );
        self.send_on_fc("onFCPublish", "NetStream.Publish.Start", &text);
        self.reply_result(transaction, &Value::Undefined);
    }

    /// It names the stream, not the message stream, and comes on message
    /// stream 0.
    fn handle_fc_unpublish(&mut self, transaction: f64, command: &Command) {
        let wanted = command.arguments.first().and_then(Value::as_str);
        let found = self
            .streams
            .iter()
            .find_map(|(id, state)| match (state, wanted) {
                (ServerStream::Publishing { name }, Some(wanted)) if name == wanted => Some(*id),
                _ => None,
            });
        self.send_on_fc(
            "onFCUnpublish",
            "NetStream.Unpublish.Success",
            "The stream is no longer published.",
        );
        self.reply_result(transaction, &Value::Undefined);
        if let Some(stream) = found {
            self.stop(stream, StreamStop::Unpublish);
        }
    }

    fn handle_publish(&mut self, stream: u32, command: Command) {
        let mut arguments = command.arguments.into_iter();
        let name = match arguments.next() {
            Some(Value::String(name)) => name,
            // publish(false) unpublishes (ActionScript's NetStream.publish).
            _ => {
                self.stop(stream, StreamStop::Unpublish);
                return;
            }
        };
        if let Err(why) = self.open_stream(stream, &name) {
            self.send_status(stream, "error", "NetStream.Publish.BadName", &why);
            return;
        }
        match self.streams.get(&stream) {
            Some(ServerStream::Idle) => {}
            // What runs goes on: some encoders send the command twice.
            Some(ServerStream::Publishing { name: published }) if *published == name => {
                self.send_publish_start(stream, &name);
                return;
            }
            _ => {
                self.send_status(
                    stream,
                    "error",
                    "NetStream.Publish.BadName",
                    "This message stream is in use.",
                );
                return;
            }
        }
        let mode = match arguments.next() {
            Some(Value::String(mut mode)) if !mode.is_empty() => {
                mode.make_ascii_lowercase();
                mode
            }
            _ => "live".to_owned(),
        };
        self.question = Some(PendingQuestion::Publish {
            stream,
            name: name.clone(),
        });
        self.events
            .push_back(ServerEvent::Publish(Publish { stream, name, mode }));
    }

    fn handle_play(&mut self, stream: u32, command: &Command) {
        let Some(Value::String(name)) = command.arguments.first() else {
            self.stop(stream, StreamStop::CloseStream);
            return;
        };
        if let Err(why) = self.open_stream(stream, name) {
            self.send_status(stream, "error", "NetStream.Play.StreamNotFound", &why);
            return;
        }
        if matches!(
            self.streams.get(&stream),
            Some(ServerStream::Publishing { .. })
        ) {
            self.send_status(
                stream,
                "error",
                "NetStream.Play.Failed",
                "This message stream is published.",
            );
            return;
        }
        self.stop(stream, StreamStop::PlayAnother);
        let number = |at: usize| command.arguments.get(at).and_then(Value::as_f64);
        self.question = Some(PendingQuestion::Play {
            stream,
            name: name.clone(),
            // Playlists are not kept: whatever is played replaces the former.
            reset: command
                .arguments
                .get(3)
                .and_then(Value::as_bool)
                .unwrap_or(true),
        });
        self.events.push_back(ServerEvent::Play(Play {
            stream,
            name: name.clone(),
            start: number(1).unwrap_or(-2.0),
        }));
    }

    /// Some clients use a message stream they never created; it is created then.
    fn open_stream(&mut self, stream: u32, name: &str) -> Result<(), String> {
        if name.len() > MAX_NAME {
            return Err(format!(
                "The name has {} bytes; at most {MAX_NAME} are allowed.",
                name.len()
            ));
        }
        if stream == 0 {
            return Err("Message stream 0 is for commands only.".to_owned());
        }
        if self.streams.contains_key(&stream) {
            return Ok(());
        }
        if self.streams.len() >= self.config.max_streams {
            return Err(format!(
                "A connection may hold {} message streams.",
                self.config.max_streams
            ));
        }
        self.streams.insert(stream, ServerStream::Idle);
        Ok(())
    }

    fn handle_pause(&mut self, stream: u32, command: &Command) {
        let paused = command
            .arguments
            .first()
            .and_then(Value::as_bool)
            .unwrap_or(true);
        if self.streams.get(&stream) != Some(&ServerStream::Playing) {
            return;
        }
        let (code, text) = if paused {
            ("NetStream.Pause.Notify", "Paused.")
        } else {
            ("NetStream.Unpause.Notify", "Playing again.")
        };
        self.send_status(stream, "status", code, text);
        self.events.push_back(ServerEvent::Pause { stream, paused });
    }

    fn handle_receive(&mut self, stream: u32, kind: MediaKind, command: &Command) {
        let wanted = command
            .arguments
            .first()
            .and_then(Value::as_bool)
            .unwrap_or(true);
        if self.streams.get(&stream) == Some(&ServerStream::Playing) {
            self.events.push_back(ServerEvent::Receive {
                stream,
                kind,
                wanted,
            });
        }
    }
}

/// The start of a name that came from the network, for an error's text.
fn abbreviate(name: &str) -> String {
    name.chars().take(64).collect()
}
