//! What a policy may ask of the media plane, and what it may order.
//!
//! The plugin runtime calls these for the guest's `registry` and `control`
//! imports; the hub and the session directory implement them. They take the
//! application's name, so one application never sees another's streams.

use super::{Client, ConnId, Recording, StreamInfo};

/// Texts of all streams or clients of one answer, in bytes.
const MAX_ANSWER: usize = 4 << 20;

/// The first of `found`, at most `limit` and as many as fit into one answer.
pub fn first<T>(
    found: impl Iterator<Item = T>,
    limit: usize,
    bytes: impl Fn(&T) -> usize,
) -> Vec<T> {
    let mut left = MAX_ANSWER;
    found
        .take(limit)
        .map_while(|item| {
            left = left.checked_sub(bytes(&item))?;
            Some(item)
        })
        .collect()
}

/// Snapshot reads of live streams and connections; these never block.
pub trait StreamRegistry: Send + Sync + 'static {
    /// The stream of this application with this name, `instance/name` for
    /// streams of an application instance.
    fn get(&self, app: &str, name: &str) -> Option<StreamInfo>;
    /// Up to `limit` streams whose name starts with `prefix`, in name order, as
    /// [`first`] takes them.
    fn find(&self, app: &str, prefix: &str, limit: usize) -> Vec<StreamInfo>;
    /// How many streams have a name that starts with `prefix`.
    fn count(&self, app: &str, prefix: &str) -> usize;
    /// Up to `limit` connections that the application accepted, oldest first, as
    /// [`first`] takes them.
    fn clients(&self, app: &str, limit: usize) -> Vec<Client>;
}

/// Commands to the media plane: queued, applied after the call returns.
pub trait MediaControl: Send + Sync + 'static {
    /// Whether this application may record at all. Unlike a command that is
    /// denied, asking leaves no line in the log.
    fn may_record(&self) -> bool;
    /// Whether this application may push to `url`. The same.
    fn may_forward(&self, app: &str, url: &str) -> bool;
    /// Ends a connection of this application.
    fn disconnect(&self, app: &str, conn: ConnId, reason: &str) -> Result<(), ControlError>;
    /// Ends the publisher of a stream.
    fn stop_stream(&self, app: &str, name: &str, reason: &str) -> Result<(), ControlError>;
    /// Starts a recording of a stream.
    fn start_record(&self, app: &str, name: &str, spec: Recording) -> Result<(), ControlError>;
    /// Ends the recordings of a stream.
    fn stop_record(&self, app: &str, name: &str) -> Result<(), ControlError>;
    /// Starts to push a stream to `url`.
    fn start_forward(&self, app: &str, name: &str, url: &str) -> Result<(), ControlError>;
    /// Ends the push of a stream to `url`.
    fn stop_forward(&self, app: &str, name: &str, url: &str) -> Result<(), ControlError>;
    /// Sends a data message (AMF0 values behind `handler`) to a stream's players.
    fn send_data(
        &self,
        app: &str,
        name: &str,
        handler: &str,
        amf0: &[u8],
    ) -> Result<(), ControlError>;
}

/// Why a command was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// There is no such connection or stream in this application.
    #[error("no such connection or stream in this application")]
    NotFound,
    /// The application may not do this, or this build can't.
    #[error("not permitted or not available")]
    Denied,
    /// The command queue is full.
    #[error("the command queue is full")]
    Busy,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_with_its_entries_or_its_bytes() {
        let sizes = |limit| first([3 << 20, 1 << 20, 1, 0].into_iter(), limit, |size| *size);
        assert_eq!(sizes(1), [3 << 20]);
        assert_eq!(sizes(10), [3 << 20, 1 << 20]);
        assert!(sizes(0).is_empty());
    }
}
