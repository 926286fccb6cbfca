//! livehost: a live-media server whose decisions are made by hot-reloadable
//! WASM components.
//!
//! Here is what knows all crates: the configuration, the supervisor that builds the
//! parts out of it, and the command line.

// They panic where nobody listens: see `livehost_telemetry::terminal`.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod author;
pub mod cli;
pub mod config;
mod control_socket;
pub mod operator;
pub mod supervisor;
pub mod watch;
