//! Between the interface's types and the policy's: the same fields.
//!
//! Flows in: requests, by value. Flows out: decisions within their bounds:
//! what a guest says to a client is cut, everything else is refused.

use bytes::Bytes;
use livehost_policy::{CallError, Challenge, ObjectDecision, names};

use super::bindings::exports::livehost::app::auth as wit_auth;
use super::bindings::exports::livehost::app::lifecycle as wit_life;
use super::bindings::exports::livehost::app::relays as wit_relays;
use super::bindings::exports::livehost::app::shared_objects as wit_objects;
use super::bindings::livehost::app::types as wit;
use super::bounds::{self, MAX_HASH, MAX_PASSWORD, MAX_RECORDING, MAX_URL, MAX_WORD, TooLong};
use super::{StopReason, instance::one_line};

/// What a client is told may be long, but not without bound.
const MAX_DESCRIPTION: usize = 512;
/// Status codes are short words with dots.
const MAX_CODE: usize = 128;
/// What a guest answers to a method that it doesn't have.
const UNKNOWN_METHOD: &str = "unknown";

impl From<livehost_policy::Client> for wit::Client {
    fn from(client: livehost_policy::Client) -> Self {
        Self {
            conn: client.conn,
            remote: client.remote,
            protocol: client.protocol,
            tls_name: client.tls_name,
            attrs: client.attrs,
        }
    }
}

impl From<livehost_policy::Scalar> for wit::Scalar {
    fn from(scalar: livehost_policy::Scalar) -> Self {
        match scalar {
            livehost_policy::Scalar::Null => Self::Null,
            livehost_policy::Scalar::Boolean(value) => Self::Boolean(value),
            livehost_policy::Scalar::Number(value) => Self::Number(value),
            livehost_policy::Scalar::Text(value) => Self::Text(value),
        }
    }
}

impl From<livehost_policy::ConnectRequest> for wit::ConnectRequest {
    fn from(request: livehost_policy::ConnectRequest) -> Self {
        Self {
            client: request.client.into(),
            local: request.local,
            app: request.app,
            instance: request.instance,
            query: request.query,
            tc_url: request.tc_url,
            flash_ver: request.flash_ver,
            props: request
                .props
                .into_iter()
                .map(|(name, value)| (name, value.into()))
                .collect(),
            extra: request.extra,
        }
    }
}

/// `extra`, with what the application calls the stream.
fn with_path(
    mut extra: livehost_policy::Pairs,
    instance: Option<&str>,
    name: &str,
) -> livehost_policy::Pairs {
    extra.push(("path".to_owned(), names::path(instance, name)));
    extra
}

impl From<livehost_policy::StreamRequest> for wit::StreamRequest {
    fn from(request: livehost_policy::StreamRequest) -> Self {
        let instance = request.instance.as_deref();
        let extra = with_path(request.extra, instance, &request.name);
        Self {
            client: request.client.into(),
            app: request.app,
            instance: request.instance,
            name: request.name,
            raw_name: request.raw_name,
            query: request.query,
            mode: request.mode,
            start_seconds: request.start_seconds,
            extra,
        }
    }
}

impl From<livehost_policy::StreamInfo> for wit::StreamInfo {
    fn from(info: livehost_policy::StreamInfo) -> Self {
        let extra = with_path(info.extra, info.instance.as_deref(), &info.name);
        Self {
            id: info.id,
            app: info.app,
            instance: info.instance,
            name: info.name,
            publisher: info.publisher.into(),
            video: info.video,
            audio: info.audio,
            started_unix_ms: info.started_unix_ms,
            bytes_in: info.bytes_in,
            idle_ms: info.idle_ms,
            kbps: info.kbps,
            players: info.players,
            extra,
        }
    }
}

impl From<livehost_policy::SessionEnd> for wit::SessionEnd {
    fn from(end: livehost_policy::SessionEnd) -> Self {
        Self {
            reason: end.reason,
            duration_ms: end.duration_ms,
            bytes_in: end.bytes_in,
            bytes_out: end.bytes_out,
            frames_dropped: end.frames_dropped,
        }
    }
}

impl From<livehost_policy::Recording> for wit::Recording {
    fn from(recording: livehost_policy::Recording) -> Self {
        Self {
            container: recording.container,
            path: recording.path,
            split_seconds: recording.split_seconds,
        }
    }
}

impl From<livehost_policy::Relay> for wit_relays::Relay {
    fn from(relay: livehost_policy::Relay) -> Self {
        let extra = with_path(relay.extra, relay.instance.as_deref(), &relay.name);
        Self {
            conn: relay.conn,
            app: relay.app,
            instance: relay.instance,
            name: relay.name,
            direction: relay.direction,
            target: relay.target,
            attempt: relay.attempt,
            extra,
        }
    }
}

impl From<livehost_policy::RelayFailure> for wit_relays::Failure {
    fn from(failure: livehost_policy::RelayFailure) -> Self {
        Self {
            reason: failure.reason,
            up_ms: failure.up_ms,
            retry_ms: failure.retry_ms,
        }
    }
}

impl From<StopReason> for wit_life::StopReason {
    fn from(reason: StopReason) -> Self {
        match reason {
            StopReason::Shutdown => Self::Shutdown,
            StopReason::Reload => Self::Reload,
            StopReason::Removed => Self::Removed,
        }
    }
}

/// What to record.
pub(super) fn recording(recording: wit::Recording) -> Result<livehost_policy::Recording, TooLong> {
    Ok(livehost_policy::Recording {
        container: bounds::text("container", recording.container, MAX_WORD)?,
        path: bounds::text("path", recording.path, MAX_RECORDING)?,
        split_seconds: recording.split_seconds,
    })
}

impl From<wit::Rejection> for livehost_policy::Rejection {
    fn from(rejection: wit::Rejection) -> Self {
        Self {
            code: told(&rejection.code, MAX_CODE),
            description: reason(&rejection.description),
            retry_after_ms: rejection.retry_after_ms,
            is_verdict: rejection.retry_after_ms.is_none(),
        }
    }
}

/// A guest's text for a client, cut.
pub(super) fn reason(text: &str) -> String {
    told(text, MAX_DESCRIPTION)
}

fn told(text: &str, max: usize) -> String {
    one_line(text).chars().take(max).collect()
}

/// The word that `on-authenticate` answers.
pub(super) fn challenge(word: &str) -> Result<Challenge, livehost_policy::PolicyError> {
    match word {
        "adobe" => Ok(Challenge::Adobe),
        "llnw" => Ok(Challenge::Llnw),
        other => {
            let other = one_line(other);
            Err(livehost_policy::PolicyError::Unusable {
                hook: "on-authenticate",
                reason: format!("expected the challenge adobe or llnw, found {other:?}"),
            })
        }
    }
}

/// The answer of `on-call` about `method`.
pub(super) fn call_result(
    method: String,
    result: Result<Vec<u8>, String>,
) -> Result<Bytes, CallError> {
    result.map(Bytes::from).map_err(|text| match text.as_str() {
        UNKNOWN_METHOD => CallError::Unknown(method),
        text => CallError::Refused(one_line(text)),
    })
}

/// The answer to `on-credential`.
pub(super) fn credential(
    credential: wit_auth::Credential,
) -> Result<livehost_policy::Credential, TooLong> {
    use livehost_policy::Credential as Known;
    Ok(match credential {
        wit_auth::Credential::Password(password) => {
            Known::Password(bounds::text("password", password, MAX_PASSWORD)?)
        }
        wit_auth::Credential::Adobe(salted) => Known::Adobe {
            salt: bounds::text("salt", salted.salt, MAX_HASH)?,
            hash: bounds::text("hash", salted.hash, MAX_HASH)?,
        },
        wit_auth::Credential::Llnw(hash) => Known::Llnw(bounds::text("hash", hash, MAX_HASH)?),
    })
}

impl From<livehost_policy::ObjectRequest> for wit_objects::ObjectRequest {
    fn from(request: livehost_policy::ObjectRequest) -> Self {
        use livehost_policy::ObjectOperation as Asked;
        Self {
            client: request.client.into(),
            app: request.app,
            instance: request.instance,
            name: request.name,
            persistent: request.persistent,
            operation: match request.operation {
                Asked::Connect => wit_objects::Operation::Connect,
                Asked::Set(name, amf0) => wit_objects::Operation::Set(wit_objects::Property {
                    name,
                    amf0: amf0.into(),
                }),
                Asked::Remove(name) => wit_objects::Operation::Remove(name),
                Asked::Clear => wit_objects::Operation::Clear,
                Asked::Send(amf0) => wit_objects::Operation::Send(amf0.into()),
            },
        }
    }
}

impl From<wit_objects::ObjectDecision> for ObjectDecision {
    fn from(decision: wit_objects::ObjectDecision) -> Self {
        match decision {
            wit_objects::ObjectDecision::Allow => Self::Allow,
            wit_objects::ObjectDecision::Deny => Self::Deny,
            wit_objects::ObjectDecision::Rewrite(amf0) => Self::Rewrite(amf0.into()),
        }
    }
}

/// The answer to `on-connect`.
pub(super) fn connect_decision(
    decision: wit::ConnectDecision,
) -> Result<livehost_policy::ConnectDecision, TooLong> {
    use livehost_policy::ConnectDecision as Decision;
    Ok(match decision {
        wit::ConnectDecision::Accept(grant) => Decision::Accept(livehost_policy::ConnectGrant {
            attrs: bounds::pairs("attrs", grant.attrs)?,
            chunk_size: grant.chunk_size,
            window_ack: grant.window_ack,
            max_seconds: grant.max_seconds,
            extra: bounds::pairs("extra", grant.extra)?,
        }),
        wit::ConnectDecision::Reject(rejection) => Decision::Reject(rejection.into()),
        wit::ConnectDecision::Redirect(url) => {
            Decision::Redirect(bounds::text("redirect", url, MAX_URL)?)
        }
    })
}

impl From<wit::DuplicateRule> for livehost_policy::DuplicateRule {
    fn from(rule: wit::DuplicateRule) -> Self {
        match rule {
            wit::DuplicateRule::Reject => Self::Reject,
            wit::DuplicateRule::Replace => Self::Replace,
            wit::DuplicateRule::Standby => Self::Standby,
        }
    }
}

/// The answer to `on-publish`.
pub(super) fn publish_decision(
    decision: wit::PublishDecision,
) -> Result<livehost_policy::PublishDecision, TooLong> {
    use livehost_policy::PublishDecision as Decision;
    Ok(match decision {
        wit::PublishDecision::Accept(grant) => Decision::Accept(livehost_policy::PublishGrant {
            name: grant.name,
            on_duplicate: grant.on_duplicate.into(),
            record_to: grant.record_to.map(recording).transpose()?,
            forward_to: bounds::forwards(grant.forward_to)?,
            max_kbps: grant.max_kbps,
            idle_timeout_ms: grant.idle_timeout_ms,
            hold_ms: grant.hold_ms,
            extra: bounds::pairs("extra", grant.extra)?,
        }),
        wit::PublishDecision::Reject(rejection) => Decision::Reject(rejection.into()),
    })
}

/// The answer to `on-play`.
pub(super) fn play_decision(
    decision: wit::PlayDecision,
) -> Result<livehost_policy::PlayDecision, TooLong> {
    use livehost_policy::PlayDecision as Decision;
    Ok(match decision {
        wit::PlayDecision::Accept(grant) => Decision::Accept(livehost_policy::PlayGrant {
            name: grant.name,
            pull_from: grant
                .pull_from
                .map(|url| bounds::text("pull-from", url, MAX_URL))
                .transpose()?,
            wait_ms: grant.wait_ms,
            max_seconds: grant.max_seconds,
            extra: bounds::pairs("extra", grant.extra)?,
        }),
        wit::PlayDecision::Reject(rejection) => Decision::Reject(rejection.into()),
    })
}
