//! What a decision does: grants applied, refusals told.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use livehost_rtmp::shared_object::SharedObjectMessage;
use tracing::{Instrument, Span, info};

use super::client::{ClientSession, Slot};
use super::end::SessionEnd;
use livehost_app::application::Application;
use livehost_app::input::{Publishing, Terms};
use livehost_app::names::{NameError, Place};
use livehost_app::output::chunks::{Chunks, SHARED_MESSAGE_STREAM};
use livehost_app::output::play::{Framing, Patience, Player};
use livehost_app::relays::Removed;
use livehost_app::shared_objects::Ruling;
use livehost_hub::{Claim, ClaimError, Format, Listener, Publication, StreamKey};
use livehost_policy::{
    CallError, ConnectDecision, Gate, PlayDecision, PlayGrant, PublishDecision, PublishGrant,
    Rejection, StreamRequest,
};
use livehost_telemetry::limited;
use livehost_telemetry::log::STRANGERS;

/// Outbound chunk sizes a grant may ask for, bytes.
const CHUNK_SIZES: std::ops::RangeInclusive<u32> = 128..=0xFF_FFFF;

/// Acknowledgement windows, bytes.
const WINDOWS: std::ops::RangeInclusive<u32> = 1..=u32::MAX;

/// What the policy answered, with what the question was about.
pub(super) enum Answer {
    Connect {
        application: Arc<Application>,
        instance: Option<Arc<str>>,
        decision: ConnectDecision,
    },
    /// The client has to log in, or failed to.
    Unauthenticated(Rejection),
    Publish {
        stream: u32,
        request: StreamRequest,
        span: Span,
        decision: PublishDecision,
    },
    /// An accepted publish met a taken name; this is what came of it.
    Claimed {
        accepted: Accepted,
        claimed: Result<Publication, ClaimError>,
    },
    Play {
        stream: u32,
        request: StreamRequest,
        span: Span,
        decision: PlayDecision,
    },
    Call {
        name: String,
        answer: Result<Bytes, CallError>,
    },
    SharedObject {
        message: SharedObjectMessage,
        rulings: Vec<Ruling>,
    },
}

/// A publish that the policy has accepted, and that needs its name yet.
pub(super) struct Accepted {
    stream: u32,
    span: Span,
    application: Arc<Application>,
    terms: Terms,
    forward_to: Vec<String>,
}

impl ClientSession {
    pub(super) fn handle_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Connect {
                application,
                instance,
                decision,
            } => self.connect_decided(application, instance, decision),
            Answer::Unauthenticated(rejection) => {
                let code = code_or(&rejection, "NetConnection.Connect.Rejected");
                self.machine
                    .reject_connect(code, &rejection.description, rejection.retry_after_ms);
                self.end = Some(SessionEnd::Unauthenticated);
            }
            Answer::Publish {
                stream,
                request,
                span,
                decision,
            } => {
                let entered = span.clone();
                let _entered = entered.enter();
                match decision {
                    PublishDecision::Accept(grant) => {
                        self.publish_granted(stream, request, span, grant);
                    }
                    PublishDecision::Reject(rejection) => {
                        self.refuse_publish(&rejection, "NetStream.Publish.Denied");
                    }
                }
            }
            Answer::Claimed { accepted, claimed } => {
                let entered = accepted.span.clone();
                let _entered = entered.enter();
                self.claimed(accepted, claimed);
            }
            Answer::Play {
                stream,
                request,
                span,
                decision,
            } => {
                let entered = span.clone();
                let _entered = entered.enter();
                match decision {
                    PlayDecision::Accept(grant) => self.play_granted(stream, request, span, grant),
                    PlayDecision::Reject(rejection) => self.refuse_play(&rejection),
                }
            }
            Answer::SharedObject { message, rulings } => {
                self.shared_object_decided(&message, &rulings);
            }
            Answer::Call { name, answer } => {
                let answer = answer.map_err(|error| {
                    self.tell_call_failed(&name, &error);
                    match error {
                        CallError::Policy(_) => "the server could not answer".to_owned(),
                        told => told.to_string(),
                    }
                });
                self.answer_call(answer);
            }
        }
        self.deadlines_changed = true;
    }

    fn tell_call_failed(&self, name: &str, error: &CallError) {
        match (error, &self.application) {
            // It failed, whatever the client said.
            (CallError::Policy(error), Some(application)) => {
                limited!(WARN, application.gate().admits_failure(), method = name, %error,
                    "call without a result");
            }
            // The error would repeat the name.
            (CallError::Unknown(_), _) => {
                limited!(
                    INFO,
                    STRANGERS.admits(),
                    method = name,
                    error = "there is no such method",
                    "call without a result"
                );
            }
            _ => limited!(INFO, STRANGERS.admits(), method = name, %error,
                "call without a result"),
        }
    }

    pub(super) fn refuse_connect(&mut self, rejection: &Rejection, usual: &str) {
        let code = code_or(rejection, usual);
        limited!(
            WARN,
            self.admits_refusal(rejection),
            by = by(rejection),
            code,
            reason = rejection.description,
            retry_after_ms = rejection.retry_after_ms,
            instance = self.instance.as_deref(),
            "connect refused"
        );
        self.machine
            .reject_connect(code, &rejection.description, rejection.retry_after_ms);
        self.end = Some(SessionEnd::Refused);
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
                let now = std::time::Instant::now();
                self.client.attrs = grant.attrs;
                self.lifetime = grant
                    .max_seconds
                    .map(|seconds| (seconds, now + Duration::from_secs(seconds.into())));
                self.chunk_size = chunk_size.unwrap_or(self.limits.chunk);
                self.machine.accept_connect(chunk_size, window_ack);
                self.registration.enter(application.name(), &self.client);
                self.application = Some(application);
                self.instance = instance;
                self.idle_since = now;
                info!(instance = self.instance.as_deref(), "connected");
            }
            ConnectDecision::Reject(rejection) => {
                self.refuse_connect(&rejection, "NetConnection.Connect.Rejected");
            }
            ConnectDecision::Redirect(url) => {
                limited!(
                    INFO,
                    STRANGERS.admits(),
                    instance = instance.as_deref(),
                    "redirected"
                );
                self.machine.redirect(&url, "Connect to the other server.");
                self.end = Some(SessionEnd::Refused);
            }
        }
    }

    fn publish_granted(
        &mut self,
        stream: u32,
        request: StreamRequest,
        span: Span,
        grant: PublishGrant,
    ) {
        let Some(application) = self.application.clone() else {
            return;
        };
        if grant.record_to.is_some() {
            limited!(
                WARN,
                application.gate().admits_failure(),
                grant = "record-to",
                "not available yet: this part of the grant is ignored"
            );
        }
        let settings = application.settings();
        let mut request = request;
        if let Some(name) = &grant.name
            && let Err(error) = rename(&mut request, name, &span)
        {
            let rejection = unusable(application.gate(), &error);
            return self.refuse_publish(&rejection, "NetStream.Publish.BadName");
        }
        let key = key(&application, &request);
        if let Err(error) = self.shared.identity.check(&self.lineage, &key) {
            let rejection = Rejection::new(error.to_string());
            return self.refuse_publish(&rejection, "NetStream.Publish.BadName");
        }
        let claim = Claim {
            key,
            on_duplicate: grant.on_duplicate,
            hold: ClientSession::millis_or(grant.hold_ms, Duration::ZERO),
            client: self.client.clone(),
            settings: settings.media,
            wake: self.wake.clone(),
        };
        let accepted = Accepted {
            stream,
            span,
            application,
            terms: Terms {
                silence: ClientSession::millis_or(
                    grant.idle_timeout_ms,
                    settings.publisher_timeout,
                ),
                max_kbps: grant.max_kbps.filter(|kbps| *kbps > 0),
            },
            forward_to: grant.forward_to,
        };
        match self.shared.hub.publish(claim) {
            Ok(publication) => self.claimed(accepted, Ok(publication)),
            Err(contested) => {
                let deciding = accepted.span.clone();
                let settled = async move {
                    let claimed = contested.settle().await;
                    Answer::Claimed { accepted, claimed }
                };
                self.decide(settled.instrument(deciding));
            }
        }
    }

    fn claimed(&mut self, accepted: Accepted, claimed: Result<Publication, ClaimError>) {
        let publication = match claimed {
            Ok(publication) => publication,
            Err(error) => {
                let (code, reason) = ("NetStream.Publish.BadName", error.to_string());
                let owner = error.owner();
                limited!(
                    WARN,
                    STRANGERS.admits(),
                    code,
                    reason,
                    publisher = owner.remote,
                    publisher_conn = owner.conn,
                    "publish refused"
                );
                return self.machine.reject_stream(code, &reason, None);
            }
        };
        self.machine.accept_publish();
        self.entrance.permit.grant();
        let key = publication.key().clone();
        let gate = accepted.application.gate().clone();
        let publishing = Publishing::start(publication, gate, accepted.span, accepted.terms);
        self.insert(accepted.stream, Slot::Publish(Box::new(publishing)));
        self.start_pushes(&accepted.application, &key, &accepted.forward_to);
    }

    /// Of an application that was removed nothing is relayed any more.
    fn start_pushes(&self, application: &Application, key: &StreamKey, forward_to: &[String]) {
        let relays = &self.shared.relays;
        if let Err(Removed) = relays.published(key, forward_to, &self.lineage)
            && !forward_to.is_empty()
        {
            limited!(
                WARN,
                application.gate().admits_failure(),
                grant = "forward-to",
                "the application is removed: this part of the grant is ignored"
            );
        }
    }

    fn refuse_publish(&mut self, rejection: &Rejection, usual: &str) {
        let code = code_or(rejection, usual);
        limited!(
            WARN,
            self.admits_refusal(rejection),
            by = by(rejection),
            code,
            reason = rejection.description,
            retry_after_ms = rejection.retry_after_ms,
            "publish refused"
        );
        self.machine
            .reject_stream(code, &rejection.description, rejection.retry_after_ms);
    }

    fn play_granted(&mut self, stream: u32, request: StreamRequest, span: Span, grant: PlayGrant) {
        let Some(application) = self.application.clone() else {
            return;
        };
        let settings = application.settings();
        let mut request = request;
        if let Some(name) = &grant.name
            && let Err(error) = rename(&mut request, name, &span)
        {
            return self.refuse_play(&unusable(application.gate(), &error));
        }
        let key = key(&application, &request);
        if let Err(error) = self.shared.identity.check(&self.lineage, &key) {
            return self.refuse_play(&Rejection::new(error.to_string()));
        }
        let is_usual = stream == SHARED_MESSAGE_STREAM && self.chunk_size == settings.chunk_size;
        let chunks = is_usual.then_some(Chunks(self.chunk_size));
        let listener = Listener {
            settings: settings.media,
            wake: self.wake.clone(),
            format: chunks.map(|chunks| Arc::new(chunks) as Arc<dyn Format>),
            outlet: chunks.map(|_| self.outlet.clone()),
        };
        let subscription = self.shared.hub.play(&key, listener);
        // It is a player by now: a pull finds that it is wanted.
        let pull_from = grant.pull_from.as_deref();
        let relays = &self.shared.relays;
        let pull = match relays.demand(&key, pull_from, &self.lineage, &self.wake) {
            Ok(pull) => pull,
            Err(error) => return self.refuse_play(&Rejection::new(error.to_string())),
        };
        let framing = Framing {
            stream,
            chunk_size: self.chunk_size,
            shared: chunks.map(|chunks| chunks.variant()),
        };
        let patience = Patience {
            wait: ClientSession::millis_or(grant.wait_ms, settings.wait_for_publisher),
            total: grant
                .max_seconds
                .map(|seconds| Duration::from_secs(seconds.into())),
        };
        self.machine.accept_play();
        self.entrance.permit.grant();
        let gate = application.gate().clone();
        let player = Player::start(subscription, request, gate, span, framing, patience, pull);
        self.insert(stream, Slot::Play(Box::new(player)));
    }

    fn refuse_play(&mut self, rejection: &Rejection) {
        let code = code_or(rejection, "NetStream.Play.Failed");
        limited!(
            WARN,
            self.admits_refusal(rejection),
            by = by(rejection),
            code,
            reason = rejection.description,
            retry_after_ms = rejection.retry_after_ms,
            "play refused"
        );
        self.machine
            .reject_stream(code, &rejection.description, rejection.retry_after_ms);
    }

    /// Only verdicts have a line beyond the quota: it is one for each address
    /// at a time, and whoever guesses could spend it on something harmless.
    fn admits_refusal(&self, rejection: &Rejection) -> bool {
        match rejection.is_verdict {
            true => STRANGERS.admits_refusal(self.client.address()),
            false => STRANGERS.admits(),
        }
    }
}

/// The stream that a request is about, after its grant.
fn key(application: &Application, request: &StreamRequest) -> StreamKey {
    StreamKey {
        app: application.name().clone(),
        instance: request.instance.as_deref().map(Into::into),
        name: request.name.as_str().into(),
    }
}

/// Puts what the policy granted in the place of what was asked for.
fn rename(request: &mut StreamRequest, granted: &str, span: &Span) -> Result<(), NameError> {
    let place = Place::granted(request.instance.as_deref(), granted)?;
    span.record("renamed", granted);
    request.instance = place.instance;
    request.name = place.name;
    Ok(())
}

/// The plugin granted a name that can't be one: that is its mistake, and the
/// client is told no more than that.
fn unusable(gate: &Gate, error: &NameError) -> Rejection {
    limited!(WARN, gate.admits_failure(), %error, "the plugin's grant can't be used");
    Rejection::new("the server granted a name that can't be used")
}

/// Who refused, as the log shows it: the filter of docs/config.md looks for it.
fn by(rejection: &Rejection) -> Option<&'static str> {
    rejection.is_verdict.then_some("policy")
}

fn code_or<'a>(rejection: &'a Rejection, usual: &'a str) -> &'a str {
    if rejection.code.is_empty() {
        usual
    } else {
        &rejection.code
    }
}
