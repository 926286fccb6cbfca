//! What a track is: its kind, its codec, and the record that a decoder is
//! configured by.

use bytes::Bytes;
use livehost_wire::flv::{AudioCodec, VideoCodec};

/// Audio, video or data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
    /// AMF0 values behind a handler's name, such as `onMetaData`.
    Data,
}

/// The codec of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Of audio.
    Audio(AudioCodec),
    /// Of video.
    Video(VideoCodec),
}

impl Codec {
    /// Audio or video.
    pub fn kind(self) -> Kind {
        match self {
            Self::Audio(_) => Kind::Audio,
            Self::Video(_) => Kind::Video,
        }
    }

    /// A short lower-case name for logs, configuration and policies.
    pub fn name(self) -> &'static str {
        match self {
            Self::Audio(codec) => codec.name(),
            Self::Video(codec) => codec.name(),
        }
    }

    /// How many bytes its configuration record has at least, where it has one.
    pub(crate) fn least_record(self) -> usize {
        match self {
            Self::Audio(codec) => codec.least_record(),
            Self::Video(codec) => codec.least_record(),
        }
    }
}

/// A track as a configuration describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// Its number among those of its kind; 0 is the default track.
    pub id: u8,
    /// Its codec.
    pub codec: Codec,
    /// The codec's own record: avcC and hvcC (ISO/IEC 14496-15), av1C, vpcC,
    /// AudioSpecificConfig (ISO/IEC 14496-3), OpusHead (RFC 7845), ... as it
    /// came.
    pub configuration: Bytes,
}

impl Track {
    /// Audio or video.
    pub fn kind(&self) -> Kind {
        self.codec.kind()
    }
}
