//! Applications: what clients connect to, and what is granted there.
//!
//! Flows in: what a protocol's session is asked for. Flows out: publications and
//! playbacks in the hub, each with the duty to say once that it ended, or why there
//! is none; who is connected; the shared objects of an application's clients.
//! Nothing here knows a protocol's words.

pub mod application;
pub mod broker;
pub mod claims;
pub mod conn;
pub mod control;
pub mod directory;
pub mod input;
pub mod lineage;
pub mod names;
pub mod output;
pub mod refusal;
pub mod relays;
pub mod shared_objects;
