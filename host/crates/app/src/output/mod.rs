//! What becomes of a stream's frames: players, later recorders and relays.

pub mod chunks;
mod outbound;
mod playing;
mod send_queue;

pub use outbound::Outbound;
pub use playing::Playing;
pub(crate) use playing::Times;
pub use send_queue::{HIGH_WATER, SendQueue};
