//! The header of an audio message: legacy AudioTagHeader (FLV annex E.4.2.1)
//! and ExAudioTagHeader (Enhanced RTMP v2, section "Enhanced Audio").

use bytes::{BufMut, BytesMut};

use super::enhanced::{
    EnhancedLayout, MOD_EX, MultitrackType, RawTrack, multitrack, put_multitrack, put_nanoseconds,
    put_track, skip_mod_ex,
};
use super::{AudioCodec, FlvError, FourCc};
use crate::cursor::Cursor;

/// The sound format that announces an enhanced header.
const EX_HEADER: u8 = 9;

/// Packet types of the enhanced header.
mod packet_type {
    pub(super) const SEQUENCE_START: u8 = 0;
    pub(super) const CODED_FRAMES: u8 = 1;
    pub(super) const SEQUENCE_END: u8 = 2;
    pub(super) const MULTICHANNEL_CONFIG: u8 = 4;
    pub(super) const MULTITRACK: u8 = 5;
}

/// What an audio message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AudioPacket {
    /// The configuration that a decoder needs first.
    SequenceHeader,
    /// Media.
    CodedFrame,
    /// The end of the sequence, or silence.
    SequenceEnd,
    /// Which speaker each channel is for.
    MultichannelConfig,
    /// A packet type without a known meaning.
    Unknown(u8),
}

/// The sound properties in a legacy header. AAC and Speex ignore them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoundFormat {
    /// Two bits: 0 is 5.5 kHz, 1 is 11, 2 is 22, 3 is 44 kHz.
    rate: u8,
    /// Whether a sample has 16 bits rather than 8.
    pub wide: bool,
    /// Whether there are two channels rather than one.
    pub stereo: bool,
}

impl SoundFormat {
    /// 44.1 kHz, 16 bits, stereo: what AAC always says.
    pub const FIXED: Self = Self {
        rate: 3,
        wide: true,
        stereo: true,
    };

    fn from_bits(bits: u8) -> Self {
        Self {
            rate: (bits >> 2) & 0x03,
            wide: bits & 0x02 != 0,
            stereo: bits & 0x01 != 0,
        }
    }

    fn bits(self) -> u8 {
        (self.rate & 0x03) << 2 | u8::from(self.wide) << 1 | u8::from(self.stereo)
    }

    /// Samples per second.
    pub fn rate_hz(self) -> u32 {
        match self.rate {
            0 => 5_512,
            1 => 11_025,
            2 => 22_050,
            _ => 44_100,
        }
    }
}

/// An audio message taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioTag<'a> {
    /// The codec, of the first track if there are several.
    pub codec: AudioCodec,
    /// What the message is, all tracks alike.
    pub packet: AudioPacket,
    /// The sound properties; enhanced headers have none.
    pub format: Option<SoundFormat>,
    /// Nanoseconds to add to the presentation time, when the sender says so.
    pub nanosecond_offset: Option<u32>,
    /// The media after all headers, of the first track.
    pub body: &'a [u8],
    layout: EnhancedLayout<'a>,
}

/// One track of an audio message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioTrack<'a> {
    /// The track's id; 0 is the default track.
    pub id: u8,
    /// Its codec.
    pub codec: AudioCodec,
    /// The media after all headers.
    pub data: &'a [u8],
}

/// Takes the payload of an audio message apart, without copying.
///
/// # Errors
/// [`FlvError::Empty`] for an empty payload, others when the header is cut
/// short or its structure is unknown.
pub fn parse_audio(payload: &[u8]) -> Result<AudioTag<'_>, FlvError> {
    let mut cursor = Cursor::new(payload);
    let first = payload.first().copied().ok_or(FlvError::Empty)?;
    cursor.u8()?;
    if first >> 4 == EX_HEADER {
        return enhanced(cursor, first & 0x0f);
    }
    let codec = AudioCodec::from_id(first >> 4);
    let packet = match codec {
        AudioCodec::Aac => match cursor.u8()? {
            0 => AudioPacket::SequenceHeader,
            1 => AudioPacket::CodedFrame,
            other => AudioPacket::Unknown(other),
        },
        _ => AudioPacket::CodedFrame,
    };
    Ok(AudioTag {
        codec,
        packet,
        format: Some(SoundFormat::from_bits(first & 0x0f)),
        nanosecond_offset: None,
        body: cursor.take_rest(),
        layout: EnhancedLayout::Single,
    })
}

fn enhanced(mut cursor: Cursor<'_>, packet_type: u8) -> Result<AudioTag<'_>, FlvError> {
    let (packet_type, nanosecond_offset) = skip_mod_ex(&mut cursor, packet_type)?;
    let mut tag = AudioTag {
        codec: AudioCodec::Unknown(EX_HEADER),
        packet: AudioPacket::Unknown(packet_type),
        format: None,
        nanosecond_offset,
        body: &[],
        layout: EnhancedLayout::Single,
    };
    if packet_type != packet_type::MULTITRACK {
        let codec = AudioCodec::from_four_cc(FourCc(cursor.four()?));
        let data = cursor.take_rest();
        tag.describe(packet_type, &AudioTrack { id: 0, codec, data });
        return Ok(tag);
    }
    tag.layout = multitrack(&mut cursor, packet_type)?;
    // All tracks are walked once here, so that `tracks` cannot fail later.
    if let Some((packet_type, raw_tracks)) = tag.layout.raw_tracks() {
        let mut first = None;
        for raw in raw_tracks {
            let track = track(&raw?);
            first.get_or_insert(track);
        }
        if let Some(first) = first {
            tag.describe(packet_type, &first);
        }
    }
    Ok(tag)
}

fn track<'a>(raw: &RawTrack<'a>) -> AudioTrack<'a> {
    AudioTrack {
        id: raw.id,
        codec: AudioCodec::from_four_cc(raw.four_cc),
        data: raw.data,
    }
}

impl<'a> AudioTag<'a> {
    /// A message with one track, to be encoded. The header is a legacy one
    /// where the specification has an id for the codec.
    pub fn new(codec: AudioCodec, packet: AudioPacket, body: &'a [u8]) -> Self {
        Self {
            codec,
            packet,
            format: codec.id().map(|_| SoundFormat::FIXED),
            nanosecond_offset: None,
            body,
            layout: EnhancedLayout::Single,
        }
    }

    /// Whether this is what a decoder needs before the first frame. Codecs
    /// without such a thing (MP3, Speex, PCM) never say so in a legacy
    /// header.
    pub fn is_sequence_header(&self) -> bool {
        self.packet == AudioPacket::SequenceHeader
    }

    /// Whether this carries media, rather than something about it.
    pub fn is_coded_frame(&self) -> bool {
        self.packet == AudioPacket::CodedFrame
    }

    /// Whether the header is an enhanced one.
    pub fn enhanced(&self) -> bool {
        self.format.is_none()
    }

    /// How several tracks are laid out, when the message has a multitrack
    /// header.
    pub fn multitrack(&self) -> Option<MultitrackType> {
        self.layout.kind()
    }

    /// The tracks in order. A message without a multitrack header has one
    /// track, with id 0.
    pub fn tracks(&self) -> impl Iterator<Item = AudioTrack<'a>> + use<'a> {
        let several = self.layout.raw_tracks();
        let single = several.is_none().then_some(AudioTrack {
            id: 0,
            codec: self.codec,
            data: self.body,
        });
        let several = several
            .into_iter()
            .flat_map(|(_, raw_tracks)| raw_tracks.map_while(|raw| Some(track(&raw.ok()?))));
        single.into_iter().chain(several)
    }

    /// Takes over what the first track says.
    fn describe(&mut self, packet_type: u8, track: &AudioTrack<'a>) {
        self.packet = match packet_type {
            packet_type::SEQUENCE_START => AudioPacket::SequenceHeader,
            packet_type::CODED_FRAMES => AudioPacket::CodedFrame,
            packet_type::SEQUENCE_END => AudioPacket::SequenceEnd,
            packet_type::MULTICHANNEL_CONFIG => AudioPacket::MultichannelConfig,
            other => AudioPacket::Unknown(other),
        };
        self.codec = track.codec;
        self.body = track.data;
    }

    /// Appends the message: headers and media. The header is a legacy one
    /// when there is a `format` and the codec has a legacy id; nanoseconds
    /// need an enhanced one and are left out of the other.
    ///
    /// # Errors
    /// [`FlvError::TooLong`] when a track of several is 16 MiB or more.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), FlvError> {
        if let Some(kind) = self.multitrack() {
            let tracks: Vec<_> = self.tracks().collect();
            return self.encode_multitrack(kind, &tracks, out);
        }
        match (self.codec.id(), self.codec.four_cc()) {
            (Some(id), four_cc) if self.format.is_some() || four_cc.is_none() => {
                let format = self.format.unwrap_or(SoundFormat::FIXED);
                out.put_u8(id << 4 | format.bits());
                if self.codec == AudioCodec::Aac {
                    out.put_u8(self.packet_type());
                }
            }
            (_, four_cc) => {
                self.put_enhanced(self.packet_type(), out);
                out.put_slice(&four_cc.unwrap_or(FourCc([0; 4])).0);
            }
        }
        out.put_slice(self.body);
        Ok(())
    }

    /// Appends a message with these tracks in the place of this tag's body;
    /// packet and nanoseconds are this tag's.
    ///
    /// Of the codecs, [`MultitrackType::OneTrack`] and
    /// [`MultitrackType::ManyTracks`] write the first track's only, and the
    /// former writes only that track. Codecs without a FourCC get zeros.
    ///
    /// # Errors
    /// [`FlvError::TooLong`] when a track of several is 16 MiB or more.
    pub fn encode_multitrack(
        &self,
        kind: MultitrackType,
        tracks: &[AudioTrack<'_>],
        out: &mut BytesMut,
    ) -> Result<(), FlvError> {
        let tracks = match kind {
            MultitrackType::OneTrack => tracks.get(..1).unwrap_or(tracks),
            _ => tracks,
        };
        let four_cc = |codec: AudioCodec| codec.four_cc().unwrap_or(FourCc([0; 4]));
        let shared = match kind {
            MultitrackType::ManyTracksManyCodecs => None,
            _ => Some(tracks.first().map_or(FourCc([0; 4]), |t| four_cc(t.codec))),
        };
        self.put_enhanced(packet_type::MULTITRACK, out);
        put_multitrack(kind, self.packet_type(), shared, out);
        for track in tracks {
            put_track(kind, four_cc(track.codec), track.id, &[], track.data, out)?;
        }
        Ok(())
    }

    /// The number of the packet, in enhanced headers and after AAC's.
    fn packet_type(&self) -> u8 {
        match self.packet {
            AudioPacket::SequenceHeader => packet_type::SEQUENCE_START,
            AudioPacket::CodedFrame => packet_type::CODED_FRAMES,
            AudioPacket::SequenceEnd => packet_type::SEQUENCE_END,
            AudioPacket::MultichannelConfig => packet_type::MULTICHANNEL_CONFIG,
            AudioPacket::Unknown(packet_type) => packet_type,
        }
    }

    /// Writes the first byte, and ModEx when there are nanoseconds.
    fn put_enhanced(&self, packet_type: u8, out: &mut BytesMut) {
        let first = |packet_type| EX_HEADER << 4 | packet_type & 0x0f;
        match self.nanosecond_offset {
            Some(nanoseconds) => {
                out.put_u8(first(MOD_EX));
                put_nanoseconds(nanoseconds, packet_type, out);
            }
            None => out.put_u8(first(packet_type)),
        }
    }
}
