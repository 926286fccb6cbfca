//! The chunk stream (RTMP 1.0 section 5.3), written for tests.

use std::{collections::HashMap, mem, ops::Range, time::Instant};

pub(crate) const SET_CHUNK_SIZE: u8 = 1;
pub(crate) const ACKNOWLEDGEMENT: u8 = 3;
pub(crate) const USER_CONTROL: u8 = 4;
pub(crate) const WINDOW_ACK_SIZE: u8 = 5;
pub(crate) const COMMAND_AMF3: u8 = 17;
pub(crate) const SHARED_OBJECT: u8 = 19;
pub(crate) const COMMAND: u8 = 20;

/// A message, and when its last byte was read.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) kind: u8,
    /// Milliseconds.
    pub(crate) timestamp: u32,
    /// The message stream.
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
    pub(crate) at: Instant,
}

/// The bytes of a message: a type 0 chunk, then type 3 chunks of `chunk_size`.
pub(crate) fn encode(
    chunk_stream: u8,
    kind: u8,
    timestamp: u32,
    stream: u32,
    payload: &[u8],
    chunk_size: usize,
) -> Vec<u8> {
    let mut out = header(
        chunk_stream,
        kind,
        timestamp,
        stream,
        u32::try_from(payload.len()).expect("a small payload"),
    );
    for (i, piece) in payload.chunks(chunk_size).enumerate() {
        if i > 0 {
            out.push(0xc0 | chunk_stream);
            if timestamp >= 0xff_ffff {
                out.extend(timestamp.to_be_bytes());
            }
        }
        out.extend(piece);
    }
    out
}

/// The header of a type 0 chunk that announces `len` bytes.
pub(crate) fn header(chunk_stream: u8, kind: u8, timestamp: u32, stream: u32, len: u32) -> Vec<u8> {
    let mut out = vec![chunk_stream];
    let short = timestamp.min(0xff_ffff).to_be_bytes();
    out.extend(short.iter().skip(1));
    out.extend(len.to_be_bytes().iter().skip(1));
    out.push(kind);
    out.extend(stream.to_le_bytes());
    if timestamp >= 0xff_ffff {
        out.extend(timestamp.to_be_bytes());
    }
    out
}

/// What the headers of a chunk stream's next message may leave out.
#[derive(Debug, Default)]
struct Known {
    timestamp: u32,
    delta: u32,
    extended: bool,
    len: usize,
    kind: u8,
    stream: u32,
    partial: Vec<u8>,
}

/// Takes bytes, yields messages.
#[derive(Debug)]
pub(crate) struct Reader {
    buffer: Vec<u8>,
    chunk_size: usize,
    known: HashMap<u32, Known>,
    /// Bytes taken, for acknowledgements.
    pub(crate) received: u32,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self {
            buffer: Vec::new(),
            chunk_size: 128,
            known: HashMap::new(),
            received: 0,
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend(bytes);
        let count = u32::try_from(bytes.len()).expect("a small read");
        self.received = self.received.wrapping_add(count);
    }

    /// The next whole message, stamped `at`; none until more bytes come.
    pub(crate) fn next(&mut self, at: Instant) -> Option<Message> {
        loop {
            let chunk = Chunk::parse(&self.buffer, self.chunk_size, &self.known)?;
            let known = self.known.entry(chunk.chunk_stream).or_default();
            if known.partial.is_empty() {
                known.timestamp = chunk.timestamp;
                known.delta = chunk.delta;
                known.extended = chunk.extended;
                known.len = chunk.len;
                known.kind = chunk.kind;
                known.stream = chunk.stream;
            }
            let body = self.buffer.get(chunk.body.clone()).expect("parsed");
            known.partial.extend(body);
            self.buffer.drain(..chunk.body.end);
            if known.partial.len() < known.len {
                continue;
            }
            let message = Message {
                kind: known.kind,
                timestamp: known.timestamp,
                stream: known.stream,
                payload: mem::take(&mut known.partial),
                at,
            };
            if message.kind == SET_CHUNK_SIZE {
                let size = message.payload.as_slice().try_into().expect("4 bytes");
                self.chunk_size = u32::from_be_bytes(size) as usize;
            }
            return Some(message);
        }
    }
}

/// One chunk, its header completed from the ones before it.
struct Chunk {
    chunk_stream: u32,
    timestamp: u32,
    delta: u32,
    extended: bool,
    len: usize,
    kind: u8,
    stream: u32,
    body: Range<usize>,
}

impl Chunk {
    /// None when `input` doesn't hold all of it.
    fn parse(input: &[u8], chunk_size: usize, known: &HashMap<u32, Known>) -> Option<Self> {
        let mut rest = input;
        let mut take = |count: usize| -> Option<&[u8]> {
            let (head, tail) = rest.split_at_checked(count)?;
            rest = tail;
            Some(head)
        };
        let uint = |bytes: &[u8]| bytes.iter().fold(0, |n, byte| n << 8 | u32::from(*byte));

        let basic = uint(take(1)?);
        let format = basic >> 6;
        let chunk_stream = match basic & 0x3f {
            0 => uint(take(1)?) + 64,
            1 => {
                let id = take(2)?;
                u32::from(id[0]) + (u32::from(id[1]) << 8) + 64
            }
            id => id,
        };
        let fresh = Known::default();
        let before = known.get(&chunk_stream).unwrap_or(&fresh);
        let mut time = if format < 3 { uint(take(3)?) } else { 0 };
        let (len, kind) = if format < 2 {
            (uint(take(3)?) as usize, take(1)?[0])
        } else {
            (before.len, before.kind)
        };
        let stream = if format == 0 {
            u32::from_le_bytes(take(4)?.try_into().ok()?)
        } else {
            before.stream
        };
        let extended = if format < 3 {
            time == 0xff_ffff
        } else {
            before.extended
        };
        if extended {
            time = uint(take(4)?);
        }
        let (timestamp, delta) = match format {
            0 => (time, 0),
            3 => (before.timestamp.wrapping_add(before.delta), before.delta),
            _ => (before.timestamp.wrapping_add(time), time),
        };
        let size = chunk_size.min(len - before.partial.len().min(len));
        let start = input.len() - rest.len();
        (rest.len() >= size).then_some(Self {
            chunk_stream,
            timestamp,
            delta,
            extended,
            len,
            kind,
            stream,
            body: start..start + size,
        })
    }
}
