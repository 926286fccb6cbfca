//! What is live in this application: snapshots, never waiting.
//!
//! ```
//! use livehost_sdk::{registry, testing::{self, MockHost}};
//!
//! let host = MockHost::new();
//! host.add_stream(testing::stream("studio/cam1"));
//! assert_eq!(registry::count("studio/"), 1);
//! assert!(registry::get("studio/cam2").is_none());
//! ```

use crate::import::ask;
use crate::{Client, StreamInfo};

/// The stream with this name; `instance/name` in an application instance.
///
/// ```
/// # use livehost_sdk::{registry, testing::{self, MockHost}};
/// let host = MockHost::new();
/// host.add_stream(testing::stream("cam1"));
/// let stream = registry::get("cam1").expect("it is live");
/// assert_eq!((stream.players, stream.publisher.conn), (0, 7));
/// assert!(registry::get("cam").is_none());
/// ```
pub fn get(name: &str) -> Option<StreamInfo> {
    ask!(registry::get(name), |host| host
        .streams(name)
        .into_iter()
        .find(|info| info.name == name))
}

/// Up to `limit` streams whose name starts with `prefix`, in name order.
///
/// ```
/// # use livehost_sdk::{registry, testing::{self, MockHost}};
/// let host = MockHost::new();
/// for name in ["studio/b", "studio/a", "other"] {
///     host.add_stream(testing::stream(name));
/// }
/// let names = |found: Vec<livehost_sdk::StreamInfo>| -> Vec<_> {
///     found.into_iter().map(|info| info.name).collect()
/// };
/// assert_eq!(names(registry::find("studio/", 100)), ["studio/a", "studio/b"]);
/// assert_eq!(names(registry::find("", 1)), ["other"]);
/// ```
pub fn find(prefix: &str, limit: u32) -> Vec<StreamInfo> {
    ask!(registry::find(prefix, limit), |host| {
        let mut found = host.streams(prefix);
        found.truncate(limit as usize);
        found
    })
}

/// How many streams have a name that starts with `prefix`.
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

/// Up to `limit` accepted connections, oldest first.
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
