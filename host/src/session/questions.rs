//! What the policy is asked: requests made of a client's commands.

use std::sync::Arc;

use livehost_rtmp::auth as rtmp_auth;
use livehost_rtmp::session::server::{Connect, Play, Publish};
use livehost_wire::amf0::{self, Properties, Value};
use tracing::{Instrument, Span, field, info_span};

use super::answers::Answer;
use super::auth::{Candidate, Outcome};
use super::client::ClientSession;
use super::names::{AppPath, NameError, StreamName};
use crate::application::Application;
use crate::logging::{STRANGERS, limited};
use crate::policy::{ConnectRequest, Pairs, Scalar, StreamRequest};
use crate::relay::Lineage;

/// Command-object properties shown to the policy.
const MAX_PROPS: usize = 64;

impl ClientSession {
    pub(super) fn ask_connect(&mut self, connect: &Connect) {
        const INVALID: &str = "NetConnection.Connect.InvalidApp";
        let (app, of_app) = rtmp_auth::cut(&connect.app);
        let (tc_url, of_url) = rtmp_auth::cut(&connect.tc_url);
        let named = AppPath::parse(app, tc_url).and_then(|path| {
            let (application, instance) = path.resolve(&self.shared.applications)?;
            Ok((path.query, application, instance))
        });
        let (query, application, instance) = match named {
            Ok(named) => named,
            Err(error) => return self.refuse_connect(INVALID, &error.to_string()),
        };
        if !self.entrance.serves(application.name()) {
            let error = NameError::NoApplication(application.name().to_string());
            return self.refuse_connect(INVALID, &error.to_string());
        }
        Span::current().record("app", &**application.name());
        self.lineage = Lineage::read(&connect.properties);
        let request = ConnectRequest {
            client: self.client.clone(),
            local: self.entrance.local.to_string(),
            app: application.name().to_string(),
            instance: instance.clone(),
            query,
            tc_url: tc_url.to_owned(),
            flash_ver: connect.flash_ver.clone(),
            props: flatten(&connect.properties),
            extra: arguments(&connect.arguments),
        };
        let gate = application.gate().clone();
        let instance = instance.map(Into::into);
        let challenges = self.shared.challenges.clone();
        let candidate = Candidate {
            request,
            attempt: of_app.or(of_url),
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
        let Some((application, request, span)) =
            self.stream_request(&publish.name, publish.mode, "NetStream.Publish.BadName")
        else {
            return;
        };
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
                self.machine.reject_stream(code, &error.to_string());
                return None;
            }
        };
        let span = info_span!("stream", stream = %parsed.place.name, renamed = field::Empty);
        let request = StreamRequest {
            client: self.client.clone(),
            app: application.name().to_string(),
            instance: parsed.place.instance,
            name: parsed.place.name,
            raw_name: name.to_owned(),
            query: parsed.query,
            mode,
            start_seconds: None,
            extra: parsed
                .kind
                .map(|kind| ("type".to_owned(), kind))
                .into_iter()
                .collect(),
        };
        Some((application, request, span))
    }

    pub(super) fn decide(&mut self, decision: impl Future<Output = Answer> + Send + 'static) {
        self.decision = Some(Box::pin(decision));
    }
}

/// The command object as flat pairs, nested names joined with dots.
fn flatten(properties: &Properties) -> Vec<(String, Scalar)> {
    let mut flat = Vec::with_capacity(properties.len().min(MAX_PROPS));
    flatten_into(&mut flat, "", properties);
    flat
}

/// What stands behind the command object, as text: `arg.0`, `arg.1.user`.
fn arguments(values: &[Value]) -> Pairs {
    let mut flat = Vec::new();
    for (index, value) in values.iter().enumerate() {
        flatten_value(&mut flat, format!("arg.{index}"), value);
    }
    let flat = flat.into_iter();
    flat.filter_map(|(name, value)| {
        let text = match value {
            Scalar::Null => return None,
            Scalar::Boolean(value) => value.to_string(),
            Scalar::Number(value) => value.to_string(),
            Scalar::Text(value) => value,
        };
        Some((name, text))
    })
    .collect()
}

fn flatten_into(flat: &mut Vec<(String, Scalar)>, prefix: &str, properties: &Properties) {
    for (name, value) in properties.iter() {
        flatten_value(flat, [prefix, name].concat(), value);
    }
}

/// Without what authentication has put behind URLs: no business of a plugin's,
/// which may log what it sees.
fn flatten_value(flat: &mut Vec<(String, Scalar)>, name: String, value: &Value) {
    if flat.len() >= MAX_PROPS {
        return;
    }
    let scalar = match value {
        Value::Null | Value::Undefined => Scalar::Null,
        Value::Boolean(value) => Scalar::Boolean(*value),
        Value::Number(value) => Scalar::Number(*value),
        Value::String(value) | Value::XmlDocument(value) => {
            Scalar::Text(rtmp_auth::cut(value).0.to_owned())
        }
        Value::Object(inner) | Value::EcmaArray(inner) => {
            return flatten_into(flat, &format!("{name}."), inner);
        }
        other => Scalar::Text(format!("{other:?}").chars().take(1024).collect()),
    };
    flat.push((name, scalar));
}
