//! What plugins see of the media plane, and their orders to it; operators' later.

use std::sync::{Arc, LazyLock};

use livehost_hub::Hub;
use livehost_policy::{
    Ambiguous, Awaited, Client, ControlError, MediaControl, Order, StreamInfo, StreamRegistry,
};
use livehost_telemetry::limited;
use livehost_telemetry::log::Quota;
use tracing::debug;

use crate::broker::Broker;
use crate::directory::Directory;
use crate::relays::RelayService;

/// Asks hub, sessions and relays, and carries orders out on them.
#[derive(Debug)]
pub struct Control {
    broker: Arc<Broker>,
    directory: Arc<Directory>,
}

impl Control {
    /// For the streams and relays of `broker`, and the sessions of `directory`.
    pub fn new(broker: Arc<Broker>, directory: Arc<Directory>) -> Arc<Self> {
        Arc::new(Self { broker, directory })
    }

    fn hub(&self) -> &Hub {
        self.broker.hub()
    }

    fn relays(&self) -> &dyn RelayService {
        &**self.broker.relays()
    }
}

fn found(found: bool) -> Result<(), ControlError> {
    if found {
        Ok(())
    } else {
        Err(ControlError::NotFound)
    }
}

/// Lines about orders that nobody can carry out: a plugin may give one for each client.
static REFUSED: LazyLock<Arc<Quota>> =
    LazyLock::new(|| Arc::new(Quota::new("orders of plugins".to_owned())));

fn not_available(app: &str, order: &str) -> Result<(), ControlError> {
    limited!(
        WARN,
        REFUSED.admits_and_reports(),
        app,
        order,
        "not available yet: the plugin's order is refused"
    );
    Err(ControlError::Denied)
}

impl MediaControl for Control {
    fn may_record(&self) -> bool {
        false
    }

    fn may_forward(&self, app: &str, url: &str) -> bool {
        self.relays().may_forward(app, url)
    }

    fn check(&self, app: &str, order: &Order) -> Result<(), ControlError> {
        match order {
            Order::Disconnect { conn, .. } => {
                found(self.directory.has(app, *conn) || self.relays().has(app, *conn))
            }
            Order::StopStream { stream, .. } => found(self.hub().is_published(app, stream)),
            Order::StartRecord { .. } => not_available(app, "start-record"),
            Order::StopRecord { .. } => not_available(app, "stop-record"),
            Order::StartForward { stream, url } => {
                self.relays().may_start_forward(app, stream, url)
            }
            Order::StopForward { stream, url } => found(self.relays().forwards(app, stream, url)),
            Order::SendData { stream, amf0, .. } => {
                found(self.hub().is_active(app, stream))?;
                livehost_policy::check_amf0(amf0)
            }
        }
    }

    fn carry_out(&self, app: &str, order: Order) {
        let done = match order {
            Order::Disconnect { conn, reason } => {
                self.directory.disconnect(app, conn, &reason)
                    || self.relays().disconnect(app, conn, &reason)
            }
            Order::StopStream { stream, reason } => self.hub().stop(app, &stream, &reason),
            // Refused when they were given.
            Order::StartRecord { .. } | Order::StopRecord { .. } => false,
            Order::StartForward { stream, url } => {
                self.relays().start_forward(app, &stream, &url).is_ok()
            }
            Order::StopForward { stream, url } => {
                self.relays().stop_forward(app, &stream, &url).is_ok()
            }
            Order::SendData {
                stream,
                handler,
                amf0,
            } => self.hub().send_data(app, &stream, &handler, &amf0),
        };
        if !done {
            debug!(app, "what a plugin's order was about is gone");
        }
    }
}

impl StreamRegistry for Control {
    fn resolve(&self, app: &str, path: &str) -> Result<String, Ambiguous> {
        self.hub().resolve(app, path)
    }

    fn get(&self, app: &str, path: &str) -> Option<StreamInfo> {
        self.hub().get(app, path)
    }

    fn find(&self, app: &str, prefix: &str, limit: usize) -> Vec<StreamInfo> {
        self.hub().find(app, prefix, limit)
    }

    fn count(&self, app: &str, prefix: &str) -> usize {
        self.hub().count(app, prefix)
    }

    fn awaited(&self, app: &str, prefix: &str, limit: usize) -> Vec<Awaited> {
        self.hub().awaited(app, prefix, limit)
    }

    fn clients(&self, app: &str, limit: usize) -> Vec<Client> {
        self.directory.clients(app, limit)
    }
}
