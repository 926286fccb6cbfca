//! A plugin that refuses its settings, shown at their place in the file.
//!
//! Flows in: why a plugin can't serve. Flows out: the same for a terminal, with
//! the lines of the file, or for the log, where what may be a key is masked.

use std::path::Path;

use livehost_plugin::{Fault, PluginError};
use livehost_telemetry::secrets::without_settings;

use crate::config::settings;
use crate::config::{ApplicationConfig, ConfigError};

/// For a terminal.
pub(super) fn in_full(
    file: &Path,
    application: &ApplicationConfig,
    error: PluginError,
) -> anyhow::Error {
    match place(file, &application.config, &error) {
        Some(place) => anyhow::anyhow!("{}:\n{place}", head(&error)),
        None => error.into(),
    }
}

/// For the log, in one line; [`lines`] has the others.
pub(super) fn in_brief(
    file: &Path,
    application: &ApplicationConfig,
    error: PluginError,
) -> anyhow::Error {
    match place(file, &application.config, &error) {
        Some(place) => {
            let head = head(&error);
            Brief { head, place }.into()
        }
        None => {
            let said = without_settings(&application.config, &error.fault.to_string());
            anyhow::anyhow!("{}: {said}", subject(&error))
        }
    }
}

/// A refusal with its place.
#[derive(Debug, thiserror::Error)]
#[error("{head}: {}", place.brief())]
struct Brief {
    head: String,
    place: ConfigError,
}

/// The lines of the file that an error of [`in_brief`] is about, with the place
/// marked, and keys masked.
pub(super) fn lines(error: &anyhow::Error) -> Vec<String> {
    let brief = error.downcast_ref::<Brief>();
    brief.map_or_else(Vec::new, |brief| brief.place.lines())
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
    format!("{}: refused its configuration", subject(error))
}

fn subject(error: &PluginError) -> String {
    format!(
        "application {:?}, plugin {}",
        error.app,
        error.file.display()
    )
}
