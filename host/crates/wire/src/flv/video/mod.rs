//! The header of a video message: legacy VideoTagHeader (FLV annex E.4.3.1)
//! and ExVideoTagHeader (Enhanced RTMP v2, section "Enhanced Video").

use super::enhanced::{EnhancedLayout, MultitrackType, RawTrack, multitrack, skip_mod_ex};
use super::{FlvError, FourCc, VideoCodec};
use crate::cursor::Cursor;

mod encode;

/// Packet types of the enhanced header.
mod packet_type {
    pub(super) const SEQUENCE_START: u8 = 0;
    pub(super) const CODED_FRAMES: u8 = 1;
    pub(super) const SEQUENCE_END: u8 = 2;
    pub(super) const CODED_FRAMES_X: u8 = 3;
    pub(super) const METADATA: u8 = 4;
    pub(super) const MPEG2_TS_SEQUENCE_START: u8 = 5;
    pub(super) const MULTITRACK: u8 = 6;
}

/// What kind of frame a message carries, as its sender says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameType {
    /// A frame that needs no other (1).
    Keyframe,
    /// A frame that needs earlier ones (2).
    Inter,
    /// A frame that no other needs; H.263 only (3).
    DisposableInter,
    /// A keyframe that a server made (4).
    GeneratedKeyframe,
    /// No frame but a command (5).
    Command,
    /// A reserved value.
    Unknown(u8),
}

impl FrameType {
    fn from_bits(bits: u8) -> Self {
        match bits {
            1 => Self::Keyframe,
            2 => Self::Inter,
            3 => Self::DisposableInter,
            4 => Self::GeneratedKeyframe,
            5 => Self::Command,
            other => Self::Unknown(other),
        }
    }

    fn bits(self) -> u8 {
        match self {
            Self::Keyframe => 1,
            Self::Inter => 2,
            Self::DisposableInter => 3,
            Self::GeneratedKeyframe => 4,
            Self::Command => 5,
            Self::Unknown(bits) => bits & 0x07,
        }
    }
}

/// What a video message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VideoPacket {
    /// The codec configuration record that a decoder needs first.
    SequenceHeader,
    /// The same as an MPEG-2 TS video descriptor; AV1 only.
    Mpeg2TsSequenceHeader,
    /// One access unit.
    CodedFrame,
    /// The end of the sequence; a new sequence header may follow.
    SequenceEnd,
    /// AMF-encoded metadata, such as HDR's `colorInfo`. Its frame type has no
    /// meaning.
    Metadata,
    /// A command instead of a frame: 0 starts a client-side seek, 1 ends it.
    Command(u8),
    /// A packet type without a known meaning.
    Unknown(u8),
}

/// A video message taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoTag<'a> {
    /// The kind of frame, of all tracks.
    pub frame_type: FrameType,
    /// The codec, of the first track if there are several. A command in an
    /// enhanced tag names no codec and has `Unknown(0)`.
    pub codec: VideoCodec,
    /// What the message is, all tracks alike.
    pub packet: VideoPacket,
    /// Milliseconds from the decoding to the presentation time (PTS - DTS),
    /// of the first track. Zero where the codec has none.
    pub composition_time_ms: i32,
    /// Nanoseconds to add to the presentation time, when the sender says so.
    pub nanosecond_offset: Option<u32>,
    /// Whether the header is an enhanced one.
    pub enhanced: bool,
    /// The media after all headers, of the first track.
    pub body: &'a [u8],
    layout: EnhancedLayout<'a>,
}

/// One track of a video message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VideoTrack<'a> {
    /// The track's id; 0 is the default track.
    pub id: u8,
    /// Its codec.
    pub codec: VideoCodec,
    /// Milliseconds from its decoding to its presentation time.
    pub composition_time_ms: i32,
    /// The media after all headers.
    pub data: &'a [u8],
}

/// Takes the payload of a video message apart, without copying.
///
/// # Errors
/// [`FlvError::Empty`] for an empty payload, others when the header is cut
/// short or its structure is unknown.
pub fn parse_video(payload: &[u8]) -> Result<VideoTag<'_>, FlvError> {
    let mut cursor = Cursor::new(payload);
    let first = payload.first().copied().ok_or(FlvError::Empty)?;
    cursor.u8()?;
    let frame_type = FrameType::from_bits((first >> 4) & 0x07);
    if first & 0x80 == 0 {
        legacy(cursor, frame_type, VideoCodec::from_id(first & 0x0f))
    } else {
        enhanced(cursor, frame_type, first & 0x0f)
    }
}

fn legacy(
    mut cursor: Cursor<'_>,
    frame_type: FrameType,
    codec: VideoCodec,
) -> Result<VideoTag<'_>, FlvError> {
    let mut composition_time_ms = 0;
    let packet = if frame_type == FrameType::Command {
        VideoPacket::Command(cursor.u8()?)
    } else if codec.has_composition_time() {
        let packet = match cursor.u8()? {
            0 => VideoPacket::SequenceHeader,
            1 => VideoPacket::CodedFrame,
            2 => VideoPacket::SequenceEnd,
            other => VideoPacket::Unknown(other),
        };
        match packet {
            // Some encoders leave the composition time of the end away.
            VideoPacket::SequenceEnd if cursor.rest().len() < 3 => {
                cursor.take_rest();
            }
            VideoPacket::CodedFrame => composition_time_ms = cursor.i24()?,
            // Zero by the specification; what is sent instead means nothing.
            _ => {
                cursor.i24()?;
            }
        }
        packet
    } else {
        VideoPacket::CodedFrame
    };
    Ok(VideoTag {
        frame_type,
        codec,
        packet,
        composition_time_ms,
        nanosecond_offset: None,
        enhanced: false,
        body: cursor.take_rest(),
        layout: EnhancedLayout::Single,
    })
}

fn enhanced(
    mut cursor: Cursor<'_>,
    frame_type: FrameType,
    packet_type: u8,
) -> Result<VideoTag<'_>, FlvError> {
    let (packet_type, nanosecond_offset) = skip_mod_ex(&mut cursor, packet_type)?;
    let mut tag = VideoTag {
        frame_type,
        codec: VideoCodec::Unknown(0),
        packet: VideoPacket::Metadata,
        composition_time_ms: 0,
        nanosecond_offset,
        enhanced: true,
        body: &[],
        layout: EnhancedLayout::Single,
    };
    if frame_type == FrameType::Command && packet_type != packet_type::METADATA {
        tag.packet = VideoPacket::Command(cursor.u8()?);
        tag.body = cursor.take_rest();
        return Ok(tag);
    }
    if packet_type != packet_type::MULTITRACK {
        let raw = RawTrack {
            id: 0,
            four_cc: FourCc(cursor.four()?),
            offset: cursor.offset(),
            data: cursor.take_rest(),
        };
        let track = track(&raw, packet_type)?;
        tag.describe(packet_type, &track);
        return Ok(tag);
    }
    tag.layout = multitrack(&mut cursor, packet_type)?;
    // All tracks are walked once here, so that `tracks` cannot fail later.
    if let Some((packet_type, raw_tracks)) = tag.layout.raw_tracks() {
        let mut first = None;
        for raw in raw_tracks {
            let track = track(&raw?, packet_type)?;
            first.get_or_insert(track);
        }
        if let Some(first) = first {
            tag.describe(packet_type, &first);
        }
    }
    Ok(tag)
}

/// Splits the composition time off, where the packet has one.
fn track<'a>(raw: &RawTrack<'a>, packet_type: u8) -> Result<VideoTrack<'a>, FlvError> {
    let codec = VideoCodec::from_four_cc(raw.four_cc);
    let mut cursor = Cursor::new(raw.data);
    let mut composition_time_ms = 0;
    if packet_type == packet_type::CODED_FRAMES && codec.has_composition_time() {
        composition_time_ms = cursor.i24().map_err(|short| FlvError::Truncated {
            offset: short.offset.saturating_add(raw.offset),
            needed: short.needed,
            available: short.available,
        })?;
    }
    Ok(VideoTrack {
        id: raw.id,
        codec,
        composition_time_ms,
        data: cursor.take_rest(),
    })
}

impl<'a> VideoTag<'a> {
    /// A message with one track, to be encoded. The header is a legacy one
    /// where the specification has an id for the codec.
    pub fn new(
        frame_type: FrameType,
        codec: VideoCodec,
        packet: VideoPacket,
        composition_time_ms: i32,
        body: &'a [u8],
    ) -> Self {
        Self {
            frame_type,
            codec,
            packet,
            composition_time_ms,
            nanosecond_offset: None,
            enhanced: codec.four_cc().is_some() && codec != VideoCodec::Avc,
            body,
            layout: EnhancedLayout::Single,
        }
    }

    /// Whether a decoder that has the sequence header can start here. Only a
    /// coded frame is one: sequence headers are marked as keyframes too.
    pub fn is_keyframe(&self) -> bool {
        self.is_coded_frame()
            && matches!(
                self.frame_type,
                FrameType::Keyframe | FrameType::GeneratedKeyframe
            )
    }

    /// Whether this is what a decoder needs before the first frame. Codecs
    /// without such a thing (H.263, VP6, screen video) never say so.
    pub fn is_sequence_header(&self) -> bool {
        matches!(
            self.packet,
            VideoPacket::SequenceHeader | VideoPacket::Mpeg2TsSequenceHeader
        )
    }

    /// Whether this carries media, rather than something about it.
    pub fn is_coded_frame(&self) -> bool {
        self.packet == VideoPacket::CodedFrame
    }

    /// How several tracks are laid out, when the message has a multitrack
    /// header.
    pub fn multitrack(&self) -> Option<MultitrackType> {
        self.layout.kind()
    }

    /// The tracks in order. A message without a multitrack header has one
    /// track, with id 0.
    pub fn tracks(&self) -> impl Iterator<Item = VideoTrack<'a>> + use<'a> {
        let several = self.layout.raw_tracks();
        let single = several.is_none().then_some(VideoTrack {
            id: 0,
            codec: self.codec,
            composition_time_ms: self.composition_time_ms,
            data: self.body,
        });
        let several = several.into_iter().flat_map(|(packet_type, raw_tracks)| {
            raw_tracks.map_while(move |raw| track(&raw.ok()?, packet_type).ok())
        });
        single.into_iter().chain(several)
    }

    /// Takes over what the first track says.
    fn describe(&mut self, packet_type: u8, track: &VideoTrack<'a>) {
        self.packet = match packet_type {
            packet_type::SEQUENCE_START => VideoPacket::SequenceHeader,
            packet_type::CODED_FRAMES | packet_type::CODED_FRAMES_X => VideoPacket::CodedFrame,
            packet_type::SEQUENCE_END => VideoPacket::SequenceEnd,
            packet_type::METADATA => VideoPacket::Metadata,
            packet_type::MPEG2_TS_SEQUENCE_START => VideoPacket::Mpeg2TsSequenceHeader,
            other => VideoPacket::Unknown(other),
        };
        self.codec = track.codec;
        self.composition_time_ms = track.composition_time_ms;
        self.body = track.data;
    }
}
