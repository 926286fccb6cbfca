//! Frames that go out together: prepared once for all players of a stream.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::frame::{Frame, Kind, Role};

/// Frames in one vectored write at most.
pub(super) const MAX_FRAMES: usize = 64;

/// One frame, or those of one interval when writes are gathered.
#[derive(Debug, Default)]
pub(super) struct Batch {
    frames: Vec<Arc<Frame>>,
    chunks: Vec<Bytes>,
    bytes: usize,
    /// What all of it is cut for.
    chunk_size: u32,
    has_video: bool,
    /// A player that has no keyframe yet can take all of it.
    starts_anew: bool,
    has_keyframe: bool,
}

/// A batch on its way to one player after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivery<'a> {
    pub(super) frames: &'a [Arc<Frame>],
    pub(super) chunks: &'a [Bytes],
    pub(super) slices: &'a [IoSlice<'a>],
    /// Bytes of `chunks`.
    pub(super) bytes: usize,
    /// The chunk size that `chunks` are cut for.
    pub(super) chunk_size: u32,
    /// Audio waits for the keyframe, since the stream has video.
    pub(super) has_video: bool,
    pub(super) starts_anew: bool,
    pub(super) has_keyframe: bool,
    pub(super) now: Instant,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.frames.len() >= MAX_FRAMES
    }

    /// Whether `frame` may follow: players get a batch whole or not at all.
    pub(super) fn fits(&self, frame: &Frame) -> bool {
        self.is_empty() || self.chunk_size == frame.chunk_size()
    }

    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.chunks.clear();
        self.bytes = 0;
        self.has_keyframe = false;
    }

    pub(super) fn push(&mut self, frame: Arc<Frame>, has_video: bool) {
        if self.is_empty() {
            self.starts_anew = true;
            self.chunk_size = frame.chunk_size();
        }
        if frame.role() == Role::Keyframe {
            self.has_keyframe = true;
        }
        // What a player without a keyframe would have to leave out.
        let depends = frame.role() == Role::Dependent
            && !self.has_keyframe
            && (has_video || frame.kind() == Kind::Video);
        self.starts_anew &= !depends;
        self.has_video = has_video;
        self.bytes = self.bytes.saturating_add(frame.shared_chunks().len());
        self.chunks.push(frame.shared_chunks().clone());
        self.frames.push(frame);
    }

    /// Calls `deliver` with the batch as a player's queue wants it.
    pub(super) fn with_delivery(&self, now: Instant, deliver: impl FnOnce(&Delivery<'_>)) {
        let mut slices = [IoSlice::new(&[]); MAX_FRAMES];
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(chunk);
        }
        deliver(&Delivery {
            frames: &self.frames,
            chunks: &self.chunks,
            slices: slices.get(..self.chunks.len()).unwrap_or_default(),
            bytes: self.bytes,
            chunk_size: self.chunk_size,
            has_video: self.has_video,
            starts_anew: self.starts_anew,
            has_keyframe: self.has_keyframe,
            now,
        });
    }
}
