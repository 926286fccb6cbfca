//! Native tests of a policy, without WebAssembly and without a server.
//!
//! A [`MockHost`] stands in for the host: whatever the policy asks for through
//! this crate goes to the one of the test's thread.
//!
//! ```
//! use livehost_sdk::testing::{self, MockHost};
//! use livehost_sdk::{App, PublishDecision, PublishGrant, StreamRequest, decide, kv};
//!
//! struct Counting;
//!
//! impl App for Counting {
//!     fn configure(_: &str) -> Result<Self, String> { Ok(Counting) }
//!
//!     fn on_publish(&self, req: &StreamRequest) -> PublishDecision {
//!         decide(|| {
//!             let key = req.param("key").ok_or("a key is required")?;
//!             if key != "s3cret" {
//!                 return Err("the key is wrong".into());
//!             }
//!             kv::incr(&format!("publishes/{}", req.name), 1, None)?;
//!             Ok(PublishGrant::default())
//!         })
//!     }
//! }
//!
//! let host = MockHost::new();
//! let policy = Counting::configure("{}").unwrap();
//! let yes = policy.on_publish(&testing::request("cam1?key=s3cret"));
//! assert!(matches!(yes, PublishDecision::Accept(_)));
//! assert_eq!(host.kv("publishes/cam1").as_deref(), Some("1"));
//! let no = policy.on_publish(&testing::request("cam1"));
//! assert!(matches!(no, PublishDecision::Reject(r) if r.description == "a key is required"));
//! ```

mod amf0;
mod host;
mod requests;
mod session;

pub use host::{Command, Line, MockHost};
pub(crate) use host::{try_with, with};
pub use requests::{
    client, connect, encoder, ended, failed, logged_in, object, relay, request, stream,
};
