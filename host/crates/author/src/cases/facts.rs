//! What a plugin did, as facts that patterns are compared with.

use livehost_plugin::{HttpRequest, Level};
use livehost_policy::{
    Answer, CallError, Challenge, ConnectDecision, Credential, DuplicateRule, ObjectDecision,
    PlayDecision, PublishDecision, Recording, Rejection,
};
use livehost_wire::amf0;

use super::pattern::{Fact, Got};

impl Fact {
    pub(crate) fn of_answer(answer: &Answer) -> Self {
        match answer {
            Answer::Connect(decision) => connect(decision),
            Answer::Publish(decision) => publish(decision),
            Answer::Play(decision) => play(decision),
            Answer::Call(Ok(amf0)) => fact("Returns", vec![("", values(amf0))]),
            // As the plugin says it.
            Answer::Call(Err(CallError::Unknown(_))) => fact("Fails", vec![("", text("unknown"))]),
            Answer::Call(Err(CallError::Refused(error))) => fact("Fails", vec![("", text(error))]),
            Answer::Authenticate(Ok(None)) => fact("NoChallenge", Vec::new()),
            Answer::Authenticate(Ok(Some(challenge))) => {
                let word = match challenge {
                    Challenge::Adobe => "adobe",
                    Challenge::Llnw => "llnw",
                };
                fact("Challenge", vec![("", text(word))])
            }
            Answer::Credential(Ok(None)) => fact("NoUser", Vec::new()),
            Answer::Credential(Ok(Some(credential))) => self::credential(credential),
            Answer::Authenticate(Err(rejection)) | Answer::Credential(Err(rejection)) => {
                reject(rejection)
            }
            Answer::SharedObject(ObjectDecision::Allow) => fact("Allow", Vec::new()),
            Answer::SharedObject(ObjectDecision::Deny) => fact("Deny", Vec::new()),
            Answer::SharedObject(ObjectDecision::Rewrite(amf0)) => {
                fact("Rewrite", vec![("", values(amf0))])
            }
        }
    }

    pub(crate) fn of_request(request: &HttpRequest) -> Self {
        let fields = vec![
            ("method", text(&request.method)),
            ("url", text(&request.url)),
            ("headers", pairs(&request.headers)),
            ("body", Got::Text(request.body.clone())),
        ];
        fact("Request", fields)
    }

    pub(crate) fn of_line(level: Level, message: &str, fields: &[(String, String)]) -> Self {
        let level = match level {
            Level::Trace => "Trace",
            Level::Debug => "Debug",
            Level::Info => "Info",
            Level::Warn => "Warn",
            Level::Error => "Error",
        };
        fact(
            level,
            vec![("message", text(message)), ("fields", pairs(fields))],
        )
    }
}

pub(crate) fn fact(variant: &'static str, fields: Vec<(&'static str, Got)>) -> Fact {
    Fact { variant, fields }
}

pub(crate) fn text(text: &str) -> Got {
    Got::Text(text.as_bytes().to_vec())
}

/// AMF0 values; bytes that are none, as they are.
pub(crate) fn values(bytes: &[u8]) -> Got {
    match amf0::decode_all(bytes) {
        Ok(values) => Got::Values(values),
        Err(_) => Got::Text(bytes.to_vec()),
    }
}

pub(crate) fn recording(recording: &Recording) -> Got {
    Got::Record(vec![
        ("container", text(&recording.container)),
        ("path", text(&recording.path)),
        ("split_seconds", number(recording.split_seconds)),
    ])
}

fn optional(value: Option<&String>) -> Got {
    value.map_or(Got::Nothing, |value| text(value))
}

fn number(value: Option<u32>) -> Got {
    value.map_or(Got::Nothing, |value| Got::Number(value.into()))
}

fn pairs(pairs: &[(String, String)]) -> Got {
    let pairs = pairs.iter();
    Got::Pairs(
        pairs
            .map(|(k, v)| (k.clone(), v.clone().into_bytes()))
            .collect(),
    )
}

fn reject(rejection: &Rejection) -> Fact {
    let fields = vec![
        // The empty code is the command's usual one.
        ("code", text(&rejection.code)),
        ("description", text(&rejection.description)),
        ("retry_after_ms", number(rejection.retry_after_ms)),
    ];
    fact("Reject", fields)
}

fn connect(decision: &ConnectDecision) -> Fact {
    match decision {
        ConnectDecision::Accept(grant) => {
            let fields = vec![
                ("attrs", pairs(&grant.attrs)),
                ("chunk_size", number(grant.chunk_size)),
                ("window_ack", number(grant.window_ack)),
                ("max_seconds", number(grant.max_seconds)),
                ("extra", pairs(&grant.extra)),
            ];
            fact("Accept", fields)
        }
        ConnectDecision::Reject(rejection) => reject(rejection),
        ConnectDecision::Redirect(url) => fact("Redirect", vec![("", text(url))]),
    }
}

fn credential(credential: &Credential) -> Fact {
    match credential {
        Credential::Password(password) => fact("Password", vec![("", text(password))]),
        Credential::Adobe { salt, hash } => {
            fact("Adobe", vec![("salt", text(salt)), ("hash", text(hash))])
        }
        Credential::Llnw(hash) => fact("Llnw", vec![("", text(hash))]),
    }
}

fn publish(decision: &PublishDecision) -> Fact {
    match decision {
        PublishDecision::Accept(grant) => {
            let rule = match grant.on_duplicate {
                DuplicateRule::Reject => "Reject",
                DuplicateRule::Replace => "Replace",
                DuplicateRule::Standby => "Standby",
            };
            let fields = vec![
                ("name", optional(grant.name.as_ref())),
                ("on_duplicate", Got::Word(rule)),
                (
                    "record_to",
                    grant.record_to.as_ref().map_or(Got::Nothing, recording),
                ),
                ("forward_to", Got::List(grant.forward_to.clone())),
                ("max_kbps", number(grant.max_kbps)),
                ("idle_timeout_ms", number(grant.idle_timeout_ms)),
                ("hold_ms", number(grant.hold_ms)),
                ("extra", pairs(&grant.extra)),
            ];
            fact("Accept", fields)
        }
        PublishDecision::Reject(rejection) => reject(rejection),
    }
}

fn play(decision: &PlayDecision) -> Fact {
    match decision {
        PlayDecision::Accept(grant) => {
            let fields = vec![
                ("name", optional(grant.name.as_ref())),
                ("pull_from", optional(grant.pull_from.as_ref())),
                ("wait_ms", number(grant.wait_ms)),
                ("max_seconds", number(grant.max_seconds)),
                ("extra", pairs(&grant.extra)),
            ];
            fact("Accept", fields)
        }
        PlayDecision::Reject(rejection) => reject(rejection),
    }
}
