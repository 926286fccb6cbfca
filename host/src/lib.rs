//! livehost: a live-media server whose decisions are made by hot-reloadable
//! WASM components.
//!
//! Data flows one way, and so do the modules' dependencies:
//!
//! ```text
//! net (acceptor, carrier) -> chain -> session -> policy decides -> hub -> output
//! ```
//!
//! Only [`supervisor`] names [`plugin`]; a session knows the trait
//! [`policy::Policy`], and the hub never names a session.

pub mod cli;
pub mod config;
pub mod policy;
pub mod plugin;
pub mod watch;
