//! Frames that go out together: prepared once for all players of a stream.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::frame::Frame;
use super::video::Video;

/// Frames in one write at most.
const MAX_FRAMES: usize = 64;
/// Bytes that are joined for one write at most: a longer frame goes alone.
const MAX_BYTES: usize = 1 << 20;

/// One frame, or those of one interval when writes are gathered.
#[derive(Debug, Default)]
pub(super) struct Batch {
    frames: Vec<Arc<Frame>>,
    /// The chunks of all frames in one piece, made before the first delivery.
    /// One plain write of it costs every player less than a vectored one.
    joined: Option<Bytes>,
    bytes: usize,
    /// What all of it is cut for.
    chunk_size: u32,
    video: Video,
}

/// A batch on its way to one player after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivery<'a> {
    pub(super) frames: &'a [Arc<Frame>],
    /// The same frames as one piece.
    pub(super) chunks: &'a Bytes,
    /// The chunk size that `chunks` are cut for.
    pub(super) chunk_size: u32,
    /// Whether audio waits for the keyframe.
    pub(super) video: Video,
    pub(super) now: Instant,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.frames.len() >= MAX_FRAMES || self.bytes >= MAX_BYTES
    }

    /// Whether `frame` may follow: players get a batch whole or not at all.
    pub(super) fn fits(&self, frame: &Frame) -> bool {
        let bytes = self.bytes.saturating_add(frame.shared_chunks().len());
        self.is_empty() || (self.chunk_size == frame.chunk_size() && bytes <= MAX_BYTES)
    }

    pub(super) fn clear(&mut self) {
        self.frames.clear();
        self.joined = None;
        self.bytes = 0;
    }

    pub(super) fn push(&mut self, frame: Arc<Frame>, video: Video) {
        if self.is_empty() {
            self.chunk_size = frame.chunk_size();
        }
        self.video = video;
        self.bytes = self.bytes.saturating_add(frame.shared_chunks().len());
        self.frames.push(frame);
    }

    /// The batch as a player's queue wants it.
    pub(super) fn delivery(&mut self, now: Instant) -> Delivery<'_> {
        let chunks = self.joined.get_or_insert_with(|| join(&self.frames));
        Delivery {
            frames: &self.frames,
            chunks,
            chunk_size: self.chunk_size,
            video: self.video,
            now,
        }
    }
}

fn join(frames: &[Arc<Frame>]) -> Bytes {
    if let [frame] = frames {
        return frame.shared_chunks().clone();
    }
    let bytes = frames.iter().map(|frame| frame.shared_chunks().len()).sum();
    let mut joined = BytesMut::with_capacity(bytes);
    for frame in frames {
        joined.extend_from_slice(frame.shared_chunks());
    }
    joined.freeze()
}
