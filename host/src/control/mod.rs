//! What plugins see of the media plane, and their orders to it; operators' later.

use std::sync::Arc;

use tracing::{debug, warn};

use livehost_app::directory::Directory;
use livehost_hub::Hub;
use livehost_policy::{
    Ambiguous, Awaited, Client, ControlError, MediaControl, Order, StreamInfo, StreamRegistry,
};
use livehost_relay::{AppRelays, Relays};

/// Asks hub and sessions, and carries orders out on them.
#[derive(Debug)]
pub struct Desk {
    hub: Arc<Hub>,
    directory: Arc<Directory>,
    relays: Arc<Relays>,
}

impl Desk {
    /// For the streams of `hub`, the sessions of `directory`, and `relays`.
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

fn found(found: bool) -> Result<(), ControlError> {
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

    fn check(&self, app: &str, order: &Order) -> Result<(), ControlError> {
        match order {
            Order::Disconnect { conn, .. } => found(
                self.directory.has(app, *conn)
                    || (self.relays.of(app)).is_some_and(|relays| relays.has(*conn)),
            ),
            Order::StopStream { stream, .. } => found(self.hub.is_published(app, stream)),
            Order::StartRecord { .. } => not_available(app, "start-record"),
            Order::StopRecord { .. } => not_available(app, "stop-record"),
            Order::StartForward { stream, url } => self.relays(app)?.may_start_forward(stream, url),
            Order::StopForward { stream, url } => found(self.relays(app)?.forwards(stream, url)),
            Order::SendData { stream, amf0, .. } => {
                found(self.hub.is_active(app, stream))?;
                livehost_policy::check_amf0(amf0)
            }
        }
    }

    fn carry_out(&self, app: &str, order: Order) {
        let done = match order {
            Order::Disconnect { conn, reason } => {
                let cut = |relays: Arc<AppRelays>| relays.disconnect(conn, &reason);
                self.directory.disconnect(app, conn, &reason)
                    || self.relays.of(app).is_some_and(cut)
            }
            Order::StopStream { stream, reason } => self.hub.stop(app, &stream, &reason),
            // Refused when they were given.
            Order::StartRecord { .. } | Order::StopRecord { .. } => false,
            Order::StartForward { stream, url } => (self.relays(app))
                .and_then(|relays| relays.start_forward(&stream, &url))
                .is_ok(),
            Order::StopForward { stream, url } => (self.relays(app))
                .and_then(|relays| relays.stop_forward(&stream, &url))
                .is_ok(),
            Order::SendData {
                stream,
                handler,
                amf0,
            } => self.hub.send_data(app, &stream, &handler, &amf0),
        };
        if !done {
            debug!(app, "what a plugin's order was about is gone");
        }
    }
}

impl StreamRegistry for Desk {
    fn resolve(&self, app: &str, path: &str) -> Result<String, Ambiguous> {
        self.hub.resolve(app, path)
    }

    fn get(&self, app: &str, path: &str) -> Option<StreamInfo> {
        self.hub.get(app, path)
    }

    fn find(&self, app: &str, prefix: &str, limit: usize) -> Vec<StreamInfo> {
        self.hub.find(app, prefix, limit)
    }

    fn count(&self, app: &str, prefix: &str) -> usize {
        self.hub.count(app, prefix)
    }

    fn awaited(&self, app: &str, prefix: &str, limit: usize) -> Vec<Awaited> {
        self.hub.awaited(app, prefix, limit)
    }

    fn clients(&self, app: &str, limit: usize) -> Vec<Client> {
        self.directory.clients(app, limit)
    }
}
