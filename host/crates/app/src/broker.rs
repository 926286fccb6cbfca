//! The way in and out, for every protocol.
//!
//! Flows in: what a client asks for. Flows out: a [`Publishing`] or a [`Playing`],
//! with all that was granted applied, or the [`Refusal`] that the client is told.
//! Dropping either ends it, once.

use std::sync::Arc;
use std::time::Duration;

use livehost_hub::{
    Claim, Contested, Format, Hub, Outlet, Publication, StreamKey, Subscriber, Wake,
};
use livehost_policy::{
    Client, Gate, OnPlay, OnPublish, PlayDecision, PlayGrant, PublishDecision, PublishGrant,
    StreamRequest,
};
use livehost_telemetry::limited;
use tracing::{Instrument, Span};

use crate::application::Application;
use crate::claims::{Claimed, Claims};
use crate::input::{PublishTerms, Publishing, Pushes};
use crate::lineage::{Identity, Lineage};
use crate::names::NamePlace;
use crate::output::{Playing, Times};
use crate::refusal::{Refusal, RefusalKind};
use crate::relays::RelayService;

/// The part of a play grant's `extra` that says how many may play the stream.
const MAX_PLAYERS: &str = "max-players";

/// What a client asks for.
#[derive(Debug)]
pub struct Ask {
    /// Whose policy decides.
    pub application: Arc<Application>,
    /// What the policy is asked.
    pub request: StreamRequest,
    /// Where the stream has come through, or is going to, if a relay asks.
    pub lineage: Lineage,
    /// What the log's lines about the stream carry: `renamed` is recorded here.
    pub span: Span,
}

/// Brings together who asks, who decides, and what there is.
#[derive(Debug)]
pub struct Broker {
    hub: Arc<Hub>,
    identity: Arc<Identity>,
    relays: Arc<dyn RelayService>,
    claims: Arc<dyn Claims>,
}

impl Broker {
    /// For the streams of `hub`, whose names `claims` gives, and `relays` that know
    /// this process by `identity`.
    pub fn new(
        hub: Arc<Hub>,
        identity: Arc<Identity>,
        relays: Arc<dyn RelayService>,
        claims: Arc<dyn Claims>,
    ) -> Arc<Self> {
        Arc::new(Self {
            hub,
            identity,
            relays,
            claims,
        })
    }

    /// The streams.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Streams from and to other servers.
    pub fn relays(&self) -> &Arc<dyn RelayService> {
        &self.relays
    }

    /// Asks whether to publish, and claims the name. `wake` is notified when the
    /// publication is to be looked at.
    ///
    /// Whoever had the name may be waited for, a second at most. Dropped before
    /// its end, it leaves nothing behind.
    ///
    /// # Errors
    /// [`Refusal`], by the policy, or since the name can't be had.
    pub fn publish(
        &self,
        ask: Ask,
        wake: Wake,
    ) -> impl Future<Output = Result<Publishing, Refusal>> + Send {
        let span = ask.span.clone();
        self.publish_in_span(ask, wake).instrument(span)
    }

    async fn publish_in_span(&self, ask: Ask, wake: Wake) -> Result<Publishing, Refusal> {
        let Ask {
            application,
            request,
            lineage,
            span,
        } = ask;
        let (client, asked) = (request.client.clone(), place(&request));
        let gate = application.gate();
        let mut grant = match gate.ask(OnPublish::new(request)).await {
            PublishDecision::Accept(grant) => grant,
            PublishDecision::Reject(rejection) => return Err(rejection.into()),
        };
        if grant.record_to.is_some() {
            limited!(
                WARN,
                gate.admits_failure(),
                grant = "record-to",
                "not available yet: this part of the grant is ignored"
            );
        }
        let key = renamed(asked, grant.name.as_deref(), gate, &span)?.key(application.name());
        self.identity.check(&lineage, &key)?;
        let forward_to = std::mem::take(&mut grant.forward_to);
        let granted = Granted {
            application,
            key,
            client,
            grant,
            span,
            wake,
        };
        let claiming = self.claims.claim(&self.hub, granted.as_claim());
        let mut publishing = granted.start(claiming.end().await?);
        publishing.push_to(Pushes {
            relays: self.relays.clone(),
            forward_to,
            lineage,
        });
        Ok(publishing)
    }

    /// Asks whether to play, and subscribes: `wake`, `format` and `outlet` are those
    /// of the [`Subscriber`]. A player whose stream is absent waits, or has it pulled.
    ///
    /// # Errors
    /// [`Refusal`], by the policy, or since the stream can't be had.
    pub fn play(
        &self,
        ask: Ask,
        wake: Wake,
        format: Option<Arc<dyn Format>>,
        outlet: Option<Arc<dyn Outlet>>,
    ) -> impl Future<Output = Result<Playing, Refusal>> + Send {
        let span = ask.span.clone();
        self.play_in_span(ask, wake, format, outlet)
            .instrument(span)
    }

    async fn play_in_span(
        &self,
        ask: Ask,
        wake: Wake,
        format: Option<Arc<dyn Format>>,
        outlet: Option<Arc<dyn Outlet>>,
    ) -> Result<Playing, Refusal> {
        let Ask {
            application,
            request,
            lineage,
            span,
        } = ask;
        let gate = application.gate();
        let grant = match gate.ask(OnPlay::new(request.clone())).await {
            PlayDecision::Accept(grant) => grant,
            PlayDecision::Reject(rejection) => return Err(rejection.into()),
        };
        let place = renamed(place(&request), grant.name.as_deref(), gate, &span)?;
        let key = place.key(application.name());
        self.identity.check(&lineage, &key)?;
        // Those of now: the decision may have taken its time.
        let settings = application.settings();
        let subscriber = Subscriber {
            settings: settings.media,
            wake: wake.clone(),
            format,
            outlet,
        };
        let subscription = match max_players(&grant, gate) {
            Some(max) => self.hub.play_within(&key, subscriber, max)?,
            None => self.hub.play(&key, subscriber),
        };
        // It is a player by now: a pull finds that it is wanted.
        let pull_from = grant.pull_from.as_deref();
        let pull = self.relays.demand(&key, pull_from, &lineage, &wake)?;
        let times = Times {
            wait: millis(grant.wait_ms).unwrap_or(settings.wait_for_publisher),
            total: (grant.max_seconds).map(|seconds| Duration::from_secs(seconds.into())),
        };
        let request = StreamRequest {
            instance: place.instance,
            name: place.name,
            ..request
        };
        Ok(Playing::start(
            subscription,
            request,
            gate.clone(),
            span,
            times,
            pull,
        ))
    }
}

/// A publish that needs no decision any more, as that of a pull.
#[derive(Debug)]
pub struct Granted {
    /// Whose settings apply, and whose plugin hears of it.
    pub application: Arc<Application>,
    /// The name to claim.
    pub key: StreamKey,
    /// Who publishes.
    pub client: Client,
    /// Its limits, and what happens when the name is taken. The name is in `key`,
    /// pushes are another's to start.
    pub grant: PublishGrant,
    /// What the log's lines about the stream carry.
    pub span: Span,
    /// Notified when the publication is to be looked at.
    pub wake: Wake,
}

impl Granted {
    /// Claims the name in this process, and asks no [`Claims`].
    ///
    /// # Errors
    /// [`Contested`] when it is taken: to be refused, or settled.
    pub fn claim(&self, hub: &Arc<Hub>) -> Result<Publication, Contested> {
        hub.publish(self.as_claim())
    }

    fn as_claim(&self) -> Claim {
        Claim {
            key: self.key.clone(),
            on_duplicate: self.grant.on_duplicate,
            hold: millis(self.grant.hold_ms).unwrap_or_default(),
            client: self.client.clone(),
            settings: self.application.settings().media,
            wake: self.wake.clone(),
        }
    }

    /// Says that it is published.
    pub fn start(self, claimed: impl Into<Claimed>) -> Publishing {
        let Self {
            application, grant, ..
        } = self;
        let usual = application.settings().publisher_timeout;
        let terms = PublishTerms {
            silence: millis(grant.idle_timeout_ms).unwrap_or(usual),
            max_kbps: grant.max_kbps.filter(|kbps| *kbps > 0),
        };
        Publishing::start(claimed.into(), application.gate().clone(), self.span, terms)
    }
}

fn place(request: &StreamRequest) -> NamePlace {
    NamePlace {
        instance: request.instance.clone(),
        name: request.name.clone(),
    }
}

/// Puts the name that was granted in the place of what was asked for.
///
/// # Errors
/// When it can't be one: that is the plugin's mistake, and the client is told no
/// more than that.
fn renamed(
    asked: NamePlace,
    granted: Option<&str>,
    gate: &Gate,
    span: &Span,
) -> Result<NamePlace, Refusal> {
    let Some(name) = granted else {
        return Ok(asked);
    };
    match NamePlace::granted(asked.instance.as_deref(), name) {
        Ok(place) => {
            span.record("renamed", name);
            Ok(place)
        }
        Err(error) => {
            limited!(WARN, gate.admits_failure(), %error, "the plugin's grant can't be used");
            let text = "the server granted a name that can't be used";
            Err(Refusal::new(RefusalKind::Unusable, text))
        }
    }
}

/// How many may play the stream, if the grant says so.
fn max_players(grant: &PlayGrant, gate: &Gate) -> Option<usize> {
    let said = grant.extra.iter().find(|(key, _)| key == MAX_PLAYERS);
    let (_, found) = said?;
    let max = found.parse().ok();
    if max.is_none() {
        limited!(
            WARN,
            gate.admits_failure(),
            grant = MAX_PLAYERS,
            found,
            expected = "a number",
            "this part of the grant is out of range and ignored"
        );
    }
    max
}

fn millis(granted: Option<u32>) -> Option<Duration> {
    granted.map(|millis| Duration::from_millis(millis.into()))
}
