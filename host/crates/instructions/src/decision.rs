//! A decision that is there at once: what lies around the plugin.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use livehost_decisions::{DecisionLog, DecisionSettings};
use livehost_policy::{
    Answer, Client, Event, Fallback, Gate, OnPlay, PlayDecision, Policy, Question, Reply,
    StreamRequest,
};

/// A gate, and what it is asked next.
#[derive(Debug)]
pub struct Decision {
    gate: Gate,
    request: Arc<StreamRequest>,
}

/// Whether decisions are recorded.
#[derive(Debug, Clone, Copy)]
pub enum Recorded {
    /// There is no decision log.
    Never,
    /// There is one, and nobody wants records.
    Off,
    /// In a ring.
    On,
}

/// Accepts everybody.
struct Open;

// As `async_trait` has it.
impl Policy for Open {
    fn ask<'s, 'f>(
        &'s self,
        _: Question,
    ) -> std::pin::Pin<Box<dyn Future<Output = Reply> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        let accepted = Answer::Play(PlayDecision::Accept(Default::default()));
        Box::pin(std::future::ready(accepted.into()))
    }

    fn decides_shared_objects(&self) -> bool {
        false
    }

    fn notify(&self, _: Event) {}
}

/// A question by a player.
pub fn decision(recorded: Recorded) -> Decision {
    let log = DecisionLog::new();
    if let Recorded::On = recorded {
        let settings = DecisionSettings {
            ring: 1,
            ..DecisionSettings::default()
        };
        log.set(settings, Path::new(""));
    }
    let policy: Arc<dyn Policy> = match recorded {
        Recorded::Never => Arc::new(Open),
        Recorded::Off | Recorded::On => log.around("live", Arc::new(Open)),
    };
    let request = StreamRequest {
        client: Client {
            conn: 7,
            remote: "203.0.113.7:51234".into(),
            protocol: "rtmp".into(),
            ..Client::default()
        },
        app: "live".into(),
        instance: None,
        name: "cam".into(),
        raw_name: "cam".into(),
        query: Vec::new(),
        mode: "live".into(),
        start_seconds: None,
        extra: Vec::new(),
    };
    let decision = Decision {
        gate: Gate::new("live", policy, Fallback::Reject),
        request: request.into(),
    };
    // What is made once is made.
    decision.ask();
    decision
}

impl Decision {
    /// Asks.
    ///
    /// # Panics
    /// If the answer is not there at once.
    pub fn ask(&self) -> PlayDecision {
        let mut asked = pin!(self.gate.ask(OnPlay::new(self.request.clone())));
        match asked.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(decision) => decision,
            Poll::Pending => panic!("nobody is waited for"),
        }
    }
}
