//! The policy around a policy that sees each decision.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use livehost_policy::{Event, Policy, Question, Reply};

use crate::exchange::Exchange;
use crate::log::DecisionLog;

/// An application's policy, and the log that hears of its decisions.
pub(crate) struct Witness {
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) app: String,
    pub(crate) log: Arc<DecisionLog>,
}

// As `async_trait` would have it, without a future of its own for whom nobody watches.
impl Policy for Witness {
    fn ask<'s, 'f>(&'s self, question: Question) -> Pin<Box<dyn Future<Output = Reply> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        match self.log.is_on() && self.log.wants(question.hook()) {
            true => Box::pin(self.witness(question)),
            false => self.policy.ask(question),
        }
    }

    fn decides_shared_objects(&self) -> bool {
        self.policy.decides_shared_objects()
    }

    fn notify(&self, event: Event) {
        self.policy.notify(event);
    }
}

impl Witness {
    async fn witness(&self, question: Question) -> Reply {
        let mut asked = Asked {
            witness: self,
            question: question.clone(),
            since: Instant::now(),
            is_over: false,
        };
        let reply = self.policy.ask(question).await;
        asked.end(Some(&reply));
        reply
    }
}

/// A question that may never be answered: dropped, its client has left.
struct Asked<'w> {
    witness: &'w Witness,
    question: Question,
    since: Instant,
    is_over: bool,
}

impl Asked<'_> {
    fn end(&mut self, reply: Option<&Reply>) {
        self.is_over = true;
        self.witness.log.record(&Exchange {
            app: &self.witness.app,
            question: &self.question,
            reply,
            latency: self.since.elapsed(),
        });
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.end(None);
        }
    }
}
