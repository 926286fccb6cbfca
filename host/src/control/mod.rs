//! Orders to the media plane, from plugins now, from operators later.

use std::sync::Arc;

use tracing::warn;

use crate::hub::Hub;
use crate::policy::{ConnId, ControlError, MediaControl, Recording};
use crate::relay::{AppRelays, Relays};
use crate::session::Directory;

/// Carries orders out on hub and sessions.
#[derive(Debug)]
pub struct Desk {
    hub: Arc<Hub>,
    directory: Arc<Directory>,
    relays: Arc<Relays>,
}

impl Desk {
    /// Orders for the streams of `hub`, the sessions of `directory`, and
    /// `relays`.
    pub fn new(hub: Arc<Hub>, directory: Arc<Directory>, relays: Arc<Relays>) -> Arc<Self> {
        Arc::new(Self {
            hub,
            directory,
            relays,
        })
    }

    fn relays(&self, app: &str) -> Result<Arc<AppRelays>, ControlError> {
        self.relays.of(app).ok_or(ControlError::NotFound)
    }
}

fn done(found: bool) -> Result<(), ControlError> {
    if found {
        Ok(())
    } else {
        Err(ControlError::NotFound)
    }
}

fn not_available(app: &str, order: &str) -> Result<(), ControlError> {
    warn!(
        app,
        order, "not available yet: the plugin's order is refused"
    );
    Err(ControlError::Denied)
}

impl MediaControl for Desk {
    fn may_record(&self) -> bool {
        false
    }

    fn may_forward(&self, app: &str, url: &str) -> bool {
        let relays = self.relays.of(app);
        relays.is_none_or(|relays| relays.may_forward(url))
    }

    fn disconnect(&self, app: &str, conn: ConnId, reason: &str) -> Result<(), ControlError> {
        let cut = || {
            let relays = self.relays.of(app);
            relays.is_some_and(|relays| relays.disconnect(conn, reason))
        };
        done(self.directory.disconnect(app, conn, reason) || cut())
    }

    fn stop_stream(&self, app: &str, name: &str, reason: &str) -> Result<(), ControlError> {
        done(self.hub.stop(app, name, reason))
    }

    fn start_record(&self, app: &str, _: &str, _: Recording) -> Result<(), ControlError> {
        not_available(app, "start-record")
    }

    fn stop_record(&self, app: &str, _: &str) -> Result<(), ControlError> {
        not_available(app, "stop-record")
    }

    fn start_forward(&self, app: &str, name: &str, url: &str) -> Result<(), ControlError> {
        self.relays(app)?.start_forward(name, url)
    }

    fn stop_forward(&self, app: &str, name: &str, url: &str) -> Result<(), ControlError> {
        self.relays(app)?.stop_forward(name, url)
    }

    fn send_data(
        &self,
        app: &str,
        name: &str,
        handler: &str,
        amf0: &[u8],
    ) -> Result<(), ControlError> {
        done(self.hub.send_data(app, name, handler, amf0))
    }
}
