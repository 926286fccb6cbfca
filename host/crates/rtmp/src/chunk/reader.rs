//! Received bytes in, whole messages out.
//!
//! Where the specification and real encoders differ, or it is silent:
//!
//! - **Extended timestamp on format 3** (section 5.3.1.3): FMLE, FFmpeg and
//!   OBS repeat the four bytes on every format 3 chunk, rtmpdump does not. The
//!   bytes are compared, one by one, with the value they would repeat; the
//!   first that differs makes all of them payload.
//! - **Format 3 that starts a message** (section 5.3.1.2.4): the last delta
//!   again. After a format 0 header its timestamp is the delta, as the
//!   specification says and FFmpeg, librtmp and SRS read it; unless that
//!   timestamp was extended: a jump of hours is never meant, so it is 0 then.
//! - **Extended field of formats 1 and 2**: a delta; but some encoders write
//!   the absolute time. A value within a minute of the stream's clock is taken
//!   as absolute (as a delta it would double the clock, after 4.66 hours or
//!   more).
//! - **Format 1 on a new chunk stream** (librtmp's ping response): starts from
//!   timestamp 0, message stream 0. Formats 2 and 3 there leave the length
//!   unknown: an error, since it always means that framing was lost.
//! - **A format 0 to 2 header before the last message of that chunk stream is
//!   complete**: the unfinished message is dropped, the new one starts.
//! - **Empty messages**: complete with their header.
//! - **Chunk sizes above 0xFFFFFF**: mean that, the longest message (section
//!   5.4.1). The size costs nothing: memory grows with what arrives.
//! - **Media that nobody is there for** may be longer than what is kept: encoders
//!   send it ahead of an answer that turns out to be a refusal, and for a moment
//!   after their stream was ended. It is passed over, and takes no memory.

use bytes::Bytes;
use litemap::LiteMap;

use super::{
    ChunkError, ChunkErrorKind, DEFAULT_CHUNK_SIZE, EXTENDED, MAX_CHUNK_SIZE, MAX_MESSAGE_LENGTH,
    ReaderLimits,
    header::{ChunkHeader, HeaderFields, Returned},
};
use crate::{
    control::ProtocolControl,
    message::{Message, type_id},
};

/// First allocation for a payload, in bytes; it then grows with what arrives.
const FIRST_RESERVE: usize = 4096;

/// How close to the clock an extended delta must be to be taken as an absolute
/// timestamp, in milliseconds.
const ABSOLUTE_WINDOW: u32 = 60_000;

/// Reassembles messages from one direction of a connection.
#[derive(Debug)]
pub struct Reader {
    limits: ReaderLimits,
    chunk_size: u32,
    bytes_received: u64,
    state: ReaderState,
    /// Header bytes of the chunk that is being read.
    header: ChunkHeader,
    /// Bytes read as an extended timestamp that turned out to be payload.
    returned: Returned,
    streams: LiteMap<u32, ChunkStream>,
    /// Sum of the capacities of all `ChunkStream::payload`.
    held: usize,
}

/// What the next byte is part of.
#[derive(Debug, Clone, Copy)]
enum ReaderState {
    /// The basic or message header.
    Header,
    /// The extended timestamp of a format 0, 1 or 2 chunk.
    Extended {
        chunk_stream_id: u32,
        format: u8,
        value: u32,
        have: u8,
    },
    /// What may be a repeated extended timestamp of a format 3 chunk, of which
    /// `matched` bytes were as expected so far.
    MaybeExtended { chunk_stream_id: u32, matched: u8 },
    /// Payload of the chunk, `left` bytes of it to come.
    Payload { chunk_stream_id: u32, left: usize },
}

/// The last header of a chunk stream, and its message in the making.
#[derive(Debug, Default)]
struct ChunkStream {
    timestamp: u32,
    /// Added to `timestamp` by a format 3 chunk that starts a message.
    delta: u32,
    length: u32,
    type_id: u8,
    message_stream_id: u32,
    /// The extended field of the last format 0, 1 or 2 header, if it had one.
    extended: Option<u32>,
    /// Whether a message was started and isn't complete.
    open: bool,
    /// Bytes that came of it.
    received: usize,
    /// They are not kept: `payload` stays empty.
    passed_over: bool,
    /// Some came since [`Reader::progress`] was asked.
    has_grown: bool,
    payload: Vec<u8>,
}

impl Reader {
    /// A reader at the start of the chunk stream, after the handshake.
    pub fn new(limits: ReaderLimits) -> Self {
        Self {
            limits,
            chunk_size: DEFAULT_CHUNK_SIZE,
            bytes_received: 0,
            state: ReaderState::Header,
            header: ChunkHeader::default(),
            returned: Returned::default(),
            streams: LiteMap::new(),
            held: 0,
        }
    }

    /// The limits in force.
    pub fn limits(&self) -> &ReaderLimits {
        &self.limits
    }

    /// Other limits from now on. A message that has begun and is longer than
    /// they allow is forgotten: its rest is passed over.
    pub fn set_limits(&mut self, limits: ReaderLimits) {
        self.limits = limits;
        for (_, stream) in self.streams.iter_mut() {
            if stream.open && stream.length > limits.max_message_size {
                let payload = std::mem::take(&mut stream.payload);
                self.held = self.held.saturating_sub(payload.capacity());
                stream.passed_over = true;
            }
        }
    }

    /// The peer's chunk size in bytes.
    pub fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// Bytes consumed so far, for acknowledgements.
    pub fn bytes_received(&self) -> u64 {
        self.bytes_received
    }

    /// Memory held for messages that aren't complete, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.held
    }

    /// Type and message stream of each message that isn't complete, and of
    /// which something came since this was asked last.
    pub fn progress(&mut self) -> impl Iterator<Item = (u8, u32)> + '_ {
        self.streams.iter_mut().filter_map(|(_, stream)| {
            let has_grown = std::mem::take(&mut stream.has_grown);
            (has_grown && stream.open).then_some((stream.type_id, stream.message_stream_id))
        })
    }

    /// Consumes from the front of `input` until a message is complete (then
    /// more input may be left) or `input` is empty (then `None`). Nothing needs
    /// to be kept by the caller: a header cut in two is remembered here.
    ///
    /// Set Chunk Size and Abort take effect here, and are returned as well.
    /// Call until `None`: a message can be complete with `input` empty.
    ///
    /// # Errors
    /// Any [`ChunkError`] ends the connection: what follows can't be framed.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Message>, ChunkError> {
        let before = input.len();
        let result = self.advance(input);
        let consumed = before - input.len();
        self.bytes_received = self.bytes_received.saturating_add(consumed as u64);
        result.map_err(|kind| ChunkError {
            offset: self.bytes_received,
            kind,
        })
    }

    fn advance(&mut self, input: &mut &[u8]) -> Result<Option<Message>, ChunkErrorKind> {
        loop {
            match self.state {
                ReaderState::Header => {
                    let Some(byte) = self.take_byte(input) else {
                        return Ok(None);
                    };
                    self.header.push(byte);
                    if let Some(fields) = self.header.fields() {
                        self.header = ChunkHeader::default();
                        self.open_chunk(fields)?;
                    }
                }
                ReaderState::Extended {
                    chunk_stream_id,
                    format,
                    value,
                    have,
                } => {
                    let Some(byte) = self.take_byte(input) else {
                        return Ok(None);
                    };
                    let value = value << 8 | u32::from(byte);
                    if have < 3 {
                        self.state = ReaderState::Extended {
                            chunk_stream_id,
                            format,
                            value,
                            have: have + 1,
                        };
                    } else {
                        let stream = self.streams.entry(chunk_stream_id).or_default();
                        stream.extended = Some(value);
                        stream.start(format, value);
                        self.begin_payload(chunk_stream_id)?;
                    }
                }
                ReaderState::MaybeExtended {
                    chunk_stream_id,
                    matched,
                } => {
                    let Some(byte) = self.take_byte(input) else {
                        return Ok(None);
                    };
                    self.match_extended(chunk_stream_id, matched, byte)?;
                }
                ReaderState::Payload {
                    chunk_stream_id,
                    left,
                } => {
                    let left = self.take_payload(chunk_stream_id, left, input);
                    if left > 0 {
                        self.state = ReaderState::Payload {
                            chunk_stream_id,
                            left,
                        };
                        return Ok(None);
                    }
                    self.state = ReaderState::Header;
                    if let Some(message) = self.finish_chunk(chunk_stream_id)? {
                        return Ok(Some(message));
                    }
                }
            }
        }
    }

    /// The next byte, of those returned first, then of the input.
    fn take_byte(&mut self, input: &mut &[u8]) -> Option<u8> {
        if let Some(byte) = self.returned.pop() {
            return Some(byte);
        }
        let (&byte, rest) = input.split_first()?;
        *input = rest;
        Some(byte)
    }

    /// Acts on a complete basic and message header.
    fn open_chunk(&mut self, fields: HeaderFields) -> Result<(), ChunkErrorKind> {
        let HeaderFields {
            format,
            chunk_stream_id,
            ..
        } = fields;
        if !self.streams.contains_key(&chunk_stream_id) {
            if format > 1 {
                return Err(ChunkErrorKind::NoPreviousHeader {
                    chunk_stream_id,
                    format,
                });
            }
            if self.streams.len() >= self.limits.max_chunk_streams {
                return Err(ChunkErrorKind::TooManyChunkStreams {
                    chunk_stream_id,
                    limit: self.limits.max_chunk_streams,
                });
            }
        }
        let stream = self.streams.entry(chunk_stream_id).or_default();
        if format < 3 && stream.open {
            self.held = self.held.saturating_sub(stream.forget());
        }
        if let Some((length, type_id)) = fields.length_and_type {
            stream.length = length;
            stream.type_id = type_id;
        }
        if let Some(message_stream_id) = fields.message_stream_id {
            stream.message_stream_id = message_stream_id;
        }
        match fields.timestamp {
            Some(EXTENDED) => {
                self.state = ReaderState::Extended {
                    chunk_stream_id,
                    format,
                    value: 0,
                    have: 0,
                };
            }
            Some(field) => {
                stream.extended = None;
                stream.start(format, field);
                self.begin_payload(chunk_stream_id)?;
            }
            None if stream.extended.is_some() => {
                self.state = ReaderState::MaybeExtended {
                    chunk_stream_id,
                    matched: 0,
                };
            }
            None => {
                stream.go_on();
                self.begin_payload(chunk_stream_id)?;
            }
        }
        Ok(())
    }

    /// One more byte of what may be a repeated extended timestamp.
    fn match_extended(
        &mut self,
        chunk_stream_id: u32,
        matched: u8,
        byte: u8,
    ) -> Result<(), ChunkErrorKind> {
        let stream = self.streams.entry(chunk_stream_id).or_default();
        let expected = stream.extended.unwrap_or_default().to_be_bytes();
        if expected.get(usize::from(matched)) == Some(&byte) {
            if matched < 3 {
                self.state = ReaderState::MaybeExtended {
                    chunk_stream_id,
                    matched: matched + 1,
                };
                return Ok(());
            }
        } else {
            let same = expected.get(..usize::from(matched)).unwrap_or_default();
            self.returned.give_back(same, byte);
        }
        stream.go_on();
        self.begin_payload(chunk_stream_id)
    }

    /// The header is complete: payload follows, up to the chunk size.
    fn begin_payload(&mut self, chunk_stream_id: u32) -> Result<(), ChunkErrorKind> {
        let stream = self.streams.entry(chunk_stream_id).or_default();
        if stream.received == 0 {
            let length = stream.length;
            let limit = self.limits.longest(stream.type_id);
            if length > limit {
                return Err(ChunkErrorKind::MessageTooLong {
                    chunk_stream_id,
                    length,
                    limit,
                });
            }
            stream.passed_over = length > self.limits.max_message_size;
        }
        let missing = (stream.length as usize).saturating_sub(stream.received);
        let left = missing.min(self.chunk_size as usize);
        // Where what follows is only counted later: the same however it comes.
        let others = self.held.saturating_sub(stream.payload.capacity());
        if others + stream.memory_for(stream.received + left) > self.limits.max_held_bytes {
            return Err(ChunkErrorKind::TooMuchUnfinished {
                chunk_stream_id,
                limit: self.limits.max_held_bytes,
            });
        }
        self.state = ReaderState::Payload {
            chunk_stream_id,
            left,
        };
        Ok(())
    }

    /// Takes up to `left` bytes of payload; returns how many are still left.
    fn take_payload(&mut self, chunk_stream_id: u32, left: usize, input: &mut &[u8]) -> usize {
        let mut left = left;
        while left > 0
            && let Some(byte) = self.returned.pop()
        {
            self.append(chunk_stream_id, &[byte]);
            left -= 1;
        }
        let (taken, rest) = input.split_at(left.min(input.len()));
        self.append(chunk_stream_id, taken);
        *input = rest;
        left - taken.len()
    }

    /// Appends to a message, unless it is passed over.
    fn append(&mut self, chunk_stream_id: u32, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let stream = self.streams.entry(chunk_stream_id).or_default();
        stream.received += bytes.len();
        stream.has_grown = true;
        if stream.passed_over {
            return;
        }
        let before = stream.payload.capacity();
        if before < stream.received {
            let memory = stream.memory_for(stream.received);
            stream
                .payload
                .reserve_exact(memory.saturating_sub(stream.payload.len()));
            self.held = self.held.saturating_sub(before) + stream.payload.capacity();
        }
        stream.payload.extend_from_slice(bytes);
    }

    /// The payload of a chunk is complete; yields the message if that is too.
    fn finish_chunk(&mut self, chunk_stream_id: u32) -> Result<Option<Message>, ChunkErrorKind> {
        let stream = self.streams.entry(chunk_stream_id).or_default();
        if stream.received < stream.length as usize {
            return Ok(None);
        }
        stream.open = false;
        stream.received = 0;
        if stream.passed_over {
            return Ok(None);
        }
        self.held = self.held.saturating_sub(stream.payload.capacity());
        let message = Message {
            chunk_stream_id,
            timestamp: stream.timestamp,
            type_id: stream.type_id,
            message_stream_id: stream.message_stream_id,
            payload: Bytes::from(std::mem::take(&mut stream.payload)),
        };
        self.apply(&message)?;
        Ok(Some(message))
    }

    /// Does what Set Chunk Size and Abort ask for.
    fn apply(&mut self, message: &Message) -> Result<(), ChunkErrorKind> {
        if !matches!(message.type_id, type_id::SET_CHUNK_SIZE | type_id::ABORT) {
            return Ok(());
        }
        match ProtocolControl::decode(message.type_id, &message.payload)? {
            ProtocolControl::SetChunkSize(size) => {
                if size == 0 || size > MAX_CHUNK_SIZE {
                    return Err(ChunkErrorKind::ChunkSize { found: size });
                }
                self.chunk_size = size.min(MAX_MESSAGE_LENGTH as u32);
            }
            ProtocolControl::Abort(chunk_stream_id) => {
                if let Some(stream) = self.streams.get_mut(&chunk_stream_id) {
                    self.held = self.held.saturating_sub(stream.forget());
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl ChunkStream {
    /// A header of format 0, 1 or 2 starts a message; `field` is its timestamp
    /// field or what extends it.
    fn start(&mut self, format: u8, field: u32) {
        let extended = self.extended.is_some();
        if format == 0 {
            self.timestamp = field;
            self.delta = if extended { 0 } else { field };
        } else if extended && field.abs_diff(self.timestamp) <= ABSOLUTE_WINDOW {
            self.delta = field.wrapping_sub(self.timestamp);
            self.timestamp = field;
        } else {
            self.delta = field;
            self.timestamp = self.timestamp.wrapping_add(field);
        }
        self.open = true;
    }

    /// A header of format 3 starts the next message, or goes on with this one.
    fn go_on(&mut self) {
        if !self.open {
            self.timestamp = self.timestamp.wrapping_add(self.delta);
            self.open = true;
        }
    }

    /// Memory for so many bytes of the message: it grows with what arrived, not
    /// with what was announced, and never beyond the message's length.
    fn memory_for(&self, received: usize) -> usize {
        if self.passed_over {
            return 0;
        }
        let doubled = received.next_power_of_two().max(FIRST_RESERVE);
        doubled.min(self.length as usize)
    }

    /// Gives up the message in the making; returns the memory that it held.
    fn forget(&mut self) -> usize {
        self.open = false;
        self.received = 0;
        std::mem::take(&mut self.payload).capacity()
    }
}
