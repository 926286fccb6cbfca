//! What goes to sockets is made of packets by a renderer: once for all
//! subscribers of a variant.
//!
//! The hub knows the traits; the servers of each protocol implement them.

use std::fmt;

use bytes::Bytes;
use livehost_media::{BodyLayout, Packet};

/// One form of the bytes that subscribers get, such as RTMP in chunks of 60,000
/// bytes. Those with equal variants share them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Variant {
    /// A short name of the format: one for each implementation of [`Format`].
    pub format: [u8; 4],
    /// What its variants differ in. Of settings, not of what a client says: each
    /// variant costs every packet a rendering.
    pub parameter: u32,
}

/// A format with its parameter: what subscribers ask for.
pub trait Format: fmt::Debug + Send + Sync {
    /// Its variant.
    fn variant(&self) -> Variant;

    /// A renderer for one stream.
    fn renderer(&self) -> Box<dyn Renderer>;

    /// The bytes of a packet outside of the order, for one subscriber that joins:
    /// of a header that it gets again, or of a packet that came before there was
    /// a renderer. Under no lock of the hub.
    fn repeat(&self, packet: &Packet) -> Rendering;
}

/// Makes the bytes of one variant for one stream. It starts with the first
/// subscriber of the variant, be the stream published or not, and ends with the
/// last. Called under the stream's lock: it must not wait.
pub trait Renderer: fmt::Debug + Send {
    /// A publication begins, or takes over from another: the packets that follow
    /// are coded anew. Their times go on.
    fn begin(&mut self) {}

    /// The next packet that all subscribers get, in the order in which they do.
    fn render(&mut self, packet: &Packet) -> Rendering;
}

/// What a renderer has made of a packet.
#[derive(Debug, Clone)]
pub struct Rendering {
    /// For the sockets of all subscribers.
    pub bytes: Bytes,
    /// Where the packet's body lies in them, if it does: then it is not kept
    /// beside them.
    pub body: Option<BodyLayout>,
}
