//! Commands whose shape is known, written value by value.
//!
//! A server says the same few things to every client. A [`Command`](super::Command)
//! would hold a copy of each of their texts until it is encoded.

use bytes::BytesMut;
use livehost_wire::amf0::{self, ObjectWriter, Value};

use super::USUAL_LENGTH;
use crate::message::{Message, type_id};

/// A command on its way into a message.
#[derive(Debug)]
pub(crate) struct CommandWriter(BytesMut);

impl CommandWriter {
    /// Name and transaction id; the command object and the arguments follow.
    pub(crate) fn new(name: &str, transaction_id: f64) -> Self {
        let mut payload = BytesMut::with_capacity(USUAL_LENGTH);
        amf0::encode_string(name, &mut payload);
        let mut writer = Self(payload);
        writer.push(&Value::Number(transaction_id));
        writer
    }

    /// A `_result`, an `onStatus` and most others have no command object.
    pub(crate) fn null(self) -> Self {
        self.value(&Value::Null)
    }

    /// Any value.
    pub(crate) fn value(mut self, value: &Value) -> Self {
        self.push(value);
        self
    }

    /// An object of the properties that `fill` writes.
    pub(crate) fn object(mut self, fill: impl FnOnce(&mut ObjectWriter<'_>)) -> Self {
        let mut object = ObjectWriter::new(&mut self.0);
        fill(&mut object);
        object.finish();
        self
    }

    /// An info object (see [`status`](super::status)).
    pub(crate) fn info(self, level: &str, code: &str, description: &str) -> Self {
        self.info_with(level, code, description, |_| {})
    }

    /// An info object that has more than usual.
    pub(crate) fn info_with(
        self,
        level: &str,
        code: &str,
        description: &str,
        more: impl FnOnce(&mut ObjectWriter<'_>),
    ) -> Self {
        self.object(|info| {
            info.text("level", level);
            info.text("code", code);
            info.text("description", description);
            more(info);
        })
    }

    /// The AMF0 command message (type 20, timestamp 0) that says this.
    pub(crate) fn into_message(self, chunk_stream_id: u32, message_stream_id: u32) -> Message {
        Message {
            chunk_stream_id,
            timestamp: 0,
            type_id: type_id::COMMAND_AMF0,
            message_stream_id,
            payload: self.0.freeze(),
        }
    }

    fn push(&mut self, value: &Value) {
        amf0::encode(value, &mut self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Command, status};
    use super::*;

    #[test]
    fn says_what_the_command_would_say() {
        let info = status("status", "NetStream.Play.Start", "now");
        let written = CommandWriter::new("onStatus", 0.0)
            .null()
            .info("status", "NetStream.Play.Start", "now")
            .into_message(3, 1);
        assert_eq!(written, Command::on_status(info).to_message(3, 1));
        let command = Command::result(4.0, Value::Null, vec![1.0.into(), Value::Undefined]);
        let written = CommandWriter::new("_result", 4.0)
            .object(|_| {})
            .value(&1.0.into())
            .value(&Value::Undefined)
            .into_message(3, 0);
        let command = Command {
            object: Value::Object(amf0::Properties::new()),
            ..command
        };
        assert_eq!(written, command.to_message(3, 0));
    }
}
