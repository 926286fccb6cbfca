//! A plugin that refuses its settings, shown at their place in the file.
//!
//! Flows in: why a plugin can't serve. Flows out: the same for a terminal, with
//! the lines of the file, or for the log, where texts in them are masked: they may
//! be keys.

use std::path::Path;

use crate::config::settings;
use crate::config::{Application, ConfigError};
use crate::plugin::{Fault, PluginError};

/// For a terminal.
pub(super) fn in_full(file: &Path, application: &Application, error: PluginError) -> anyhow::Error {
    match place(file, &application.config, &error) {
        Some(place) => anyhow::anyhow!("{}:\n{place}", head(&error)),
        None => error.into(),
    }
}

/// For the log: a line, and those that follow it.
#[derive(Debug, thiserror::Error)]
#[error("{brief}")]
pub(super) struct Refused {
    brief: String,
    pub(super) lines: Vec<String>,
}

/// For the log, as a [`Refused`].
pub(super) fn in_brief(
    file: &Path,
    application: &Application,
    error: PluginError,
) -> anyhow::Error {
    match place(file, &application.config, &error) {
        Some(place) => Refused {
            brief: format!("{}: {}", head(&error), place.brief()),
            lines: place.lines(),
        }
        .into(),
        None => error.into(),
    }
}

/// The place in the file, if the plugin refused what `config`, the JSON that
/// it got, was made of.
pub(super) fn place(file: &Path, config: &str, error: &PluginError) -> Option<ConfigError> {
    match &error.fault {
        Fault::ConfigRefused(text) => settings::refused(file, &error.app, config, text),
        _ => None,
    }
}

fn head(error: &PluginError) -> String {
    format!(
        "application {:?}, plugin {}: refused its configuration",
        error.app,
        error.file.display()
    )
}
