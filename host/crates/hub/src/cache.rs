//! What a joining player needs before the live frames: metadata, the codec
//! headers of every track and the frames since the last keyframe, bounded by
//! bytes.

use std::sync::Arc;

use livehost_rtmp::data;

use super::frame::{Draft, Frame, Kind, Role};
use super::group::Group;
use super::headers::Headers;
use super::tracks::MainTrack;
use super::video::{Seen, Turn, Video, VideoWatch};

#[derive(Debug, Default)]
pub(super) struct Cache {
    metadata: Option<Arc<Frame>>,
    headers: Headers,
    group: Group,
    main_track: MainTrack,
    video_watch: VideoWatch,
    audio: Option<TrackCodec>,
    video: Option<TrackCodec>,
}

/// The codec of the lowest track seen: of the default one, as soon as it came.
#[derive(Debug, Clone, Copy)]
struct TrackCodec {
    track: u8,
    name: &'static str,
}

impl Cache {
    /// Says whether a video frame begins a group of pictures, which depends on
    /// the tracks before it. `timestamp` in the publisher's milliseconds.
    pub(super) fn classify(&mut self, draft: &mut Draft, timestamp: u32) {
        self.retire_headers(draft);
        if draft.kind() == Kind::Video && draft.media_track().is_some() {
            let keyframe = draft.role() == Role::Keyframe;
            if !self
                .main_track
                .starts_group(draft.slot().tracks, keyframe, timestamp)
            {
                draft.depends();
            }
        }
    }

    /// What needs a header of a codec that its track has no longer is not for
    /// players that join later.
    pub(super) fn retire_headers(&mut self, draft: &Draft) {
        if draft.names_codecs() {
            let retired = self.headers.retire(draft);
            if !retired.is_empty() {
                self.group.forget(draft.kind(), retired);
            }
        }
    }

    /// Remembers a frame; `limit` bounds the bytes of media kept. A group of
    /// pictures larger than that is not kept at all. Returns what that changes
    /// about the video.
    pub(super) fn push(&mut self, frame: &Arc<Frame>, limit: usize) -> Option<Turn> {
        self.note_codec(frame);
        let turn = self.video_watch.note(frame.seen(), limit);
        match turn {
            Some(Turn::Stops) => self.group.pause(),
            Some(Turn::Returns) => self.group.resume(frame.timestamp()),
            Some(Turn::Begins | Turn::LosesKeyframes) | None => {}
        }
        match frame.role() {
            Role::Metadata => self.metadata = Some(self.merged(frame)),
            Role::Header => {
                let replaces = self.headers.has_other_than(frame);
                let before = self.headers.frames().cloned().collect();
                self.headers.push(frame);
                self.group
                    .push_header(frame, replaces, before, &self.headers, limit);
            }
            Role::Keyframe | Role::Dependent => self.group.push(frame, limit),
        }
        turn
    }

    /// Notes media that is not kept: of a publisher that stands by.
    pub(super) fn note(&mut self, seen: Seen, limit: usize) {
        self.video_watch.note(seen, limit);
    }

    /// A player that joins later gets what was said before, too.
    fn merged(&self, newer: &Arc<Frame>) -> Arc<Frame> {
        let Some(kept) = &self.metadata else {
            return newer.clone();
        };
        let payload = data::merged_metadata(&kept.payload(), &newer.payload());
        Frame::new(Kind::Data, newer.timestamp(), payload, newer.chunk_size())
            .map_or_else(|_| newer.clone(), Arc::new)
    }

    /// Players that join later get no metadata until there is some again.
    pub(super) fn clear_metadata(&mut self) {
        self.metadata = None;
    }

    fn note_codec(&mut self, frame: &Frame) {
        let known = match frame.kind() {
            Kind::Audio => &mut self.audio,
            Kind::Video => &mut self.video,
            Kind::Data => return,
        };
        if let (Some(name), Some(track)) = (frame.codec(), frame.slot().tracks.lowest())
            && known.is_none_or(|known| track <= known.track)
        {
            *known = Some(TrackCodec { track, name });
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
    pub(super) fn preamble(&self, timestamp: u32, chunk_size: u32) -> Vec<Arc<Frame>> {
        self.preamble_of(self.headers.frames(), timestamp, chunk_size)
    }

    fn preamble_of<'a>(
        &'a self,
        headers: impl Iterator<Item = &'a Arc<Frame>>,
        timestamp: u32,
        chunk_size: u32,
    ) -> Vec<Arc<Frame>> {
        let metadata = self.metadata.iter();
        metadata
            .chain(headers)
            .map(|frame| match frame.is_at(timestamp, chunk_size) {
                true => frame.clone(),
                false => Arc::new(frame.restamped(timestamp, chunk_size)),
            })
            .collect()
    }

    /// The frames from the last keyframe on, behind the preamble they were
    /// coded under, for a player that joins while the stream is at `newest`.
    pub(super) fn group(&mut self, newest: u32, chunk_size: u32) -> Vec<Arc<Frame>> {
        self.group.refresh(newest);
        let frames = self.group.frames();
        let first = frames.first().map_or(newest, |frame| frame.timestamp());
        let mut burst = match self.group.headers() {
            Some(headers) => self.preamble_of(headers.iter(), first, chunk_size),
            None => self.preamble(first, chunk_size),
        };
        burst.extend_from_slice(frames);
        burst
    }

    /// Another publisher: nothing of the old is decodable with the new.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
