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
pub fn disconnect(conn: ConnId, reason: &str) -> Result<(), ControlError> {
    ask!(control::disconnect(conn, reason), |host| {
        let reason = reason.to_owned();
        host.command(Command::Disconnect { conn, reason })
    })
}

/// Ends the publisher of a stream.
pub fn stop_stream(name: &str, reason: &str) -> Result<(), ControlError> {
    ask!(control::stop_stream(name, reason), |host| {
        let (name, reason) = (name.to_owned(), reason.to_owned());
        host.command(Command::StopStream { name, reason })
    })
}

/// Starts to record a stream.
pub fn start_record(name: &str, spec: &Recording) -> Result<(), ControlError> {
    ask!(control::start_record(name, spec), |host| {
        let (name, spec) = (name.to_owned(), spec.clone());
        host.command(Command::StartRecord { name, spec })
    })
}

/// Ends the recordings of a stream.
pub fn stop_record(name: &str) -> Result<(), ControlError> {
    ask!(control::stop_record(name), |host| {
        let name = name.to_owned();
        host.command(Command::StopRecord { name })
    })
}

/// Starts to push a stream to `url`.
pub fn start_forward(name: &str, url: &str) -> Result<(), ControlError> {
    ask!(control::start_forward(name, url), |host| {
        let (name, url) = (name.to_owned(), url.to_owned());
        host.command(Command::StartForward { name, url })
    })
}

/// Ends the push of a stream to `url`.
pub fn stop_forward(name: &str, url: &str) -> Result<(), ControlError> {
    ask!(control::stop_forward(name, url), |host| {
        let (name, url) = (name.to_owned(), url.to_owned());
        host.command(Command::StopForward { name, url })
    })
}

/// Sends AMF0 values to the players of a stream, for their `handler`.
pub fn send_data(name: &str, handler: &str, amf0: &[u8]) -> Result<(), ControlError> {
    ask!(control::send_data(name, handler, amf0), |host| {
        host.command(Command::SendData {
            name: name.to_owned(),
            handler: handler.to_owned(),
            amf0: amf0.to_vec(),
        })
    })
}
