//! Write a livehost policy in Rust: implement [`App`], name it in
//! [`export!`], build it for `wasm32-wasip2`.
//!
//! ```
//! use livehost_sdk::{App, PublishDecision, StreamRequest, accept, deny};
//!
//! struct Studio;
//!
//! impl App for Studio {
//!     fn configure(_config: &str) -> Result<Self, String> {
//!         Ok(Studio)
//!     }
//!     fn on_publish(&self, req: &StreamRequest) -> PublishDecision {
//!         if req.name.starts_with("studio-") { accept() } else { deny("only studio-* streams") }
//!     }
//! }
//!
//! livehost_sdk::export!(Studio);
//! # fn main() {}
//! ```
//!
//! with this `Cargo.toml`:
//!
//! ```toml
//! [package]
//! name = "studio"
//! version = "0.1.0"
//! edition = "2024"
//!
//! [lib]
//! crate-type = ["cdylib"]
//!
//! [dependencies]
//! livehost-sdk = { path = "../livehost/sdk" }
//! ```
//!
//! and `cargo build --release --target wasm32-wasip2`. The component is
//! `target/wasm32-wasip2/release/studio.wasm`; a running host takes a new
//! version as soon as the file is replaced, without a stream being touched.
//!
//! What the host offers is in [`kv`], [`registry`], [`control`], [`timers`],
//! [`http_client`] and [`log`]. Outside WebAssembly (unit tests) those of them
//! that ask the host panic, so keep decisions apart from the calls they need.

extern crate self as livehost_sdk;

mod app;
#[doc(hidden)]
pub mod bindings;
mod config;
mod decision;
mod export;
pub mod log;

pub use app::App;
pub use bindings::exports::livehost::app::lifecycle::{StartReason, StopReason};
pub use bindings::livehost::app::types::{
    Client, ConnId, ConnectDecision, ConnectGrant, ConnectRequest, DuplicateRule, Handoff, Pairs,
    PlayDecision, PlayGrant, PublishDecision, PublishGrant, Recording, Rejection, Scalar,
    SessionEnd, StreamId, StreamInfo, StreamRequest,
};
pub use bindings::livehost::app::{control, http_client, kv, registry, timers};
pub use config::parse_config;
pub use decision::{Decision, accept, deny};

/// For [`export!`] only.
#[doc(hidden)]
pub mod __private {
    pub use crate::bindings::export_bindings;
    pub use crate::export::{Exports, Hosted};
    pub use wit_bindgen;
}
