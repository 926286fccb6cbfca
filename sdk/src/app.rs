//! The trait a policy implements: one method for each hook.

use crate::{
    Client, ConnectDecision, ConnectRequest, Handoff, PlayDecision, PublishDecision, Recording,
    SessionEnd, StartReason, StopReason, StreamInfo, StreamRequest, accept,
};

/// A policy. Only [`App::configure`] has no default; without any other method
/// everything is accepted.
///
/// The host runs several instances of a policy and discards one at any time:
/// a field is a cache of the configuration, state belongs into [`crate::kv`].
/// Methods therefore take `&self`; an instance is never entered twice at once,
/// so [`std::cell::Cell`] and [`std::cell::RefCell`] are fine for caches.
///
/// A decision has a CPU budget (50 ms unless configured) and a wall deadline
/// (3 s). A panic, or a budget exceeded, ends the instance, and the
/// application's `on_error` rule decides instead.
pub trait App: Sized + 'static {
    /// Makes the policy from its configuration, a JSON text. It is every
    /// instance's first call; an error refuses the new version (or the start)
    /// and is shown to the operator. See [`crate::parse_config`].
    fn configure(config: &str) -> Result<Self, String>;

    /// May this client use the application?
    fn on_connect(&self, req: &ConnectRequest) -> ConnectDecision {
        let _ = req;
        accept()
    }

    /// May this client publish, under what name, and by which rules?
    fn on_publish(&self, req: &StreamRequest) -> PublishDecision {
        let _ = req;
        accept()
    }

    /// May this client play, and what?
    fn on_play(&self, req: &StreamRequest) -> PlayDecision {
        let _ = req;
        accept()
    }

    /// Once for each version that is about to serve, before it does. An error
    /// keeps the old version serving. `from_old` is what the old version's
    /// [`App::snapshot`] gave.
    fn on_start(&self, reason: StartReason, from_old: Option<Handoff>) -> Result<(), String> {
        let _ = (reason, from_old);
        Ok(())
    }

    /// What the next version should get from this one, which still serves
    /// (at most 1 MiB).
    fn snapshot(&self) -> Option<Handoff> {
        None
    }

    /// The version is done, its calls have ended. Best effort.
    fn on_stop(&self, reason: StopReason) {
        let _ = reason;
    }

    /// A timer of [`crate::timers`] fired: once for the application, on any
    /// instance.
    fn on_timer(&self, key: &str) {
        let _ = key;
    }

    /// A publish was granted; its codecs may not be known yet.
    fn on_published(&self, info: &StreamInfo) {
        let _ = info;
    }

    /// The codec headers have arrived.
    fn on_ready(&self, info: &StreamInfo) {
        let _ = info;
    }

    /// A publish ended: exactly once for every [`App::on_published`], after it.
    fn on_unpublished(&self, info: &StreamInfo, end: &SessionEnd) {
        let _ = (info, end);
    }

    /// A playback ended.
    fn on_play_ended(&self, req: &StreamRequest, end: &SessionEnd) {
        let _ = (req, end);
    }

    /// A connection ended.
    fn on_disconnected(&self, who: &Client, end: &SessionEnd) {
        let _ = (who, end);
    }

    /// A recording was finished.
    fn on_recorded(&self, info: &StreamInfo, file: &Recording, bytes: u64, duration_ms: u64) {
        let _ = (info, file, bytes, duration_ms);
    }

    /// A remote procedure call of a client (`NetConnection.call`): AMF0 values
    /// in, AMF0 values out. `Err("unknown")` says that there is no such method.
    fn on_call(&self, who: &Client, method: &str, amf0: &[u8]) -> Result<Vec<u8>, String> {
        let _ = (who, method, amf0);
        Err("unknown".into())
    }
}
