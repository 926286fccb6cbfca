//! The end of the server, for clients that can go elsewhere by themselves
//! (Enhanced RTMP v2, section "Reconnect Request").
//!
//! Such a client is asked to connect again and is served until it leaves: it
//! goes at its next keyframe, and neither it nor its players see an error.

use std::time::Duration;
use tokio::time::Instant;

use tracing::info;

use super::client::RtmpSession;

/// Kept of the server's drain limit for those that have to be closed.
const FOR_CLOSING: Duration = Duration::from_secs(2);

impl RtmpSession {
    /// Asks the client to leave by itself, before the drain limit is over.
    /// False if it can't: it is to be closed now.
    pub(super) fn ask_to_leave(&mut self, now: Instant) -> bool {
        let text = "The server is shutting down.";
        if !self.machine.request_reconnect(None, text) {
            return false;
        }
        let drain = self.shared.limits.load().drain;
        let patience = drain.saturating_sub(FOR_CLOSING).max(drain / 2);
        self.leave_by = Some(now + patience);
        let patience_ms = patience.as_millis();
        info!(patience_ms, "asked the client to connect again");
        true
    }
}
