//! What becomes of one relay, as its application hears of it.
//!
//! Flows in: the turns of the relay's task. Flows out: for each a line of the
//! log and an event for the plugin, in order, which nobody waits for.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use livehost_hub::StreamKey;
use livehost_policy::{ConnId, Event, Gate, Relay, RelayFailure};
use livehost_telemetry::limited;
use tokio::time::Instant;
use tracing::{Span, info_span};

use super::error::RelayError;
use super::url::RelayUrl;

/// A relay, with the duty to say exactly once that it ended.
#[derive(Debug)]
pub(super) struct Report {
    gate: Gate,
    span: Span,
    relay: Relay,
    /// Since when the other server has the stream, or sends it.
    up: Option<Instant>,
    /// One of its attempts has been up.
    was_up: bool,
    is_over: bool,
}

impl Report {
    pub(super) fn new(
        gate: Gate,
        key: &StreamKey,
        direction: &'static str,
        url: &RelayUrl,
        conn: ConnId,
    ) -> Self {
        let app = &*key.app;
        let span = info_span!("relay", conn, app, stream = key.path(), direction, target = %url);
        Self {
            gate,
            span,
            relay: Relay {
                conn,
                app: app.to_owned(),
                instance: key.instance.as_deref().map(str::to_owned),
                name: key.name.to_string(),
                direction: direction.to_owned(),
                // As in the log: neither name nor query, which may be keys.
                target: url.to_string(),
                attempt: 0,
                extra: Vec::new(),
            },
            up: None,
            was_up: false,
            is_over: false,
        }
    }

    /// What the lines of the relay carry.
    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    /// An attempt begins.
    pub(super) fn connecting(&mut self) {
        self.up = None;
        self.relay.attempt = self.relay.attempt.saturating_add(1);
        let attempt = self.relay.attempt;
        self.span
            .in_scope(|| limited!(INFO, self.gate.admits_relay(), attempt, "relay connecting"));
    }

    /// The other server, at the address `remote`, takes the stream or sends it.
    pub(super) fn up(&mut self, remote: SocketAddr) {
        self.up = Some(Instant::now());
        self.was_up = true;
        let remote = remote.to_string();
        self.span
            .in_scope(|| limited!(INFO, self.gate.admits_relay(), remote, "relay up"));
        self.gate.notify(Event::RelayUp(self.relay.clone()));
    }

    /// The other server is told that it is over, without so many frames.
    pub(super) fn closing(&self, frames_dropped: u64) {
        self.span.in_scope(|| {
            limited!(
                INFO,
                self.gate.admits_relay(),
                frames_dropped,
                "relay closing"
            )
        });
    }

    /// How long the attempt has been up, if it is.
    pub(super) fn up_for(&self) -> Option<Duration> {
        self.up.map(|since| since.elapsed())
    }

    /// Whether any of its attempts has been up.
    pub(super) fn was_up(&self) -> bool {
        self.was_up
    }

    /// The attempt is over; the next one begins after `retry`.
    pub(super) fn failed(&mut self, error: &RelayError, retry: Option<Duration>) {
        let up_ms = self.up_for().map(millis);
        let retry_ms = retry.map(millis);
        self.up = None;
        self.span.in_scope(|| match up_ms {
            Some(up_ms) => limited!(WARN, self.gate.admits_relay(), reason = %error, up_ms,
                retry_ms, "relay lost"),
            None => limited!(WARN, self.gate.admits_relay(), reason = %error, retry_ms,
                "relay failed"),
        });
        let failure = RelayFailure {
            reason: error.to_string(),
            up_ms,
            retry_ms,
        };
        self.gate
            .notify(Event::RelayFailed(self.relay.clone(), failure));
    }

    /// It can't even be tried.
    pub(super) fn not_started(mut self, why: &impl fmt::Display) {
        self.span.in_scope(
            || limited!(ERROR, self.gate.admits_failure(), error = %why, "relay not started"),
        );
        let failure = RelayFailure {
            reason: why.to_string(),
            ..RelayFailure::default()
        };
        self.gate
            .notify(Event::RelayFailed(self.relay.clone(), failure));
        self.tell_end("not started");
    }

    /// Nobody wants it any more.
    pub(super) fn ended(mut self, reason: &str) {
        self.end(reason);
    }

    fn end(&mut self, reason: &str) {
        self.span
            .in_scope(|| limited!(INFO, self.gate.admits_relay(), reason, "relay ended"));
        self.tell_end(reason);
    }

    fn tell_end(&mut self, reason: &str) {
        self.is_over = true;
        let relay = self.relay.clone();
        self.gate
            .notify(Event::RelayEnded(relay, reason.to_owned()));
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if !self.is_over {
            self.end("aborted");
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::tests::Ear;

    fn report() -> (Arc<Ear>, Report) {
        let ear = Arc::new(Ear::default());
        let key = StreamKey::called("live", "room/cam");
        let url = "rtmp://ann:pw@host/app/s3cret?token=t0ken";
        let url = RelayUrl::parse(url).expect("a URL");
        (ear.clone(), Report::new(ear.gate(), &key, "push", &url, 9))
    }

    #[test]
    fn each_attempt_has_its_events_in_order() {
        let (ear, mut report) = report();
        report.connecting();
        report.failed(&RelayError::Closed, Some(Duration::from_secs(1)));
        report.connecting();
        report.up(([192, 0, 2, 1], 1935).into());
        report.failed(&RelayError::Closed, None);
        report.ended("stopped");
        let told = std::mem::take(&mut *ear.0.lock());
        let [
            Event::RelayFailed(first, failed),
            Event::RelayUp(second),
            Event::RelayFailed(_, lost),
            Event::RelayEnded(last, reason),
        ] = &told[..]
        else {
            panic!("{told:?}");
        };
        assert_eq!((first.attempt, second.attempt, last.attempt), (1, 2, 2));
        assert_eq!((failed.up_ms, failed.retry_ms), (None, Some(1000)));
        assert!(lost.up_ms.is_some() && lost.retry_ms.is_none(), "{lost:?}");
        assert_eq!(reason, "stopped");
        assert_eq!(
            (&*first.name, first.instance.as_deref()),
            ("cam", Some("room"))
        );
        let told = format!("{told:?}");
        for secret in ["pw", "s3cret", "t0ken", "ann"] {
            assert!(!told.contains(secret), "{secret} is in {told}");
        }
    }

    #[test]
    fn a_relay_that_is_cut_off_has_its_end_once() {
        let (ear, report) = report();
        drop(report);
        assert!(matches!(&ear.0.lock()[..], [Event::RelayEnded(_, why)] if why == "aborted"));
        let (ear, report) = self::report();
        report.not_started(&"too many");
        let told = ear.0.lock();
        assert!(
            matches!(&told[..], [Event::RelayFailed(relay, _), Event::RelayEnded(..)] if relay.attempt == 0),
            "{told:?}"
        );
    }
}
