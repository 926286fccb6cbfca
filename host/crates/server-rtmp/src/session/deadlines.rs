//! What ends by itself: connections nobody uses, publishers gone silent,
//! players that waited or played long enough.

use livehost_app::refusal::{Refusal, RefusalKind};
use tokio::time::Instant;

use super::client::{RtmpSession, Slot};
use super::end::EndReason;
use super::status::{self, Asked};

impl RtmpSession {
    /// Ends what is overdue at `now`.
    pub(super) fn check_deadlines(&mut self, now: Instant) {
        let limits = self.limits;
        if self.leave_by.is_some_and(|by| now >= by) {
            self.end = Some(EndReason::Shutdown);
            return;
        }
        if self.application.is_none() && now >= self.started + limits.handshake {
            self.end = Some(EndReason::HandshakeTimeout(limits.handshake.as_secs()));
            return;
        }
        if self.is_idle() && self.application.is_some() && now >= self.idle_since + limits.idle {
            self.end = Some(EndReason::Idle(limits.idle.as_secs()));
            return;
        }
        if let Some((seconds, end)) = self.lifetime
            && now >= end
        {
            self.end = Some(EndReason::Expired(seconds));
            return;
        }
        let mut over = Vec::new();
        for (stream, slot) in self.slots.iter() {
            match slot {
                Slot::Publish(publishing) => over.extend(publishing.over(now).zip(Some(*stream))),
                Slot::Play(player) => over.extend(player.over(now).zip(Some(*stream))),
            }
        }
        for (refusal, stream) in over {
            self.end_stream(stream, refusal);
        }
    }

    /// Ends a stream for a reason that its client did not give. Encoders do not
    /// look for a status while they send: only the end of the connection stops
    /// them, if this was their last stream.
    pub(super) fn end_stream(&mut self, stream: u32, refusal: Refusal) {
        let Some(slot) = self.remove(stream) else {
            return;
        };
        let command = match slot {
            Slot::Publish(_) => Asked::Publish,
            Slot::Play(_) => Asked::Play,
        };
        let code = status::code(command, &refusal);
        let (level, reason) = (status::level(refusal.kind), refusal.kind.reason());
        self.machine.end_stream(stream, level, code, &refusal.text);
        match slot {
            Slot::Publish(publishing) => {
                publishing.end(reason, refusal.kind == RefusalKind::Silent);
            }
            Slot::Play(player) => player.end(reason),
        }
        self.end_when_empty(reason, refusal.text);
    }

    /// A client whose last stream the server ended has nothing more to do here,
    /// unless it waits for another, or shares objects.
    pub(super) fn end_when_empty(&mut self, reason: &'static str, text: String) {
        if self.is_idle() {
            self.end = Some(EndReason::StreamOver { reason, text });
        }
    }

    /// When `check_deadlines` has something to do, if nothing changes before.
    pub(super) fn own_deadline(&self) -> Option<Instant> {
        let limits = self.limits;
        let own = if self.application.is_none() {
            Some(self.started + limits.handshake)
        } else if self.is_idle() {
            Some(self.idle_since + limits.idle)
        } else {
            None
        };
        self.slots
            .values()
            .filter_map(|slot| match slot {
                Slot::Publish(publishing) => Some(publishing.deadline()),
                Slot::Play(player) => player.deadline(),
            })
            .chain(own)
            .chain(self.lifetime.map(|(_, end)| end))
            .chain(self.leave_by)
            .min()
    }

    fn is_idle(&self) -> bool {
        let shares = self.member.as_ref().is_some_and(|member| !member.is_idle());
        self.slots.is_empty() && self.decision.is_none() && !shares
    }
}
