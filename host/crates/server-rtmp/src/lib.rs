//! RTMP clients.
//!
//! Flows in: accepted sockets. Flows out: a session for each client, on top of
//! the layers that its chain has (`layers.rs`).

mod chain;
mod http;
mod layers;
mod rtmpe;
pub mod session;

pub use chain::RtmpChain;
pub use http::Tunnels;
pub use layers::{Layers, RtmpServer};
