//! What the policy is asked: requests made of a client's commands.

use std::sync::Arc;

use livehost_rtmp::auth as rtmp_auth;
use livehost_rtmp::session::server::{Connect, Play, Publish};
use livehost_wire::amf0::{self, Value};
use tracing::{Instrument, Span, field, info_span};

use super::answers::Answer;
use super::auth::{Candidate, Outcome};
use super::client::ClientSession;
use super::text::{MAX_NAME, QuestionText};
use livehost_app::application::Application;
use livehost_app::lineage::{self, Lineage};
use livehost_app::names::{self, AppPath, NameError, StreamName};
use livehost_policy::{ConnectRequest, Pairs, Rejection, StreamRequest};
use livehost_telemetry::limited;
use livehost_telemetry::log::STRANGERS;

/// How a stream may be published. Whatever else a client says, it is the first.
const MODES: [&str; 3] = ["live", "record", "append"];

impl ClientSession {
    pub(super) fn ask_connect(&mut self, connect: &Connect) {
        const INVALID: &str = "NetConnection.Connect.InvalidApp";
        // Whole: a user that logs in is kept until it has.
        for text in [connect.app(), connect.tc_url()] {
            if let Err(error) = names::at_most("application", text.len(), names::MAX_TEXT) {
                return self.refuse_connect(&Rejection::new(error.to_string()), INVALID);
            }
        }
        let (app, of_app) = rtmp_auth::cut(connect.app());
        let (tc_url, of_url) = rtmp_auth::cut(connect.tc_url());
        let attempt = of_app.or(of_url);
        if let Some(attempt) = &attempt
            && let Err(error) = names::at_most("user", attempt.user.len(), MAX_NAME)
        {
            return self.refuse_connect(&Rejection::new(error.to_string()), INVALID);
        }
        let named = AppPath::parse(app, tc_url).and_then(|path| {
            let (application, instance) = path.resolve(&self.shared.applications)?;
            Ok((path.query, application, instance))
        });
        let (query, application, instance) = match named {
            Ok(named) => named,
            Err(error) => return self.refuse_connect(&Rejection::new(error.to_string()), INVALID),
        };
        if !self.entrance.serves(application.name()) {
            let error = NameError::NoApplication(application.name().to_string());
            return self.refuse_connect(&Rejection::new(error.to_string()), INVALID);
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
        let candidate = Candidate {
            request,
            attempt,
            app: app.to_owned(),
        };
        self.decide(async move {
            match super::auth::connect(&gate, &challenges, candidate).await {
                Outcome::Decided(decision) => Answer::Connect {
                    application,
                    instance,
                    decision,
                },
                Outcome::Unauthenticated(rejection) => Answer::Unauthenticated(rejection),
            }
        });
    }

    pub(super) fn ask_publish(&mut self, publish: Publish) {
        let Some((application, mut request, span)) =
            self.stream_request(&publish.name, publish.mode, "NetStream.Publish.BadName")
        else {
            return;
        };
        if !MODES.contains(&&*request.mode) {
            let said = std::mem::replace(&mut request.mode, "live".to_owned());
            request.extra.push(("mode".to_owned(), said));
        }
        let gate = application.gate().clone();
        let stream = publish.stream;
        let deciding = span.clone();
        self.decide(
            async move {
                let decision = gate.publish(request.clone()).await;
                Answer::Publish {
                    stream,
                    request,
                    span,
                    decision,
                }
            }
            .instrument(deciding),
        );
    }

    pub(super) fn ask_play(&mut self, play: Play) {
        // RTMP 1.0 section 7.2.2.1; FFmpeg multiplies by 1000.
        let mode = match play.start {
            start if start >= 0.0 => "vod",
            -1.0 | -1000.0 => "live",
            _ => "any",
        };
        let Some((application, mut request, span)) =
            self.stream_request(&play.name, mode.to_owned(), "NetStream.Play.StreamNotFound")
        else {
            return;
        };
        request.start_seconds = (play.start >= 0.0).then_some(play.start);
        let gate = application.gate().clone();
        let stream = play.stream;
        let deciding = span.clone();
        self.decide(
            async move {
                let decision = gate.play(request.clone()).await;
                Answer::Play {
                    stream,
                    request,
                    span,
                    decision,
                }
            }
            .instrument(deciding),
        );
    }

    pub(super) fn ask_call(&mut self, name: String, arguments: &[Value]) {
        let Some(application) = self.application.clone() else {
            return self.machine.answer_call(Err("not connected".to_owned()));
        };
        let who = self.client.clone();
        let amf0 = amf0::encode_all(arguments);
        self.decide(async move {
            let answer = application.gate().call(who, name.clone(), amf0).await;
            Answer::Call { name, answer }
        });
    }

    /// What the policy is asked about a stream; answers the client itself when
    /// the name can't be one.
    fn stream_request(
        &mut self,
        name: &str,
        mode: String,
        code: &str,
    ) -> Option<(Arc<Application>, StreamRequest, Span)> {
        let application = self.application.clone()?;
        let parsed = match StreamName::parse(self.instance.as_deref(), name) {
            Ok(parsed) => parsed,
            Err(error) => {
                limited!(WARN, STRANGERS.admits(), %error, "refused a stream name");
                self.machine.reject_stream(code, &error.to_string(), None);
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
        Some((application, request, span))
    }

    pub(super) fn decide(&mut self, decision: impl Future<Output = Answer> + Send + 'static) {
        self.decision = Some(Box::pin(decision));
    }
}
