//! What the owner answers, in the order that real clients wait for it.

use bytes::Bytes;
use livehost_wire::amf0::{ObjectWriter, Properties, Value};

use super::{ConnectState, PendingQuestion, ServerPhase, ServerSession, ServerStream};
use crate::command::CommandWriter;
use crate::control::{LimitType, ProtocolControl, UserControl};
use crate::message::{Message, type_id};
use crate::session::capabilities::{self, Capabilities, caps_ex};
use crate::shared_object;

/// Chunk stream of commands; 2 is for protocol control (section 5.4).
const COMMAND_CHUNK_STREAM: u32 = 3;

impl ServerSession {
    /// Lets the client in. `chunk_size` and `window_ack_size` in bytes, none
    /// for the server's own.
    pub fn accept_connect(&mut self, chunk_size: Option<u32>, window_ack_size: Option<u32>) {
        let Some(PendingQuestion::Connect {
            transaction,
            object_encoding,
        }) = self.question.take()
        else {
            return;
        };
        self.connection = ConnectState::Connected;
        self.follow_trust();
        let chunk_size = chunk_size.unwrap_or(self.config.chunk_size);
        let window = window_ack_size.unwrap_or(self.config.window_ack_size);
        self.send_control(&ProtocolControl::WindowAckSize(window));
        self.send_control(&ProtocolControl::SetPeerBandwidth {
            size: window,
            limit: LimitType::Dynamic,
        });
        self.chunk_size_of_players = Some(chunk_size);
        if !self.spares_publishers {
            self.tell_chunk_size();
        }
        self.send_control(&ProtocolControl::UserControl(UserControl::StreamBegin(0)));
        let knows_enhanced = self.capabilities.is_some();
        let result = CommandWriter::new("_result", transaction)
            .object(|server| {
                server.text("fmsVer", "FMS/3,5,7,7009");
                server.value("capabilities", &Value::Number(31.0));
                server.value("mode", &Value::Number(1.0));
                // Only to those that know it: the answer to others is as it ever was.
                if knows_enhanced {
                    for (name, value) in capabilities::of_server() {
                        server.value(name, &value);
                    }
                }
            })
            .info_with(
                "status",
                "NetConnection.Connect.Success",
                "Connection succeeded.",
                |info| info.value("objectEncoding", &Value::Number(object_encoding)),
            );
        self.send_command(0, result);
        self.send_command(0, CommandWriter::new("onBWDone", 0.0).null());
    }

    /// Tells the chunk size, once.
    fn tell_chunk_size(&mut self) {
        if let (Some(size), ServerPhase::Messages(link)) =
            (self.chunk_size_of_players.take(), &mut self.phase)
        {
            link.set_out_chunk_size(size);
        }
    }

    /// Refuses the connection. Nothing more is read; close when the bytes are sent.
    /// With `retry_after_ms` the client is told when to try again: RTMP has no
    /// property for that, and clients pass over those that they don't know.
    pub fn reject_connect(&mut self, code: &str, description: &str, retry_after_ms: Option<u32>) {
        self.refuse_connect(code, description, |info| retry_after(info, retry_after_ms));
    }

    /// Sends the client to another URL, as Adobe's servers did (`ex.redirect`)
    /// and Enhanced RTMP keeps it. Close when the bytes are sent.
    pub fn redirect(&mut self, url: &str, description: &str) {
        let ex = Properties::from([
            ("code", Value::Number(302.0)),
            ("redirect", Value::from(url)),
        ]);
        let code = "NetConnection.Connect.Rejected";
        self.refuse_connect(code, description, |info| {
            info.value("ex", &Value::Object(ex));
        });
    }

    fn refuse_connect(
        &mut self,
        code: &str,
        description: &str,
        more: impl FnOnce(&mut ObjectWriter<'_>),
    ) {
        if let Some(PendingQuestion::Connect { transaction, .. }) = self.question.take() {
            let error = CommandWriter::new("_error", transaction).null();
            self.send_command(0, error.info_with("error", code, description, more));
        }
        self.connection = ConnectState::Closed;
    }

    /// The name is claimed: media may come.
    pub fn accept_publish(&mut self) {
        let Some(PendingQuestion::Publish { stream, name }) = self.question.take() else {
            return;
        };
        self.send_control(&ProtocolControl::UserControl(UserControl::StreamBegin(
            stream,
        )));
        self.send_publish_start(stream, &name);
        self.streams
            .insert(stream, ServerStream::Publishing { name });
        self.follow_trust();
    }

    pub(super) fn send_publish_start(&mut self, stream: u32, name: &str) {
        let text = format!("{} is now published.", shown(name));
        self.send_status(stream, "status", "NetStream.Publish.Start", &text);
    }

    /// Refuses a publish or a playback; the connection stays. `retry_after_ms` as of
    /// [`ServerSession::reject_connect`].
    pub fn reject_stream(&mut self, code: &str, description: &str, retry_after_ms: Option<u32>) {
        if let Some(
            PendingQuestion::Publish { stream, .. } | PendingQuestion::Play { stream, .. },
        ) = self.question.take()
        {
            let on_status = CommandWriter::new("onStatus", 0.0).null();
            let on_status = on_status.info_with("error", code, description, |info| {
                retry_after(info, retry_after_ms);
            });
            self.send_command(stream, on_status);
        }
    }

    /// The player is subscribed, or waits for a publisher.
    pub fn accept_play(&mut self) {
        let Some(PendingQuestion::Play {
            stream,
            name,
            reset,
        }) = self.question.take()
        else {
            return;
        };
        self.tell_chunk_size();
        self.streams.insert(stream, ServerStream::Playing);
        self.send_control(&ProtocolControl::UserControl(UserControl::StreamBegin(
            stream,
        )));
        let name = shown(&name);
        if reset {
            self.send_status(
                stream,
                "status",
                "NetStream.Play.Reset",
                &format!("Playing and resetting {name}."),
            );
        }
        self.send_status(
            stream,
            "status",
            "NetStream.Play.Start",
            &format!("Started playing {name}."),
        );
        // Flash shows nothing without it.
        self.send_data(
            stream,
            &[
                Value::from("|RtmpSampleAccess"),
                Value::Boolean(true),
                Value::Boolean(true),
            ],
        );
    }

    /// Answers a call: the values of its result, or what was wrong.
    pub fn answer_call(&mut self, answer: Result<Vec<Value>, String>) {
        let Some(PendingQuestion::Call {
            transaction, name, ..
        }) = self.question.take()
        else {
            return;
        };
        // Transaction 0 asks for no answer (section 7.2.1.2).
        if transaction == 0.0 {
            return;
        }
        match answer {
            Ok(values) => {
                let result = CommandWriter::new("_result", transaction).null();
                self.send_command(0, values.iter().fold(result, CommandWriter::value));
            }
            Err(why) => self.reply_error(
                transaction,
                "NetConnection.Call.Failed",
                &format!("{}: {why}", shown(&name)),
            ),
        }
    }

    /// The client's shared object message was acted on; what it is told was
    /// sent, or will be.
    pub fn finish_shared_object(&mut self) {
        if self.question == Some(PendingQuestion::SharedObject) {
            self.question = None;
        }
    }

    /// Tells of a shared object: the body of a message, as
    /// [`SharedObjectMessage::encode`](shared_object::SharedObjectMessage::encode)
    /// makes it.
    pub fn send_shared_object(&mut self, body: Bytes) {
        self.send(&shared_object::message(body, self.shares_in_amf3));
    }

    /// Tells a waiting player that its publisher has appeared.
    pub fn notify_published(&mut self, stream: u32, name: &str) {
        self.send_control(&ProtocolControl::UserControl(UserControl::StreamBegin(
            stream,
        )));
        self.send_status(
            stream,
            "status",
            "NetStream.Play.PublishNotify",
            &format!("{} is now published.", shown(name)),
        );
    }

    /// Tells a player that its publisher has left. It goes on waiting.
    pub fn notify_unpublished(&mut self, stream: u32, name: &str) {
        self.send_status(
            stream,
            "status",
            "NetStream.Play.UnpublishNotify",
            &format!("{} is no longer published.", shown(name)),
        );
        self.send_control(&ProtocolControl::UserControl(UserControl::StreamEof(
            stream,
        )));
    }

    /// Ends a publish or a playback from the server's side.
    pub fn end_stream(&mut self, stream: u32, level: &str, code: &str, description: &str) {
        let Some(state) = self.streams.get_mut(&stream) else {
            return;
        };
        let was = std::mem::replace(state, ServerStream::Idle);
        self.follow_trust();
        self.send_status(stream, level, code, description);
        if was == ServerStream::Playing {
            self.send_control(&ProtocolControl::UserControl(UserControl::StreamEof(
                stream,
            )));
        }
    }

    /// Says that the server is about to close the connection, and why.
    pub fn announce_close(&mut self, code: &str, description: &str) {
        if self.connection == ConnectState::Connected {
            self.send_status(0, "status", code, description);
        }
        self.connection = ConnectState::Closed;
    }

    /// Asks the client to connect again and leave this connection by itself,
    /// which goes on until then (Enhanced RTMP v2, section "Reconnect
    /// Request"). `tc_url` says where, if not at the same URL. False, and
    /// nothing is sent, if the client did not announce that it does so.
    pub fn request_reconnect(&mut self, tc_url: Option<&str>, description: &str) -> bool {
        let announced = |client: &Capabilities| client.has(caps_ex::RECONNECT);
        let can = self.connection == ConnectState::Connected
            && self.capabilities().is_some_and(announced);
        if can {
            let code = "NetConnection.Connect.ReconnectRequest";
            let on_status = CommandWriter::new("onStatus", 0.0).null();
            let on_status = on_status.info_with("status", code, description, |info| {
                if let Some(url) = tc_url {
                    info.text("tcUrl", url);
                }
            });
            self.send_command(0, on_status);
        }
        can
    }

    /// Asks the client for a sign of life; `millis` comes back in its answer.
    pub fn send_ping(&mut self, millis: u32) {
        if let ServerPhase::Messages(link) = &mut self.phase {
            link.send_ping(millis);
        }
    }

    pub(super) fn reply_result(&mut self, transaction: f64, value: &Value) {
        let result = CommandWriter::new("_result", transaction).null();
        self.send_command(0, result.value(value));
    }

    pub(super) fn reply_error(&mut self, transaction: f64, code: &str, description: &str) {
        let error = CommandWriter::new("_error", transaction).null();
        self.send_command(0, error.info("error", code, description));
    }

    /// `onStatus` on a message stream (section 7.2.2).
    pub(super) fn send_status(&mut self, stream: u32, level: &str, code: &str, text: &str) {
        let on_status = CommandWriter::new("onStatus", 0.0).null();
        self.send_command(stream, on_status.info(level, code, text));
    }

    /// `onFCPublish` and its kin: without the transaction id and the null some
    /// hardware encoders fail.
    pub(super) fn send_on_fc(&mut self, name: &str, code: &str, text: &str) {
        let command = CommandWriter::new(name, 0.0).null();
        self.send_command(0, command.info("status", code, text));
    }

    fn send_command(&mut self, stream: u32, command: CommandWriter) {
        self.send(&command.into_message(COMMAND_CHUNK_STREAM, stream));
    }

    fn send_data(&mut self, stream: u32, values: &[Value]) {
        self.send(&Message {
            chunk_stream_id: COMMAND_CHUNK_STREAM,
            timestamp: 0,
            type_id: type_id::DATA_AMF0,
            message_stream_id: stream,
            payload: livehost_wire::amf0::encode_all(values),
        });
    }

    fn send_control(&mut self, control: &ProtocolControl) {
        if let ServerPhase::Messages(link) = &mut self.phase {
            link.send_control(control);
        }
    }

    fn send(&mut self, message: &Message) {
        if let ServerPhase::Messages(link) = &mut self.phase {
            link.send(message);
        }
    }
}

fn retry_after(info: &mut ObjectWriter<'_>, millis: Option<u32>) {
    if let Some(millis) = millis {
        info.value("retryAfterMs", &Value::Number(millis.into()));
    }
}

/// A name as a status text shows it: its query may hold a key and is cut off.
pub(super) fn shown(name: &str) -> &str {
    name.split('?').next().unwrap_or_default()
}
