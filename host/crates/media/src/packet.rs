//! What a publisher sent at one moment.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use livehost_wire::amf0;
use livehost_wire::flv::FlvError;

use crate::body::Embedded;
use crate::classify::{self, Content};
use crate::sample::{self, MAX_SAMPLES};
use crate::{BodyLayout, Codec, Kind, Sample, Scope, Track, TrackCodec, Tracks};

/// Longest body, in bytes: FLV's tags and RTMP's messages have 24 bits for it.
const MAX_BODY: usize = 0xFF_FFFF;
/// What headers add to the samples of a body at most, in bytes: to all of them,
/// and to each.
const HEADERS: usize = 64;
const HEADERS_OF_EACH: usize = 16;

/// What a packet means to a player that joins or has fallen behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// What decoders are configured by: codec records of some tracks, or a
    /// supplement of them. Every player needs the newest.
    Configuration,
    /// Decoding can start here.
    Keyframe,
    /// Decodable only after the packets before it; or audio.
    Delta,
    /// A track goes on with another configuration, or not at all.
    EndOfSequence,
    /// `onMetaData`: every player needs the newest. It is of the stream and of
    /// no moment.
    Metadata,
    /// A data message, or something about audio or video that decodes nothing.
    Data,
}

/// Why something is no packet. The session that sent it goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAPacket {
    /// Some encoders send zero-byte messages; they carry nothing.
    #[error("the message is empty")]
    Empty,
    /// The tag header does not parse.
    #[error(transparent)]
    Flv(#[from] FlvError),
    /// More than a body of FLV can have.
    #[error(
        "expected samples of at most {MAX_BODY} bytes and {MAX_SAMPLES} tracks in all, found {samples} of {bytes} bytes"
    )]
    TooLong {
        /// Samples there are.
        samples: usize,
        /// Their bytes.
        bytes: usize,
    },
    /// Samples of audio beside samples of video.
    #[error("expected samples of audio or of video, found both")]
    TwoKinds,
    /// FLV has no packet of that role and codec.
    #[error("expected what FLV can say, found a packet of {} as {role:?}", codec.name())]
    NotSayable {
        /// Of the packet.
        role: Role,
        /// Of a sample.
        codec: Codec,
    },
}

/// What a publisher sent at one moment: samples of one or more tracks, what
/// configures them, metadata, or a data message.
#[derive(Debug, Clone)]
pub struct Packet {
    content: Content,
    dts: i64,
    body: Body,
}

#[derive(Debug, Clone)]
enum Body {
    /// As it came.
    Flv(Bytes),
    /// As it came, inside what was made of it.
    Embedded(Embedded),
    /// None yet: samples, or records in their place.
    Samples { samples: Box<[Sample]>, len: usize },
}

impl Packet {
    /// Classifies the body of an FLV tag or RTMP message; `dts` is its time in
    /// nanoseconds, on the publisher's clock. A keyframe of any track counts as
    /// one.
    ///
    /// # Errors
    /// [`NotAPacket::Empty`] or [`NotAPacket::Flv`] when there is nothing to
    /// forward.
    #[inline]
    pub fn from_flv(kind: Kind, dts: i64, body: Bytes) -> Result<Self, NotAPacket> {
        if body.is_empty() {
            return Err(NotAPacket::Empty);
        }
        Ok(Self {
            content: Content::of(kind, &body)?,
            dts,
            body: Body::Flv(body),
        })
    }

    /// A data message to `handler`; `values` are AMF0.
    ///
    /// # Errors
    /// [`NotAPacket::Empty`] when there are no bytes in it.
    pub fn data(handler: Option<&str>, values: &[u8]) -> Result<Self, NotAPacket> {
        let mut body = BytesMut::new();
        if let Some(handler) = handler {
            amf0::encode_string(handler, &mut body);
        }
        body.extend_from_slice(values);
        Self::from_flv(Kind::Data, 0, body.freeze())
    }

    /// Samples of one moment, or, as a [`Role::Configuration`], records in the
    /// place of their data. All get the time `dts`.
    ///
    /// # Errors
    /// When they are not of one kind, or FLV can't say them: all of a stream can
    /// be played by RTMP.
    pub fn from_samples(role: Role, dts: i64, samples: Vec<Sample>) -> Result<Self, NotAPacket> {
        let first = samples.first().ok_or(NotAPacket::Empty)?;
        let kind = first.codec.kind();
        let is_one_of_several = samples.len() > 1 || first.track != 0;
        let mut len = 0_usize;
        for sample in &samples {
            let codec = sample.codec;
            if codec.kind() != kind {
                return Err(NotAPacket::TwoKinds);
            }
            if !sample::is_sayable(role, codec, is_one_of_several) {
                return Err(NotAPacket::NotSayable { role, codec });
            }
            len = len.saturating_add(sample.data.len());
        }
        let headers = HEADERS.saturating_add(samples.len().saturating_mul(HEADERS_OF_EACH));
        if samples.len() > MAX_SAMPLES || len.saturating_add(headers) > MAX_BODY {
            return Err(NotAPacket::TooLong {
                samples: samples.len(),
                bytes: len,
            });
        }
        let named = samples
            .iter()
            .map(|sample| (sample.track, sample.codec.name()));
        Ok(Self {
            content: Content::new(role, kind, false, named),
            dts,
            body: Body::Samples {
                samples: samples.into(),
                len,
            },
        })
    }

    /// Audio, video or data.
    #[inline]
    pub fn kind(&self) -> Kind {
        self.content.scope.kind
    }

    /// What it means to a joining player.
    #[inline]
    pub fn role(&self) -> Role {
        self.content.role
    }

    /// What it is about.
    #[inline]
    pub fn scope(&self) -> Scope {
        self.content.scope
    }

    /// Its decoding time in nanoseconds: on the publisher's clock, or on the
    /// stream's line once it was put there.
    #[inline]
    pub fn dts(&self) -> i64 {
        self.dts
    }

    /// Puts it at `dts`, on the stream's line. Metadata is at 0 always, as
    /// nginx-rtmp and SRS have it, too; FFmpeg takes it for a track of subtitles
    /// at any other time.
    #[inline]
    pub fn set_dts(&mut self, dts: i64) {
        self.dts = match self.content.role {
            Role::Metadata => 0,
            _ => dts,
        };
    }

    /// Whether [`Packet::set_dts`] would change nothing.
    pub fn is_at(&self, dts: i64) -> bool {
        let placed = match self.content.role {
            Role::Metadata => 0,
            _ => dts,
        };
        self.dts == placed
    }

    /// The same packet at another time, inside of nothing.
    #[must_use]
    pub fn at(&self, dts: i64) -> Self {
        let body = match &self.body {
            Body::Embedded(embedded) => Body::Flv(embedded.body()),
            other => other.clone(),
        };
        let mut packet = Self { body, ..*self };
        packet.set_dts(dts);
        packet
    }

    /// Bytes of the body, or of the samples, if it has none.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.body {
            Body::Flv(body) => body.len(),
            Body::Embedded(embedded) => embedded.len(),
            Body::Samples { len, .. } => *len,
        }
    }

    /// Whether that is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that it keeps, beside itself.
    #[inline]
    pub fn memory(&self) -> usize {
        match &self.body {
            Body::Flv(body) => body.len(),
            Body::Embedded(embedded) => embedded.bytes().len(),
            Body::Samples { samples, len } => size_of_val(&**samples).saturating_add(*len),
        }
    }

    /// Codec name of audio and video, of the lowest track; no codec is named by
    /// data and by commands to those that decode.
    #[inline]
    pub fn codec(&self) -> Option<&'static str> {
        self.content.codec
    }

    /// The codec of its tracks; `None` if they have several, or there is none.
    #[inline]
    pub fn only_codec(&self) -> Option<&'static str> {
        self.content.codec.filter(|_| !self.content.is_mixed)
    }

    /// Audio or video itself, not what is said about it.
    #[inline]
    pub fn is_coded(&self) -> bool {
        matches!(self.content.role, Role::Keyframe | Role::Delta)
    }

    /// The lowest track of audio or video itself, whose time means when it is
    /// heard or seen.
    #[inline]
    pub fn coded_track(&self) -> Option<u8> {
        let coded = self.is_coded().then_some(self.content.scope.tracks);
        coded.and_then(Tracks::lowest)
    }

    /// Whether its tracks have the codecs that it names: it is audio or video
    /// itself, or the record of it.
    #[inline]
    pub fn names_codecs(&self) -> bool {
        let is_record =
            self.content.role == Role::Configuration && !self.content.scope.is_supplement;
        self.is_coded() || is_record
    }

    /// It begins nothing: a keyframe of a track that follows another.
    #[inline]
    pub fn demote(&mut self) {
        if self.content.role == Role::Keyframe {
            self.content.role = Role::Delta;
        }
    }

    /// What it says of each track. Reads the body.
    pub fn track_codecs(&self) -> Vec<TrackCodec> {
        match &self.body {
            Body::Samples { samples, .. } => samples
                .iter()
                .map(|sample| TrackCodec {
                    id: sample.track,
                    codec: sample.codec.name(),
                    is_configured: sample.data.len() >= sample.codec.least_record(),
                })
                .collect(),
            Body::Flv(_) | Body::Embedded(_) => {
                classify::codecs(self.content.scope, &self.flv_bytes())
            }
        }
    }

    /// The tracks that a decoder is configured for, if it is a configuration.
    /// Reads the body.
    pub fn configured(&self) -> Tracks {
        let codecs = self.track_codecs().into_iter();
        codecs
            .filter(|track| track.is_configured)
            .map(|track| track.id)
            .collect()
    }

    /// The samples of audio or video itself, one of each track; of all else
    /// there are none. Reads the body, whose bytes they share.
    pub fn samples(&self) -> Vec<Sample> {
        match &self.body {
            _ if !self.is_coded() => Vec::new(),
            Body::Samples { samples, .. } => samples
                .iter()
                .map(|sample| Sample {
                    dts: self.dts,
                    ..sample.clone()
                })
                .collect(),
            Body::Flv(_) | Body::Embedded(_) => {
                sample::samples(self.kind(), self.dts, &self.flv_body())
            }
        }
    }

    /// The tracks that a configuration describes; of all else, and of
    /// supplements, there are none. Reads the body, whose bytes they share.
    pub fn tracks(&self) -> Vec<Track> {
        match &self.body {
            _ if self.role() != Role::Configuration => Vec::new(),
            Body::Samples { samples, .. } => samples
                .iter()
                .map(|sample| Track {
                    id: sample.track,
                    codec: sample.codec,
                    configuration: sample.data.clone(),
                })
                .collect(),
            Body::Flv(_) | Body::Embedded(_) => sample::tracks(self.kind(), &self.flv_body()),
        }
    }

    /// Its body in FLV: byte for byte as it came, or made of its samples.
    pub fn flv_body(&self) -> Bytes {
        match &self.body {
            Body::Flv(body) => body.clone(),
            Body::Embedded(embedded) => embedded.body(),
            // That FLV can say them was found out when they came.
            Body::Samples { samples, .. } => {
                sample::flv_body(self.role(), samples).unwrap_or_default()
            }
        }
    }

    /// The same as [`Packet::flv_body`], copied only where it is in no one
    /// piece.
    #[inline]
    pub fn flv_bytes(&self) -> Cow<'_, [u8]> {
        let whole = match &self.body {
            Body::Flv(body) => Some(&**body),
            Body::Embedded(embedded) => embedded.whole(),
            Body::Samples { .. } => None,
        };
        whole.map_or_else(|| Cow::Owned(self.flv_body().into()), Cow::Borrowed)
    }

    /// Keeps `bytes` that were made of its body, and has the body inside of
    /// them, where `layout` says that it lies: it is in memory once.
    ///
    /// # Errors
    /// The bytes, when the packet did not come with a body, has it in others
    /// already, or it can't lie there.
    #[inline]
    pub fn embed(&mut self, bytes: Bytes, layout: BodyLayout) -> Result<(), Bytes> {
        let Body::Flv(body) = &self.body else {
            return Err(bytes);
        };
        let embedded = Embedded::new(bytes, layout, body.len())?;
        debug_assert_eq!(embedded.body(), *body, "the layout says where the body is");
        self.body = Body::Embedded(embedded);
        Ok(())
    }

    /// The bytes that were given to [`Packet::embed`].
    #[inline]
    pub fn embedded_in(&self) -> Option<&Bytes> {
        match &self.body {
            Body::Embedded(embedded) => Some(embedded.bytes()),
            Body::Flv(_) | Body::Samples { .. } => None,
        }
    }

    /// Whether two have the same body and are about the same. Costs no more
    /// than the shorter.
    pub fn has_body_of(&self, other: &Self) -> bool {
        self.scope() == other.scope()
            && self.len() == other.len()
            && self.flv_bytes() == other.flv_bytes()
    }
}
