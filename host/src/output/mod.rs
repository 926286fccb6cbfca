//! What becomes of a stream's frames: players, later recorders and relays.

pub mod play;
mod send_queue;

pub use send_queue::SendQueue;
