//! The codecs that a tag header can name, by number (FLV annex E.4.2.1 and
//! E.4.3.1) and by FourCC (Enhanced RTMP v2, sections "Enhanced Audio" and
//! "Enhanced Video").

use std::fmt;

/// A four-character codec code, such as `hvc1`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FourCc(pub [u8; 4]);

impl fmt::Display for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for FourCc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FourCc({self})")
    }
}

/// A video codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VideoCodec {
    /// Sorenson H.263 (2).
    H263,
    /// Screen video (3).
    Screen,
    /// On2 VP6 (4).
    Vp6,
    /// On2 VP6 with an alpha channel (5).
    Vp6Alpha,
    /// Screen video version 2 (6).
    ScreenV2,
    /// H.264 (7, or `avc1`).
    Avc,
    /// H.265 (`hvc1`; or 12, an id that no specification has but that many
    /// encoders used before there was a FourCC).
    Hevc,
    /// H.266 (`vvc1`).
    Vvc,
    /// AV1 (`av01`).
    Av1,
    /// VP8 (`vp08`).
    Vp8,
    /// VP9 (`vp09`).
    Vp9,
    /// A legacy codec id without a meaning.
    Unknown(u8),
    /// A FourCC without a known meaning.
    UnknownFourCc(FourCc),
}

impl VideoCodec {
    /// Those that Enhanced RTMP v2 gives a FourCC.
    pub const ENHANCED: [Self; 6] = [
        Self::Avc,
        Self::Hevc,
        Self::Vvc,
        Self::Av1,
        Self::Vp8,
        Self::Vp9,
    ];

    /// The codec of a legacy tag's 4-bit id.
    pub fn from_id(id: u8) -> Self {
        match id {
            2 => Self::H263,
            3 => Self::Screen,
            4 => Self::Vp6,
            5 => Self::Vp6Alpha,
            6 => Self::ScreenV2,
            7 => Self::Avc,
            12 => Self::Hevc,
            other => Self::Unknown(other),
        }
    }

    /// The legacy id, when there is one.
    pub fn id(self) -> Option<u8> {
        match self {
            Self::H263 => Some(2),
            Self::Screen => Some(3),
            Self::Vp6 => Some(4),
            Self::Vp6Alpha => Some(5),
            Self::ScreenV2 => Some(6),
            Self::Avc => Some(7),
            Self::Hevc => Some(12),
            Self::Unknown(id) => Some(id),
            Self::Vvc | Self::Av1 | Self::Vp8 | Self::Vp9 | Self::UnknownFourCc(_) => None,
        }
    }

    /// The codec of an enhanced tag's FourCC.
    pub fn from_four_cc(four_cc: FourCc) -> Self {
        match &four_cc.0 {
            b"avc1" => Self::Avc,
            b"hvc1" => Self::Hevc,
            b"vvc1" => Self::Vvc,
            b"av01" => Self::Av1,
            b"vp08" => Self::Vp8,
            b"vp09" => Self::Vp9,
            _ => Self::UnknownFourCc(four_cc),
        }
    }

    /// The FourCC, when there is one.
    pub fn four_cc(self) -> Option<FourCc> {
        Some(match self {
            Self::Avc => FourCc(*b"avc1"),
            Self::Hevc => FourCc(*b"hvc1"),
            Self::Vvc => FourCc(*b"vvc1"),
            Self::Av1 => FourCc(*b"av01"),
            Self::Vp8 => FourCc(*b"vp08"),
            Self::Vp9 => FourCc(*b"vp09"),
            Self::UnknownFourCc(four_cc) => four_cc,
            Self::H263
            | Self::Screen
            | Self::Vp6
            | Self::Vp6Alpha
            | Self::ScreenV2
            | Self::Unknown(_) => return None,
        })
    }

    /// A short lower-case name for logs, configuration and policies.
    pub fn name(self) -> &'static str {
        match self {
            Self::H263 => "h263",
            Self::Screen => "screen",
            Self::Vp6 => "vp6",
            Self::Vp6Alpha => "vp6a",
            Self::ScreenV2 => "screen2",
            Self::Avc => "avc",
            Self::Hevc => "hevc",
            Self::Vvc => "vvc",
            Self::Av1 => "av1",
            Self::Vp8 => "vp8",
            Self::Vp9 => "vp9",
            Self::Unknown(_) | Self::UnknownFourCc(_) => "unknown",
        }
    }

    /// How many bytes its configuration record has at least, where it has one.
    /// What is shorter configures no decoder.
    pub fn least_record(self) -> usize {
        match self {
            // ISO/IEC 14496-15: without any parameter sets.
            Self::Avc => 7,
            Self::Hevc => 23,
            Self::Vvc => 2,
            // The bindings of AV1 and VP to ISO BMFF, without the box.
            Self::Av1 => 4,
            Self::Vp8 | Self::Vp9 => 8,
            Self::H263
            | Self::Screen
            | Self::Vp6
            | Self::Vp6Alpha
            | Self::ScreenV2
            | Self::Unknown(_)
            | Self::UnknownFourCc(_) => 0,
        }
    }

    /// Whether frames may be shown in another order than they are sent, so
    /// that `CodedFrames` carries a composition time.
    pub(super) fn has_composition_time(self) -> bool {
        matches!(self, Self::Avc | Self::Hevc | Self::Vvc)
    }
}

/// An audio codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AudioCodec {
    /// Linear PCM in the sender's byte order (0).
    Pcm,
    /// ADPCM (1).
    Adpcm,
    /// MP3 (2, or `.mp3`).
    Mp3,
    /// Linear PCM, little endian (3).
    PcmLittleEndian,
    /// Nellymoser, 16 kHz mono (4).
    Nellymoser16Khz,
    /// Nellymoser, 8 kHz mono (5).
    Nellymoser8Khz,
    /// Nellymoser (6).
    Nellymoser,
    /// G.711 A-law (7).
    G711ALaw,
    /// G.711 mu-law (8).
    G711MuLaw,
    /// AAC (10, or `mp4a`).
    Aac,
    /// Speex (11).
    Speex,
    /// MP3 at 8 kHz (14).
    Mp38Khz,
    /// Device-specific sound (15).
    DeviceSpecific,
    /// Opus (`Opus`).
    Opus,
    /// FLAC (`fLaC`).
    Flac,
    /// AC-3 (`ac-3`).
    Ac3,
    /// E-AC-3 (`ec-3`).
    Eac3,
    /// A legacy sound format without a meaning.
    Unknown(u8),
    /// A FourCC without a known meaning.
    UnknownFourCc(FourCc),
}

impl AudioCodec {
    /// Those that Enhanced RTMP v2 gives a FourCC.
    pub const ENHANCED: [Self; 6] = [
        Self::Aac,
        Self::Mp3,
        Self::Opus,
        Self::Flac,
        Self::Ac3,
        Self::Eac3,
    ];

    /// The codec of a legacy tag's 4-bit sound format. 9 announces an
    /// enhanced tag and is no codec.
    pub fn from_id(id: u8) -> Self {
        match id {
            0 => Self::Pcm,
            1 => Self::Adpcm,
            2 => Self::Mp3,
            3 => Self::PcmLittleEndian,
            4 => Self::Nellymoser16Khz,
            5 => Self::Nellymoser8Khz,
            6 => Self::Nellymoser,
            7 => Self::G711ALaw,
            8 => Self::G711MuLaw,
            10 => Self::Aac,
            11 => Self::Speex,
            14 => Self::Mp38Khz,
            15 => Self::DeviceSpecific,
            other => Self::Unknown(other),
        }
    }

    /// The legacy sound format, when there is one.
    pub fn id(self) -> Option<u8> {
        Some(match self {
            Self::Pcm => 0,
            Self::Adpcm => 1,
            Self::Mp3 => 2,
            Self::PcmLittleEndian => 3,
            Self::Nellymoser16Khz => 4,
            Self::Nellymoser8Khz => 5,
            Self::Nellymoser => 6,
            Self::G711ALaw => 7,
            Self::G711MuLaw => 8,
            Self::Aac => 10,
            Self::Speex => 11,
            Self::Mp38Khz => 14,
            Self::DeviceSpecific => 15,
            Self::Unknown(id) => id,
            Self::Opus | Self::Flac | Self::Ac3 | Self::Eac3 | Self::UnknownFourCc(_) => {
                return None;
            }
        })
    }

    /// The codec of an enhanced tag's FourCC.
    pub fn from_four_cc(four_cc: FourCc) -> Self {
        match &four_cc.0 {
            b"mp4a" => Self::Aac,
            b".mp3" => Self::Mp3,
            b"Opus" => Self::Opus,
            b"fLaC" => Self::Flac,
            b"ac-3" => Self::Ac3,
            b"ec-3" => Self::Eac3,
            _ => Self::UnknownFourCc(four_cc),
        }
    }

    /// The FourCC, when there is one.
    pub fn four_cc(self) -> Option<FourCc> {
        match self {
            Self::Aac => Some(FourCc(*b"mp4a")),
            Self::Mp3 => Some(FourCc(*b".mp3")),
            Self::Opus => Some(FourCc(*b"Opus")),
            Self::Flac => Some(FourCc(*b"fLaC")),
            Self::Ac3 => Some(FourCc(*b"ac-3")),
            Self::Eac3 => Some(FourCc(*b"ec-3")),
            Self::UnknownFourCc(four_cc) => Some(four_cc),
            _ => None,
        }
    }

    /// How many bytes its configuration record has at least, where it has one.
    /// What is shorter configures no decoder.
    pub fn least_record(self) -> usize {
        match self {
            // ISO/IEC 14496-3 section 1.6.2.1: without what the type adds.
            Self::Aac => 2,
            // RFC 7845 section 5.1.
            Self::Opus => 19,
            // RFC 9639 section 8.2.
            Self::Flac => 34,
            _ => 0,
        }
    }

    /// A short lower-case name for logs, configuration and policies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcm | Self::PcmLittleEndian => "pcm",
            Self::Adpcm => "adpcm",
            Self::Mp3 | Self::Mp38Khz => "mp3",
            Self::Nellymoser16Khz | Self::Nellymoser8Khz | Self::Nellymoser => "nellymoser",
            Self::G711ALaw => "pcma",
            Self::G711MuLaw => "pcmu",
            Self::Aac => "aac",
            Self::Speex => "speex",
            Self::DeviceSpecific => "device",
            Self::Opus => "opus",
            Self::Flac => "flac",
            Self::Ac3 => "ac3",
            Self::Eac3 => "eac3",
            Self::Unknown(_) | Self::UnknownFourCc(_) => "unknown",
        }
    }
}
