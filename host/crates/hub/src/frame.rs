//! One audio, video or data message of a stream, shared by all its players.
//!
//! It is classified and chunked once, when it enters the hub; a player then
//! costs one reference.

use bytes::Bytes;
use livehost_rtmp::chunk;
use livehost_rtmp::message::{Message, type_id};
use livehost_wire::flv::{self, AudioPacket, VideoPacket};

use super::tracks::{HeaderSlot, Tracks};
use super::video::Seen;

/// Message stream id that the shared chunks are written for: what
/// `createStream` answers to a connection's first call.
pub const SHARED_MESSAGE_STREAM: u32 = 1;

/// What a frame costs beside its chunks: counted, so that a flood of tiny ones
/// has a limit, too.
const OVERHEAD: usize = 256;

/// The AMF0 string that starts a stream's metadata.
const ON_METADATA: &[u8] = b"\x02\x00\x0aonMetaData";
/// Metadata is of the stream, not of a moment. nginx-rtmp and SRS stamp it 0,
/// too; at any other time FFmpeg takes it for a track of subtitles.
const METADATA_AT: u32 = 0;

/// Audio, video or data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// RTMP message type 8.
    Audio,
    /// RTMP message type 9.
    Video,
    /// RTMP message type 18 (AMF0 data).
    Data,
}

impl Kind {
    fn type_id(self) -> u8 {
        match self {
            Self::Audio => type_id::AUDIO,
            Self::Video => type_id::VIDEO,
            Self::Data => type_id::DATA_AMF0,
        }
    }

    /// Media has chunk streams of its own, apart from commands, since its
    /// headers are written without regard to what went before.
    fn chunk_stream(self) -> u32 {
        match self {
            Self::Audio => 4,
            Self::Data => 5,
            Self::Video => 6,
        }
    }
}

/// What a frame means to a player that joins or has fallen behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A codec configuration record; every player needs the newest.
    Header,
    /// `onMetaData`; every player needs the newest.
    Metadata,
    /// Decoding can start here.
    Keyframe,
    /// Decodable only after the frames before it, or audio, or data.
    Dependent,
}

/// One message, parsed and chunked once.
#[derive(Debug)]
pub struct Frame {
    kind: Kind,
    role: Role,
    slot: HeaderSlot,
    codec: Option<&'static str>,
    is_coded: bool,
    timestamp: u32,
    /// Bytes of the message body.
    len: usize,
    /// The message as all players share it, and all that is kept of it: a body
    /// beside these would be in memory twice.
    chunks: Bytes,
    chunk_size: u32,
}

/// Why a message is not forwarded. The session that sent it goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAFrame {
    /// Some encoders send zero-byte messages; they carry nothing.
    #[error("the message is empty")]
    Empty,
    /// The tag header does not parse.
    #[error(transparent)]
    Flv(#[from] flv::FlvError),
}

impl Frame {
    /// Classifies a message body and cuts it into chunks of `chunk_size` bytes.
    /// `timestamp` is in milliseconds on the stream's timeline. A keyframe of
    /// any track counts as one.
    pub fn new(
        kind: Kind,
        timestamp: u32,
        payload: Bytes,
        chunk_size: u32,
    ) -> Result<Self, NotAFrame> {
        Ok(Draft::new(kind, payload)?.at(timestamp, chunk_size))
    }

    /// Audio, video or data.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What it means to a joining player.
    pub fn role(&self) -> Role {
        self.role
    }

    /// What it replaces among the headers, if it is one; its tracks in any case.
    pub(super) fn slot(&self) -> HeaderSlot {
        self.slot
    }

    /// Codec name of audio and video.
    pub fn codec(&self) -> Option<&'static str> {
        self.codec
    }

    /// What it says of the stream's video.
    pub(super) fn seen(&self) -> Seen {
        Seen {
            kind: self.kind,
            role: self.role,
            is_coded: self.is_coded,
            names_codec: self.codec.is_some(),
            timestamp: self.timestamp,
            cost: self.cost(),
        }
    }

    /// Milliseconds on the stream's timeline, DTS for video; 0 for metadata.
    pub fn timestamp(&self) -> u32 {
        self.timestamp
    }

    /// Bytes of the message body.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Always false: empty messages are not frames.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What the body says of each track.
    pub(super) fn said(&self) -> Vec<Said> {
        said(self.slot, &self.payload())
    }

    /// The tracks that a decoder is configured for, if it is a header.
    pub(super) fn configured(&self) -> Tracks {
        let said = self.said().into_iter();
        said.filter(|track| track.is_configured)
            .map(|track| track.id)
            .collect()
    }

    /// What it costs to keep, in bytes: small ones cost more than they hold.
    pub(super) fn cost(&self) -> usize {
        self.chunks.len().saturating_add(OVERHEAD)
    }

    /// The message body; put together if it is in several chunks.
    pub fn payload(&self) -> Bytes {
        chunk::payload_of(&self.chunks, self.chunk_size)
    }

    /// The chunks for a player on message stream 1 that was told the shared
    /// chunk size: the same bytes for all of them.
    pub fn shared_chunks(&self) -> &Bytes {
        &self.chunks
    }

    /// What the shared chunks are cut for, bytes.
    pub fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// The chunks for a player on another message stream or chunk size.
    pub fn chunks_for(&self, message_stream_id: u32, chunk_size: u32) -> Bytes {
        chunk::encode_absolute(
            &message(self.kind, self.timestamp, message_stream_id, self.payload()),
            chunk_size,
        )
    }

    /// Whether [`Frame::restamped`] would change nothing.
    pub(super) fn is_at(&self, timestamp: u32, chunk_size: u32) -> bool {
        (self.timestamp, self.chunk_size) == (placed(self.role, timestamp), chunk_size)
    }

    /// The same body at another time: headers for a player that joins late.
    pub(super) fn restamped(&self, timestamp: u32, chunk_size: u32) -> Self {
        let timestamp = placed(self.role, timestamp);
        let at = message(self.kind, timestamp, SHARED_MESSAGE_STREAM, self.payload());
        Self {
            timestamp,
            chunks: chunk::encode_absolute(&at, chunk_size),
            chunk_size,
            ..*self
        }
    }
}

fn placed(role: Role, timestamp: u32) -> u32 {
    match role {
        Role::Metadata => METADATA_AT,
        Role::Header | Role::Keyframe | Role::Dependent => timestamp,
    }
}

fn message(kind: Kind, timestamp: u32, message_stream_id: u32, payload: Bytes) -> Message {
    Message {
        chunk_stream_id: kind.chunk_stream(),
        timestamp,
        type_id: kind.type_id(),
        message_stream_id,
        payload,
    }
}

/// A message that is understood, and has no place in time yet.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    content: Content,
    payload: Bytes,
}

/// What a body says of itself.
#[derive(Debug, Clone, Copy)]
struct Content {
    role: Role,
    slot: HeaderSlot,
    /// Of the lowest track.
    codec: Option<&'static str>,
    /// Its tracks have several codecs.
    is_mixed: bool,
    is_coded: bool,
}

/// What a message of audio or video says of one of its tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) id: u8,
    pub(super) codec: &'static str,
    /// If it is a header: a decoder is configured by it. Some encoders send
    /// headers without a configuration, or with the beginning of one.
    pub(super) is_configured: bool,
}

impl Draft {
    pub(super) fn new(kind: Kind, payload: Bytes) -> Result<Self, NotAFrame> {
        if payload.is_empty() {
            return Err(NotAFrame::Empty);
        }
        let content = match kind {
            Kind::Audio => classify_audio(&payload)?,
            Kind::Video => classify_video(&payload)?,
            Kind::Data => classify_data(&payload),
        };
        Ok(Self { content, payload })
    }

    pub(super) fn kind(&self) -> Kind {
        self.content.slot.kind
    }

    pub(super) fn role(&self) -> Role {
        self.content.role
    }

    pub(super) fn slot(&self) -> HeaderSlot {
        self.content.slot
    }

    /// The codec of its tracks; `None` if they have several, or there is none.
    pub(super) fn codec(&self) -> Option<&'static str> {
        self.content.codec.filter(|_| !self.content.is_mixed)
    }

    /// What it says of its publisher's video at `timestamp`.
    pub(super) fn seen(&self, timestamp: u32) -> Seen {
        Seen {
            kind: self.kind(),
            role: self.role(),
            is_coded: self.content.is_coded,
            names_codec: self.content.codec.is_some(),
            timestamp,
            cost: self.payload.len().saturating_add(OVERHEAD),
        }
    }

    /// Whether its tracks have the codecs that it names: it is audio or video
    /// itself, or a sequence header of it.
    pub(super) fn names_codecs(&self) -> bool {
        let is_sequence_header =
            self.content.role == Role::Header && !self.content.slot.is_supplement;
        self.content.is_coded || is_sequence_header
    }

    /// What the body says of each track.
    pub(super) fn said(&self) -> Vec<Said> {
        said(self.content.slot, &self.payload)
    }

    /// The lowest track of audio or video itself, whose timestamp means when
    /// it is heard or seen.
    pub(super) fn media_track(&self) -> Option<u8> {
        let coded = self.content.is_coded.then_some(self.content.slot.tracks);
        coded.and_then(Tracks::lowest)
    }

    /// It begins nothing: a keyframe of a track that follows another.
    pub(super) fn depends(&mut self) {
        self.content.role = Role::Dependent;
    }

    /// The frame at `timestamp`, in chunks of `chunk_size` bytes.
    pub(super) fn at(self, timestamp: u32, chunk_size: u32) -> Frame {
        let Content {
            role,
            slot,
            codec,
            is_coded,
            is_mixed: _,
        } = self.content;
        let timestamp = placed(role, timestamp);
        let len = self.payload.len();
        let at = message(slot.kind, timestamp, SHARED_MESSAGE_STREAM, self.payload);
        Frame {
            kind: slot.kind,
            role,
            slot,
            codec,
            is_coded,
            timestamp,
            len,
            chunks: chunk::encode_absolute(&at, chunk_size),
            chunk_size,
        }
    }
}

fn classify_audio(payload: &[u8]) -> Result<Content, NotAFrame> {
    let tag = flv::parse_audio(payload)?;
    let is_supplement = tag.packet == AudioPacket::MultichannelConfig;
    let role = if tag.is_sequence_header() || is_supplement {
        Role::Header
    } else {
        Role::Dependent
    };
    let (tracks, codec, is_mixed) =
        tracks(tag.tracks().map(|track| (track.id, track.codec.name())));
    Ok(Content {
        role,
        slot: HeaderSlot {
            kind: Kind::Audio,
            is_supplement,
            tracks,
        },
        codec,
        is_mixed,
        is_coded: tag.is_coded_frame(),
    })
}

fn classify_video(payload: &[u8]) -> Result<Content, NotAFrame> {
    let tag = flv::parse_video(payload)?;
    let is_supplement = tag.packet == VideoPacket::Metadata;
    let role = if tag.is_sequence_header() || is_supplement {
        Role::Header
    } else if tag.is_keyframe() {
        Role::Keyframe
    } else {
        Role::Dependent
    };
    let (tracks, codec, is_mixed) =
        tracks(tag.tracks().map(|track| (track.id, track.codec.name())));
    // A command carries no video: it comes from publishers of audio, too, and
    // an enhanced one names no codec.
    let is_command = matches!(tag.packet, VideoPacket::Command(_));
    Ok(Content {
        role,
        slot: HeaderSlot {
            kind: Kind::Video,
            is_supplement,
            tracks,
        },
        codec: codec.filter(|_| !is_command),
        is_mixed,
        is_coded: tag.is_coded_frame(),
    })
}

/// The set of a message's tracks, the codec of the lowest, and whether another
/// has another.
fn tracks(
    of_message: impl Iterator<Item = (u8, &'static str)>,
) -> (Tracks, Option<&'static str>, bool) {
    let mut set = Tracks::default();
    let mut lowest: Option<(u8, &'static str)> = None;
    let mut is_mixed = false;
    for (id, codec) in of_message {
        set.insert(id);
        is_mixed |= lowest.is_some_and(|(_, known)| known != codec);
        if lowest.is_none_or(|(lowest, _)| id < lowest) {
            lowest = Some((id, codec));
        }
    }
    (set, lowest.map(|(_, codec)| codec), is_mixed)
}

/// Reads again what [`Draft::new`] has understood.
fn said(slot: HeaderSlot, payload: &[u8]) -> Vec<Said> {
    let said = |id, codec, least: usize, data: &[u8]| {
        // What a supplement needs is not known.
        let least = if slot.is_supplement { 1 } else { least };
        Said {
            id,
            codec,
            is_configured: data.len() >= least,
        }
    };
    match slot.kind {
        Kind::Audio => flv::parse_audio(payload).map(|tag| {
            tag.tracks()
                .map(|track| {
                    let least = track.codec.least_record();
                    said(track.id, track.codec.name(), least, track.data)
                })
                .collect()
        }),
        Kind::Video => flv::parse_video(payload).map(|tag| {
            tag.tracks()
                .map(|track| {
                    let least = match tag.packet {
                        // Of a descriptor of MPEG-2 TS instead.
                        VideoPacket::Mpeg2TsSequenceHeader => 1,
                        _ => track.codec.least_record(),
                    };
                    said(track.id, track.codec.name(), least, track.data)
                })
                .collect()
        }),
        Kind::Data => return Vec::new(),
    }
    .unwrap_or_default()
}

fn classify_data(payload: &[u8]) -> Content {
    let role = if payload.starts_with(ON_METADATA) {
        Role::Metadata
    } else {
        Role::Dependent
    };
    Content {
        role,
        slot: HeaderSlot {
            kind: Kind::Data,
            is_supplement: false,
            tracks: Tracks::DEFAULT,
        },
        codec: None,
        is_mixed: false,
        is_coded: false,
    }
}
