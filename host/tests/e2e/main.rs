//! The server as users run it: the real binary, real encoders and players, and
//! a scripted client for what real ones don't do.
//!
//! Every test starts a server of its own on a free port with a configuration
//! of its own, and prints the figures it found (`cargo test -- --nocapture`).
//! Tests that measure lateness run alone, see [`support::alone`]. A missing
//! client is a failure in CI and a loud skip elsewhere.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's way to fail; clippy's own allowance covers test functions only, not what they call"
)]

mod addresses;
mod auth;
mod author;
mod bad_plugins;
mod cases;
mod compiling;
mod conformance;
mod decisions;
mod disconnects;
mod duplicate;
mod enhanced;
mod expanding;
mod first_words;
mod garbage;
mod http;
mod interface;
mod joining;
mod languages;
mod lifecycle;
mod links;
mod log_lines;
mod login;
mod matrix;
mod obs;
mod operators;
mod players;
mod publish_play;
mod reconfigure;
mod refused_settings;
mod relays;
mod reload;
mod rtmps;
mod shared_objects;
mod shipped;
mod slow_players;
mod sound;
mod state;
mod strangers;
mod support;
mod templates;
mod timestamps;
#[path = "../common/transcript/mod.rs"]
mod transcript;
mod transcripts;
mod transports;
mod tunnels;
