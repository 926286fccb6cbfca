//! Chunk headers read byte by byte: RTMP 1.0 sections 5.3.1.1 and 5.3.1.2.
//!
//! In: single bytes. Out: the header's fields once it is complete.

/// Longest basic plus message header, in bytes.
const MAX_HEADER: usize = 3 + 11;

/// A basic and message header in the making.
#[derive(Debug, Default)]
pub(super) struct ChunkHeader {
    bytes: [u8; MAX_HEADER],
    len: usize,
}

/// What a basic and message header say; what its format leaves out is `None`.
#[derive(Debug)]
pub(super) struct HeaderFields {
    pub(super) format: u8,
    pub(super) chunk_stream_id: u32,
    pub(super) timestamp: Option<u32>,
    pub(super) length_and_type: Option<(u32, u8)>,
    pub(super) message_stream_id: Option<u32>,
}

impl ChunkHeader {
    pub(super) fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte;
            self.len += 1;
        }
    }

    /// The fields, once all bytes of the header are there.
    pub(super) fn fields(&self) -> Option<HeaderFields> {
        let (first, rest) = self.bytes.get(..self.len)?.split_first()?;
        let format = first >> 6;
        // Section 5.3.1.1: ids 0 and 1 announce one and two more bytes.
        let (chunk_stream_id, rest) = match (first & 0x3F, rest) {
            (0, [low, rest @ ..]) => (64 + u32::from(*low), rest),
            (1, [low, high, rest @ ..]) => (64 + u32::from(*low) + (u32::from(*high) << 8), rest),
            (0 | 1, _) => return None,
            (id, rest) => (u32::from(id), rest),
        };
        let mut fields = HeaderFields {
            format,
            chunk_stream_id,
            timestamp: None,
            length_and_type: None,
            message_stream_id: None,
        };
        if format == 3 {
            return Some(fields);
        }
        let (timestamp, rest) = rest.split_first_chunk::<3>()?;
        fields.timestamp = Some(be24(*timestamp));
        if format == 2 {
            return Some(fields);
        }
        let (length, rest) = rest.split_first_chunk::<3>()?;
        let (type_id, rest) = rest.split_first()?;
        fields.length_and_type = Some((be24(*length), *type_id));
        if format == 1 {
            return Some(fields);
        }
        // The one little-endian field of the protocol (section 5.3.1.2.1).
        fields.message_stream_id = Some(u32::from_le_bytes(*rest.first_chunk::<4>()?));
        Some(fields)
    }
}

fn be24([high, middle, low]: [u8; 3]) -> u32 {
    u32::from_be_bytes([0, high, middle, low])
}

/// At most four bytes to be read again before the input.
#[derive(Debug, Default)]
pub(super) struct Returned {
    bytes: [u8; 4],
    start: usize,
    end: usize,
}

impl Returned {
    /// Puts `first`, then `last`, in front of whatever is left (which is
    /// nothing, unless they came from here: then they fit as before).
    pub(super) fn give_back(&mut self, first: &[u8], last: u8) {
        let mut bytes = [0; 4];
        let mut end = 0;
        let left = self.as_slice().to_owned();
        for byte in first.iter().chain([&last]).chain(&left) {
            if let Some(slot) = bytes.get_mut(end) {
                *slot = *byte;
                end += 1;
            }
        }
        *self = Self {
            bytes,
            start: 0,
            end,
        };
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    pub(super) fn pop(&mut self) -> Option<u8> {
        let byte = self.as_slice().first().copied()?;
        self.start += 1;
        Some(byte)
    }
}
