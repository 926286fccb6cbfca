//! Messages in, chunks out.
//!
//! Headers are compressed against the last message of their chunk stream, but
//! never into what receivers read in two ways: a delta of 0xFFFFFF or more, or
//! a timestamp that goes back, makes a format 0 header; format 3 starts a
//! message only when it repeats a delta of a format 1 or 2 header, or 0 after 0.
//! Extended timestamps are repeated on format 3 chunks (section 5.3.1.3).

use bytes::{BufMut, Bytes, BytesMut};
use litemap::LiteMap;

use super::{DEFAULT_CHUNK_SIZE, EXTENDED, MAX_CHUNK_STREAM_ID, MAX_MESSAGE_LENGTH};
use crate::message::Message;

/// Longest header of a chunk, in bytes: basic, message, extended timestamp.
const MAX_CHUNK_HEADER: usize = 3 + 11 + 4;

/// Writes the messages for one peer.
#[derive(Debug)]
pub struct Writer {
    chunk_size: u32,
    streams: LiteMap<u32, Previous>,
}

/// The last message of a chunk stream, as its receiver remembers it.
#[derive(Debug, Clone, Copy)]
struct Previous {
    timestamp: u32,
    /// What a format 3 header would add, where all receivers agree on it.
    delta: Option<u32>,
    length: usize,
    type_id: u8,
    message_stream_id: u32,
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl Writer {
    /// A writer at the start of the chunk stream, after the handshake.
    pub fn new() -> Self {
        Self {
            chunk_size: DEFAULT_CHUNK_SIZE,
            streams: LiteMap::new(),
        }
    }

    /// The chunk size in force, in bytes.
    pub fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// Sets the chunk size for what is written from now on, 1 to 2^31 - 1
    /// bytes; the caller has just written the Set Chunk Size message that says
    /// so.
    pub fn set_chunk_size(&mut self, bytes: u32) {
        self.chunk_size = bytes.clamp(1, 0x7FFF_FFFF);
    }

    /// Forgets what was written on a chunk stream: its next message gets a
    /// full header. Needed when chunks of [`encode_absolute`] went to the same
    /// peer on the same chunk stream in between.
    pub fn forget(&mut self, chunk_stream_id: u32) {
        self.streams.remove(&chunk_stream_id);
    }

    /// Appends `message` to `out`, as chunks.
    ///
    /// A chunk stream id outside 2 to 65599 is brought into that range and a
    /// payload beyond 2^24 - 1 bytes is cut: the format can't say them.
    pub fn write(&mut self, message: &Message, out: &mut BytesMut) {
        let (id, payload) = (sayable_id(message), sayable_payload(&message.payload));
        let current = |delta| Previous {
            timestamp: message.timestamp,
            delta,
            length: payload.len(),
            type_id: message.type_id,
            message_stream_id: message.message_stream_id,
        };
        let delta_from = |previous: &Previous| {
            let delta = message.timestamp.checked_sub(previous.timestamp)?;
            (delta < EXTENDED && previous.message_stream_id == message.message_stream_id)
                .then_some(delta)
        };
        let previous = self.streams.get(&id);
        let relative = previous.and_then(|previous| Some((previous, delta_from(previous)?)));
        let Some((previous, delta)) = relative else {
            // Receivers differ on what format 3 adds after format 0, except
            // after timestamp 0.
            let known = (message.timestamp == 0).then_some(0);
            self.streams.insert(id, current(known));
            let extended = put_absolute_header(id, payload.len(), message, out);
            return put_payload(out, id, payload, extended, self.chunk_size);
        };
        let same_shape = previous.length == payload.len() && previous.type_id == message.type_id;
        let format = match (same_shape, previous.delta == Some(delta)) {
            (false, _) => 1,
            (true, false) => 2,
            (true, true) => 3,
        };
        put_basic_header(out, format, id);
        if format < 3 {
            out.put_uint(u64::from(delta), 3);
        }
        if format < 2 {
            out.put_uint(payload.len() as u64, 3);
            out.put_u8(message.type_id);
        }
        self.streams.insert(id, current(Some(delta)));
        put_payload(out, id, payload, None, self.chunk_size);
    }
}

/// Chunks that are right for every receiver of their chunk size, whatever it got
/// before. So a media message is chunked once for all players.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absolute {
    /// One format 0 chunk and the format 3 chunks that continue it.
    pub bytes: Bytes,
    /// Bytes of the first chunk's header; the payload begins behind it.
    pub head: u32,
    /// Bytes of each further chunk's header, which are between two parts of the
    /// payload.
    pub gap: u32,
}

/// `message` as chunks of `chunk_size` bytes that are right for every receiver.
///
/// The limits on ids and lengths are those of [`Writer::write`].
pub fn encode_absolute(message: &Message, chunk_size: u32) -> Bytes {
    encode_payload(message, &message.payload, chunk_size).bytes
}

/// The same with `payload` in the place of the message's own.
pub fn encode_payload(message: &Message, payload: &[u8], chunk_size: u32) -> Absolute {
    let (id, payload) = (sayable_id(message), sayable_payload(payload));
    let chunk_size = chunk_size.clamp(1, 0x7FFF_FFFF);
    let chunks = payload.len() / chunk_size as usize + 1;
    let headers = MAX_CHUNK_HEADER + chunks.saturating_mul(3 + 4);
    let mut bytes = BytesMut::with_capacity(payload.len() + headers);
    let extended = put_absolute_header(id, payload.len(), message, &mut bytes);
    // At most MAX_CHUNK_HEADER.
    let head = u32::try_from(bytes.len()).unwrap_or_default();
    put_payload(&mut bytes, id, payload, extended, chunk_size);
    Absolute {
        bytes: bytes.freeze(),
        head,
        // The same without the fields that only a format 0 header has.
        gap: head.saturating_sub(11),
    }
}

/// Returns the extended timestamp, if there is one.
fn put_absolute_header(
    id: u32,
    length: usize,
    message: &Message,
    out: &mut BytesMut,
) -> Option<u32> {
    let extended = (message.timestamp >= EXTENDED).then_some(message.timestamp);
    put_basic_header(out, 0, id);
    let [_, high, middle, low] = message.timestamp.min(EXTENDED).to_be_bytes();
    let [.., len_high, len_middle, len_low] = length.to_be_bytes();
    let [a, b, c, d] = message.message_stream_id.to_le_bytes();
    let type_id = message.type_id;
    // In one piece: this is written for every message of a stream.
    out.put_slice(&[
        high, middle, low, len_high, len_middle, len_low, type_id, a, b, c, d,
    ]);
    if let Some(timestamp) = extended {
        out.put_u32(timestamp);
    }
    extended
}

/// The id that the format can express.
fn sayable_id(message: &Message) -> u32 {
    message.chunk_stream_id.clamp(2, MAX_CHUNK_STREAM_ID)
}

/// As much of a payload as the format can express.
fn sayable_payload(payload: &[u8]) -> &[u8] {
    payload.get(..MAX_MESSAGE_LENGTH).unwrap_or(payload)
}

/// The payload, with format 3 headers where a new chunk begins.
fn put_payload(
    out: &mut BytesMut,
    id: u32,
    payload: &[u8],
    extended: Option<u32>,
    chunk_size: u32,
) {
    for (index, part) in payload.chunks(chunk_size.max(1) as usize).enumerate() {
        if index > 0 {
            put_basic_header(out, 3, id);
            if let Some(timestamp) = extended {
                out.put_u32(timestamp);
            }
        }
        out.extend_from_slice(part);
    }
}

/// Section 5.3.1.1: one byte for ids 2 to 63, two up to 319, three beyond.
fn put_basic_header(out: &mut BytesMut, format: u8, id: u32) {
    let format = format << 6;
    match id {
        0..64 => out.put_u8(format | id.to_le_bytes()[0]),
        64..320 => {
            out.put_u8(format);
            out.put_u8((id - 64).to_le_bytes()[0]);
        }
        _ => {
            out.put_u8(format | 1);
            let [low, high, ..] = (id - 64).to_le_bytes();
            out.put_slice(&[low, high]);
        }
    }
}
