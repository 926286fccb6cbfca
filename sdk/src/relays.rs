//! Streams that are pushed to other servers and pulled from them.

use crate::App;
use crate::bindings_relays::exports::livehost::app::relays::Guest;
use crate::export::{Exports, Hosted, with};

pub use crate::bindings_relays::exports::livehost::app::relays::{Failure as RelayFailure, Relay};

impl Relay {
    /// What [`crate::registry`] and [`crate::control`] call its stream.
    ///
    /// ```
    /// # use livehost_sdk::testing;
    /// let relay = testing::relay("room1/cam", "rtmp://backup.example:1935/live");
    /// assert_eq!(relay.path(), "room1/cam");
    /// ```
    pub fn path(&self) -> String {
        crate::decision::path(self.instance.as_deref(), &self.name)
    }
}

/// A policy that hears what becomes of pushes and pulls. Name it in
/// [`export!`](crate::export) with `relays`: `export!(MyPolicy, relays)`.
///
/// Events come in order, among those of streams: a push comes up after its
/// stream was published, a pulled stream is published after its pull came up.
///
/// ```
/// use livehost_sdk::testing::{self, MockHost};
/// use livehost_sdk::{App, Relay, RelayFailure, Relays, http_client, kv, log};
///
/// struct Watching;
///
/// impl App for Watching {
///     fn configure(_: &str) -> Result<Self, String> {
///         Ok(Watching)
///     }
/// }
///
/// impl Relays for Watching {
///     fn on_relay_up(&self, relay: &Relay) {
///         if let Err(error) = kv::set(&format!("up/{}", relay.conn), relay.target.as_bytes(), None) {
///             log::warn(format!("{} is not remembered: {error:?}", relay.target));
///         }
///     }
///     fn on_relay_failed(&self, relay: &Relay, failure: &RelayFailure) {
///         // Losses are tried again for ever; somebody should know of the third.
///         if relay.attempt == 3 {
///             let text = format!("{} to {}: {}", relay.path(), relay.target, failure.reason);
///             let alert = http_client::Request::post("http://127.0.0.1:8080/alert", text);
///             let _ = http_client::send(&alert);
///         }
///     }
///     fn on_relay_ended(&self, relay: &Relay, _reason: &str) {
///         let _ = kv::delete(&format!("up/{}", relay.conn));
///     }
/// }
///
/// livehost_sdk::export!(Watching, relays);
///
/// # fn main() {
/// let host = MockHost::new();
/// let relay = testing::relay("cam1", "rtmp://backup.example:1935/live");
/// Watching.on_relay_up(&relay);
/// assert_eq!(host.kv("up/9").as_deref(), Some("rtmp://backup.example:1935/live"));
///
/// host.answer_http(200, "");
/// let third = Relay { attempt: 3, ..relay.clone() };
/// Watching.on_relay_failed(&third, &testing::failed("connection refused"));
/// let alert = &host.http_requests()[0];
/// assert_eq!(alert.body, b"cam1 to rtmp://backup.example:1935/live: connection refused");
///
/// Watching.on_relay_ended(&relay, "unpublished");
/// assert_eq!(host.kv("up/9"), None);
/// # }
/// ```
pub trait Relays: App {
    /// The other server has accepted a push; the first media of a pull is here.
    fn on_relay_up(&self, relay: &Relay) {
        let _ = relay;
    }

    /// An attempt did not come up, or was lost: once for each.
    fn on_relay_failed(&self, relay: &Relay, failure: &RelayFailure) {
        let _ = (relay, failure);
    }

    /// A relay is over: exactly once for each, after everything else of it.
    fn on_relay_ended(&self, relay: &Relay, reason: &str) {
        let _ = (relay, reason);
    }
}

impl<H: Hosted> Guest for Exports<H>
where
    H::App: Relays,
{
    fn on_relay_up(relay: Relay) {
        with::<H, _>(|app| app.on_relay_up(&relay));
    }

    fn on_relay_failed(relay: Relay, failure: RelayFailure) {
        with::<H, _>(|app| app.on_relay_failed(&relay, &failure));
    }

    fn on_relay_ended(relay: Relay, reason: String) {
        with::<H, _>(|app| app.on_relay_ended(&relay, &reason));
    }
}
