//! What the host offers to guests: one file for each imported interface.
//!
//! Each implements the trait that bindgen makes of the interface for
//! [`HostState`](super::instance::State), and nothing a guest passes can make it
//! fail in any other way than the interface says.

pub(super) mod control;
pub(super) mod http;
pub(super) mod kv;
pub(super) mod log;
pub(super) mod registry;
pub(super) mod timers;
pub(super) mod wasi_http;

use super::bindings::livehost::app::types;
use super::instance::HostState;

/// Types only.
impl types::Host for HostState {}
