//! The configuration: `config.ron`, read, checked and typed.
//!
//! Flows in: the path of a file. Flows out: a [`Config`] whose every value is
//! within its range, or a [`ConfigError`] that shows each problem at its
//! place in the file.
//!
//! A new field is added in three places: the type in `schema`, one line in
//! `load` with its range, and its row in `docs/config.md` (a test says which
//! row is missing).

mod acceptors;
mod diff;
mod error;
mod http;
mod load;
mod naming;
mod relay;
mod schema;
pub(crate) mod settings;
mod shared_objects;
#[cfg(test)]
mod tests;
mod tls;

pub use diff::{Change, Diff};
pub use error::ConfigError;
pub use load::fields;
pub use schema::{
    AcceptorConfig, ApplicationConfig, CertificateFiles, Chain, Config, Join, LogFormat,
    LogSettings, MediaConfig, PluginLimits, ServerLimits,
};
