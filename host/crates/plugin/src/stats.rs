//! What an application's plugin did, counted.
//!
//! Flows in: one `add` where something happened. Flows out: the numbers by
//! name, for the log and for operators. Counters outlive generations; a relaxed
//! increment costs a decision nothing worth measuring.

use std::sync::Arc;
use std::time::Duration;

use livehost_net::outbound;
use livehost_policy::{
    Answer, ConnectDecision, ObjectDecision, PlayDecision, PolicyError, PublishDecision,
};
use livehost_telemetry::counters;
use livehost_telemetry::counters::{Counter, Counts};
use livehost_telemetry::latency::{Latency, LatencyCounts};

use super::function::Function;

counters! {
    /// The counters of one application.
    pub(super) struct Stats {
        /// Decisions of `on-connect`.
        connects_accepted,
        /// Decisions of `on-connect`.
        connects_rejected,
        /// Decisions of `on-connect`.
        connects_redirected,
        /// Questions to `on-connect` without a decision.
        connects_failed,
        /// Decisions of `on-publish`.
        publishes_accepted,
        /// Decisions of `on-publish`.
        publishes_rejected,
        /// Questions to `on-publish` without a decision.
        publishes_failed,
        /// Decisions of `on-play`.
        plays_accepted,
        /// Decisions of `on-play`.
        plays_rejected,
        /// Questions to `on-play` without a decision.
        plays_failed,
        /// Events of shared objects that were allowed.
        objects_allowed,
        /// Events of shared objects that were allowed with another value.
        objects_rewritten,
        /// Events of shared objects that were denied.
        objects_denied,
        /// Questions to `on-shared-object` without a decision.
        objects_failed,
        /// Remote calls with a result.
        calls_answered,
        /// Remote calls with an error of the plugin for the client.
        calls_refused,
        /// Remote calls without an answer.
        calls_failed,
        /// Events that the plugin took.
        events_delivered,
        /// Events in which the plugin failed.
        events_failed,
        /// Events that were dropped: the queue was full.
        events_dropped,
        /// Timers that fired.
        timers_fired,
        /// Timers in which the plugin failed.
        timers_failed,
        /// Timers that were not set: there were too many.
        timers_refused,
        /// Calls of any kind that trapped, those below apart.
        traps,
        /// Calls that trapped after memory was refused.
        memory_exceeded,
        /// Calls that computed for too long.
        cpu_exceeded,
        /// Calls that took too long in all.
        wall_exceeded,
        /// Calls that found no free instance in time.
        pool_exhausted,
        /// Timers that had to wait, for failing again and again.
        timers_delayed,
        /// Calls for clients that were not made: their function was left alone.
        breaker_refused,
        /// How often a function was left alone.
        breaker_opened,
        /// Addresses that had to wait, for calls that failed again and again.
        addresses_delayed,
        /// Generations that replaced another.
        reloads,
        /// Reloads that failed before the swap.
        reloads_refused,
        /// Generations replaced by the one before, for failing or by an order.
        roll_backs,
        /// Snapshots that the next generation did not get: too large, or failed.
        snapshots_left_out,
        /// Generations that had calls left when their time to drain was over.
        drains_exceeded,
        /// Instances replaced by fresh ones for their calls or their memory.
        instances_recycled,
        /// Keys or values that were too large.
        kv_too_large,
        /// Writes beyond the quota.
        kv_over_quota,
        /// Counters that would have overflowed, or were none.
        kv_not_counted,
        /// Lines of the plugin that were not logged.
        log_lines_dropped,
        /// Generations alive now: serving, starting or on their way out.
        generations,
        /// Instances alive now.
        instances,
    }
}

impl Stats {
    /// Counts what became of a question to `function`.
    pub(super) fn decided(&self, function: Function, answer: &Result<Answer, PolicyError>) {
        let counter = match answer {
            Ok(Answer::Connect(ConnectDecision::Accept(_))) => &self.connects_accepted,
            Ok(Answer::Connect(ConnectDecision::Reject(_))) => &self.connects_rejected,
            Ok(Answer::Connect(ConnectDecision::Redirect(_))) => &self.connects_redirected,
            Ok(Answer::Publish(PublishDecision::Accept(_))) => &self.publishes_accepted,
            Ok(Answer::Publish(PublishDecision::Reject(_))) => &self.publishes_rejected,
            Ok(Answer::Play(PlayDecision::Accept(_))) => &self.plays_accepted,
            Ok(Answer::Play(PlayDecision::Reject(_))) => &self.plays_rejected,
            Ok(Answer::SharedObject(ObjectDecision::Allow)) => &self.objects_allowed,
            Ok(Answer::SharedObject(ObjectDecision::Rewrite(_))) => &self.objects_rewritten,
            Ok(Answer::SharedObject(ObjectDecision::Deny)) => &self.objects_denied,
            Ok(Answer::Call(Ok(_))) => &self.calls_answered,
            Ok(Answer::Call(Err(_))) => &self.calls_refused,
            Ok(Answer::Authenticate(_) | Answer::Credential(_)) => return,
            Err(_) => match function {
                Function::Connect => &self.connects_failed,
                Function::Publish => &self.publishes_failed,
                Function::Play => &self.plays_failed,
                Function::SharedObject => &self.objects_failed,
                Function::Call => &self.calls_failed,
                _ => return,
            },
        };
        counter.add();
    }

    /// The numbers now, with those of HTTP requests, and how many functions are left
    /// alone.
    pub(super) fn counts(&self, http: outbound::HttpTotals, breakers_open: usize) -> Counts {
        let open = u64::try_from(breakers_open).unwrap_or(u64::MAX);
        let more = Counts::from_iter([
            (
                "http_requests",
                "HTTP requests of the plugin that were sent.",
                http.requests,
            ),
            (
                "http_denied",
                "HTTP requests to where it may not ask.",
                http.denied,
            ),
            (
                "http_over_limit",
                "HTTP requests beyond a limit.",
                http.over_limit,
            ),
            (
                "http_timed_out",
                "HTTP requests that took too long.",
                http.timed_out,
            ),
            (
                "http_failed",
                "HTTP requests that failed otherwise.",
                http.failed,
            ),
            ("breaker_open", "Functions that are left alone now.", open),
        ]);
        let mut counts = Counts::from(self.by_name());
        counts.extend(more.described());
        counts
    }
}

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Accepted,
    Rejected,
    Failed,
}

impl Outcome {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Accepted, "accepted"),
        (Self::Rejected, "rejected"),
        (Self::Failed, "failed"),
    ];

    fn of(answer: &Result<Answer, PolicyError>) -> Self {
        match answer {
            Ok(
                Answer::Connect(ConnectDecision::Reject(_))
                | Answer::Publish(PublishDecision::Reject(_))
                | Answer::Play(PlayDecision::Reject(_))
                | Answer::SharedObject(ObjectDecision::Deny)
                | Answer::Call(Err(_))
                | Answer::Authenticate(Err(_))
                | Answer::Credential(Err(_)),
            ) => Self::Rejected,
            Ok(_) => Self::Accepted,
            Err(_) => Self::Failed,
        }
    }
}

/// The functions that are asked, in the order of [`DecisionLatencies`].
const ASKED: [(Function, &str); 5] = [
    (Function::Connect, "connect"),
    (Function::Publish, "publish"),
    (Function::Play, "play"),
    (Function::SharedObject, "shared-object"),
    (Function::Call, "call"),
];

/// How long decisions took, by function and outcome.
#[derive(Debug, Default)]
pub(super) struct DecisionLatencies([[Latency; Outcome::ALL.len()]; ASKED.len()]);

/// How long the decisions of one function took that came out alike.
#[derive(Debug, Clone, PartialEq)]
pub struct DecisionTime {
    /// `connect`, `publish`, ...
    pub function: &'static str,
    /// `accepted`, `rejected` or `failed`.
    pub outcome: &'static str,
    /// From the question to its answer, waiting included.
    pub took: LatencyCounts,
}

impl DecisionLatencies {
    pub(super) fn add(
        &self,
        function: Function,
        answer: &Result<Answer, PolicyError>,
        took: Duration,
    ) {
        let outcome = Outcome::of(answer);
        let of_function = ASKED.iter().position(|(asked, _)| *asked == function);
        let of_outcome = Outcome::ALL.iter().position(|(known, _)| *known == outcome);
        let latencies = of_function.and_then(|at| self.0.get(at));
        if let Some(latency) = latencies.zip(of_outcome).and_then(|(all, at)| all.get(at)) {
            latency.add(took);
        }
    }

    pub(super) fn read(&self) -> Vec<DecisionTime> {
        let functions = ASKED.iter().zip(&self.0);
        let all = functions.flat_map(|((_, function), latencies)| {
            Outcome::ALL
                .iter()
                .zip(latencies)
                .map(|((_, outcome), latency)| DecisionTime {
                    function,
                    outcome,
                    took: latency.read(),
                })
        });
        all.collect()
    }
}

/// Counts one thing as alive until it is dropped.
pub(super) struct Alive {
    stats: Arc<Stats>,
    what: fn(&Stats) -> &Counter,
}

impl Alive {
    pub(super) fn new(stats: &Arc<Stats>, what: fn(&Stats) -> &Counter) -> Self {
        what(stats).add();
        Self {
            stats: Arc::clone(stats),
            what,
        }
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        (self.what)(&self.stats).subtract();
    }
}
