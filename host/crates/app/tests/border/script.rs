//! A policy and relays that do as a test says, and remember what they were asked.

use std::sync::Arc;

use async_trait::async_trait;
use livehost_app::lineage::Lineage;
use livehost_app::relays::{NoPull, PendingPull, RelayService, Removed};
use livehost_hub::{Hub, StreamKey, Wake};
use livehost_policy::{
    Answer, Event, PlayDecision, PlayGrant, Policy, PolicyError, PublishDecision, PublishGrant,
    Question, Reply, StreamId, StreamRequest,
};
use parking_lot::Mutex;
use tokio::sync::Notify;

pub(crate) struct Script {
    publish: Mutex<Result<PublishDecision, PolicyError>>,
    play: Mutex<Result<PlayDecision, PolicyError>>,
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

    pub(crate) fn on_publish(&self, answer: Result<PublishDecision, PolicyError>) {
        *self.publish.lock() = answer;
    }

    /// What each player gets from now on.
    pub(crate) fn grant_play(&self, grant: PlayGrant) {
        self.on_play(Ok(PlayDecision::Accept(grant)));
    }

    pub(crate) fn on_play(&self, answer: Result<PlayDecision, PolicyError>) {
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

    async fn asked(&self, request: &StreamRequest) {
        self.asked.lock().push(request.clone());
        let pause = self.pause.lock().clone();
        if let Some(pause) = pause {
            pause.notified().await;
        }
    }
}

#[async_trait]
impl Policy for Script {
    async fn ask(&self, question: Question) -> Reply {
        match question {
            Question::Publish(request) => {
                self.asked(&request).await;
                self.publish.lock().clone().map(Answer::Publish).into()
            }
            Question::Play(request) => {
                self.asked(&request).await;
                self.play.lock().clone().map(Answer::Play).into()
            }
            other => unreachable!("{other:?}"),
        }
    }
    fn decides_shared_objects(&self) -> bool {
        false
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
