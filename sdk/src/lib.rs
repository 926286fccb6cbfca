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
//! `host plugin new NAME --lang rust` makes a folder that builds such a plugin;
//! `docs/plugins.md` of livehost describes that and the other tools. A running
//! host takes a new version as soon as the component is replaced, without a
//! stream being touched.
//!
//! What the host offers is in [`kv`], [`registry`], [`control`], [`timers`],
//! [`http_client`], [`clock`] and [`log`]. In native unit tests all of them ask a
//! [`testing::MockHost`].

extern crate self as livehost_sdk;

pub mod amf0;
mod app;
mod auth;
#[doc(hidden)]
pub mod bindings;
#[doc(hidden)]
pub mod bindings_auth;
#[doc(hidden)]
pub mod bindings_calls;
#[doc(hidden)]
pub mod bindings_events;
#[doc(hidden)]
pub mod bindings_relays;
#[doc(hidden)]
pub mod bindings_shared_objects;
pub mod clock;
mod config;
pub mod control;
mod decision;
mod export;
pub mod http_client;
mod import;
pub mod kv;
pub mod log;
pub mod registry;
mod rejection;
mod relays;
mod shared_objects;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
pub mod timers;
mod values;

pub use app::App;
pub use auth::{Authenticate, Challenge, Credential, Salted};
pub use bindings::exports::livehost::app::lifecycle::{StartReason, StopReason};
pub use bindings::livehost::app::types::{
    Client, ConnId, ConnectDecision, ConnectGrant, ConnectRequest, DuplicateRule, Handoff, Pairs,
    PlayDecision, PlayGrant, PublishDecision, PublishGrant, Recording, Rejection, Scalar,
    SessionEnd, StreamId, StreamInfo, StreamRequest,
};
pub use config::parse_config;
pub use decision::{Decision, accept, decide, deny, redirect};
pub use relays::{Relay, RelayFailure, Relays};
pub use shared_objects::{ObjectDecision, ObjectRequest, Operation, Property, ShareObjects};
pub use values::{codec, reason};

/// For [`export!`] only.
#[doc(hidden)]
pub mod __private {
    pub use crate::bindings::export_bindings;
    pub use crate::bindings_auth::export_auth_bindings;
    pub use crate::bindings_calls::export_calls_bindings;
    pub use crate::bindings_events::export_events_bindings;
    pub use crate::bindings_relays::export_relays_bindings;
    pub use crate::bindings_shared_objects::export_shared_objects_bindings;
    pub use crate::export::{Exports, Hosted};
    pub use wit_bindgen;
}
