//! What several tests need, and the relays of an application as `app` sees them.

mod attempts;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use livehost_app::application::{self, Application};
use livehost_app::conn::ConnIds;
use livehost_app::lineage::Lineage;
use livehost_app::relays::RelayService;
use livehost_app::shared_objects::{self, Forget, Objects};
use livehost_hub::{Claim, Hub, Publication, StreamKey, Wake};
use livehost_net::outbound::{Network, UrlPattern};
use livehost_policy::{
    Client, ConnId, ControlError, DuplicateRule, Event, Fallback, Gate, Policy, PolicyError,
    Question, Reply, StreamRef,
};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{Allow, Forward, Plan, Pull, RelaySettings, RelayUrl, Relays};

/// Takes events; nobody asks it.
#[derive(Default)]
pub(super) struct Ear(pub(super) Mutex<Vec<Event>>);

impl Ear {
    pub(super) fn gate(self: Arc<Self>) -> Gate {
        Gate::new("live", self, Fallback::Reject)
    }
}

#[async_trait]
impl Policy for Ear {
    async fn ask(&self, _: Question) -> Reply {
        PolicyError::Unavailable("an ear".into()).into()
    }
    fn decides_shared_objects(&self) -> bool {
        false
    }
    fn notify(&self, event: Event) {
        self.0.lock().push(event);
    }
}

/// An application `live` whose streams nobody treats in a special way.
fn application(ear: Arc<Ear>) -> Arc<Application> {
    let second = Duration::from_secs(1);
    let settings = application::ApplicationSettings {
        media: livehost_hub::MediaSettings {
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
    let objects = Objects::new(shared_objects::ObjectSettings::default(), Arc::new(Forget));
    Application::new("live", ear.gate(), settings, objects)
}

/// The relays of `live` under this plan.
fn relaying(hub: &Arc<Hub>, plan: Plan) -> Arc<Relays> {
    let conns = Arc::new(ConnIds::default());
    let network = Network::new().expect("TLS");
    let stop = CancellationToken::new();
    let relays = Relays::new(hub.clone(), Arc::default(), network, conns, stop);
    relays.open(&application(Arc::default()), plan);
    relays
}

/// Where nobody answers.
fn nowhere(name: &str) -> String {
    format!("rtmp://127.0.0.1:1/live/{name}")
}

/// These streams are pulled at start.
fn pulling(paths: &[&str]) -> Arc<Relays> {
    let from = RelayUrl::parse(&nowhere("cam")).expect("a URL");
    let pulls = paths.iter().map(|path| Pull {
        path: (*path).to_owned(),
        from: from.clone(),
        on_demand: false,
    });
    let plan = Plan {
        pulls: pulls.collect(),
        ..Plan::default()
    };
    relaying(&Hub::new(), plan)
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

/// The relay numbers of the pushes of a stream, by the last segment of their URLs.
fn pushes(relays: &Relays, key: &StreamKey) -> BTreeMap<String, ConnId> {
    let app = relays.of("live").expect("it is open");
    let state = app.state.lock();
    let pushes = state.pushes.iter().filter(|((of, _), _)| of == key);
    pushes
        .map(|((_, url), handle)| (url.name().to_owned(), handle.conn))
        .collect()
}

fn names(pushes: &BTreeMap<String, ConnId>) -> Vec<&str> {
    pushes.keys().map(String::as_str).collect()
}

/// Publishers of `room/cam`, whose streams are pushed to `config`, and to where the
/// plugin says.
struct Pushing {
    hub: Arc<Hub>,
    relays: Arc<Relays>,
    key: StreamKey,
}

impl Pushing {
    fn new() -> Self {
        let hub = Hub::new();
        let allowed = UrlPattern::parse("http://127.0.0.1:1/live/*").expect("a pattern");
        let plan = Plan {
            settings: RelaySettings {
                allow: Allow::from_iter([allowed]),
                ..RelaySettings::default()
            },
            forwards: vec![Forward::new(None, nowhere("config")).expect("a forward")],
            ..Plan::default()
        };
        Self {
            relays: relaying(&hub, plan),
            hub,
            key: StreamKey::called("live", "room/cam"),
        }
    }

    fn claim(&self, key: &StreamKey, on_duplicate: DuplicateRule) -> Publication {
        let claim = Claim {
            key: key.clone(),
            on_duplicate,
            hold: Duration::ZERO,
            client: Client::default(),
            settings: application(Arc::default()).settings().media,
            wake: Wake::default(),
        };
        self.hub.publish(claim).expect("the name")
    }

    /// It is told that the publication, which was granted these pushes, begins.
    fn published(&self, publication: &Publication, granted: &[&str]) {
        let urls: Vec<_> = granted.iter().map(|name| nowhere(name)).collect();
        let (key, id) = (publication.key(), publication.id());
        let told = self.relays.published(key, id, &urls, &Lineage::default());
        told.expect("the application is there");
    }

    /// The plugin orders a push of the stream, whoever publishes it.
    fn order(&self, name: &str) {
        let stream = StreamRef::Path("room/cam".to_owned());
        let ordered = self.relays.start_forward("live", &stream, &nowhere(name));
        assert_eq!(ordered, Ok(()), "{name}");
    }

    fn pushes(&self) -> BTreeMap<String, ConnId> {
        pushes(&self.relays, &self.key)
    }
}

#[tokio::test]
async fn pushes_are_a_publications_and_end_with_it_unless_the_next_one_wants_them() {
    let pushing = Pushing::new();
    let (relays, key) = (&pushing.relays, &pushing.key);
    let first = pushing.claim(key, DuplicateRule::Replace);
    pushing.published(&first, &["both", "first"]);
    pushing.order("ordered");
    let before = pushing.pushes();
    assert_eq!(names(&before), ["both", "config", "first", "ordered"]);
    let cam = StreamKey::called("live", "cam");
    let other = pushing.claim(&cam, DuplicateRule::Reject);
    pushing.published(&other, &[]);
    assert_eq!(names(&pushes(relays, &cam)), ["config"]);
    assert_eq!(pushing.pushes(), before, "another stream's");

    let second = pushing.claim(key, DuplicateRule::Replace);
    pushing.published(&second, &["both", "second"]);
    let after = pushing.pushes();
    assert_eq!(names(&after), ["both", "config", "second"]);
    for kept in ["both", "config"] {
        assert_eq!(after[kept], before[kept], "{kept} goes on as it is");
    }
    // Of a publication that is over nothing is pushed any more.
    let id = StreamRef::Id(second.id());
    drop(second);
    let late = relays.start_forward("live", &id, &nowhere("late"));
    assert_eq!(late, Err(ControlError::NotFound));
    relays.close_all().await;
}

#[tokio::test]
async fn a_push_that_is_ordered_before_its_publication_is_told_of_goes_on() {
    let pushing = Pushing::new();
    let first = pushing.claim(&pushing.key, DuplicateRule::Replace);
    // The plugin hears of a publish, and of who stands by in its place, before this.
    pushing.order("early");
    pushing.published(&first, &["granted"]);
    pushing.order("first");
    let before = pushing.pushes();
    assert_eq!(names(&before), ["config", "early", "first", "granted"]);
    let second = pushing.claim(&pushing.key, DuplicateRule::Standby);
    drop(first);
    pushing.order("early");
    pushing.order("second");
    pushing.published(&second, &[]);
    let after = pushing.pushes();
    assert_eq!(names(&after), ["config", "early", "second"]);
    assert_eq!(after["early"], before["early"], "it goes on as it is");
    pushing.relays.close_all().await;
}

#[tokio::test]
async fn a_publication_that_was_replaced_starts_and_ends_no_push() {
    let pushing = Pushing::new();
    let first = pushing.claim(&pushing.key, DuplicateRule::Replace);
    let second = pushing.claim(&pushing.key, DuplicateRule::Replace);
    pushing.published(&second, &["second"]);
    pushing.order("ordered");
    let before = pushing.pushes();
    pushing.published(&first, &["first"]);
    assert_eq!(pushing.pushes(), before);
    assert_eq!(names(&before), ["config", "ordered", "second"]);
    pushing.relays.close_all().await;
}
