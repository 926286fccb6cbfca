//! Commands to the media plane: queued, applied in their order after the hook has
//! returned. Those of a hook that fails are dropped.
//!
//! Streams are called by their paths, see [`crate::registry`], or by
//! [`StreamInfo::id`](crate::StreamInfo): that means this publish, and none that
//! follows it under its name.
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
use crate::{ConnId, Recording, StreamId};

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
        host.connected(conn)?;
        let reason = reason.to_owned();
        host.command(Command::Disconnect { conn, reason })
    })
}

/// Ends a publish. Its connection goes on if it has other streams, or uses a
/// shared object.
///
/// ```
/// # use livehost_sdk::{control, testing::{self, Command, MockHost}};
/// let host = MockHost::new();
/// let stream = testing::stream("room1/cam");
/// control::stop_stream(&stream.path(), "the show is over")?;
/// let (name, reason) = ("room1/cam".into(), "the show is over".into());
/// assert_eq!(host.commands(), [Command::StopStream { name, reason }]);
/// # Ok::<(), control::ControlError>(())
/// ```
pub fn stop_stream(path: &str, reason: &str) -> Result<(), ControlError> {
    ask!(control::stop_stream(path, reason), |host| {
        let (name, reason) = (host.target(path)?, reason.to_owned());
        host.command(Command::StopStream { name, reason })
    })
}

/// Ends this publish, see [`stop_stream`].
///
/// ```
/// # use livehost_sdk::{StreamInfo, control, testing::{self, Command, MockHost}};
/// let host = MockHost::new();
/// let stream = StreamInfo { id: 5, ..testing::stream("cam1") };
/// host.add_stream(stream.clone());
/// control::stop_stream_id(stream.id, "the show is over")?;
/// let reason = "the show is over".into();
/// assert_eq!(host.commands(), [Command::StopStreamId { id: 5, reason }]);
/// // Another publish has the name by now.
/// host.remove_stream("cam1");
/// host.add_stream(StreamInfo { id: 6, ..testing::stream("cam1") });
/// let again = control::stop_stream_id(stream.id, "the show is over");
/// assert_eq!(again, Err(control::ControlError::NotFound));
/// # Ok::<(), control::ControlError>(())
/// ```
pub fn stop_stream_id(id: StreamId, reason: &str) -> Result<(), ControlError> {
    ask!(control::stop_stream_id(id, reason), |host| {
        host.target_id(id)?;
        let reason = reason.to_owned();
        host.command(Command::StopStreamId { id, reason })
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
pub fn start_record(path: &str, spec: &Recording) -> Result<(), ControlError> {
    ask!(control::start_record(path, spec), |host| {
        let (name, spec) = (host.target(path)?, spec.clone());
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
pub fn stop_record(path: &str) -> Result<(), ControlError> {
    ask!(control::stop_record(path), |host| {
        let name = host.target(path)?;
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
pub fn start_forward(path: &str, url: &str) -> Result<(), ControlError> {
    ask!(control::start_forward(path, url), |host| {
        let (name, url) = (host.target(path)?, url.to_owned());
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
pub fn stop_forward(path: &str, url: &str) -> Result<(), ControlError> {
    ask!(control::stop_forward(path, url), |host| {
        let (name, url) = (host.target(path)?, url.to_owned());
        host.command(Command::StopForward { name, url })
    })
}

/// Pushes this publish to `url`, see [`start_forward`].
///
/// ```
/// # use livehost_sdk::{control, testing::{Command, MockHost}};
/// let host = MockHost::new();
/// control::start_forward_id(5, "rtmp://cdn.example/live/cam1")?;
/// let url = "rtmp://cdn.example/live/cam1".into();
/// assert_eq!(host.commands(), [Command::StartForwardId { id: 5, url }]);
/// # Ok::<(), control::ControlError>(())
/// ```
pub fn start_forward_id(id: StreamId, url: &str) -> Result<(), ControlError> {
    ask!(control::start_forward_id(id, url), |host| {
        host.target_id(id)?;
        let url = url.to_owned();
        host.command(Command::StartForwardId { id, url })
    })
}

/// Ends the push of this publish to `url`, see [`stop_forward`].
///
/// ```
/// # use livehost_sdk::{control, testing::{Command, MockHost}};
/// let host = MockHost::new();
/// control::stop_forward_id(5, "rtmp://cdn.example/live/cam1")?;
/// let url = "rtmp://cdn.example/live/cam1".into();
/// assert_eq!(host.commands(), [Command::StopForwardId { id: 5, url }]);
/// # Ok::<(), control::ControlError>(())
/// ```
pub fn stop_forward_id(id: StreamId, url: &str) -> Result<(), ControlError> {
    ask!(control::stop_forward_id(id, url), |host| {
        host.target_id(id)?;
        let url = url.to_owned();
        host.command(Command::StopForwardId { id, url })
    })
}

/// Sends AMF0 values to the players of a stream, for their `handler`; see
/// [`crate::amf0`]. `onMetaData` is kept for players that come later, too.
///
/// ```
/// # use livehost_sdk::{amf0, control, testing::{Command, MockHost}};
/// let host = MockHost::new();
/// control::send_data("cam1", "onScore", &amf0::text("goal"))?;
/// assert!(matches!(&host.commands()[..], [Command::SendData { handler, .. }] if handler == "onScore"));
/// let denied = control::send_data("cam1", "onScore", b"goal");
/// assert_eq!(denied, Err(control::ControlError::Denied), "that is no AMF0");
/// # Ok::<(), control::ControlError>(())
/// ```
pub fn send_data(path: &str, handler: &str, amf0: &[u8]) -> Result<(), ControlError> {
    ask!(control::send_data(path, handler, amf0), |host| {
        let name = host.target(path)?;
        host.check_data(handler, amf0)?;
        host.command(Command::SendData {
            name,
            handler: handler.to_owned(),
            amf0: amf0.to_vec(),
        })
    })
}

/// Sends AMF0 values to the players of this publish, see [`send_data`].
///
/// ```
/// # use livehost_sdk::{amf0, control, testing::{Command, MockHost}};
/// let host = MockHost::new();
/// control::send_data_id(5, "onScore", &amf0::text("goal"))?;
/// assert!(matches!(&host.commands()[..], [Command::SendDataId { id: 5, .. }]));
/// # Ok::<(), control::ControlError>(())
/// ```
pub fn send_data_id(id: StreamId, handler: &str, amf0: &[u8]) -> Result<(), ControlError> {
    ask!(control::send_data_id(id, handler, amf0), |host| {
        host.target_id(id)?;
        host.check_data(handler, amf0)?;
        host.command(Command::SendDataId {
            id,
            handler: handler.to_owned(),
            amf0: amf0.to_vec(),
        })
    })
}
