//! What the shipped policies share, so that a duration, a wildcard or a
//! duplicate rule is written the same way in all their configurations, and so
//! that their logic is tested natively against a scripted host.

mod client;
mod glob;
mod outside;
pub mod script;
mod settings;

pub use client::{address, is_tls, stream_path};
pub use glob::Glob;
pub use outside::{Host, Live, Outside};
pub use settings::{OnDuplicate, OneOrMany, Span};
