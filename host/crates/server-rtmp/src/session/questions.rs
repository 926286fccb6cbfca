//! What the policy is asked: requests made of a client's commands.

use std::sync::Arc;

use livehost_app::broker::Ask;
use livehost_app::lineage::{self, Lineage};
use livehost_app::names::{self, AppPath, NameError, StreamName};
use livehost_app::output::chunks::{Chunks, SHARED_MESSAGE_STREAM};
use livehost_app::refusal::{Refusal, RefusalKind};
use livehost_hub::Format;
use livehost_policy::{CallRequest, ConnectRequest, OnCall, Pairs, StreamRequest};
use livehost_rtmp::auth as rtmp_auth;
use livehost_rtmp::session::server::{Connect, Play, Publish};
use livehost_telemetry::limited;
use livehost_telemetry::log::STRANGERS;
use livehost_wire::amf0::{self, Value};
use tracing::{Span, field, info_span};

use super::answers::Settled;
use super::auth::{Applicant, LoginOutcome};
use super::client::{Decision, RtmpSession};
use super::player::Framing;
use super::status::{self, Asked};
use super::text::{MAX_NAME, QuestionText};

/// How a stream may be published. Whatever else a client says, it is the first.
const MODES: [&str; 3] = ["live", "record", "append"];

impl RtmpSession {
    pub(super) fn ask_connect(&mut self, connect: &Connect) {
        // Whole: a user that logs in is kept until it has.
        for text in [connect.app(), connect.tc_url()] {
            if let Err(error) = names::at_most("application", text.len(), names::MAX_TEXT) {
                return self.refuse_connect(&error.into());
            }
        }
        let (app, of_app) = rtmp_auth::cut(connect.app());
        let (tc_url, of_url) = rtmp_auth::cut(connect.tc_url());
        let attempt = of_app.or(of_url);
        if let Some(attempt) = &attempt
            && let Err(error) = names::at_most("user", attempt.user.len(), MAX_NAME)
        {
            return self.refuse_connect(&error.into());
        }
        let named = AppPath::parse(app, tc_url).and_then(|path| {
            let (application, instance) = path.resolve(&self.shared.applications)?;
            Ok((path.query, application, instance))
        });
        let (query, application, instance) = match named {
            Ok(named) => named,
            Err(error) => return self.refuse_connect(&error.into()),
        };
        if !self.entrance.serves(application.name()) {
            let error = NameError::NoApplication(application.name().to_string());
            return self.refuse_connect(&error.into());
        }
        Span::current().record("app", &**application.name());
        let marks = connect.properties.get(lineage::PROPERTY);
        let marks = marks.and_then(Value::as_str).unwrap_or_default();
        self.lineage = Lineage::parse(marks);
        // What decides most is first.
        let mut text = QuestionText::new();
        let mut request = ConnectRequest {
            client: self.client.clone(),
            local: self.entrance.local.to_string(),
            app: application.name().to_string(),
            instance: instance.clone(),
            query: text.pairs("query", query),
            tc_url: text.text("tc-url", tc_url),
            flash_ver: text.text("flash-ver", connect.flash_ver()),
            props: text.properties("props", &connect.properties),
            extra: text.arguments("extra", &connect.arguments),
        };
        text.tell(&mut request.extra);
        let gate = application.gate().clone();
        let instance: Option<Arc<str>> = instance.map(Into::into);
        self.instance = instance.clone();
        let challenges = self.shared.challenges.clone();
        let candidate = Applicant {
            request,
            attempt,
            app: app.to_owned(),
        };
        self.await_admission(async move {
            match super::auth::connect(&gate, &challenges, candidate).await {
                LoginOutcome::Decided(decision) => Settled::Connect {
                    application,
                    instance,
                    decision,
                },
                LoginOutcome::Unauthenticated(rejection) => Settled::Unauthenticated(Refusal {
                    kind: RefusalKind::Unauthenticated,
                    ..rejection.into()
                }),
            }
        });
    }

    pub(super) fn ask_publish(&mut self, publish: Publish) {
        let Some(mut ask) = self.ask(Asked::Publish, &publish.name, publish.mode) else {
            return;
        };
        let request = &mut ask.request;
        if !MODES.contains(&&*request.mode) {
            let said = std::mem::replace(&mut request.mode, "live".to_owned());
            request.extra.push(("mode".to_owned(), said));
        }
        let (broker, wake) = (self.shared.broker.clone(), self.wake.clone());
        let (stream, span) = (publish.stream, ask.span.clone());
        self.await_admission(async move {
            let outcome = broker.publish(ask, wake).await;
            Settled::Publish {
                stream,
                span,
                outcome,
            }
        });
    }

    pub(super) fn ask_play(&mut self, play: Play) {
        // RTMP 1.0 section 7.2.2.1; FFmpeg multiplies by 1000.
        let mode = match play.start {
            start if start >= 0.0 => "vod",
            -1.0 | -1000.0 => "live",
            _ => "any",
        };
        let Some(mut ask) = self.ask(Asked::Play, &play.name, mode.to_owned()) else {
            return;
        };
        ask.request.start_seconds = (play.start >= 0.0).then_some(play.start);
        let usual = ask.application.settings().chunk_size;
        let is_usual = play.stream == SHARED_MESSAGE_STREAM && self.chunk_size == usual;
        let chunks = is_usual.then_some(Chunks(self.chunk_size));
        let framing = Framing {
            stream: play.stream,
            chunk_size: self.chunk_size,
            shared: chunks.map(|chunks| chunks.variant()),
        };
        let format = chunks.map(|chunks| Arc::new(chunks) as Arc<dyn Format>);
        let (wake, outlet) = (self.wake.clone(), chunks.map(|_| self.outlet.clone()));
        let (broker, span) = (self.shared.broker.clone(), ask.span.clone());
        self.await_admission(async move {
            let outcome = broker.play(ask, wake, format, outlet).await;
            Settled::Play {
                framing,
                span,
                outcome,
            }
        });
    }

    pub(super) fn ask_call(&mut self, name: String, arguments: &[Value]) {
        let Some(application) = self.application.clone() else {
            return self.machine.answer_call(Err("not connected".to_owned()));
        };
        let question = OnCall::new(CallRequest {
            client: self.client.clone(),
            method: name.clone(),
            amf0: amf0::encode_all(arguments),
        });
        self.await_result(async move {
            let answer = application.gate().try_ask(question).await;
            Settled::Call { name, answer }
        });
    }

    /// What is asked for with a stream's name; answers the client itself when it
    /// can't be one.
    fn ask(&mut self, command: Asked, name: &str, mode: String) -> Option<Ask> {
        let application = self.application.clone()?;
        let parsed = match StreamName::parse(self.instance.as_deref(), name) {
            Ok(parsed) => parsed,
            Err(error) => {
                limited!(WARN, STRANGERS.admits(), %error, "refused a stream name");
                let refusal = Refusal::from(error);
                let code = status::code(command, &refusal);
                self.machine.reject_stream(code, &refusal.text, None);
                return None;
            }
        };
        let path = parsed.place.path();
        let span = info_span!("stream", stream = path, renamed = field::Empty);
        let mut text = QuestionText::new();
        let query = text.pairs("query", parsed.query);
        let mode = text.name("mode", &mode);
        let kind = parsed.kind.map(|kind| ("type".to_owned(), kind));
        let mut extra: Pairs = kind.into_iter().collect();
        text.tell(&mut extra);
        let request = StreamRequest {
            client: self.client.clone(),
            app: application.name().to_string(),
            instance: parsed.place.instance,
            name: parsed.place.name,
            raw_name: name.to_owned(),
            query,
            mode,
            start_seconds: None,
            extra,
        };
        Some(Ask {
            application,
            request,
            lineage: self.lineage.clone(),
            span,
        })
    }

    /// Waits for the answer to whether the client is let in, or may do something.
    fn await_admission(&mut self, answer: impl Future<Output = Settled> + Send + 'static) {
        self.decision = Some(Decision {
            answer: Box::pin(answer),
            outlives_client: false,
        });
    }

    /// Waits for the answer to what the client has said, which counts even if it
    /// leaves meanwhile.
    pub(super) fn await_result(&mut self, answer: impl Future<Output = Settled> + Send + 'static) {
        self.decision = Some(Decision {
            answer: Box::pin(answer),
            outlives_client: true,
        });
    }
}
