//! The configuration: `config.ron`, read, checked and typed.
//!
//! Flows in: the path of a file. Flows out: a [`Config`] whose every value is
//! within its range, or a [`ConfigError`] that shows each problem at its
//! place in the file.
//!
//! A new field is one entry in the table of its section (`livehost_settings`), which
//! stands in the crate that uses the setting, or in `schema`. The tables in
//! `docs/config.md` are made from it (`make docs`).

mod acceptors;
mod api;
mod chain;
mod diff;
mod error;
mod load;
mod masked;
mod naming;
mod relay;
mod schema;
pub(crate) mod settings;
#[cfg(test)]
mod tests;
mod tls;

pub use api::{ApiConfig, SocketPlace};
pub use chain::Chain;
pub use diff::{ApplicationChange, Diff};
pub use error::ConfigError;
pub use load::fields;
pub use schema::{
    AcceptorConfig, ApplicationConfig, CertificateFiles, Config, DecisionSettings, Join, LogFormat,
    LogSettings, LogTarget, MediaConfig, MetricsConfig, PluginLimits, ServerLimits,
};
