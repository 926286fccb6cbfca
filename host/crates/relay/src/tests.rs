//! What several tests need, and the relays of an application as `app` sees them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use livehost_app::application::{self, Application};
use livehost_app::conn::ConnIds;
use livehost_app::lineage::Lineage;
use livehost_app::relays::RelayService;
use livehost_app::shared_objects::{self, Forget, Objects};
use livehost_hub::{Hub, StreamKey, Wake};
use livehost_net::outbound::Network;
use livehost_policy::{
    CallError, Client, ConnectDecision, ConnectRequest, Event, Fallback, Gate, PlayDecision,
    Policy, PolicyError, PublishDecision, StreamRequest,
};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{Plan, Pull, RelayUrl, Relays};

/// Takes events; nobody asks it.
#[derive(Default)]
pub(super) struct Ear(pub(super) Mutex<Vec<Event>>);

impl Ear {
    pub(super) fn gate(self: Arc<Self>) -> Gate {
        Gate::new("live", self, Fallback::Reject)
    }
}

fn nobody<T>() -> Result<T, PolicyError> {
    Err(PolicyError::Unavailable("an ear".into()))
}

#[async_trait]
impl Policy for Ear {
    async fn on_connect(&self, _: ConnectRequest) -> Result<ConnectDecision, PolicyError> {
        nobody()
    }
    async fn on_publish(&self, _: StreamRequest) -> Result<PublishDecision, PolicyError> {
        nobody()
    }
    async fn on_play(&self, _: StreamRequest) -> Result<PlayDecision, PolicyError> {
        nobody()
    }
    async fn on_call(&self, _: Client, _: String, _: Bytes) -> Result<Bytes, CallError> {
        Ok(nobody()?)
    }
    fn notify(&self, event: Event) {
        self.0.lock().push(event);
    }
}

/// An application `live` whose streams nobody treats in a special way.
fn application(ear: Arc<Ear>) -> Arc<Application> {
    let second = Duration::from_secs(1);
    let settings = application::Settings {
        media: livehost_hub::Settings {
            keyframe_cache: 1 << 20,
            join: livehost_hub::Join::Keyframe,
            queue_bytes: 1 << 20,
            queue_time: 10 * second,
            slow_close: 20 * second,
            gather: Duration::ZERO,
        },
        chunk_size: 60_000,
        message: 1 << 20,
        publisher_timeout: second,
        wait_for_publisher: second,
    };
    let objects = Objects::new(shared_objects::Settings::default(), Arc::new(Forget));
    Application::new("live", ear.gate(), settings, objects)
}

/// The relays of `live` under a configuration that pulls these streams at start,
/// from where nobody answers.
fn pulling(paths: &[&str]) -> Arc<Relays> {
    let conns = Arc::new(ConnIds::default());
    let network = Network::new().expect("TLS");
    let stop = CancellationToken::new();
    let relays = Relays::new(Hub::new(), Arc::default(), network, conns, stop);
    let from = RelayUrl::parse("rtmp://127.0.0.1:1/live/cam").expect("a URL");
    let pulls = paths.iter().map(|path| Pull {
        path: (*path).to_owned(),
        from: from.clone(),
        on_demand: false,
    });
    let plan = Plan {
        pulls: pulls.collect(),
        ..Plan::default()
    };
    relays.open(&application(Arc::default()), plan);
    relays
}

#[tokio::test]
async fn a_pull_at_start_is_the_stream_that_players_of_its_name_ask_for() {
    let relays = pulling(&["cam", "room/cam", "/a/b//cam"]);
    let app = relays.of("live").expect("it is open");
    let keys = || {
        let mut keys: Vec<_> = app.state.lock().pulls.keys().cloned().collect();
        keys.sort();
        keys
    };
    let key = |instance: Option<&str>| StreamKey {
        app: "live".into(),
        instance: instance.map(Into::into),
        name: "cam".into(),
    };
    let meant = [None, Some("a/b"), Some("room")].map(key);
    assert_eq!(keys(), meant);
    // A player finds the pull that runs: there is no second one.
    for key in &meant {
        let (lineage, wake) = (Lineage::default(), Wake::default());
        let pull = relays.demand(key, None, &lineage, &wake);
        assert!(matches!(pull, Ok(None)), "{key}: {pull:?}");
    }
    assert_eq!(keys(), meant);
    // Nor does the same configuration, read again, begin one.
    let conns = |app: &super::AppRelays| {
        let state = app.state.lock();
        let conns = state.pulls.values().map(|pull| pull.handle().conn);
        conns.collect::<std::collections::BTreeSet<_>>()
    };
    let before = conns(&app);
    app.follow(app.plan.load().as_ref().clone());
    assert_eq!(conns(&app), before);
    relays.close_all().await;
}
