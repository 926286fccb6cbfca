//! A policy and relays that do as a test says, and remember what they were asked.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use livehost_app::lineage::Lineage;
use livehost_app::relays::{NoPull, PendingPull, RelayService, Removed};
use livehost_hub::{Hub, StreamKey, Wake};
use livehost_policy::{
    CallError, Client, ConnectDecision, ConnectGrant, ConnectRequest, Event, PlayDecision,
    PlayGrant, Policy, PolicyError, PublishDecision, PublishGrant, StreamId, StreamRequest,
};
use parking_lot::Mutex;
use tokio::sync::Notify;

type Answer<T> = Result<T, PolicyError>;

pub(crate) struct Script {
    publish: Mutex<Answer<PublishDecision>>,
    play: Mutex<Answer<PlayDecision>>,
    /// Set: no decision before its notification.
    pub(crate) pause: Mutex<Option<Arc<Notify>>>,
    pub(crate) asked: Mutex<Vec<StreamRequest>>,
    events: Mutex<Vec<Event>>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            publish: Mutex::new(Ok(PublishDecision::Accept(PublishGrant::default()))),
            play: Mutex::new(Ok(PlayDecision::Accept(PlayGrant::default()))),
            pause: Mutex::default(),
            asked: Mutex::default(),
            events: Mutex::default(),
        }
    }
}

impl Script {
    /// What each publish gets from now on.
    pub(crate) fn grant(&self, grant: PublishGrant) {
        self.on_publish(Ok(PublishDecision::Accept(grant)));
    }

    pub(crate) fn on_publish(&self, answer: Answer<PublishDecision>) {
        *self.publish.lock() = answer;
    }

    /// What each player gets from now on.
    pub(crate) fn grant_play(&self, grant: PlayGrant) {
        self.on_play(Ok(PlayDecision::Accept(grant)));
    }

    pub(crate) fn on_play(&self, answer: Answer<PlayDecision>) {
        *self.play.lock() = answer;
    }

    /// The events since the last call: what, and of which stream, and why.
    pub(crate) fn events(&self) -> Vec<String> {
        let events = std::mem::take(&mut *self.events.lock());
        let brief = events.into_iter().map(|event| match event {
            Event::Published(info) => format!("published {}", info.path()),
            Event::Ready(info) => format!("ready {}", info.path()),
            Event::Unpublished(info, end) => format!("unpublished {}: {}", info.path(), end.reason),
            Event::PlayEnded(request, end) => format!("played {}: {}", request.name, end.reason),
            other => format!("{other:?}"),
        });
        brief.collect()
    }

    async fn asked(&self, request: StreamRequest) {
        self.asked.lock().push(request);
        let pause = self.pause.lock().clone();
        if let Some(pause) = pause {
            pause.notified().await;
        }
    }
}

#[async_trait]
impl Policy for Script {
    async fn on_connect(&self, _: ConnectRequest) -> Answer<ConnectDecision> {
        Ok(ConnectDecision::Accept(ConnectGrant::default()))
    }
    async fn on_publish(&self, request: StreamRequest) -> Answer<PublishDecision> {
        self.asked(request).await;
        self.publish.lock().clone()
    }
    async fn on_play(&self, request: StreamRequest) -> Answer<PlayDecision> {
        self.asked(request).await;
        self.play.lock().clone()
    }
    async fn on_call(&self, _: Client, method: String, _: Bytes) -> Result<Bytes, CallError> {
        Err(CallError::Unknown(method))
    }
    fn notify(&self, event: Event) {
        self.events.lock().push(event);
    }
}

/// What a player's stream is told to be had from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Demand {
    pub(crate) path: String,
    pub(crate) pull_from: Option<String>,
    /// Who play it by then.
    pub(crate) players: usize,
}

#[derive(Debug)]
pub(crate) struct ScriptedRelays {
    hub: Arc<Hub>,
    /// The application is removed.
    pub(crate) removed: Mutex<bool>,
    /// Paths, and where they are pushed.
    pub(crate) pushed: Mutex<Vec<(String, Vec<String>)>>,
    pub(crate) demands: Mutex<Vec<Demand>>,
    /// Why nothing is pulled.
    pub(crate) no_pull: Mutex<Option<NoPull>>,
    /// The pulls that players wait for.
    pub(crate) pending: Mutex<Vec<Arc<PendingPull>>>,
}

impl ScriptedRelays {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self {
            hub,
            removed: Mutex::default(),
            pushed: Mutex::default(),
            demands: Mutex::default(),
            no_pull: Mutex::default(),
            pending: Mutex::default(),
        }
    }

    /// What was pushed since the last call.
    pub(crate) fn pushed(&self) -> Vec<(String, Vec<String>)> {
        std::mem::take(&mut *self.pushed.lock())
    }
}

impl RelayService for ScriptedRelays {
    fn published(
        &self,
        key: &StreamKey,
        _: StreamId,
        forward_to: &[String],
        _: &Lineage,
    ) -> Result<(), Removed> {
        if *self.removed.lock() {
            return Err(Removed);
        }
        (self.pushed.lock()).push((key.path(), forward_to.to_vec()));
        Ok(())
    }

    fn demand(
        &self,
        key: &StreamKey,
        pull_from: Option<&str>,
        _: &Lineage,
        wake: &Wake,
    ) -> Result<Option<Arc<PendingPull>>, NoPull> {
        self.demands.lock().push(Demand {
            path: key.path(),
            pull_from: pull_from.map(str::to_owned),
            players: self.hub.players(key),
        });
        if let Some(no_pull) = *self.no_pull.lock() {
            return Err(no_pull);
        }
        Ok(pull_from.map(|_| {
            let pending = PendingPull::new(wake.clone());
            self.pending.lock().push(pending.clone());
            pending
        }))
    }
}
