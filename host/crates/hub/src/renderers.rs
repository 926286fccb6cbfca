//! The renderers of one stream: one for each variant that is subscribed to.

use std::sync::Arc;

use livehost_media::Packet;

use super::frame::Frame;
use super::renderer::{Format, Renderer, Variant};

/// A format that a stream is subscribed to in: its subscribers hold it, and share
/// it.
#[derive(Debug)]
pub(super) struct Subscribed {
    variant: Variant,
    format: Arc<dyn Format>,
}

impl Subscribed {
    pub(super) fn variant(&self) -> Variant {
        self.variant
    }

    /// The frame with bytes of this format.
    pub(super) fn rendered(&self, frame: Arc<Frame>) -> Arc<Frame> {
        if frame.rendering(self.variant).is_some() {
            return frame;
        }
        let mut repeated = Frame::clone(&frame);
        repeated.add(self.variant, self.format.repeat(frame.packet()));
        Arc::new(repeated)
    }
}

#[derive(Debug, Default)]
pub(super) struct Renderers(Vec<RunningRenderer>);

#[derive(Debug)]
struct RunningRenderer {
    format: Arc<Subscribed>,
    renderer: Box<dyn Renderer>,
}

impl Renderers {
    /// One more subscriber of this format: it is one for as long as it holds what
    /// is returned.
    pub(super) fn subscribe(&mut self, format: &Arc<dyn Format>) -> Arc<Subscribed> {
        let variant = format.variant();
        if let Some(running) = self.0.iter().find(|other| other.format.variant == variant) {
            return running.format.clone();
        }
        let subscribed = Arc::new(Subscribed {
            variant,
            format: format.clone(),
        });
        self.0.push(RunningRenderer {
            format: subscribed.clone(),
            renderer: format.renderer(),
        });
        subscribed
    }

    /// A publication begins.
    pub(super) fn begin(&mut self) {
        for running in &mut self.0 {
            running.renderer.begin();
        }
    }

    /// The next packet that all subscribers get, rendered for all of them.
    pub(super) fn render(&mut self, packet: Packet) -> Arc<Frame> {
        let mut frame = Arc::new(Frame::new(packet));
        let mut has_unused = false;
        if let Some(frame) = Arc::get_mut(&mut frame) {
            for RunningRenderer { format, renderer } in &mut self.0 {
                if Arc::strong_count(format) == 1 {
                    has_unused = true;
                    continue;
                }
                let rendering = renderer.render(frame.packet());
                frame.add(format.variant, rendering);
            }
        }
        if has_unused {
            self.0
                .retain(|RunningRenderer { format, .. }| Arc::strong_count(format) > 1);
        }
        frame
    }
}
