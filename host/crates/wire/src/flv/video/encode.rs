//! Video messages to bytes.

use bytes::{BufMut, BytesMut};

use super::{FrameType, VideoPacket, VideoTag, VideoTrack, packet_type};
use crate::flv::enhanced::{MOD_EX, put_multitrack, put_nanoseconds, put_track};
use crate::flv::{FlvError, FourCc, MultitrackType, VideoCodec};

impl VideoTag<'_> {
    /// Appends the message: headers and media.
    ///
    /// The header is an enhanced one when `enhanced` says so or only that can
    /// express the tag. Composition times are cut to the 24 bits, and
    /// nanoseconds to the unsigned 24 bits, that the wire has.
    ///
    /// # Errors
    /// [`FlvError::TooLong`] when a track of several is 16 MiB or more.
    pub fn encode(&self, out: &mut BytesMut) -> Result<(), FlvError> {
        if let Some(kind) = self.multitrack() {
            let tracks: Vec<_> = self.tracks().collect();
            return self.encode_multitrack(kind, &tracks, out);
        }
        let only_enhanced = self.nanosecond_offset.is_some()
            || matches!(
                self.packet,
                VideoPacket::Metadata | VideoPacket::Mpeg2TsSequenceHeader
            );
        if let VideoPacket::Command(command) = self.packet {
            match self.codec.id() {
                Some(id) if !self.enhanced => {
                    out.put_u8(FrameType::Command.bits() << 4 | id & 0x0f)
                }
                _ => self.put_enhanced(FrameType::Command, packet_type::SEQUENCE_START, out),
            }
            out.put_u8(command);
            out.put_slice(self.body);
            return Ok(());
        }
        let composition_time = si24(self.composition_time_ms);
        match (self.codec.id(), self.codec.four_cc()) {
            (Some(id), four_cc) if four_cc.is_none() || !(self.enhanced || only_enhanced) => {
                out.put_u8(self.frame_type.bits() << 4 | id & 0x0f);
                if self.codec.has_composition_time() {
                    out.put_u8(match self.packet {
                        VideoPacket::SequenceHeader => 0,
                        VideoPacket::SequenceEnd => 2,
                        VideoPacket::Unknown(packet_type) => packet_type,
                        _ => 1,
                    });
                    out.put_slice(&composition_time);
                }
            }
            (_, four_cc) => {
                let packet_type = wire_packet_type(self.packet, self.tracks());
                self.put_enhanced(self.frame_type, packet_type, out);
                out.put_slice(&four_cc.unwrap_or(FourCc([0; 4])).0);
                if packet_type == packet_type::CODED_FRAMES && self.codec.has_composition_time() {
                    out.put_slice(&composition_time);
                }
            }
        }
        out.put_slice(self.body);
        Ok(())
    }

    /// Appends a message with these tracks in the place of this tag's body;
    /// frame type, packet and nanoseconds are this tag's.
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
        tracks: &[VideoTrack<'_>],
        out: &mut BytesMut,
    ) -> Result<(), FlvError> {
        let tracks = match kind {
            MultitrackType::OneTrack => tracks.get(..1).unwrap_or(tracks),
            _ => tracks,
        };
        let four_cc = |codec: VideoCodec| codec.four_cc().unwrap_or(FourCc([0; 4]));
        let shared = match kind {
            MultitrackType::ManyTracksManyCodecs => None,
            _ => Some(tracks.first().map_or(FourCc([0; 4]), |t| four_cc(t.codec))),
        };
        let packet_type = wire_packet_type(self.packet, tracks.iter().copied());
        self.put_enhanced(self.frame_type, packet_type::MULTITRACK, out);
        put_multitrack(kind, packet_type, shared, out);
        for track in tracks {
            let time = si24(track.composition_time_ms);
            let timed =
                packet_type == packet_type::CODED_FRAMES && track.codec.has_composition_time();
            let head: &[u8] = if timed { &time } else { &[] };
            put_track(kind, four_cc(track.codec), track.id, head, track.data, out)?;
        }
        Ok(())
    }

    /// Writes the first byte, and ModEx when there are nanoseconds.
    fn put_enhanced(&self, frame_type: FrameType, packet_type: u8, out: &mut BytesMut) {
        let first = |packet_type| 0x80 | frame_type.bits() << 4 | packet_type & 0x0f;
        match self.nanosecond_offset {
            Some(nanoseconds) => {
                out.put_u8(first(MOD_EX));
                put_nanoseconds(nanoseconds, packet_type, out);
            }
            None => out.put_u8(first(packet_type)),
        }
    }
}

/// The packet type of the enhanced header. Frames whose composition times are
/// all zero leave them away.
fn wire_packet_type<'a>(
    packet: VideoPacket,
    mut tracks: impl Iterator<Item = VideoTrack<'a>>,
) -> u8 {
    match packet {
        VideoPacket::SequenceHeader => packet_type::SEQUENCE_START,
        VideoPacket::Mpeg2TsSequenceHeader => packet_type::MPEG2_TS_SEQUENCE_START,
        VideoPacket::CodedFrame => {
            let untimed = tracks
                .all(|track| track.codec.has_composition_time() && track.composition_time_ms == 0);
            match untimed {
                true => packet_type::CODED_FRAMES_X,
                false => packet_type::CODED_FRAMES,
            }
        }
        VideoPacket::SequenceEnd => packet_type::SEQUENCE_END,
        VideoPacket::Metadata => packet_type::METADATA,
        VideoPacket::Command(_) => packet_type::SEQUENCE_START,
        VideoPacket::Unknown(packet_type) => packet_type,
    }
}

/// A signed 24-bit integer, cut to the nearest that fits.
fn si24(value: i32) -> [u8; 3] {
    let [_, high, middle, low] = value.clamp(-0x80_0000, 0x7f_ffff).to_be_bytes();
    [high, middle, low]
}
