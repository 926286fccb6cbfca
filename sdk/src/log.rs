//! The host's log, with the application's name on every line.
//!
//! The host limits the lines of a second (100 unless configured). Compiled
//! natively (unit tests), lines go to standard error.

pub use crate::bindings::livehost::app::log::Level;

/// Writes one line with fields.
pub fn write(level: Level, message: &str, fields: &[(&str, &str)]) {
    #[cfg(target_family = "wasm")]
    {
        let fields: Vec<(String, String)> = fields
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        crate::bindings::livehost::app::log::write(level, message, &fields);
    }
    #[cfg(not(target_family = "wasm"))]
    eprintln!("{level:?} {message} {fields:?}");
}

/// Writes a line for developers, usually not shown.
pub fn debug(message: impl AsRef<str>) {
    write(Level::Debug, message.as_ref(), &[]);
}

/// Writes a line about ordinary operation.
pub fn info(message: impl AsRef<str>) {
    write(Level::Info, message.as_ref(), &[]);
}

/// Writes a line an operator should look at.
pub fn warn(message: impl AsRef<str>) {
    write(Level::Warn, message.as_ref(), &[]);
}

/// Writes a line about a failure.
pub fn error(message: impl AsRef<str>) {
    write(Level::Error, message.as_ref(), &[]);
}
