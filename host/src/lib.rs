//! livehost: a live-media server whose decisions are made by hot-reloadable
//! WASM components.
//!
//! Data flows one way, and so do the modules' dependencies:
//!
//! ```text
//! net (acceptor, carrier) -> chain -> session -> policy decides -> hub -> output
//!                                                    relay (pull) -> hub -> relay (push)
//! ```
//!
//! Only [`supervisor`] names [`plugin`] (the configuration has its limits, plain
//! data); a session knows the trait
//! [`policy::Policy`], and the hub never names a session.

// They panic where nobody listens: see `terminal`.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod application;
pub mod author;
pub mod carrier;
pub mod chain;
pub mod cli;
pub mod config;
pub mod conn;
pub mod control;
pub mod hub;
pub mod input;
pub mod logging;
pub mod net;
mod network;
pub mod outbound;
pub mod output;
pub mod plugin;
pub mod policy;
pub mod relay;
mod secrets;
pub mod session;
pub mod shared_objects;
pub mod supervisor;
pub mod tally;
pub mod terminal;
pub mod watch;
