//! The renderers of one stream: one for each variant that is subscribed to.

use std::sync::Arc;

use livehost_media::Packet;

use super::frame::Frame;
use super::renderer::{Format, Renderer, Variant};

#[derive(Debug, Default)]
pub(super) struct Renderers(Vec<Running>);

#[derive(Debug)]
struct Running {
    variant: Variant,
    renderer: Box<dyn Renderer>,
    subscribers: usize,
}

impl Renderers {
    /// One more subscriber of this format.
    pub(super) fn subscribe(&mut self, format: &dyn Format) {
        let variant = format.variant();
        match self.0.iter_mut().find(|other| other.variant == variant) {
            Some(running) => running.subscribers = running.subscribers.saturating_add(1),
            None => self.0.push(Running {
                variant,
                renderer: format.renderer(),
                subscribers: 1,
            }),
        }
    }

    /// One subscriber less.
    pub(super) fn unsubscribe(&mut self, variant: Variant) {
        if let Some(running) = self.0.iter_mut().find(|other| other.variant == variant) {
            running.subscribers = running.subscribers.saturating_sub(1);
        }
        self.0.retain(|running| running.subscribers > 0);
    }

    /// The variants that are subscribed to.
    pub(super) fn variants(&self) -> Vec<Variant> {
        self.0.iter().map(|running| running.variant).collect()
    }

    /// The stream's next packet, rendered for all subscribers.
    pub(super) fn render(&mut self, packet: Packet) -> Arc<Frame> {
        let mut frame = Frame::new(packet);
        for running in &mut self.0 {
            let rendering = running.renderer.render(frame.packet());
            frame.add(running.variant, rendering);
        }
        Arc::new(frame)
    }

    /// A frame of before at `dts`, rendered for subscribers of `wanted` that
    /// join.
    pub(super) fn repeat(&self, frame: &Arc<Frame>, dts: i64, wanted: &[Variant]) -> Arc<Frame> {
        let mut repeated = if frame.packet().is_at(dts) {
            frame.clone()
        } else {
            Arc::new(Frame::new(frame.packet().at(dts)))
        };
        self.complete(std::slice::from_mut(&mut repeated), wanted);
        repeated
    }

    /// Adds what `wanted` needs and `frames` have not.
    pub(super) fn complete(&self, frames: &mut [Arc<Frame>], wanted: &[Variant]) {
        for variant in wanted {
            let Some(running) = self.0.iter().find(|running| running.variant == *variant) else {
                continue;
            };
            for frame in &mut *frames {
                if frame.rendering(*variant).is_none() {
                    let rendering = running.renderer.repeat(frame.packet());
                    Arc::make_mut(frame).add(*variant, rendering);
                }
            }
        }
    }
}
