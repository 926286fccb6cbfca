//! What a joining player needs before the live frames: metadata, the codec
//! headers of every track and the frames since the last keyframe, bounded by
//! bytes.

use std::sync::Arc;

use livehost_media::{Kind, MainTrack, Packet, Role, Video, VideoTurn, VideoWatch, metadata};

use super::frame::Frame;
use super::group::Group;
use super::headers::Headers;

#[derive(Debug, Default)]
pub(super) struct Cache {
    metadata: Option<Arc<Frame>>,
    headers: Headers,
    group: Group,
    main_track: MainTrack,
    video_watch: VideoWatch,
    audio: Option<MainCodec>,
    video: Option<MainCodec>,
}

/// The codec of the lowest track seen: of the default one, as soon as it came.
#[derive(Debug, Clone, Copy)]
struct MainCodec {
    track: u8,
    name: &'static str,
}

impl Cache {
    /// Says whether a packet of video begins a group of pictures, which depends
    /// on the tracks before it. Its time is its publisher's still.
    pub(super) fn classify(&mut self, packet: &mut Packet) {
        self.retire_headers(packet);
        if packet.kind() == Kind::Video && packet.is_coded() {
            let keyframe = packet.role() == Role::Keyframe;
            let (tracks, dts) = (packet.scope().tracks, packet.dts());
            if !self.main_track.starts_group(tracks, keyframe, dts) {
                packet.demote();
            }
        }
    }

    /// What needs a header of a codec that its track has no longer is not for
    /// players that join later.
    pub(super) fn retire_headers(&mut self, packet: &Packet) {
        if packet.names_codecs() {
            let retired = self.headers.retire(packet);
            if !retired.is_empty() {
                self.group.forget(packet.kind(), retired);
            }
        }
    }

    /// Notes a packet whose frame may be kept, which [`Cache::keep`] says: what is
    /// made of it may depend on what this returns, the change about the video.
    pub(super) fn note(&mut self, packet: &Packet, limit: usize) -> Option<VideoTurn> {
        let turn = (self.video_watch).note(packet, Frame::cost_of(packet), limit);
        match turn {
            Some(VideoTurn::Stops) => self.group.pause(),
            Some(VideoTurn::Returns) => self.group.resume(packet.dts()),
            Some(VideoTurn::Begins | VideoTurn::LosesKeyframes) | None => {}
        }
        turn
    }

    /// Remembers a frame; `limit` bounds the bytes of media kept. A group of
    /// pictures larger than that is not kept at all. `noted` is what its packet
    /// cost when it was noted.
    pub(super) fn keep(&mut self, frame: &Arc<Frame>, noted: usize, limit: usize) {
        self.note_codec(frame.packet());
        // While there is no video the watch counts nothing.
        if !matches!(self.video_watch.video(), Video::Never | Video::Off) {
            self.video_watch.recount(noted, frame.cost());
        }
        match frame.role() {
            Role::Metadata => self.metadata = Some(self.merged(frame)),
            Role::Configuration => {
                let replaces = self.headers.has_other_than(frame);
                let before = self.headers.frames().cloned().collect();
                self.headers.push(frame);
                self.group
                    .push_header(frame, replaces, before, &self.headers, limit);
            }
            Role::Keyframe | Role::Delta | Role::EndOfSequence | Role::Data => {
                self.group.push(frame, limit);
            }
        }
    }

    /// A player that joins later gets what was said before, too.
    fn merged(&self, newer: &Arc<Frame>) -> Arc<Frame> {
        let Some(kept) = &self.metadata else {
            return newer.clone();
        };
        let (kept, newest) = (kept.packet().flv_body(), newer.packet().flv_body());
        let merged = metadata::merged(&kept, &newest);
        Packet::from_flv(Kind::Data, newer.packet().dts(), merged)
            .map_or_else(|_| newer.clone(), |merged| Arc::new(Frame::new(merged)))
    }

    /// Whether a packet clears what is kept of a handler, which is for the server
    /// alone: players keep what they were told. Those that join later get no
    /// metadata until there is some again.
    pub(super) fn clears(&mut self, packet: &Packet) -> bool {
        if packet.kind() != Kind::Data {
            return false;
        }
        let handler = metadata::cleared(&packet.flv_bytes());
        if handler.as_deref() == Some("onMetaData") {
            self.metadata = None;
        }
        handler.is_some()
    }

    fn note_codec(&mut self, packet: &Packet) {
        let known = match packet.kind() {
            Kind::Audio => &mut self.audio,
            Kind::Video => &mut self.video,
            Kind::Data => return,
        };
        if let (Some(name), Some(track)) = (packet.codec(), packet.scope().tracks.lowest())
            && known.is_none_or(|known| track <= known.track)
        {
            *known = Some(MainCodec { track, name });
        }
    }

    /// Whether players can count on video.
    pub(super) fn video(&self) -> Video {
        self.video_watch.video()
    }

    /// The codec of audio or video, once a message has told.
    pub(super) fn codec(&self, kind: Kind) -> Option<&'static str> {
        let known = match kind {
            Kind::Audio => self.audio,
            Kind::Video => self.video,
            Kind::Data => None,
        };
        known.map(|codec| codec.name)
    }

    /// Metadata, and the headers at the time of the first frame that follows.
    pub(super) fn preamble(&self, dts: i64) -> Vec<Arc<Frame>> {
        self.behind_metadata(self.headers.frames(), dts)
    }

    /// The frames from the last keyframe on, behind the preamble they were coded
    /// under, for a player that joins while the stream is at `newest`.
    pub(super) fn group(&mut self, newest: i64) -> Vec<Arc<Frame>> {
        let (before, now) = self.group.prepare(newest);
        self.video_watch.recount(before, now);
        let frames = self.group.frames();
        let first = frames.first().map_or(newest, |frame| frame.packet().dts());
        let mut burst = match self.group.headers() {
            Some(headers) => self.behind_metadata(headers.iter(), first),
            None => self.preamble(first),
        };
        burst.extend_from_slice(frames);
        burst
    }

    fn behind_metadata<'a>(
        &'a self,
        headers: impl Iterator<Item = &'a Arc<Frame>>,
        dts: i64,
    ) -> Vec<Arc<Frame>> {
        let all = self.metadata.iter().chain(headers);
        all.map(|frame| frame.at(dts)).collect()
    }

    /// Another publisher: nothing of the old is decodable with the new.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
