//! Applications: what clients connect to, and what is granted there.
//!
//! Flows in: what a protocol's session was granted. Flows out: publications and
//! playbacks in the hub, each with the duty to say once that it ended; who is
//! connected; the shared objects of an application's clients. Nothing here knows
//! a protocol.

pub mod application;
pub mod conn;
pub mod control;
pub mod directory;
pub mod input;
pub mod lineage;
pub mod names;
pub mod output;
pub mod relays;
pub mod shared_objects;
