//! Relays: streams that go to other servers, and streams that come from them.
//!
//! Flows in: what the configuration and the policy's grants ask for, and a
//! stream's frames out of the hub, or out of another server. Flows out: the
//! same frames, to another server, or into the hub. A push is a player of the
//! hub like any other: its queue is bounded, it drops to keyframes, and no
//! other waits for it. A pull is a publisher like any other.
//!
//! Each relay is one task. All of an application end when it is removed, and
//! all of the process when it stops.

mod allow;
mod app;
mod backoff;
mod error;
mod peer;
mod plan;
mod pull;
mod pulls;
mod push;
mod redirect;
mod report;
#[cfg(test)]
mod tests;
mod url;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

pub use allow::{Allow, NotAllowed};
pub use app::AppRelays;
pub use plan::{Forward, NAME, Plan, Pull, RelaySettings};
pub use url::{RelayUrl, UrlError};

use livehost_app::application::Application;
use livehost_app::conn::ConnIds;
use livehost_app::lineage::{Identity, Lineage};
use livehost_app::relays::{NoPull, PendingPull, RelayInfo, RelayService, Removed};
use livehost_hub::{Hub, StreamKey, Wake};
use livehost_net::outbound::Network;
use livehost_policy::{ConnId, ControlError, StreamId, StreamRef};

/// What all relays share.
#[derive(Debug)]
struct Common {
    hub: Arc<Hub>,
    network: Network,
    identity: Arc<Identity>,
    conns: Arc<ConnIds>,
    stop: CancellationToken,
}

/// The relays of all applications.
#[derive(Debug)]
pub struct Relays {
    common: Arc<Common>,
    apps: Mutex<BTreeMap<Arc<str>, Arc<AppRelays>>>,
}

impl Relays {
    /// Relays between `hub` and servers that are reached through `network`, which
    /// know this process by `identity`, numbered by `conns`. All end when `stop` is
    /// cancelled.
    pub fn new(
        hub: Arc<Hub>,
        identity: Arc<Identity>,
        network: Network,
        conns: Arc<ConnIds>,
        stop: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            common: Arc::new(Common {
                hub,
                network,
                identity,
                conns,
                stop,
            }),
            apps: Mutex::default(),
        })
    }

    /// Relays for an application from now on.
    pub fn open(&self, application: &Arc<Application>, plan: Plan) {
        let relays = AppRelays::new(self.common.clone(), application.clone());
        let name = application.name().clone();
        self.apps.lock().insert(name, relays.clone());
        relays.follow(plan);
    }

    /// The relays of an application that serves.
    pub fn of(&self, app: &str) -> Option<Arc<AppRelays>> {
        self.apps.lock().get(app).cloned()
    }

    /// The relays of an application that is removed, to be closed.
    pub fn remove(&self, app: &str) -> Option<Arc<AppRelays>> {
        self.apps.lock().remove(app)
    }

    /// Ends all relays.
    pub async fn close_all(&self) {
        let relays = std::mem::take(&mut *self.apps.lock());
        let ends = relays.values().map(|relays| relays.close());
        futures_util::future::join_all(ends).await;
    }

    fn serving(&self, app: &str) -> Result<Arc<AppRelays>, ControlError> {
        self.of(app).ok_or(ControlError::NotFound)
    }
}

impl RelayService for Relays {
    fn list(&self) -> Vec<RelayInfo> {
        let apps: Vec<_> = self.apps.lock().values().cloned().collect();
        apps.iter().flat_map(|relays| relays.list()).collect()
    }

    fn published(
        &self,
        key: &StreamKey,
        id: StreamId,
        forward_to: &[String],
        lineage: &Lineage,
    ) -> Result<(), Removed> {
        let relays = self.of(&key.app).ok_or(Removed)?;
        relays.published(key, id, forward_to, lineage);
        Ok(())
    }

    fn demand(
        &self,
        key: &StreamKey,
        pull_from: Option<&str>,
        lineage: &Lineage,
        wake: &Wake,
    ) -> Result<Option<Arc<PendingPull>>, NoPull> {
        match self.of(&key.app) {
            Some(relays) => relays.demand(key, pull_from, lineage, wake),
            None => Ok(None),
        }
    }

    fn may_forward(&self, app: &str, url: &str) -> bool {
        // One that does not serve yet is asked again when it does.
        (self.of(app)).is_none_or(|relays| relays.may_forward(url))
    }

    fn may_start_forward(
        &self,
        app: &str,
        stream: &StreamRef,
        url: &str,
    ) -> Result<(), ControlError> {
        self.serving(app)?.may_start_forward(stream, url)
    }

    fn start_forward(&self, app: &str, stream: &StreamRef, url: &str) -> Result<(), ControlError> {
        self.serving(app)?.start_forward(stream, url)
    }

    fn forwards(&self, app: &str, stream: &StreamRef, url: &str) -> bool {
        (self.of(app)).is_some_and(|relays| relays.forwards(stream, url))
    }

    fn stop_forward(&self, app: &str, stream: &StreamRef, url: &str) -> Result<(), ControlError> {
        self.serving(app)?.stop_forward(stream, url)
    }

    fn has(&self, app: &str, conn: ConnId) -> bool {
        self.of(app).is_some_and(|relays| relays.has(conn))
    }

    fn disconnect(&self, app: &str, conn: ConnId, reason: &str) -> bool {
        (self.of(app)).is_some_and(|relays| relays.disconnect(conn, reason))
    }
}
