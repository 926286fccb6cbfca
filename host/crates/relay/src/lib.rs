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
mod lineage;
mod peer;
mod plan;
mod pull;
mod pulls;
mod push;
mod redirect;
mod report;
mod url;

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

pub use allow::{Allow, NotAllowed};
pub use app::AppRelays;
pub use lineage::{Lineage, Loop};
pub use plan::{Forward, NAME, Plan, Pull, Settings};
pub use pulls::NoPull;
pub use url::{RelayUrl, UrlError};

use lineage::Identity;
use livehost_app::application::Application;
use livehost_app::conn::ConnIds;
use livehost_hub::Hub;
use livehost_net::outbound::Network;

/// What all relays share.
#[derive(Debug)]
struct Common {
    hub: Arc<Hub>,
    network: Network,
    identity: Identity,
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
    /// Relays between `hub` and servers that are reached through `network`,
    /// numbered by `conns`. All end when `stop` is cancelled.
    pub fn new(
        hub: Arc<Hub>,
        network: Network,
        conns: Arc<ConnIds>,
        stop: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            common: Arc::new(Common {
                hub,
                network,
                identity: Identity::new(),
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

    /// Whether a stream that has come through `lineage` may be published as
    /// `key`.
    ///
    /// # Errors
    /// [`Loop`], when it comes from there.
    pub fn check(&self, lineage: &Lineage, key: &livehost_hub::StreamKey) -> Result<(), Loop> {
        if lineage.is_empty() {
            return Ok(());
        }
        self.common.identity.extend(lineage, key).map(|_| ())
    }
}
