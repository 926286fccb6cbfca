//! A packet's samples and configurations out of its FLV body, and the body out
//! of them.

use bytes::{Bytes, BytesMut};
use livehost_wire::flv::{
    self, AudioCodec, AudioPacket, AudioTag, AudioTrack, FlvError, FrameType, MultitrackType,
    VideoCodec, VideoPacket, VideoTag, VideoTrack,
};

use crate::time::MILLISECOND;
use crate::{Codec, Kind, Role, Track};

/// Samples that are read of one packet: each of the 256 tracks that there may
/// be has one. More have a track twice.
pub const MAX_SAMPLES: usize = 256;

/// One access unit of one track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Its track's id; 0 is the default track.
    pub track: u8,
    /// Its track's codec.
    pub codec: Codec,
    /// When it is decoded (DTS), nanoseconds: its packet's time.
    pub dts: i64,
    /// From there to when it is shown or heard (PTS - DTS), nanoseconds. With
    /// what Enhanced RTMP adds below the millisecond.
    pub composition_offset: i64,
    /// NAL units behind their lengths, OBUs, or raw audio, as the codec's
    /// binding to ISO BMFF has them; of other codecs what FLV has.
    pub data: Bytes,
}

impl Sample {
    /// When it is shown or heard, nanoseconds.
    pub fn pts(&self) -> i64 {
        self.dts.saturating_add(self.composition_offset)
    }
}

/// The samples of a body. Each shares its bytes.
pub(crate) fn samples(kind: Kind, dts: i64, body: &Bytes) -> Vec<Sample> {
    let sample = |id, codec, composition_ms: i32, nanoseconds: Option<u32>, data| Sample {
        track: id,
        codec,
        dts,
        composition_offset: i64::from(composition_ms)
            .saturating_mul(MILLISECOND)
            .saturating_add(nanoseconds.unwrap_or_default().into()),
        data: body.slice_ref(data),
    };
    match kind {
        Kind::Audio => flv::parse_audio(body).map(|tag| {
            let tracks = tag.tracks().take(MAX_SAMPLES).map(|track| {
                let codec = Codec::Audio(track.codec);
                sample(track.id, codec, 0, tag.nanosecond_offset, track.data)
            });
            tag.is_coded_frame().then(|| tracks.collect())
        }),
        Kind::Video => flv::parse_video(body).map(|tag| {
            let tracks = tag.tracks().take(MAX_SAMPLES).map(|track| {
                let (codec, composition) = (Codec::Video(track.codec), track.composition_time_ms);
                let nanoseconds = tag.nanosecond_offset;
                sample(track.id, codec, composition, nanoseconds, track.data)
            });
            tag.is_coded_frame().then(|| tracks.collect())
        }),
        Kind::Data => return Vec::new(),
    }
    .unwrap_or_default()
    .unwrap_or_default()
}

/// The tracks that a body configures.
pub(crate) fn tracks(kind: Kind, body: &Bytes) -> Vec<Track> {
    let track = |id, codec, record| Track {
        id,
        codec,
        configuration: body.slice_ref(record),
    };
    match kind {
        Kind::Audio => flv::parse_audio(body).map(|tag| {
            let tracks = tag.tracks().take(MAX_SAMPLES);
            let tracks = tracks.map(|of| track(of.id, Codec::Audio(of.codec), of.data));
            tag.is_sequence_header().then(|| tracks.collect())
        }),
        Kind::Video => flv::parse_video(body).map(|tag| {
            let tracks = tag.tracks().take(MAX_SAMPLES);
            let tracks = tracks.map(|of| track(of.id, Codec::Video(of.codec), of.data));
            // A descriptor of MPEG-2 TS is no record of the codec.
            let has_records = tag.packet == VideoPacket::SequenceHeader;
            has_records.then(|| tracks.collect())
        }),
        Kind::Data => return Vec::new(),
    }
    .unwrap_or_default()
    .unwrap_or_default()
}

/// Whether FLV has a packet of that role and codec: beside others in one
/// message, if it is one of several.
pub(crate) fn is_sayable(role: Role, codec: Codec, is_one_of_several: bool) -> bool {
    let (has_four_cc, has_packet_types, is_known) = match codec {
        Codec::Audio(codec) => (
            codec.four_cc().is_some(),
            codec == AudioCodec::Aac || codec.id().is_none(),
            codec.name() != AudioCodec::Unknown(0).name(),
        ),
        Codec::Video(codec) => (
            codec.four_cc().is_some(),
            codec.four_cc().is_some(),
            codec.name() != VideoCodec::Unknown(0).name(),
        ),
    };
    let has_role = match role {
        Role::Keyframe => codec.kind() == Kind::Video,
        Role::Delta => true,
        // A legacy header has none of these, but those of AAC and AVC.
        Role::Configuration | Role::EndOfSequence => has_packet_types || is_one_of_several,
        Role::Metadata | Role::Data => false,
    };
    is_known && has_role && (has_four_cc || !is_one_of_several)
}

/// The body of samples, or of records in their place: in a legacy header where
/// there is one. What is below the millisecond is left out, since not every
/// player reads that.
pub(crate) fn flv_body(role: Role, samples: &[Sample]) -> Result<Bytes, FlvError> {
    let Some(first) = samples.first() else {
        return Err(FlvError::Empty);
    };
    let mut body = BytesMut::new();
    match first.codec {
        Codec::Audio(codec) => audio_body(role, codec, samples, &mut body)?,
        Codec::Video(codec) => video_body(role, codec, samples, &mut body)?,
    }
    Ok(body.freeze())
}

fn audio_body(
    role: Role,
    codec: AudioCodec,
    samples: &[Sample],
    body: &mut BytesMut,
) -> Result<(), FlvError> {
    let packet = match role {
        Role::Configuration => AudioPacket::SequenceHeader,
        Role::EndOfSequence => AudioPacket::SequenceEnd,
        _ => AudioPacket::CodedFrame,
    };
    if let [Sample { track: 0, data, .. }] = samples {
        return AudioTag::new(codec, packet, data).encode(body);
    }
    let tracks: Vec<_> = samples
        .iter()
        .map(|sample| AudioTrack {
            id: sample.track,
            codec: match sample.codec {
                Codec::Audio(codec) => codec,
                Codec::Video(_) => codec,
            },
            data: &sample.data,
        })
        .collect();
    AudioTag::new(codec, packet, &[]).encode_multitrack(layout(samples), &tracks, body)
}

fn video_body(
    role: Role,
    codec: VideoCodec,
    samples: &[Sample],
    body: &mut BytesMut,
) -> Result<(), FlvError> {
    let packet = match role {
        Role::Configuration => VideoPacket::SequenceHeader,
        Role::EndOfSequence => VideoPacket::SequenceEnd,
        _ => VideoPacket::CodedFrame,
    };
    let frame_type = match role {
        Role::Delta => FrameType::Inter,
        // Sequence headers are marked so, too.
        _ => FrameType::Keyframe,
    };
    if let [Sample { track: 0, data, .. }] = samples {
        let composition = samples.first().map_or(0, composition_ms);
        return VideoTag::new(frame_type, codec, packet, composition, data).encode(body);
    }
    let tracks: Vec<_> = samples
        .iter()
        .map(|sample| VideoTrack {
            id: sample.track,
            codec: match sample.codec {
                Codec::Video(codec) => codec,
                Codec::Audio(_) => codec,
            },
            composition_time_ms: composition_ms(sample),
            data: &sample.data,
        })
        .collect();
    let tag = VideoTag::new(frame_type, codec, packet, 0, &[]);
    tag.encode_multitrack(layout(samples), &tracks, body)
}

fn layout(samples: &[Sample]) -> MultitrackType {
    match samples {
        [_] => MultitrackType::OneTrack,
        [first, rest @ ..] if rest.iter().all(|other| other.codec == first.codec) => {
            MultitrackType::ManyTracks
        }
        _ => MultitrackType::ManyTracksManyCodecs,
    }
}

fn composition_ms(sample: &Sample) -> i32 {
    let whole = sample.composition_offset.div_euclid(MILLISECOND);
    i32::try_from(whole).unwrap_or(if whole < 0 { i32::MIN } else { i32::MAX })
}
