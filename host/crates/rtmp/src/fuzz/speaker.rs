//! A peer that speaks chunks as it likes: any format, timestamps extended or
//! not, messages left half-way and gone on with, and bytes that are no chunk.
//!
//! Not built on [`crate::chunk::Writer`], which can't say what is wrong.

use std::collections::BTreeMap;

use bytes::{BufMut as _, Bytes, BytesMut};

use super::program::FuzzProgram;
use crate::{
    chunk::DEFAULT_CHUNK_SIZE,
    message::{Message, type_id},
};

/// Chunk streams of what is said; the last ones have longer headers.
const CHUNK_STREAMS: [u32; 10] = [3, 4, 5, 6, 2, 63, 64, 319, 320, 65_599];
const EXTENDED: u32 = 0x00FF_FFFF;

/// A peer's outbound half.
#[derive(Debug, Default)]
pub(super) struct Speaker {
    pub(super) out: BytesMut,
    /// What the receiver believes; 0 before it is set.
    chunk_size: usize,
    last: BTreeMap<u32, Last>,
    /// What is left of messages that were begun.
    unfinished: BTreeMap<u32, Bytes>,
    now: u32,
}

/// What a chunk stream's last header said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Last {
    timestamp: u32,
    delta: u32,
    length: usize,
    type_id: u8,
    stream: u32,
    /// The value of its extended timestamp, if it has one.
    extended: Option<u32>,
}

/// How a message is said, by the bits of one choice.
#[derive(Debug, Clone, Copy)]
struct Form(u8);

impl Form {
    /// The format that is tried.
    fn format(self) -> u8 {
        self.0 & 3
    }

    /// Whether it is used where it says something else.
    fn forced(self) -> bool {
        self.0 & 0b0001_1100 == 0b0001_1100
    }

    /// Three bytes of basic header where two would do.
    fn long(self) -> bool {
        self.0 & 0b0010_0000 != 0
    }

    /// Continues without the extended timestamp, as some peers do.
    fn terse(self) -> bool {
        self.0 & 0b0100_0000 != 0
    }

    /// Only the first chunk.
    fn begun(self) -> bool {
        self.0 & 0b1000_0000 != 0
    }
}

impl Speaker {
    fn chunk_size(&self) -> usize {
        match self.chunk_size {
            0 => DEFAULT_CHUNK_SIZE as usize,
            size => size,
        }
    }

    /// A message of a body; the program chooses the rest.
    pub(super) fn say(
        &mut self,
        program: &mut FuzzProgram<'_>,
        type_id: u8,
        stream: u32,
        body: Bytes,
    ) -> Option<()> {
        let form = Form(program.byte()?);
        let chunk_stream_id = program.pick(&CHUNK_STREAMS)?;
        // Most time goes on a little; some jumps.
        self.now = match program.byte()? {
            0xFF => program.number()?,
            step => self.now.wrapping_add(step.into()),
        };
        let message = Message {
            chunk_stream_id,
            timestamp: self.now,
            type_id,
            message_stream_id: stream,
            payload: body,
        };
        self.write(&message, form);
        Some(())
    }

    /// A message as everybody says it.
    pub(super) fn say_plainly(&mut self, message: &Message) {
        self.write(message, Form(0));
    }

    /// Set Chunk Size; what follows obeys it, or not.
    pub(super) fn set_chunk_size(&mut self, size: u32, obeyed: bool) {
        let body = Bytes::copy_from_slice(&size.to_be_bytes());
        self.say_plainly(&control(type_id::SET_CHUNK_SIZE, body));
        if obeyed && size > 0 {
            self.chunk_size = usize::try_from(size).unwrap_or(usize::MAX);
        }
    }

    /// Abort Message: what was begun there is forgotten.
    pub(super) fn abort(&mut self, program: &mut FuzzProgram<'_>) -> Option<()> {
        let chunk_stream_id = program.pick(&CHUNK_STREAMS)?;
        let body = Bytes::copy_from_slice(&chunk_stream_id.to_be_bytes());
        self.say_plainly(&control(type_id::ABORT, body));
        if program.byte()? & 7 != 0 {
            self.unfinished.remove(&chunk_stream_id);
        }
        Some(())
    }

    /// One more chunk of a message that was begun.
    pub(super) fn go_on(&mut self, program: &mut FuzzProgram<'_>) -> Option<()> {
        let chunk_stream_id = program.pick(&CHUNK_STREAMS)?;
        let form = Form(program.byte()?);
        if let Some(rest) = self.unfinished.remove(&chunk_stream_id) {
            self.next_chunk(chunk_stream_id, rest, form);
        } else if form.forced() {
            // A continuation of nothing.
            self.next_chunk(chunk_stream_id, Bytes::from_static(&[0; 8]), form);
        }
        Some(())
    }

    fn write(&mut self, message: &Message, form: Form) {
        let before = self.last.get(&message.chunk_stream_id).copied();
        let base = before.map_or(0, |last| last.timestamp);
        let delta = message.timestamp.wrapping_sub(base);
        let format = format(message, before, delta, form);
        let time = if format == 0 {
            message.timestamp
        } else {
            delta
        };
        let extended = (time >= EXTENDED).then_some(time);
        // A format 3 header repeats the extended timestamp that was.
        let extended = match (format, before) {
            (3, Some(last)) => last.extended,
            _ => extended,
        };
        self.basic(format, message.chunk_stream_id, form);
        if format < 3 {
            self.out.put_uint(time.min(EXTENDED).into(), 3);
        }
        if format < 2 {
            let length = u64::try_from(message.payload.len()).unwrap_or(u64::MAX);
            self.out.put_uint(length & u64::from(EXTENDED), 3);
            self.out.put_u8(message.type_id);
        }
        if format == 0 {
            self.out.put_u32_le(message.message_stream_id);
        }
        if let Some(time) = extended {
            self.out.put_u32(time);
        }
        self.last.insert(
            message.chunk_stream_id,
            Last {
                timestamp: message.timestamp,
                // What a format 3 header adds (RTMP 1.0 section 5.3.1.2.4).
                delta: time,
                length: message.payload.len(),
                type_id: message.type_id,
                stream: message.message_stream_id,
                extended,
            },
        );
        let mut body = message.payload.clone();
        let first = body.split_to(body.len().min(self.chunk_size()));
        self.out.extend_from_slice(&first);
        self.unfinished.remove(&message.chunk_stream_id);
        if form.begun() && !body.is_empty() {
            self.unfinished.insert(message.chunk_stream_id, body);
            return;
        }
        while !body.is_empty() {
            self.next_chunk(message.chunk_stream_id, body, form);
            body = self
                .unfinished
                .remove(&message.chunk_stream_id)
                .unwrap_or_default();
        }
    }

    fn next_chunk(&mut self, chunk_stream_id: u32, mut rest: Bytes, form: Form) {
        self.basic(3, chunk_stream_id, form);
        let last = self.last.get(&chunk_stream_id);
        if let Some(time) = last.and_then(|last| last.extended)
            && !form.terse()
        {
            self.out.put_u32(time);
        }
        let chunk = rest.split_to(rest.len().min(self.chunk_size()));
        self.out.extend_from_slice(&chunk);
        if !rest.is_empty() {
            self.unfinished.insert(chunk_stream_id, rest);
        }
    }

    /// The basic header, section 5.3.1.1.
    fn basic(&mut self, format: u8, chunk_stream_id: u32, form: Form) {
        let format = format << 6;
        let [.., high, low] = chunk_stream_id.wrapping_sub(64).to_be_bytes();
        match chunk_stream_id {
            2..=63 => self.out.put_u8(format | low.wrapping_add(64)),
            64..=319 if !form.long() => self.out.put_slice(&[format, low]),
            _ => self.out.put_slice(&[format | 1, low, high]),
        }
    }
}

/// The format that the form asks for, or the next one that can say the message.
fn format(message: &Message, before: Option<Last>, delta: u32, form: Form) -> u8 {
    if form.forced() {
        return form.format();
    }
    let Some(last) = before else {
        return 0;
    };
    let same_stream = last.stream == message.message_stream_id;
    let same_shape = last.length == message.payload.len() && last.type_id == message.type_id;
    match form.format() {
        3 if same_stream && same_shape && last.delta == delta => 3,
        2 | 3 if same_stream && same_shape => 2,
        1..=3 if same_stream => 1,
        _ => 0,
    }
}

/// A protocol control message, on the chunk stream where it must be.
fn control(type_id: u8, payload: Bytes) -> Message {
    Message {
        chunk_stream_id: crate::control::CHUNK_STREAM_ID,
        timestamp: 0,
        type_id,
        message_stream_id: 0,
        payload,
    }
}
