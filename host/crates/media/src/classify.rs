//! What an FLV body says of itself, read once when it comes.

use livehost_wire::flv::{self, AudioPacket, FlvError, VideoPacket};

use crate::metadata::is_metadata;
use crate::sample::MAX_SAMPLES;
use crate::{Kind, Role, Tracks};

/// What a packet is about. A configuration replaces an older one of the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Audio, video or data.
    pub kind: Kind,
    /// Of configurations: what Enhanced RTMP adds to the codec's record, which
    /// is colour information of video, the channel order of audio.
    pub is_supplement: bool,
    /// The tracks that it is for.
    pub tracks: Tracks,
}

impl Scope {
    /// Configurations of one kind do the same for their tracks.
    pub fn is_like(self, other: Self) -> bool {
        (self.kind, self.is_supplement) == (other.kind, other.is_supplement)
    }
}

/// What a packet of audio or video says of one of its tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackCodec {
    /// The track.
    pub id: u8,
    /// Its codec's name.
    pub codec: &'static str,
    /// Of configurations: a decoder is configured by it. Some encoders send
    /// them without a record, or with the beginning of one.
    pub is_configured: bool,
}

/// What a body says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) role: Role,
    pub(crate) scope: Scope,
    /// Of the lowest track.
    pub(crate) codec: Option<&'static str>,
    /// Its tracks have several codecs.
    pub(crate) is_mixed: bool,
}

impl Content {
    #[inline]
    pub(crate) fn of(kind: Kind, body: &[u8]) -> Result<Self, FlvError> {
        match kind {
            Kind::Audio => audio(body),
            Kind::Video => video(body),
            Kind::Data => Ok(data(body)),
        }
    }

    /// Of tracks, with their codecs' names.
    #[inline]
    pub(crate) fn new(
        role: Role,
        kind: Kind,
        is_supplement: bool,
        of_packet: impl Iterator<Item = (u8, &'static str)>,
    ) -> Self {
        let mut tracks = Tracks::default();
        let mut lowest: Option<(u8, &'static str)> = None;
        let mut is_mixed = false;
        for (id, codec) in of_packet {
            tracks.insert(id);
            is_mixed |= lowest.is_some_and(|(_, known)| known != codec);
            if lowest.is_none_or(|(lowest, _)| id < lowest) {
                lowest = Some((id, codec));
            }
        }
        Self {
            role,
            scope: Scope {
                kind,
                is_supplement,
                tracks,
            },
            codec: lowest.map(|(_, codec)| codec),
            is_mixed,
        }
    }
}

#[inline]
fn audio(body: &[u8]) -> Result<Content, FlvError> {
    let tag = flv::parse_audio(body)?;
    let role = match tag.packet {
        AudioPacket::SequenceHeader | AudioPacket::MultichannelConfig => Role::Configuration,
        AudioPacket::CodedFrame => Role::Delta,
        AudioPacket::SequenceEnd => Role::EndOfSequence,
        AudioPacket::Unknown(_) => Role::Data,
    };
    let is_supplement = tag.packet == AudioPacket::MultichannelConfig;
    let tracks = tag.tracks().map(|track| (track.id, track.codec.name()));
    Ok(Content::new(role, Kind::Audio, is_supplement, tracks))
}

#[inline]
fn video(body: &[u8]) -> Result<Content, FlvError> {
    let tag = flv::parse_video(body)?;
    let role = match tag.packet {
        VideoPacket::SequenceHeader
        | VideoPacket::Mpeg2TsSequenceHeader
        | VideoPacket::Metadata => Role::Configuration,
        VideoPacket::CodedFrame if tag.is_keyframe() => Role::Keyframe,
        VideoPacket::CodedFrame => Role::Delta,
        VideoPacket::SequenceEnd => Role::EndOfSequence,
        VideoPacket::Command(_) | VideoPacket::Unknown(_) => Role::Data,
    };
    let is_supplement = tag.packet == VideoPacket::Metadata;
    let tracks = tag.tracks().map(|track| (track.id, track.codec.name()));
    let content = Content::new(role, Kind::Video, is_supplement, tracks);
    // A command carries no video: it comes from publishers of audio, too, and
    // an enhanced one names no codec.
    let is_command = matches!(tag.packet, VideoPacket::Command(_));
    Ok(Content {
        codec: content.codec.filter(|_| !is_command),
        ..content
    })
}

fn data(body: &[u8]) -> Content {
    let role = if is_metadata(body) {
        Role::Metadata
    } else {
        Role::Data
    };
    Content {
        role,
        scope: Scope {
            kind: Kind::Data,
            is_supplement: false,
            tracks: Tracks::DEFAULT,
        },
        codec: None,
        is_mixed: false,
    }
}

/// Reads again what [`Content::of`] has understood: what a body says of each
/// track. Of more than [`MAX_SAMPLES`], which have an id twice, the first count.
pub(crate) fn codecs(scope: Scope, body: &[u8]) -> Vec<TrackCodec> {
    let read = |id, codec, least: usize, data: &[u8]| {
        // What a supplement needs is not known.
        let least = if scope.is_supplement { 1 } else { least };
        TrackCodec {
            id,
            codec,
            is_configured: data.len() >= least,
        }
    };
    match scope.kind {
        Kind::Audio => flv::parse_audio(body).map(|tag| {
            tag.tracks()
                .take(MAX_SAMPLES)
                .map(|track| {
                    let least = track.codec.least_record();
                    read(track.id, track.codec.name(), least, track.data)
                })
                .collect()
        }),
        Kind::Video => flv::parse_video(body).map(|tag| {
            tag.tracks()
                .take(MAX_SAMPLES)
                .map(|track| {
                    let least = match tag.packet {
                        // Of a descriptor of MPEG-2 TS instead.
                        VideoPacket::Mpeg2TsSequenceHeader => 1,
                        _ => track.codec.least_record(),
                    };
                    read(track.id, track.codec.name(), least, track.data)
                })
                .collect()
        }),
        Kind::Data => return Vec::new(),
    }
    .unwrap_or_default()
}
