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
pub fn get(name: &str) -> Option<StreamInfo> {
    ask!(registry::get(name), |host| host
        .streams(name)
        .into_iter()
        .find(|info| info.name == name))
}

/// Up to `limit` streams whose name starts with `prefix`, in name order.
pub fn find(prefix: &str, limit: u32) -> Vec<StreamInfo> {
    ask!(registry::find(prefix, limit), |host| {
        let mut found = host.streams(prefix);
        found.truncate(limit as usize);
        found
    })
}

/// How many streams have a name that starts with `prefix`.
pub fn count(prefix: &str) -> u32 {
    ask!(registry::count(prefix), |host| host.streams(prefix).len()
        as u32)
}

/// Up to `limit` accepted connections, oldest first.
pub fn clients(limit: u32) -> Vec<Client> {
    ask!(registry::clients(limit), |host| {
        let mut found = host.clients();
        found.truncate(limit as usize);
        found
    })
}
