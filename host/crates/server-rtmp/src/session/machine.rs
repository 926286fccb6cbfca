//! The session as its driver sees it: bytes, answers and time in, bytes out.

use std::task::{Context, Poll, ready};

use futures_util::FutureExt;
use livehost_net::driver::{Lost, Session};
use tokio::time::Instant;

use super::activity::{Look, SILENT_AFTER};
use super::client::RtmpSession;
use super::end::EndReason;

/// Bytes a client has not taken; then nothing more is read from it. One that
/// asks and never reads the answers would fill the memory.
const MAX_UNTAKEN: usize = 1024 * 1024;
/// The same of a client that was not let in yet.
const MAX_UNTAKEN_BEFORE_CONNECT: usize = 64 * 1024;

impl Session for RtmpSession {
    type End = EndReason;

    fn lost(&self, lost: Lost) -> EndReason {
        match lost {
            Lost::Closed => EndReason::Closed,
            Lost::Failed(error) => error.into(),
            Lost::Stalled(after) => EndReason::WriteStalled(after.as_secs()),
        }
    }

    fn advance(&mut self, now: Instant) -> Result<(), EndReason> {
        // Of a client that has gone only what it said counts.
        if !self.out.lock().is_closed() {
            self.collect(now);
        }
        self.drain();
        // What a publisher has sent by now is not listened to.
        if self.decision.is_some() {
            self.excuse_publishers(now);
        }
        self.end.take().map_or(Ok(()), Err)
    }

    fn heard(&mut self, now: Instant) {
        self.activity.hear(now);
    }

    fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> Result<usize, EndReason> {
        let mut rest = bytes;
        while self.decision.is_none() && self.end.is_none() {
            let before = rest.len();
            let result = self.machine.handle_input(&mut rest);
            // What came before an error still counts: replies, media, questions.
            self.drain();
            result?;
            if rest.len() == before {
                break;
            }
        }
        self.hear_publishers(now);
        Ok(bytes.len().saturating_sub(rest.len()))
    }

    fn next_deadline(&self) -> Option<Instant> {
        let look = self.activity.next_look();
        Some(self.own_deadline().map_or(look, |own| own.min(look)))
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), EndReason> {
        self.check_activity(now)?;
        self.check_deadlines(now);
        Ok(())
    }

    fn may_read(&mut self, waiting: usize) -> bool {
        let max = match self.application {
            Some(_) => MAX_UNTAKEN,
            None => MAX_UNTAKEN_BEFORE_CONNECT,
        };
        waiting < max && !self.is_held_up()
    }

    fn excuse(&mut self, now: Instant) {
        self.activity.excuse(now);
        self.excuse_publishers(now);
    }

    fn awaits_answer(&self) -> bool {
        self.decision.is_some()
    }

    fn answer_outlives_peer(&self) -> bool {
        (self.decision.as_ref()).is_some_and(|decision| decision.outlives_client)
    }

    fn is_asked(&mut self) -> bool {
        self.hear_question()
    }

    fn answer(&mut self) -> bool {
        let is_between = self.machine.partial_bytes() == 0;
        if is_between {
            self.answer_question();
        }
        is_between
    }

    fn caught_up(&mut self) {
        self.players_caught_up();
    }
}

impl RtmpSession {
    /// Ready when the decision that the client waits for was made and applied.
    pub(super) fn poll_decision(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(decision) = &mut self.decision else {
            return Poll::Pending;
        };
        let answer = ready!(decision.answer.poll_unpin(cx));
        self.decision = None;
        self.handle_answer(answer);
        Poll::Ready(())
    }

    fn check_activity(&mut self, now: Instant) -> Result<(), EndReason> {
        let sent = self.out.lock().sent();
        match self.activity.look(now, sent) {
            Look::Alive => {}
            Look::Ask => {
                self.drain();
                let queued = |session: &Self| {
                    let out = session.out.lock();
                    out.sent().saturating_add(out.len() as u64)
                };
                let begin = queued(self);
                self.machine.send_ping(0);
                self.drain();
                let end = queued(self);
                self.activity.asked(begin, end);
            }
            Look::Gone => return Err(EndReason::Silent(SILENT_AFTER.as_secs())),
        }
        Ok(())
    }
}
