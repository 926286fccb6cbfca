//! What a policy may ask of the media plane, and what it may order.
//!
//! The plugin runtime calls these for the guest's `registry` and `control`
//! imports; `control` implements them on hub and sessions. They take the
//! application's name, so one application never sees another's streams.

use livehost_wire::amf0;

use super::{Ambiguous, Awaited, Client, ConnId, Recording, StreamId, StreamInfo};

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

/// Snapshot reads of live streams and connections; these never block. Streams are
/// called by their paths, see [`super::names`].
pub trait StreamRegistry: Send + Sync + 'static {
    /// The path of the stream that the application calls `path`: the same, or
    /// that of the only live stream with this name, if `path` has no instance.
    ///
    /// # Errors
    /// [`Ambiguous`] when there are several.
    fn resolve(&self, app: &str, path: &str) -> Result<String, Ambiguous>;
    /// The stream of this application with this path.
    fn get(&self, app: &str, path: &str) -> Option<StreamInfo>;
    /// Up to `limit` streams whose path starts with `prefix`, in the order of
    /// paths, as [`first`] takes them.
    fn find(&self, app: &str, prefix: &str, limit: usize) -> Vec<StreamInfo>;
    /// How many streams have a path that starts with `prefix`.
    fn count(&self, app: &str, prefix: &str) -> usize;
    /// Up to `limit` streams that have players, or are held, and no publisher,
    /// whose path starts with `prefix`, in the order of paths.
    fn awaited(&self, app: &str, prefix: &str, limit: usize) -> Vec<Awaited>;
    /// Up to `limit` connections that the application accepted, oldest first, as
    /// [`first`] takes them.
    fn clients(&self, app: &str, limit: usize) -> Vec<Client>;
}

/// Which stream an order is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamRef {
    /// Whoever publishes under this path, see [`super::names`].
    Path(String),
    /// This publish, and none that follows it.
    Id(StreamId),
}

/// What a policy orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Ends a connection of this application.
    Disconnect {
        /// Which.
        conn: ConnId,
        /// For the client.
        reason: String,
    },
    /// Ends a publish.
    StopStream {
        /// Which.
        stream: StreamRef,
        /// For the client.
        reason: String,
    },
    /// Starts a recording of a stream.
    StartRecord {
        /// Which.
        stream: StreamRef,
        /// Where and how.
        spec: Recording,
    },
    /// Ends the recordings of a stream.
    StopRecord {
        /// Which.
        stream: StreamRef,
    },
    /// Starts to push a stream.
    StartForward {
        /// Which.
        stream: StreamRef,
        /// Whereto.
        url: String,
    },
    /// Ends the push of a stream.
    StopForward {
        /// Which.
        stream: StreamRef,
        /// Whereto.
        url: String,
    },
    /// Sends a data message to a stream's players.
    SendData {
        /// Which.
        stream: StreamRef,
        /// The message's first value.
        handler: String,
        /// The AMF0 values behind it.
        amf0: Vec<u8>,
    },
}

impl Order {
    /// What it takes in memory, in bytes.
    pub fn bytes(&self) -> usize {
        let target = |stream: &StreamRef| match stream {
            StreamRef::Path(path) => path.len(),
            StreamRef::Id(_) => 0,
        };
        let more = match self {
            Self::Disconnect { reason, .. } => reason.len(),
            Self::StopStream { stream, reason } => target(stream).saturating_add(reason.len()),
            Self::StartRecord { stream, spec } => target(stream)
                .saturating_add(spec.path.len())
                .saturating_add(spec.container.len()),
            Self::StopRecord { stream } => target(stream),
            Self::StartForward { stream, url } | Self::StopForward { stream, url } => {
                target(stream).saturating_add(url.len())
            }
            Self::SendData {
                stream,
                handler,
                amf0,
            } => target(stream)
                .saturating_add(handler.len())
                .saturating_add(amf0.len()),
        };
        more.saturating_add(size_of::<Self>())
    }
}

/// Orders to the media plane. Each is looked at while the plugin asks, and carried
/// out when its hook has returned.
pub trait MediaControl: Send + Sync + 'static {
    /// Whether this application may record at all. Unlike an order that is
    /// denied, asking leaves no line in the log.
    fn may_record(&self) -> bool;
    /// Whether this application may push to `url`. The same.
    fn may_forward(&self, app: &str, url: &str) -> bool;
    /// Whether `order` can be carried out, as things are now. Changes nothing.
    fn check(&self, app: &str, order: &Order) -> Result<(), ControlError>;
    /// Carries `order` out. What it was about may be gone meanwhile: then it has
    /// nothing to do.
    fn carry_out(&self, app: &str, order: Order);
}

/// Whether `amf0` is nothing but AMF0 values. Each is looked at by itself, so that
/// they cost no more memory than the largest of them.
///
/// # Errors
/// [`ControlError::Unusable`] with the place of what is none.
pub fn check_amf0(amf0: &[u8]) -> Result<(), ControlError> {
    let mut rest = amf0;
    while !rest.is_empty() {
        let offset = amf0.len().saturating_sub(rest.len());
        amf0::decode(&mut rest).map_err(|error| {
            ControlError::Unusable(format!(
                "data was not sent: expected AMF0 values, found what is none in the one that \
                 begins at byte {offset}: {error}"
            ))
        })?;
    }
    Ok(())
}

/// Why an order was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// There is no such connection or stream in this application.
    #[error("no such connection or stream in this application")]
    NotFound,
    /// The application may not do this, or this build can't.
    #[error("not permitted or not available")]
    Denied,
    /// Nothing can come of it: for the log. The plugin is told that it is denied.
    #[error("{0}")]
    Unusable(String),
    /// There is no room for another order, or another relay.
    #[error("no room for another order or relay")]
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
