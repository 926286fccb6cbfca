//! Commands to the media plane: queued, applied after the hook returns.
//!
//! ```
//! use livehost_sdk::{control, testing::{Command, MockHost}};
//!
//! let host = MockHost::new();
//! control::disconnect(7, "the stream is over")?;
//! assert_eq!(
//!     host.commands(),
//!     [Command::Disconnect { conn: 7, reason: "the stream is over".into() }]
//! );
//! # Ok::<(), control::ControlError>(())
//! ```

pub use crate::bindings::livehost::app::control::ControlError;
use crate::import::ask;
#[cfg(not(target_family = "wasm"))]
use crate::testing::Command;
use crate::{ConnId, Recording};

/// Ends a connection.
///
/// ```
/// # use livehost_sdk::{control, registry, testing::{self, Command, MockHost}};
/// let host = MockHost::new();
/// host.add_client(testing::client());
/// for client in registry::clients(1000) {
///     if client.remote.starts_with("203.0.113.") {
///         control::disconnect(client.conn, "this network is banned")?;
///     }
/// }
/// let (conn, reason) = (7, "this network is banned".into());
/// assert_eq!(host.commands(), [Command::Disconnect { conn, reason }]);
/// # Ok::<(), control::ControlError>(())
/// ```
pub fn disconnect(conn: ConnId, reason: &str) -> Result<(), ControlError> {
    ask!(control::disconnect(conn, reason), |host| {
        let reason = reason.to_owned();
        host.command(Command::Disconnect { conn, reason })
    })
}

/// Ends the publisher of a stream.
///
/// ```
/// # use livehost_sdk::{control, testing::{Command, MockHost}};
/// let host = MockHost::new();
/// control::stop_stream("cam1", "the show is over")?;
/// let (name, reason) = ("cam1".into(), "the show is over".into());
/// assert_eq!(host.commands(), [Command::StopStream { name, reason }]);
/// # Ok::<(), control::ControlError>(())
/// ```
pub fn stop_stream(name: &str, reason: &str) -> Result<(), ControlError> {
    ask!(control::stop_stream(name, reason), |host| {
        let (name, reason) = (name.to_owned(), reason.to_owned());
        host.command(Command::StopStream { name, reason })
    })
}

/// Starts to record a stream. Not available yet: a server answers
/// [`ControlError::Denied`], and its log says so.
///
/// ```
/// # use livehost_sdk::{Recording, control, testing::{Command, MockHost}};
/// let host = MockHost::new();
/// let spec = Recording { container: "flv".into(), path: "cam1.flv".into(), split_seconds: None };
/// control::start_record("cam1", &spec)?;
/// assert_eq!(host.commands(), [Command::StartRecord { name: "cam1".into(), spec }]);
/// # Ok::<(), control::ControlError>(())
/// ```
pub fn start_record(name: &str, spec: &Recording) -> Result<(), ControlError> {
    ask!(control::start_record(name, spec), |host| {
        let (name, spec) = (name.to_owned(), spec.clone());
        host.command(Command::StartRecord { name, spec })
    })
}

/// Ends the recordings of a stream. Not available yet: a server answers
/// [`ControlError::Denied`].
///
/// ```
/// # use livehost_sdk::{control, testing::{Command, MockHost}};
/// let host = MockHost::new();
/// control::stop_record("cam1")?;
/// assert_eq!(host.commands(), [Command::StopRecord { name: "cam1".into() }]);
/// # Ok::<(), control::ControlError>(())
/// ```
pub fn stop_record(name: &str) -> Result<(), ControlError> {
    ask!(control::stop_record(name), |host| {
        let name = name.to_owned();
        host.command(Command::StopRecord { name })
    })
}

/// Starts to push a stream to `url`.
///
/// ```
/// # use livehost_sdk::{control, testing::{Command, MockHost}};
/// let host = MockHost::new();
/// control::start_forward("cam1", "rtmp://cdn.example/live/cam1")?;
/// let (name, url) = ("cam1".into(), "rtmp://cdn.example/live/cam1".into());
/// assert_eq!(host.commands(), [Command::StartForward { name, url }]);
/// # Ok::<(), control::ControlError>(())
/// ```
pub fn start_forward(name: &str, url: &str) -> Result<(), ControlError> {
    ask!(control::start_forward(name, url), |host| {
        let (name, url) = (name.to_owned(), url.to_owned());
        host.command(Command::StartForward { name, url })
    })
}

/// Ends the push of a stream to `url`.
///
/// ```
/// # use livehost_sdk::{control, testing::{Command, MockHost}};
/// let host = MockHost::new();
/// control::stop_forward("cam1", "rtmp://cdn.example/live/cam1")?;
/// let (name, url) = ("cam1".into(), "rtmp://cdn.example/live/cam1".into());
/// assert_eq!(host.commands(), [Command::StopForward { name, url }]);
/// # Ok::<(), control::ControlError>(())
/// ```
pub fn stop_forward(name: &str, url: &str) -> Result<(), ControlError> {
    ask!(control::stop_forward(name, url), |host| {
        let (name, url) = (name.to_owned(), url.to_owned());
        host.command(Command::StopForward { name, url })
    })
}

/// Sends AMF0 values to the players of a stream, for their `handler`.
///
/// ```
/// # use livehost_sdk::{control, testing::{Command, MockHost}};
/// let host = MockHost::new();
/// // A string in AMF0: marker 2, its length in two bytes, UTF-8.
/// let goal = [&[2, 0, 4][..], b"goal"].concat();
/// control::send_data("cam1", "onScore", &goal)?;
/// assert!(matches!(&host.commands()[..], [Command::SendData { handler, .. }] if handler == "onScore"));
/// # Ok::<(), control::ControlError>(())
/// ```
pub fn send_data(name: &str, handler: &str, amf0: &[u8]) -> Result<(), ControlError> {
    ask!(control::send_data(name, handler, amf0), |host| {
        host.command(Command::SendData {
            name: name.to_owned(),
            handler: handler.to_owned(),
            amf0: amf0.to_vec(),
        })
    })
}
