//! Why a configuration is refused.

use std::{collections::BTreeSet, io, path::PathBuf};

use livehost_ron::ProblemReport;
use livehost_telemetry::secrets::is_of_word;

use super::load::fields;

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read, or is longer than a configuration ever is.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Unreadable {
        /// The file as it was given.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The text says something that cannot be meant; every problem that was
    /// found, in the order of the file.
    #[error("{0}")]
    Invalid(ProblemReport),
}

impl ConfigError {
    /// One line for a log: see [`ProblemReport::brief`].
    #[must_use]
    pub fn brief(&self) -> String {
        match self {
            Self::Unreadable { .. } => self.to_string(),
            Self::Invalid(report) => report.brief(field_names),
        }
    }

    /// Lines for a log: see [`ProblemReport::lines`].
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Unreadable { .. } => Vec::new(),
            Self::Invalid(report) => report.lines(field_names),
        }
    }
}

/// The names of the configuration's own fields.
fn field_names() -> BTreeSet<String> {
    let paths = fields().into_iter().map(|field| field.path);
    let names = paths.flat_map(|path| {
        let names = path.split(|c| !is_of_word(c)).map(str::to_owned);
        names.collect::<Vec<_>>()
    });
    names.filter(|name| !name.is_empty()).collect()
}
