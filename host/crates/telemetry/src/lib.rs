//! What the server says of itself: log lines, counters, what it prints.
//!
//! Flows in: events and numbers of all crates, with texts of clients, files and
//! plugins in them. Flows out: lines of bounded length and number, without the
//! texts of settings, and counters by name. [`rotation`] is where lines are kept.

pub mod counters;
pub mod log;
pub mod network;
pub mod rotation;
pub mod secrets;
pub mod terminal;
