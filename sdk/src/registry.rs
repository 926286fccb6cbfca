//! What is live in this application: snapshots, never waiting.
//!
//! A stream is called by its path, `instance/name`, or `name` of one without an
//! instance: [`StreamInfo::path`]. A name alone is the stream without an instance;
//! failing that, the only live stream of that name. If there are several it is none
//! of them, and the log says so.
//!
//! ```
//! use livehost_sdk::{registry, testing::{self, MockHost}};
//!
//! let host = MockHost::new();
//! host.add_stream(testing::stream("studio/cam1"));
//! assert_eq!(registry::count("studio/"), 1);
//! assert!(registry::get("studio/cam1").is_some() && registry::get("cam1").is_some());
//! assert!(registry::get("studio/cam2").is_none());
//! host.add_stream(testing::stream("attic/cam1"));
//! assert!(registry::get("cam1").is_none(), "never a guess");
//! ```

pub use crate::bindings::livehost::app::registry::Awaited;
use crate::import::ask;
use crate::{Client, StreamInfo};

/// The stream of this path; none while nobody publishes it.
///
/// ```
/// # use livehost_sdk::{registry, testing::{self, MockHost}};
/// let host = MockHost::new();
/// host.add_stream(testing::stream("cam1"));
/// let stream = registry::get("cam1").expect("it is live");
/// assert_eq!((stream.players, stream.publisher.conn), (0, 7));
/// assert!(registry::get("cam").is_none());
/// ```
pub fn get(path: &str) -> Option<StreamInfo> {
    ask!(registry::get(path), |host| host.stream(path))
}

/// Up to `limit` streams whose path starts with `prefix`, in the order of paths.
///
/// ```
/// # use livehost_sdk::{registry, testing::{self, MockHost}};
/// let host = MockHost::new();
/// for path in ["studio/b", "studio/a", "other"] {
///     host.add_stream(testing::stream(path));
/// }
/// let paths = |found: Vec<livehost_sdk::StreamInfo>| -> Vec<_> {
///     found.iter().map(|info| info.path()).collect()
/// };
/// assert_eq!(paths(registry::find("studio/", 100)), ["studio/a", "studio/b"]);
/// assert_eq!(paths(registry::find("", 1)), ["other"]);
/// ```
pub fn find(prefix: &str, limit: u32) -> Vec<StreamInfo> {
    ask!(registry::find(prefix, limit), |host| {
        let mut found = host.streams(prefix);
        found.truncate(limit as usize);
        found
    })
}

/// How many streams have a path that starts with `prefix`.
///
/// ```
/// # use livehost_sdk::{registry, testing::{self, MockHost}};
/// let host = MockHost::new();
/// host.add_stream(testing::stream("studio/a"));
/// assert_eq!((registry::count("studio/"), registry::count("cam")), (1, 0));
/// ```
pub fn count(prefix: &str) -> u32 {
    ask!(registry::count(prefix), |host| host.streams(prefix).len()
        as u32)
}

/// Up to `limit` accepted connections that are still there, oldest first.
///
/// ```
/// # use livehost_sdk::{registry, testing::{self, MockHost}};
/// let host = MockHost::new();
/// host.add_client(testing::client());
/// assert_eq!(registry::clients(100)[0].remote, "203.0.113.7:51234");
/// ```
pub fn clients(limit: u32) -> Vec<Client> {
    ask!(registry::clients(limit), |host| {
        let mut found = host.clients();
        found.truncate(limit as usize);
        found
    })
}

/// Up to `limit` streams that nobody publishes, and that players wait for or that
/// are held, in the order of paths.
///
/// ```
/// # use livehost_sdk::{registry, testing::MockHost};
/// let host = MockHost::new();
/// host.add_awaited("studio/cam1", 3, false);
/// let waiting: u32 = registry::awaited_streams("studio/", 100).iter().map(|a| a.players).sum();
/// assert_eq!(waiting, 3);
/// ```
pub fn awaited_streams(prefix: &str, limit: u32) -> Vec<Awaited> {
    ask!(registry::awaited_streams(prefix, limit), |host| {
        let mut found = host.awaited(prefix);
        found.truncate(limit as usize);
        found
    })
}
