//! What becomes of a stream's frames: players, later recorders and relays.

pub mod chunks;
mod outbound;
pub mod play;
mod send_queue;

pub use outbound::Outbound;
pub use send_queue::{HIGH_WATER, SendQueue};
