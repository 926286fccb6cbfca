//! What ends by itself: connections nobody uses, publishers gone silent,
//! players that waited or played long enough.

use std::time::Instant;

use super::client::{ClientSession, Slot};
use super::end::SessionEnd;

impl ClientSession {
    /// Ends what is overdue at `now`.
    pub(super) fn check_deadlines(&mut self, now: Instant) {
        let limits = self.limits;
        if self.leave_by.is_some_and(|by| now >= by) {
            self.end = Some(SessionEnd::Shutdown);
            return;
        }
        if self.application.is_none() && now >= self.started + limits.handshake {
            self.end = Some(SessionEnd::HandshakeTimeout(limits.handshake.as_secs()));
            return;
        }
        if self.is_idle() && self.application.is_some() && now >= self.idle_since + limits.idle {
            self.end = Some(SessionEnd::Idle(limits.idle.as_secs()));
            return;
        }
        if let Some((seconds, end)) = self.lifetime
            && now >= end
        {
            self.end = Some(SessionEnd::Expired(seconds));
            return;
        }
        let mut over = Vec::new();
        for (stream, slot) in self.slots.iter() {
            match slot {
                Slot::Publish(publishing) if now >= publishing.deadline() => {
                    let text = format!("no media for {} s", publishing.silence().as_secs_f32());
                    over.push((*stream, "NetStream.Publish.Idle", text));
                }
                Slot::Publish(_) => {}
                Slot::Play(player) => {
                    if let Some((code, text)) = player.over(now) {
                        over.push((*stream, code, text));
                    }
                }
            }
        }
        for (stream, code, text) in over {
            match self.remove(stream) {
                Some(Slot::Publish(publishing)) => {
                    self.machine.end_stream(stream, "error", code, &text);
                    publishing.end("timeout", true);
                    self.end_when_empty("timeout", text);
                }
                Some(Slot::Play(player)) => {
                    let (level, reason) = match code {
                        "NetStream.Play.Stop" => ("status", "limit"),
                        "NetStream.Play.InsufficientBW" => ("error", "too-slow"),
                        "NetStream.Play.Failed" => ("error", "pull-failed"),
                        _ => ("error", "timeout"),
                    };
                    self.machine.end_stream(stream, level, code, &text);
                    player.end(reason);
                    self.end_when_empty(reason, text);
                }
                None => {}
            }
        }
    }

    /// A client whose last stream the server ended has nothing more to do here,
    /// unless it waits for another, or shares objects.
    pub(super) fn end_when_empty(&mut self, reason: &'static str, text: String) {
        if self.is_idle() {
            self.end = Some(SessionEnd::StreamOver { reason, text });
        }
    }

    /// When `check_deadlines` has something to do, if nothing changes before.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
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
