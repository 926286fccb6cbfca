//! The configuration: `config.ron`, read, checked and typed.
//!
//! Flows in: the path of a file. Flows out: a [`Config`] whose every value is
//! within its range, or a [`ConfigError`] that shows each problem at its
//! place in the file.

mod error;
mod schema;

use std::{io, path::Path};

pub use error::{ConfigError, Problem, Report};
pub use schema::{
    Acceptor, Application, Chain, Config, Join, Limits, Log, LogFormat, Media, PluginLimits,
};

impl Config {
    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] without a file, [`ConfigError::Invalid`]
    /// with every problem found in it.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Err(ConfigError::Unreadable {
            path: path.to_owned(),
            source: io::ErrorKind::Unsupported.into(),
        })
    }
}
