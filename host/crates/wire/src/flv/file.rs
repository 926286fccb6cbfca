//! The FLV file around the tags (FLV annex E.2 to E.4.1): file header, tag
//! headers, and the length that follows each tag.

use bytes::{BufMut, BytesMut};

use super::FlvError;
use super::enhanced::put_length;
use crate::cursor::Cursor;

/// The start of a file (annex E.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHeader {
    /// Whether the file says that it has audio tags.
    pub has_audio: bool,
    /// Whether the file says that it has video tags.
    pub has_video: bool,
}

impl FileHeader {
    /// The length of the header as version 1 has it, in bytes.
    pub const LENGTH: usize = 9;

    /// Reads the header and the zero length that precedes the first tag, and
    /// advances `input` past both.
    ///
    /// # Errors
    /// When this is no FLV file, or too short; `input` is then left where it
    /// was.
    pub fn decode(input: &mut &[u8]) -> Result<Self, FlvError> {
        let mut cursor = Cursor::new(input);
        let found = cursor.four()?;
        if found != *b"FLV\x01" {
            return Err(FlvError::NotFlv { found });
        }
        let flags = cursor.u8()?;
        let length = cursor.u32()?;
        let extra = usize::try_from(length)
            .ok()
            .and_then(|length| length.checked_sub(Self::LENGTH))
            .ok_or(FlvError::BadHeaderLength { found: length })?;
        cursor.take(extra)?;
        cursor.u32()?;
        *input = cursor.rest();
        Ok(Self {
            has_audio: flags & 0x04 != 0,
            has_video: flags & 0x01 != 0,
        })
    }

    /// Appends the header and the zero length that precedes the first tag.
    pub fn encode(self, out: &mut BytesMut) {
        out.put_slice(b"FLV\x01");
        out.put_u8(u8::from(self.has_audio) << 2 | u8::from(self.has_video));
        out.put_slice(&[0, 0, 0, 9, 0, 0, 0, 0]);
    }
}

/// What a tag carries. The numbers are those of RTMP message types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagType {
    /// Audio (8).
    Audio,
    /// Video (9).
    Video,
    /// Script data in AMF3 (15, Enhanced RTMP v2, section "Enabling AMF3 in
    /// FLV").
    ScriptAmf3,
    /// Script data in AMF0 (18).
    Script,
    /// A reserved type, of 5 bits.
    Unknown(u8),
}

impl TagType {
    fn from_bits(bits: u8) -> Self {
        match bits {
            8 => Self::Audio,
            9 => Self::Video,
            15 => Self::ScriptAmf3,
            18 => Self::Script,
            other => Self::Unknown(other),
        }
    }

    fn bits(self) -> u8 {
        match self {
            Self::Audio => 8,
            Self::Video => 9,
            Self::ScriptAmf3 => 15,
            Self::Script => 18,
            Self::Unknown(bits) => bits & 0x1f,
        }
    }
}

/// The 11 bytes before a tag's data (annex E.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TagHeader {
    /// What the tag carries.
    pub tag_type: TagType,
    /// Whether its data is filtered (encrypted).
    pub filtered: bool,
    /// Bytes of data that follow; 24 bits.
    pub data_length: u32,
    /// Decoding time in milliseconds, relative to the first tag.
    pub timestamp_ms: u32,
    /// Always zero in files; 24 bits.
    pub stream_id: u32,
}

impl TagHeader {
    /// The length of the header in bytes.
    pub const LENGTH: usize = 11;

    /// Reads a tag header and advances `input` past it.
    ///
    /// # Errors
    /// [`FlvError::Truncated`] when there are less than 11 bytes; `input` is
    /// then left where it was.
    pub fn decode(input: &mut &[u8]) -> Result<Self, FlvError> {
        let mut cursor = Cursor::new(input);
        let header = Self::read(&mut cursor)?;
        *input = cursor.rest();
        Ok(header)
    }

    fn read(cursor: &mut Cursor<'_>) -> Result<Self, FlvError> {
        let first = cursor.u8()?;
        let data_length = cursor.u24()?;
        let low = cursor.u24()?;
        let high = u32::from(cursor.u8()?);
        Ok(Self {
            tag_type: TagType::from_bits(first & 0x1f),
            filtered: first & 0x20 != 0,
            data_length,
            timestamp_ms: high << 24 | low,
            stream_id: cursor.u24()?,
        })
    }

    /// Appends the header. Of `data_length` and `stream_id` the low 24 bits
    /// are written.
    pub fn encode(self, out: &mut BytesMut) {
        let put_u24 = |value: u32, out: &mut BytesMut| {
            let [_, high, middle, low] = value.to_be_bytes();
            out.put_slice(&[high, middle, low]);
        };
        out.put_u8(u8::from(self.filtered) << 5 | self.tag_type.bits());
        put_u24(self.data_length, out);
        put_u24(self.timestamp_ms, out);
        let [extended, ..] = self.timestamp_ms.to_be_bytes();
        out.put_u8(extended);
        put_u24(self.stream_id, out);
    }

    /// The length that follows the tag's data: header and data, in bytes.
    pub fn previous_tag_size(self) -> u32 {
        self.data_length.saturating_add(11)
    }
}

/// A whole tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag<'a> {
    /// Its header.
    pub header: TagHeader,
    /// Its data: what an RTMP message of the same type carries as payload.
    pub data: &'a [u8],
}

impl<'a> Tag<'a> {
    /// Reads a tag with the length that follows it, and advances `input` past
    /// both. That length is not compared with the tag's: many muxers write it
    /// wrong, and nothing depends on it.
    ///
    /// # Errors
    /// [`FlvError::Truncated`] when the tag is not complete yet; `input` is
    /// then left where it was.
    pub fn decode(input: &mut &'a [u8]) -> Result<Self, FlvError> {
        let mut cursor = Cursor::new(input);
        let header = TagHeader::read(&mut cursor)?;
        let data = cursor.take(usize::try_from(header.data_length).unwrap_or(usize::MAX))?;
        cursor.u32()?;
        *input = cursor.rest();
        Ok(Self { header, data })
    }

    /// Appends a tag of this data, and the length that follows it.
    ///
    /// # Errors
    /// [`FlvError::TooLong`] when the data is 16 MiB or more; nothing is
    /// written then.
    pub fn encode(
        tag_type: TagType,
        timestamp_ms: u32,
        data: &[u8],
        out: &mut BytesMut,
    ) -> Result<(), FlvError> {
        put_length(data.len(), &mut BytesMut::new())?;
        let header = TagHeader {
            tag_type,
            filtered: false,
            data_length: u32::try_from(data.len()).unwrap_or(0),
            timestamp_ms,
            stream_id: 0,
        };
        header.encode(out);
        out.put_slice(data);
        out.put_u32(header.previous_tag_size());
        Ok(())
    }
}
