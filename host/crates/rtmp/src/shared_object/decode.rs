//! Bytes to shared object messages.
//!
//! All values of a message together may cost what the message's [`Budget`] has,
//! names and events included.

use bytes::Bytes;
use livehost_wire::Budget;
use livehost_wire::amf0::{self, Value};

use super::{Event, MAX_EVENTS, PERSISTENT, SharedObjectError, SharedObjectMessage};
use crate::message::{Message, type_id};

impl SharedObjectMessage {
    /// Reads a message of type 19 or 16. The latter begins with a byte that is
    /// skipped; its values may switch to AMF3 and are converted.
    ///
    /// # Errors
    /// When it is another message, too short, its values are no AMF, or they take
    /// too much memory.
    pub fn decode(message: &Message) -> Result<Self, SharedObjectError> {
        read(message, Values::Decoded)
    }

    /// Reads it as [`decode`](Self::decode) does, without a look at its values:
    /// they are empty. Enough for who denies the events.
    ///
    /// # Errors
    /// When it is another message, too short, or its names take too much memory.
    pub fn decode_names(message: &Message) -> Result<Self, SharedObjectError> {
        read(message, Values::LeftOut)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Values {
    Decoded,
    LeftOut,
}

fn read(message: &Message, values: Values) -> Result<SharedObjectMessage, SharedObjectError> {
    let body: &[u8] = match message.type_id {
        type_id::SHARED_OBJECT_AMF0 => &message.payload,
        type_id::SHARED_OBJECT_AMF3 => message.payload.get(1..).unwrap_or_default(),
        other => return Err(SharedObjectError::MessageType(other)),
    };
    let mut reader = BodyReader {
        body,
        length: body.len(),
        budget: Budget::of_message(message.payload.len()),
        values,
    };
    reader.message()
}

/// What is left of a message.
struct BodyReader<'a> {
    body: &'a [u8],
    /// Of the whole body, in bytes.
    length: usize,
    budget: Budget,
    values: Values,
}

impl BodyReader<'_> {
    fn message(&mut self) -> Result<SharedObjectMessage, SharedObjectError> {
        let mut body = self.body;
        let name = self.text(&mut body, "the object's name")?;
        let version = uint(&mut body, "the version")?;
        let persistent = uint(&mut body, "the persistence")? == PERSISTENT;
        uint(&mut body, "the flags")?;
        let mut events = Vec::new();
        while let Some((kind, rest)) = body.split_first() {
            if events.len() >= MAX_EVENTS {
                return Err(SharedObjectError::TooManyEvents);
            }
            body = rest;
            let length = uint(&mut body, "an event's length")?;
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let data = take(&mut body, length, "an event")?;
            self.body = body;
            let event = self.event(*kind, data)?;
            let offset = self.offset();
            self.budget.push(&mut events, event, offset)?;
        }
        Ok(SharedObjectMessage {
            name,
            version,
            persistent,
            events,
        })
    }

    /// Where the event that is read ends in the message.
    fn offset(&self) -> usize {
        self.length.saturating_sub(self.body.len())
    }

    fn event(&mut self, kind: u8, mut data: &[u8]) -> Result<Event, SharedObjectError> {
        const NAME: &str = "a property's name";
        let data = &mut data;
        Ok(match kind {
            1 => Event::Use,
            2 => Event::Release,
            3 => Event::RequestChange(self.text(data, NAME)?, self.value(data)?),
            4 => Event::Change(self.pairs(data, NAME)?),
            5 => Event::Success(self.text(data, NAME)?),
            6 => Event::SendMessage(self.values(data)?),
            7 => Event::Status {
                code: self.text(data, "a status code")?,
                level: self.text(data, "a status level")?,
            },
            8 => Event::Clear,
            9 => Event::Remove(self.text(data, NAME)?),
            10 => Event::RequestRemove(self.text(data, NAME)?),
            11 => Event::UseSuccess,
            other => Event::Unknown(other),
        })
    }

    fn pairs(
        &mut self,
        data: &mut &[u8],
        field: &'static str,
    ) -> Result<Vec<(String, Bytes)>, SharedObjectError> {
        let mut pairs = Vec::new();
        // Without a look at the values nobody knows where the next name is.
        while !data.is_empty() && self.values == Values::Decoded {
            let pair = (self.text(data, field)?, self.value(data)?);
            let offset = self.offset();
            self.budget.push(&mut pairs, pair, offset)?;
        }
        Ok(pairs)
    }

    /// One value, as AMF0 whatever it was.
    fn value(&mut self, data: &mut &[u8]) -> Result<Bytes, SharedObjectError> {
        if self.values == Values::LeftOut {
            return Ok(Bytes::new());
        }
        let value = amf0::decode_within(data, &mut self.budget)?;
        self.encoded(&[plain(value)])
    }

    /// All that there is, as AMF0 whatever it was.
    fn values(&mut self, data: &[u8]) -> Result<Bytes, SharedObjectError> {
        if self.values == Values::LeftOut {
            return Ok(Bytes::new());
        }
        let values = amf0::decode_all_within(data, &mut self.budget)?;
        self.encoded(&values.into_iter().map(plain).collect::<Vec<_>>())
    }

    fn encoded(&mut self, values: &[Value]) -> Result<Bytes, SharedObjectError> {
        let length = amf0::encoded_len(values);
        let offset = self.offset();
        self.budget.allocation(length, offset)?;
        Ok(amf0::encode_all(values))
    }

    fn text(&mut self, data: &mut &[u8], field: &'static str) -> Result<String, SharedObjectError> {
        let length = take(data, 2, field)?;
        let length = length
            .iter()
            .fold(0, |n: usize, byte| n << 8 | usize::from(*byte));
        let bytes = take(data, length, field)?;
        let offset = self.offset();
        Ok(livehost_wire::text(bytes, &mut self.budget, offset)?)
    }
}

fn take<'a>(
    input: &mut &'a [u8],
    count: usize,
    field: &'static str,
) -> Result<&'a [u8], SharedObjectError> {
    let Some((taken, rest)) = input.split_at_checked(count) else {
        return Err(SharedObjectError::TooShort {
            field,
            expected: count,
            found: input.len(),
        });
    };
    *input = rest;
    Ok(taken)
}

fn uint(input: &mut &[u8], field: &'static str) -> Result<u32, SharedObjectError> {
    let bytes = take(input, 4, field)?;
    Ok(bytes.iter().fold(0, |n, byte| n << 8 | u32::from(*byte)))
}

fn plain(value: Value) -> Value {
    match value {
        Value::AvmPlus(value) => Value::from(*value),
        value => value,
    }
}
