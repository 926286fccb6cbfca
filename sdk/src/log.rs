//! The host's log, with the application's name on every line.
//!
//! The host limits the lines of a second (100 unless configured). In native
//! tests lines go to the [`MockHost`](crate::testing::MockHost), without one to
//! standard error.
//!
//! ```
//! use livehost_sdk::{log, testing::MockHost};
//!
//! let host = MockHost::new();
//! log::write(log::Level::Warn, "no such key", &[("stream", "cam1")]);
//! assert_eq!(host.log()[0].message, "no such key");
//! ```

pub use crate::bindings::livehost::app::log::Level;

/// Writes one line with fields.
///
/// ```
/// # use livehost_sdk::{log, testing::MockHost};
/// let host = MockHost::new();
/// log::write(log::Level::Info, "on air", &[("stream", "cam1"), ("user", "ann")]);
/// assert_eq!(host.log()[0].fields[1], ("user".to_owned(), "ann".to_owned()));
/// ```
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
    if crate::testing::try_with(|host| host.line(level, message, fields)).is_none() {
        eprintln!("{level:?} {message} {fields:?}");
    }
}

/// Writes a line for developers, usually not shown.
///
/// ```
/// # use livehost_sdk::{log, testing::MockHost};
/// let host = MockHost::new();
/// log::debug("asked the back end");
/// log::info("a new key set was fetched");
/// log::warn(format!("{} keys are too short", 2));
/// log::error("the key set can't be read");
/// let levels: Vec<_> = host.log().iter().map(|line| line.level).collect();
/// assert_eq!(levels, [log::Level::Debug, log::Level::Info, log::Level::Warn, log::Level::Error]);
/// ```
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
