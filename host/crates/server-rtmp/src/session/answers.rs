//! What a decision does: grants applied, refusals told.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use livehost_app::application::Application;
use livehost_app::input::Publishing;
use livehost_app::output::Playing;
use livehost_app::refusal::{Refusal, RefusalKind};
use livehost_app::shared_objects::Ruling;
use livehost_policy::{CallError, ConnectDecision, PolicyError};
use livehost_rtmp::shared_object::SharedObjectMessage;
use livehost_telemetry::limited;
use livehost_telemetry::log::STRANGERS;
use tokio::time::Instant;
use tracing::Span;

use super::client::{RtmpSession, Slot};
use super::end::EndReason;
use super::player::{Framing, Player};
use super::status::{self, Asked};

/// Outbound chunk sizes a grant may ask for, bytes.
const CHUNK_SIZES: std::ops::RangeInclusive<u32> = 128..=0xFF_FFFF;

/// Acknowledgement windows, bytes.
const WINDOWS: std::ops::RangeInclusive<u32> = 1..=u32::MAX;

/// What came of a question, with what it was about.
pub(super) enum Settled {
    Connect {
        application: Arc<Application>,
        instance: Option<Arc<str>>,
        decision: ConnectDecision,
    },
    /// The client has to log in, or failed to.
    Unauthenticated(Refusal),
    Publish {
        stream: u32,
        span: Span,
        outcome: Result<Publishing, Refusal>,
    },
    Play {
        framing: Framing,
        span: Span,
        outcome: Result<Playing, Refusal>,
    },
    Call {
        name: String,
        answer: Result<Result<Bytes, CallError>, PolicyError>,
    },
    SharedObject {
        message: SharedObjectMessage,
        rulings: Vec<Ruling>,
    },
}

impl RtmpSession {
    pub(super) fn handle_answer(&mut self, answer: Settled) {
        match answer {
            Settled::Connect {
                application,
                instance,
                decision,
            } => self.connect_decided(application, instance, decision),
            Settled::Unauthenticated(refusal) => {
                self.reject_connect(&refusal);
                self.end = Some(EndReason::Unauthenticated);
            }
            Settled::Publish {
                stream,
                span,
                outcome,
            } => span.in_scope(|| self.publish_settled(stream, outcome)),
            Settled::Play {
                framing,
                span,
                outcome,
            } => span.in_scope(|| self.play_settled(framing, outcome)),
            Settled::SharedObject { message, rulings } => {
                self.shared_object_decided(&message, &rulings);
            }
            Settled::Call { name, answer } => {
                let answer = match answer {
                    Ok(Ok(amf0)) => Ok(amf0),
                    Ok(Err(error)) => {
                        tell_call_refused(&name, &error);
                        Err(error.to_string())
                    }
                    Err(error) => {
                        self.tell_call_failed(&name, &error);
                        Err("the server could not answer".to_owned())
                    }
                };
                self.answer_call(answer);
            }
        }
    }

    /// It failed, whatever the client said.
    fn tell_call_failed(&self, method: &str, error: &PolicyError) {
        if let Some(application) = &self.application {
            limited!(WARN, application.gate().admits_failure(), method, %error,
                "call without a result");
        }
    }

    pub(super) fn refuse_connect(&mut self, refusal: &Refusal) {
        limited!(
            WARN,
            self.admits_refusal(refusal),
            by = by(refusal),
            code = status::code(Asked::Connect, refusal),
            reason = refusal.text,
            retry_after_ms = refusal.retry_after_ms,
            instance = self.instance.as_deref(),
            "connect refused"
        );
        self.reject_connect(refusal);
        self.end = Some(EndReason::Refused);
    }

    fn reject_connect(&mut self, refusal: &Refusal) {
        let code = status::code(Asked::Connect, refusal);
        self.machine
            .reject_connect(code, &refusal.text, refusal.retry_after_ms);
    }

    fn connect_decided(
        &mut self,
        application: Arc<Application>,
        instance: Option<Arc<str>>,
        decision: ConnectDecision,
    ) {
        match decision {
            ConnectDecision::Accept(grant) => {
                let gate = application.gate();
                let within = |what, range: std::ops::RangeInclusive<u32>, granted: Option<u32>| {
                    let fits = granted.filter(|bytes| range.contains(bytes));
                    if let (Some(found), None) = (granted, fits) {
                        limited!(
                            WARN,
                            gate.admits_failure(),
                            grant = what,
                            found,
                            expected = ?range,
                            "this part of the grant is out of range and ignored"
                        );
                    }
                    fits
                };
                let chunk_size = within("chunk-size", CHUNK_SIZES, grant.chunk_size);
                let window_ack = within("window-ack", WINDOWS, grant.window_ack);
                let now = Instant::now();
                self.client.attrs = grant.attrs;
                self.lifetime = grant
                    .max_seconds
                    .map(|seconds| (seconds, now + Duration::from_secs(seconds.into())));
                self.chunk_size = chunk_size.unwrap_or(self.limits.chunk);
                self.machine.accept_connect(chunk_size, window_ack);
                self.registration.enter(application.name(), &self.client);
                self.instance = instance;
                self.idle_since = now;
                limited!(
                    INFO,
                    application.gate().admits_client(),
                    instance = self.instance.as_deref(),
                    "connected"
                );
                self.application = Some(application);
            }
            ConnectDecision::Reject(rejection) => {
                self.refuse_connect(&rejection.into());
            }
            ConnectDecision::Redirect(url) => {
                limited!(
                    INFO,
                    STRANGERS.admits(),
                    instance = instance.as_deref(),
                    "redirected"
                );
                self.machine.redirect(&url, "Connect to the other server.");
                self.end = Some(EndReason::Refused);
            }
        }
    }

    fn publish_settled(&mut self, stream: u32, outcome: Result<Publishing, Refusal>) {
        match outcome {
            Ok(publishing) => {
                self.machine.accept_publish();
                self.entrance.permit.grant();
                self.insert(stream, Slot::Publish(Box::new(publishing)));
            }
            Err(refusal) => self.refuse_stream(Asked::Publish, &refusal),
        }
    }

    fn play_settled(&mut self, framing: Framing, outcome: Result<Playing, Refusal>) {
        match outcome {
            Ok(playing) => {
                self.machine.accept_play();
                self.entrance.permit.grant();
                let player = Player::new(playing, framing);
                self.insert(framing.stream, Slot::Play(Box::new(player)));
            }
            Err(refusal) => self.refuse_stream(Asked::Play, &refusal),
        }
    }

    fn refuse_stream(&mut self, command: Asked, refusal: &Refusal) {
        let code = status::code(command, refusal);
        let retry_after_ms = refusal.retry_after_ms;
        limited!(
            WARN,
            self.admits_refusal(refusal),
            by = by(refusal),
            code,
            reason = refusal.text,
            retry_after_ms,
            publisher = refusal.owner.as_ref().map(|owner| &owner.remote),
            publisher_conn = refusal.owner.as_ref().map(|owner| owner.conn),
            "{command} refused"
        );
        self.machine
            .reject_stream(code, &refusal.text, retry_after_ms);
    }

    /// Only verdicts have a line beyond the quota: it is one for each address
    /// at a time, and whoever guesses could spend it on something harmless.
    fn admits_refusal(&self, refusal: &Refusal) -> bool {
        match refusal.kind {
            RefusalKind::Denied => STRANGERS.admits_refusal(self.client.address()),
            _ => STRANGERS.admits(),
        }
    }
}

fn tell_call_refused(method: &str, error: &CallError) {
    let error = match error {
        // The error would repeat the name.
        CallError::Unknown(_) => "there is no such method",
        CallError::Refused(text) => text,
    };
    limited!(
        INFO,
        STRANGERS.admits(),
        method,
        error,
        "call without a result"
    );
}

/// Who refused, as the log shows it: the filter of docs/config.md looks for it.
fn by(refusal: &Refusal) -> Option<&'static str> {
    (refusal.kind == RefusalKind::Denied).then_some("policy")
}
