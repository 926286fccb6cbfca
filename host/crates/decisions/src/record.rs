//! What may be read of a decision: stable names, bounded texts, no secrets.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::num::NonZero;
use std::time::SystemTime;

use livehost_policy::names::MAX_PATH;
use livehost_policy::{
    Answer, Challenge, Client, ConnectDecision, ConnectGrant, ConnectRequest, DuplicateRule,
    ObjectOperation, ObjectRequest, Pairs, PlayDecision, PlayGrant, PolicyError, PublishDecision,
    PublishGrant, Question, Recording, Rejection, StreamRequest,
};
use livehost_telemetry::secrets::STARS;
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;
use time::format_description::well_known::iso8601::{Config, EncodedConfig, TimePrecision};

use crate::exchange::Exchange;
use crate::redact::{RequestTexts, cut, server};
use crate::settings::DecisionSettings;

/// The most of a short text, in bytes: addresses, attributes, words.
const MAX_SHORT: usize = 128;
/// Entries of a list or map that are shown.
const MAX_ENTRIES: usize = 8;

/// A decision. In JSON, fields that are absent or empty are left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DecisionRecord {
    /// Counts from 1 through the process's life; one that is missing was lost.
    pub id: u64,
    /// When it was made; RFC 3339, UTC, with milliseconds.
    #[serde(serialize_with = "rfc3339")]
    pub time: SystemTime,
    /// The application's name.
    pub app: String,
    /// The function of the interface that was asked, `on-publish`.
    pub hook: &'static str,
    /// What came of it.
    pub outcome: DecisionOutcome,
    /// The plugin's generation that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// From question to answer, in microseconds.
    pub latency_us: u64,
    /// It stands for so many of its kind; left out: for itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<u64>,
    /// The client's connection, as in the log.
    pub conn: u64,
    /// Its address and port, if `addresses` is true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// `rtmp`, `rtmps`, ...
    pub protocol: String,
    /// Server name of its TLS handshake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_name: Option<String>,
    /// Those of its attributes that `attributes` names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// The application's instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Connect: what the client says that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flash_ver: Option<String>,
    /// Credential: the user's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Publish, play: the stream's name without its query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// Publish, play: `live`, `record`, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Shared object: what was to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectRecord>,
    /// Call: the method's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Accepted: what was granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantRecord>,
    /// Rejected: what the client is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejection: Option<RejectionRecord>,
    /// Redirected: to which server and application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect: Option<String>,
    /// Challenged: how, `adobe` or `llnw`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub challenge: Option<&'static str>,
    /// Failed: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorRecord>,
}

/// What came of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecisionOutcome {
    /// As asked, or as granted; nobody is asked for a password; the user is known.
    Accepted,
    /// A password is asked for.
    Challenged,
    /// With other values: a shared object's.
    Rewritten,
    /// Refused.
    Rejected,
    /// Sent to another server.
    Redirected,
    /// There is no such user, no such method.
    Unknown,
    /// No answer; `on_error` says what the client gets.
    Failed,
    /// The client left before the answer.
    Abandoned,
}

impl DecisionOutcome {
    /// Each of them.
    pub const ALL: [Self; 8] = [
        Self::Accepted,
        Self::Challenged,
        Self::Rewritten,
        Self::Rejected,
        Self::Redirected,
        Self::Unknown,
        Self::Failed,
        Self::Abandoned,
    ];

    /// As JSON has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Challenged => "challenged",
            Self::Rewritten => "rewritten",
            Self::Rejected => "rejected",
            Self::Redirected => "redirected",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
        }
    }

    /// Whether it is recorded whatever `sample` says: the client did not get its way.
    #[must_use]
    pub fn is_refusal(self) -> bool {
        !matches!(self, Self::Accepted | Self::Challenged | Self::Rewritten)
    }
}

/// What is granted: fields of all questions' grants.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct GrantRecord {
    /// Publish, play: another name of the stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Publish: `reject`, `replace`, `standby`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_duplicate: Option<&'static str>,
    /// Publish: how it is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordingRecord>,
    /// Publish: the servers and applications that it is pushed to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forwards: Vec<String>,
    /// Play: the server and application that it is pulled from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pull: Option<String>,
    /// Publish: kilobits a second at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_kbps: Option<u32>,
    /// Publish: silence at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<u32>,
    /// Publish: how long the name is held for a publisher that is lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_ms: Option<u32>,
    /// Play: how long it waits for a publisher.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u32>,
    /// Connect, play: how long it may last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_seconds: Option<u32>,
    /// Connect: outbound chunk size in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk_size: Option<u32>,
    /// Connect: acknowledgement window in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_ack: Option<u32>,
    /// Connect: the attributes; stars are values that `attributes` does not name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// The names of what else was granted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<String>,
}

/// How a stream is to be recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordingRecord {
    /// `flv`, ...
    pub container: String,
    /// Below the application's media folder.
    pub path: String,
    /// A new file every so many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split_seconds: Option<u32>,
}

/// What a client is told that is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RejectionRecord {
    /// Status code; left out: the usual one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// For people; stars stand for what the client had sent.
    pub description: String,
    /// When trying again makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u32>,
    /// The plugin judged the client so, not the moment.
    pub is_verdict: bool,
}

/// What was to be done with a shared object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObjectRecord {
    /// The object's.
    pub name: String,
    /// It outlives its clients.
    pub persistent: bool,
    /// `connect`, `set`, `remove`, `clear`, `send`.
    pub operation: &'static str,
    /// The property that it is about; never its value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub property: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorRecord {
    /// `trapped`, `timed-out`, `busy`, `left-alone`, `unusable`, `unavailable`.
    pub kind: &'static str,
    /// For people; stars stand for what the client had sent.
    pub text: String,
}

impl DecisionRecord {
    /// Without an id.
    pub(crate) fn new(
        exchange: &Exchange<'_>,
        outcome: DecisionOutcome,
        settings: &DecisionSettings,
    ) -> Self {
        let Exchange {
            app,
            question,
            reply,
            latency,
        } = *exchange;
        let Client {
            conn,
            remote,
            protocol,
            tls_name,
            attrs,
        } = question.client();
        let shown = attrs.iter().filter(|(name, _)| settings.shows(name));
        let is_sampled = settings.sample > 1 && !outcome.is_refusal();
        let mut record = Self {
            id: 0,
            time: SystemTime::now(),
            app: app.to_owned(),
            hook: question.hook(),
            outcome,
            generation: reply.and_then(|reply| reply.generation),
            latency_us: u64::try_from(latency.as_micros()).unwrap_or(u64::MAX),
            sample: is_sampled.then_some(settings.sample),
            conn: *conn,
            remote: settings.addresses.then(|| cut(remote, MAX_SHORT)),
            protocol: cut(protocol, MAX_SHORT),
            tls_name: tls_name.as_ref().map(|name| cut(name, MAX_SHORT)),
            attributes: pairs(shown, |(_, value)| cut(value, MAX_SHORT)),
            instance: question.instance().map(|instance| cut(instance, MAX_PATH)),
            flash_ver: None,
            user: None,
            stream: None,
            mode: None,
            object: None,
            method: None,
            grant: None,
            rejection: None,
            redirect: None,
            challenge: None,
            error: None,
        };
        record.add_question(question);
        let texts = || RequestTexts::of(question, settings);
        match exchange.answer() {
            None => {}
            Some(Ok(answer)) => record.add_answer(answer, settings, texts),
            Some(Err(error)) => record.error = Some(ErrorRecord::of(&error, &texts())),
        }
        record
    }

    /// One line of JSON, without its end. What would hide or turn text around where it is
    /// shown is escaped.
    #[must_use]
    pub fn to_line(&self) -> String {
        // No value of it fails.
        let json = serde_json::to_string(self).unwrap_or_default();
        if !json.contains(livehost_telemetry::log::is_hidden) {
            return json;
        }
        // They are in strings: JSON itself has none.
        let mut line = String::new();
        for c in json.chars() {
            if !livehost_telemetry::log::is_hidden(c) {
                line.push(c);
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(line, "\\u{unit:04x}");
            }
        }
        line
    }

    fn add_question(&mut self, question: &Question) {
        match question {
            Question::Authenticate(request) | Question::Connect(request) => {
                self.add_connect(request)
            }
            Question::Credential(request) => {
                self.add_connect(&request.connect);
                self.user = Some(cut(&request.user, MAX_SHORT));
            }
            Question::Publish(request) | Question::Play(request) => self.add_stream(request),
            Question::SharedObject(request) => self.object = Some(ObjectRecord::of(request)),
            Question::Call(request) => self.method = Some(cut(&request.method, MAX_SHORT)),
        }
    }

    fn add_connect(&mut self, request: &ConnectRequest) {
        let flash_ver = Some(&request.flash_ver).filter(|text| !text.is_empty());
        self.flash_ver = flash_ver.map(|text| cut(text, MAX_SHORT));
    }

    fn add_stream(&mut self, request: &StreamRequest) {
        self.stream = Some(cut(&request.name, MAX_PATH));
        self.mode = Some(cut(&request.mode, MAX_SHORT));
    }

    fn add_answer<'q>(
        &mut self,
        answer: &Answer,
        settings: &DecisionSettings,
        texts: impl FnOnce() -> RequestTexts<'q>,
    ) {
        let reject = |rejection| {
            self.rejection = Some(RejectionRecord::of(rejection, &texts()));
        };
        match answer {
            Answer::Authenticate(Ok(Some(challenge))) => {
                self.challenge = Some(match challenge {
                    Challenge::Adobe => "adobe",
                    Challenge::Llnw => "llnw",
                });
            }
            // What it is must not be read.
            Answer::Authenticate(Ok(None)) | Answer::Credential(Ok(_)) => {}
            Answer::Authenticate(Err(rejection)) | Answer::Credential(Err(rejection)) => {
                reject(rejection);
            }
            Answer::Connect(ConnectDecision::Accept(grant)) => {
                self.grant = Some(GrantRecord::of_connect(grant, settings));
            }
            Answer::Connect(ConnectDecision::Reject(rejection)) => reject(rejection),
            Answer::Connect(ConnectDecision::Redirect(url)) => self.redirect = Some(server(url)),
            Answer::Publish(PublishDecision::Accept(grant)) => {
                self.grant = Some(GrantRecord::of_publish(grant));
            }
            Answer::Publish(PublishDecision::Reject(rejection)) => reject(rejection),
            Answer::Play(PlayDecision::Accept(grant)) => {
                self.grant = Some(GrantRecord::of_play(grant));
            }
            Answer::Play(PlayDecision::Reject(rejection)) => reject(rejection),
            // Values are AMF0, and what a call says may repeat them.
            Answer::SharedObject(_) | Answer::Call(_) => {}
        }
    }
}

impl GrantRecord {
    fn of_connect(grant: &ConnectGrant, settings: &DecisionSettings) -> Self {
        let ConnectGrant {
            attrs,
            chunk_size,
            window_ack,
            max_seconds,
            extra,
        } = grant;
        let shown = |(name, value): &(String, String)| match settings.shows(name) {
            true => cut(value, MAX_SHORT),
            false => STARS.to_owned(),
        };
        Self {
            attributes: pairs(attrs.iter(), shown),
            chunk_size: *chunk_size,
            window_ack: *window_ack,
            max_seconds: *max_seconds,
            extra: names(extra),
            ..Self::default()
        }
    }

    fn of_publish(grant: &PublishGrant) -> Self {
        let PublishGrant {
            name,
            on_duplicate,
            record_to,
            forward_to,
            max_kbps,
            idle_timeout_ms,
            hold_ms,
            extra,
        } = grant;
        Self {
            name: name.as_ref().map(|name| cut(name, MAX_PATH)),
            on_duplicate: Some(match on_duplicate {
                DuplicateRule::Reject => "reject",
                DuplicateRule::Replace => "replace",
                DuplicateRule::Standby => "standby",
            }),
            record: record_to.as_ref().map(RecordingRecord::of),
            forwards: forward_to
                .iter()
                .take(MAX_ENTRIES)
                .map(|url| server(url))
                .collect(),
            max_kbps: *max_kbps,
            idle_timeout_ms: *idle_timeout_ms,
            hold_ms: *hold_ms,
            extra: names(extra),
            ..Self::default()
        }
    }

    fn of_play(grant: &PlayGrant) -> Self {
        let PlayGrant {
            name,
            pull_from,
            wait_ms,
            max_seconds,
            extra,
        } = grant;
        Self {
            name: name.as_ref().map(|name| cut(name, MAX_PATH)),
            pull: pull_from.as_deref().map(server),
            wait_ms: *wait_ms,
            max_seconds: *max_seconds,
            extra: names(extra),
            ..Self::default()
        }
    }
}

impl RecordingRecord {
    fn of(recording: &Recording) -> Self {
        Self {
            container: cut(&recording.container, MAX_SHORT),
            path: cut(&recording.path, MAX_PATH),
            split_seconds: recording.split_seconds,
        }
    }
}

impl RejectionRecord {
    fn of(rejection: &Rejection, texts: &RequestTexts<'_>) -> Self {
        let Rejection {
            code,
            description,
            retry_after_ms,
            is_verdict,
        } = rejection;
        Self {
            code: cut(&texts.out_of(code), MAX_SHORT),
            description: texts.out_of(description),
            retry_after_ms: *retry_after_ms,
            is_verdict: *is_verdict,
        }
    }
}

impl ObjectRecord {
    fn of(request: &ObjectRequest) -> Self {
        let (operation, property) = match &request.operation {
            ObjectOperation::Connect => ("connect", None),
            ObjectOperation::Set(property, _) => ("set", Some(property)),
            ObjectOperation::Remove(property) => ("remove", Some(property)),
            ObjectOperation::Clear => ("clear", None),
            ObjectOperation::Send(_) => ("send", None),
        };
        Self {
            name: cut(&request.name, MAX_PATH),
            persistent: request.persistent,
            operation,
            property: property.map(|property| cut(property, MAX_SHORT)),
        }
    }
}

impl ErrorRecord {
    fn of(error: &PolicyError, texts: &RequestTexts<'_>) -> Self {
        let kind = match error {
            PolicyError::Trapped { .. } => "trapped",
            PolicyError::TimedOut { .. } => "timed-out",
            PolicyError::Busy { .. } => "busy",
            PolicyError::LeftAlone { .. } => "left-alone",
            PolicyError::Unusable { .. } => "unusable",
            PolicyError::Unavailable(_) => "unavailable",
        };
        Self {
            kind,
            text: texts.out_of(&error.to_string()),
        }
    }
}

/// As many of `found` as are shown.
fn pairs<'p>(
    found: impl Iterator<Item = &'p (String, String)>,
    value: impl Fn(&(String, String)) -> String,
) -> BTreeMap<String, String> {
    let found = found.take(MAX_ENTRIES);
    found
        .map(|pair| (cut(&pair.0, MAX_SHORT), value(pair)))
        .collect()
}

/// The names of as many as are shown.
fn names(extra: &Pairs) -> Vec<String> {
    let names = extra.iter().take(MAX_ENTRIES);
    names.map(|(name, _)| cut(name, MAX_SHORT)).collect()
}

fn rfc3339<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    const MILLISECONDS: EncodedConfig = Config::DEFAULT
        .set_time_precision(TimePrecision::Second {
            decimal_digits: NonZero::new(3),
        })
        .encode();
    let time = OffsetDateTime::from(*time).format(&Iso8601::<MILLISECONDS>);
    // There is none that has no form before the year 10000.
    serializer.serialize_str(&time.unwrap_or_default())
}
