//! A chunk stream read as cheaply as possible: RTMP 1.0 section 5.3.
//!
//! In: received bytes in any pieces. Out: for each message its type, length
//! and first bytes, where the stamp is; the whole body only of the small
//! messages that are protocol. Media is not kept, and is hashed for a sample of
//! the messages.

use anyhow::{Context as _, Result, bail};

use crate::media::{AUDIO, Stamp, VIDEO};

/// Longest chunk header: basic, message, extended timestamp.
const MAX_HEADER: usize = 3 + 11 + 4;
/// Bytes kept of each media message: enough for its stamp.
const PREFIX: usize = 48;
/// Longest message kept whole, in bytes.
const MAX_BODY: usize = 64 << 10;
/// Chunk streams that a server may use.
const MAX_TRACKS: usize = 64;

/// A complete message.
#[derive(Debug)]
pub(crate) struct Skimmed<'a> {
    pub(crate) kind: u8,
    pub(crate) len: usize,
    /// The first bytes of media; all bytes of anything else.
    pub(crate) body: &'a [u8],
    /// CRC-32 of what follows the stamp, if this message was in the sample.
    pub(crate) crc: Option<u32>,
}

/// The state between two reads.
#[derive(Debug)]
pub(crate) struct Skim {
    chunk_size: usize,
    /// A header cut in two.
    head: Vec<u8>,
    tracks: Vec<Track>,
    /// Index of the track whose chunk is being read, and what is left of it.
    current: usize,
    left: usize,
    received: u64,
    /// One message in so many is hashed; 0 hashes none.
    check_every: u32,
    until_check: u32,
}

/// A chunk stream: its last header, and its message in the making.
#[derive(Debug)]
struct Track {
    id: u32,
    kind: u8,
    len: usize,
    extended: bool,
    done: usize,
    body: Vec<u8>,
    hash: Option<crc32fast::Hasher>,
}

/// A chunk's header.
struct Header {
    format: u8,
    id: u32,
    /// Length and type, where the format has them.
    shape: Option<(usize, u8)>,
    /// Whether the 24-bit timestamp says that it is extended.
    extended: Option<bool>,
    /// Bytes without the extended timestamp.
    bytes: usize,
}

impl Skim {
    /// `chunk_size`: what is in force before the first Set Chunk Size.
    pub(crate) fn new(chunk_size: usize, check_every: u32) -> Self {
        Self {
            chunk_size,
            head: Vec::new(),
            tracks: Vec::new(),
            current: 0,
            left: 0,
            received: 0,
            check_every,
            until_check: 0,
        }
    }

    /// Bytes of the chunk stream so far.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Reads all of `input`.
    ///
    /// # Errors
    /// If it is no chunk stream.
    pub(crate) fn feed(
        &mut self,
        mut input: &[u8],
        sink: &mut impl FnMut(Skimmed<'_>) -> Result<()>,
    ) -> Result<()> {
        self.received = self.received.saturating_add(input.len() as u64);
        while !input.is_empty() {
            if self.left == 0 {
                let Some(len) = self.header(&mut input)? else {
                    return Ok(());
                };
                if len == 0 {
                    self.finish(sink)?;
                    continue;
                }
            }
            let (piece, rest) = input.split_at(input.len().min(self.left));
            input = rest;
            self.left -= piece.len();
            let track = self.track()?;
            track.take(piece);
            if track.done >= track.len {
                self.finish(sink)?;
            }
        }
        Ok(())
    }

    fn track(&mut self) -> Result<&mut Track> {
        self.tracks
            .get_mut(self.current)
            .context("expected a chunk stream to be open")
    }

    /// Takes a chunk's header from `input`; the payload bytes that follow, or
    /// `None` if the header isn't complete.
    fn header(&mut self, input: &mut &[u8]) -> Result<Option<usize>> {
        if self.head.is_empty() {
            if let Some((header, len)) = self.parse(input) {
                *input = input.get(len..).unwrap_or_default();
                return self.open(&header).map(Some);
            }
            self.head.extend_from_slice(input);
            *input = &[];
            return Ok(None);
        }
        while let Some((byte, rest)) = input.split_first() {
            self.head.push(*byte);
            *input = rest;
            if let Some((header, _)) = self.parse(&self.head) {
                self.head.clear();
                return self.open(&header).map(Some);
            }
            anyhow::ensure!(self.head.len() < MAX_HEADER, "expected a chunk header");
        }
        Ok(None)
    }

    /// The header at the start of `bytes`, and its whole length.
    fn parse(&self, bytes: &[u8]) -> Option<(Header, usize)> {
        let header = Header::parse(bytes)?;
        let extended = header.extended.unwrap_or_else(|| {
            self.find(header.id)
                .is_some_and(|(_, track)| track.extended)
        });
        let len = header.bytes + if extended { 4 } else { 0 };
        (bytes.len() >= len).then_some((header, len))
    }

    fn find(&self, id: u32) -> Option<(usize, &Track)> {
        self.tracks
            .iter()
            .enumerate()
            .find(|(_, track)| track.id == id)
    }

    /// Starts or continues a message; the payload bytes of this chunk.
    fn open(&mut self, header: &Header) -> Result<usize> {
        self.current = match self.find(header.id) {
            Some((index, _)) => index,
            None => {
                anyhow::ensure!(self.tracks.len() < MAX_TRACKS, "too many chunk streams");
                let Some((len, kind)) = header.shape else {
                    bail!("expected a full header to open chunk stream {}", header.id);
                };
                self.tracks.push(Track::new(header.id, len, kind));
                self.tracks.len() - 1
            }
        };
        let (chunk_size, check_every) = (self.chunk_size, self.check_every);
        let mut until_check = self.until_check;
        let track = self.track()?;
        if let Some(extended) = header.extended {
            track.extended = extended;
        }
        if let Some((len, kind)) = header.shape {
            (track.len, track.kind) = (len, kind);
        }
        if header.format < 3 || track.done == 0 {
            let check = check_every > 0 && until_check == 0 && track.is_media();
            until_check = if until_check == 0 {
                check_every.saturating_sub(1)
            } else {
                until_check - 1
            };
            track.begin(check)?;
        }
        let left = (track.len - track.done).min(chunk_size);
        (self.left, self.until_check) = (left, until_check);
        Ok(left)
    }

    /// The current message is complete.
    fn finish(&mut self, sink: &mut impl FnMut(Skimmed<'_>) -> Result<()>) -> Result<()> {
        self.left = 0;
        let track = self.track()?;
        track.done = 0;
        let message = Skimmed {
            kind: track.kind,
            len: track.len,
            body: &track.body,
            crc: track.hash.take().map(crc32fast::Hasher::finalize),
        };
        // Set Chunk Size, section 5.4.1.
        let size = match (track.kind, track.body.first_chunk()) {
            (1, Some(size)) => Some(u32::from_be_bytes(*size)),
            _ => None,
        };
        sink(message)?;
        if let Some(size) = size {
            self.chunk_size = usize::try_from(size).unwrap_or_default().max(1);
        }
        Ok(())
    }
}

impl Track {
    fn new(id: u32, len: usize, kind: u8) -> Self {
        Self {
            id,
            kind,
            len,
            extended: false,
            done: 0,
            body: Vec::new(),
            hash: None,
        }
    }

    fn is_media(&self) -> bool {
        matches!(self.kind, AUDIO | VIDEO)
    }

    fn begin(&mut self, check: bool) -> Result<()> {
        self.done = 0;
        self.body.clear();
        self.hash = check.then(crc32fast::Hasher::new);
        anyhow::ensure!(
            self.is_media() || self.len <= MAX_BODY,
            "expected at most {MAX_BODY} bytes in a message of type {}, got {}",
            self.kind,
            self.len
        );
        Ok(())
    }

    fn take(&mut self, piece: &[u8]) {
        let keep = if self.is_media() { PREFIX } else { MAX_BODY };
        let missing = keep.saturating_sub(self.body.len()).min(piece.len());
        self.body
            .extend_from_slice(piece.get(..missing).unwrap_or_default());
        if let Some(hash) = &mut self.hash {
            let from = Stamp::offset(self.kind).unwrap_or_default() + Stamp::LEN;
            hash.update(
                piece
                    .get(from.saturating_sub(self.done)..)
                    .unwrap_or_default(),
            );
        }
        self.done += piece.len();
    }
}

impl Header {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (&first, rest) = bytes.split_first()?;
        let format = first >> 6;
        let (id, rest) = match (first & 0x3F, rest) {
            (0, [low, rest @ ..]) => (64 + u32::from(*low), rest),
            (1, [low, high, rest @ ..]) => (64 + u32::from(*low) + (u32::from(*high) << 8), rest),
            (0 | 1, _) => return None,
            (id, rest) => (u32::from(id), rest),
        };
        let basic = bytes.len() - rest.len();
        let (extended, shape, message) = match (format, rest) {
            (3, _) => (None, None, 0),
            (2, [a, b, c, ..]) => (Some([*a, *b, *c] == [0xFF; 3]), None, 3),
            (0 | 1, [a, b, c, d, e, f, kind, ..]) => {
                let len = u32::from_be_bytes([0, *d, *e, *f]);
                let shape = (usize::try_from(len).ok()?, *kind);
                let bytes = if format == 0 { 11 } else { 7 };
                (Some([*a, *b, *c] == [0xFF; 3]), Some(shape), bytes)
            }
            _ => return None,
        };
        (rest.len() >= message).then_some(Self {
            format,
            id,
            shape,
            extended,
            bytes: basic + message,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::{Bytes, BytesMut};
    use livehost_rtmp::{chunk::Writer, message::Message};

    /// Every message comes out, wherever reads cut the bytes.
    #[test]
    fn messages_come_out_of_any_pieces() {
        let mut writer = Writer::new();
        let mut wire = BytesMut::new();
        let mut sent = Vec::new();
        for index in 0..200_u32 {
            let kind = [VIDEO, AUDIO, 20][index as usize % 3];
            let len = (index as usize * 37) % 1500 + 40;
            let payload: Vec<u8> = (0..len).map(|at| (at as u32 * 31 + index) as u8).collect();
            // Past the point where timestamps are extended.
            let timestamp = 0x00FF_FF00 + index * 7;
            writer.write(
                &Message {
                    chunk_stream_id: [6, 4, 70][index as usize % 3],
                    timestamp,
                    type_id: kind,
                    message_stream_id: 1,
                    payload: Bytes::from(payload.clone()),
                },
                &mut wire,
            );
            sent.push((kind, payload));
        }
        for piece in [1, 2, 7, 129, 4096, usize::MAX] {
            let mut skim = Skim::new(128, 1);
            let mut got = 0;
            for part in wire.chunks(piece.min(wire.len())) {
                skim.feed(part, &mut |message| {
                    let (kind, payload) = &sent[got];
                    assert_eq!((message.kind, message.len), (*kind, payload.len()));
                    let kept = if *kind == 20 {
                        payload.len()
                    } else {
                        PREFIX.min(payload.len())
                    };
                    assert_eq!(message.body, &payload[..kept]);
                    let from = Stamp::offset(*kind).map(|at| at + Stamp::LEN);
                    let crc = from.map(|from| crc32fast::hash(payload.get(from..).unwrap_or(&[])));
                    assert_eq!(message.crc, crc);
                    got += 1;
                    Ok(())
                })
                .expect("a chunk stream");
            }
            assert_eq!(got, sent.len(), "in pieces of {piece}");
            assert_eq!(skim.received(), wire.len() as u64);
        }
    }
}
