//! What a line has, for each question and answer, and what none has.

// clippy.toml allows these in test functions; helpers are tests as well.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::sync::Arc;

use livehost_decisions::{DecisionFilter, DecisionOutcome, DecisionSettings, ErrorRecord};
use livehost_policy::{
    Answer, CallError, Challenge, ConnectDecision, ConnectGrant, Credential, DuplicateRule,
    ObjectDecision, ObjectOperation, PlayDecision, PlayGrant, PolicyError, PublishDecision,
    PublishGrant, Question, Recording, Rejection,
};
use serde_json::json;
use support::{
    SECRET, Scripted, amf0, call, connect, credential, line, log, object, pair, recorded, stream,
};

fn rejection() -> Rejection {
    Rejection {
        code: "NetConnection.Connect.Rejected".into(),
        description: format!("the key {SECRET} is unknown"),
        retry_after_ms: None,
        is_verdict: true,
    }
}

fn rejected() -> serde_json::Value {
    json!({
        "code": "NetConnection.Connect.Rejected",
        "description": "the key *** is unknown",
        "is_verdict": true,
    })
}

fn connect_grant() -> ConnectGrant {
    ConnectGrant {
        attrs: vec![pair("user", "ann"), pair("token", SECRET)],
        chunk_size: Some(4096),
        window_ack: Some(1 << 20),
        max_seconds: Some(60),
        extra: vec![pair("more", SECRET)],
    }
}

fn publish_grant() -> PublishGrant {
    PublishGrant {
        name: Some("cam2".into()),
        on_duplicate: DuplicateRule::Replace,
        record_to: Some(Recording {
            container: "flv".into(),
            path: "cam/%Y.flv".into(),
            split_seconds: Some(3600),
        }),
        forward_to: vec![
            format!("rtmp://b/live/{SECRET}?key={SECRET}"),
            format!("rtmps://ann:{SECRET}@c:444/live/{SECRET}"),
        ],
        max_kbps: Some(8000),
        idle_timeout_ms: Some(5000),
        hold_ms: Some(2000),
        extra: vec![pair("more", SECRET)],
    }
}

fn play_grant() -> PlayGrant {
    PlayGrant {
        name: Some("cam2".into()),
        pull_from: Some(format!("rtmp://ann:{SECRET}@b/live/{SECRET}")),
        wait_ms: Some(1000),
        max_seconds: Some(60),
        extra: vec![pair("max-players", SECRET)],
    }
}

/// Every question with every kind of answer, the outcome, and what its line has beyond
/// the fields of every line.
fn all() -> Vec<(Question, Answer, &'static str, serde_json::Value)> {
    let authenticate = || Question::Authenticate(connect());
    let credential = || Question::Credential(credential());
    let connect = || Question::Connect(connect());
    let publish = || Question::Publish(stream());
    let play = || Question::Play(stream());
    let set = || {
        let operation = ObjectOperation::Set("title".into(), amf0());
        Question::SharedObject(object(operation))
    };
    let call = || Question::Call(call());
    let of_connect = |more| with(json!({"instance": "room1", "flash_ver": "FMLE/3.0"}), more);
    let of_user = |more| with(of_connect(json!({"user": "ann"})), more);
    let of_stream = |more| {
        let stream = json!({"instance": "room1", "stream": "cam", "mode": "live"});
        with(stream, more)
    };
    let set_title = json!({"object": {"name": "chat", "persistent": true, "operation": "set", "property": "title"}});
    let of_call = json!({"method": "sum"});
    vec![
        (
            authenticate(),
            Answer::Authenticate(Ok(None)),
            "accepted",
            of_connect(json!({})),
        ),
        (
            authenticate(),
            Answer::Authenticate(Ok(Some(Challenge::Adobe))),
            "challenged",
            of_connect(json!({"challenge": "adobe"})),
        ),
        (
            authenticate(),
            Answer::Authenticate(Ok(Some(Challenge::Llnw))),
            "challenged",
            of_connect(json!({"challenge": "llnw"})),
        ),
        (
            authenticate(),
            Answer::Authenticate(Err(rejection())),
            "rejected",
            of_connect(json!({"rejection": rejected()})),
        ),
        (
            credential(),
            Answer::Credential(Ok(Some(Credential::Password(SECRET.into())))),
            "accepted",
            of_user(json!({})),
        ),
        (
            credential(),
            Answer::Credential(Ok(Some(Credential::Adobe {
                salt: SECRET.into(),
                hash: SECRET.into(),
            }))),
            "accepted",
            of_user(json!({})),
        ),
        (
            credential(),
            Answer::Credential(Ok(Some(Credential::Llnw(SECRET.into())))),
            "accepted",
            of_user(json!({})),
        ),
        (
            credential(),
            Answer::Credential(Ok(None)),
            "unknown",
            of_user(json!({})),
        ),
        (
            credential(),
            Answer::Credential(Err(rejection())),
            "rejected",
            of_user(json!({"rejection": rejected()})),
        ),
        (
            connect(),
            Answer::Connect(ConnectDecision::Accept(connect_grant())),
            "accepted",
            of_connect(json!({"grant": {
                "attributes": {"user": "***", "token": "***"},
                "chunk_size": 4096,
                "window_ack": 1 << 20,
                "max_seconds": 60,
                "extra": ["more"],
            }})),
        ),
        (
            connect(),
            Answer::Connect(ConnectDecision::Accept(ConnectGrant::default())),
            "accepted",
            of_connect(json!({"grant": {}})),
        ),
        (
            connect(),
            Answer::Connect(ConnectDecision::Reject(rejection())),
            "rejected",
            of_connect(json!({"rejection": rejected()})),
        ),
        (
            connect(),
            Answer::Connect(ConnectDecision::Redirect(format!(
                "rtmp://b/live?token={SECRET}"
            ))),
            "redirected",
            of_connect(json!({"redirect": "rtmp://b/live"})),
        ),
        (
            publish(),
            Answer::Publish(PublishDecision::Accept(publish_grant())),
            "accepted",
            of_stream(json!({"grant": {
                "name": "cam2",
                "on_duplicate": "replace",
                "record": {"container": "flv", "path": "cam/%Y.flv", "split_seconds": 3600},
                "forwards": ["rtmp://b/live", "rtmps://c:444/live"],
                "max_kbps": 8000,
                "idle_timeout_ms": 5000,
                "hold_ms": 2000,
                "extra": ["more"],
            }})),
        ),
        (
            publish(),
            Answer::Publish(PublishDecision::Accept(PublishGrant::default())),
            "accepted",
            of_stream(json!({"grant": {"on_duplicate": "reject"}})),
        ),
        (
            publish(),
            Answer::Publish(PublishDecision::Reject(rejection())),
            "rejected",
            of_stream(json!({"rejection": rejected()})),
        ),
        (
            play(),
            Answer::Play(PlayDecision::Accept(play_grant())),
            "accepted",
            of_stream(json!({"grant": {
                "name": "cam2",
                "pull": "rtmp://b/live",
                "wait_ms": 1000,
                "max_seconds": 60,
                "extra": ["max-players"],
            }})),
        ),
        (
            play(),
            Answer::Play(PlayDecision::Reject(Rejection::undecided("later"))),
            "rejected",
            of_stream(json!({"rejection": {
                "description": "later",
                "retry_after_ms": 1000,
                "is_verdict": false,
            }})),
        ),
        (
            set(),
            Answer::SharedObject(ObjectDecision::Allow),
            "accepted",
            set_title.clone(),
        ),
        (
            set(),
            Answer::SharedObject(ObjectDecision::Deny),
            "rejected",
            set_title.clone(),
        ),
        (
            set(),
            Answer::SharedObject(ObjectDecision::Rewrite(amf0())),
            "rewritten",
            set_title,
        ),
        (
            call(),
            Answer::Call(Ok(amf0())),
            "accepted",
            of_call.clone(),
        ),
        (
            call(),
            Answer::Call(Err(CallError::Unknown("sum".into()))),
            "unknown",
            of_call.clone(),
        ),
        (
            call(),
            Answer::Call(Err(CallError::Refused(SECRET.into()))),
            "rejected",
            of_call,
        ),
    ]
}

fn with(mut fields: serde_json::Value, more: serde_json::Value) -> serde_json::Value {
    let more = more.as_object().unwrap().clone();
    fields.as_object_mut().unwrap().extend(more);
    fields
}

#[tokio::test]
async fn a_line_says_who_asked_what_and_what_came_of_it() {
    for (question, answer, outcome, more) in all() {
        let expected = json!({
            "id": 1,
            "app": "live",
            "hook": question.hook(),
            "outcome": outcome,
            "generation": 3,
            "conn": 7,
            "remote": "203.0.113.7:51234",
            "protocol": "rtmp",
        });
        let record = recorded(DecisionSettings::default(), question, Ok(answer)).await;
        assert_eq!(line(&record), with(expected, more));
        assert!(!record.to_line().contains(SECRET), "{}", record.to_line());
        assert!(!format!("{record:?}").contains(SECRET));
    }
    let mut hooks: Vec<_> = all().iter().map(|(question, ..)| question.hook()).collect();
    hooks.dedup();
    assert_eq!(hooks, Question::HOOKS, "each question is there");
}

#[tokio::test]
async fn outcomes_are_called_as_json_has_them() {
    for outcome in DecisionOutcome::ALL {
        assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.name());
    }
}

#[tokio::test]
async fn what_is_wanted_of_attributes_is_there_and_addresses_need_not_be() {
    let settings = || DecisionSettings {
        addresses: false,
        attributes: vec!["user".into()],
        ..DecisionSettings::default()
    };
    let grant = Answer::Connect(ConnectDecision::Accept(connect_grant()));
    let record = recorded(settings(), Question::Connect(connect()), Ok(grant)).await;
    let found = &line(&record)["grant"]["attributes"];
    assert_eq!(*found, json!({"user": "ann", "token": "***"}));
    assert_eq!(record.remote, None);

    let denied = Answer::Publish(PublishDecision::Reject(Rejection::new("'ann' may not")));
    let record = recorded(settings(), Question::Publish(stream()), Ok(denied)).await;
    assert_eq!(line(&record)["attributes"], json!({"user": "ann"}));
    assert_eq!(
        record.rejection.as_ref().unwrap().description,
        "'ann' may not"
    );
}

#[tokio::test]
async fn a_failure_says_its_kind_and_why() {
    let hook = "on-publish";
    let reason = format!("unreachable: '{SECRET}'");
    for (error, kind, text) in [
        (
            PolicyError::Trapped {
                hook,
                reason: reason.clone(),
            },
            "trapped",
            "the plugin trapped in on-publish: unreachable: '***'",
        ),
        (
            PolicyError::TimedOut {
                hook,
                budget: "CPU budget",
                limit_ms: 50,
                waiting: false,
            },
            "timed-out",
            "the plugin exceeded its CPU budget of 50 ms in on-publish",
        ),
        (
            PolicyError::Busy {
                hook,
                waited_ms: 3000,
                limit: 16,
            },
            "busy",
            "no plugin instance was free for on-publish early enough in its 3000 ms (limit: \
             16 instances)",
        ),
        (
            PolicyError::LeftAlone {
                hook,
                left_ms: 9,
                waiting: false,
                alone: false,
            },
            "left-alone",
            "the plugin kept failing in on-publish, which is not called for another 9 ms",
        ),
        (
            PolicyError::Unusable { hook, reason },
            "unusable",
            "the plugin's answer to on-publish can't be used: unreachable: '***'",
        ),
        (
            PolicyError::Unavailable("gone".into()),
            "unavailable",
            "the plugin is not available: gone",
        ),
    ] {
        let record = recorded(
            DecisionSettings::default(),
            Question::Publish(stream()),
            Err(error),
        )
        .await;
        let text = text.to_owned();
        assert_eq!(record.error, Some(ErrorRecord { kind, text }));
        assert_eq!(record.outcome, DecisionOutcome::Failed);
    }
}

#[tokio::test]
async fn the_answer_to_another_question_is_a_failure() {
    let played = Answer::Play(PlayDecision::Accept(PlayGrant::default()));
    let question = Question::Publish(stream());
    let record = recorded(DecisionSettings::default(), question, Ok(played)).await;
    assert_eq!(record.outcome, DecisionOutcome::Failed);
    assert_eq!(record.grant, None);
    let error = record.error.as_ref().unwrap();
    assert_eq!(error.kind, "unusable");
    assert!(error.text.ends_with("that to on-play"), "{error:?}");
}

#[tokio::test]
async fn a_client_that_does_not_wait_is_recorded_once() {
    let log = log(DecisionSettings::default());
    let policy = log.around("live", Scripted::new([]));
    let mut asked = policy.ask(Question::Play(stream()));
    assert!(futures_util::poll!(&mut asked).is_pending());
    let recent = || log.recent(&DecisionFilter::default(), None, 10);
    assert_eq!(recent(), []);
    drop(asked);
    let records = recent();
    let [record] = records.as_slice() else {
        panic!("{records:?}");
    };
    assert_eq!(record.outcome, DecisionOutcome::Abandoned);
    assert_eq!((record.generation, &record.grant), (None, &None));
    // Asked and never waited for: nothing was decided.
    drop(policy.ask(Question::Play(stream())));
    assert_eq!(recent().len(), 1);
}

#[tokio::test]
async fn whatever_is_sent_and_granted_a_record_is_bounded() {
    let long = "x".repeat(10_000);
    let many: Vec<_> = (0..20)
        .map(|n| pair(&format!("{n}{long}"), &long))
        .collect();
    let mut request = Arc::unwrap_or_clone(stream());
    request.client.remote = long.clone();
    request.client.protocol = long.clone();
    request.client.tls_name = Some(long.clone());
    request.client.attrs = many.clone();
    request.instance = Some(long.clone());
    request.name = long.clone();
    request.mode = long.clone();
    let settings = DecisionSettings {
        attributes: many.iter().map(|(name, _)| name.clone()).collect(),
        ..DecisionSettings::default()
    };
    let grant = PublishGrant {
        name: Some(long.clone()),
        record_to: Some(Recording {
            container: long.clone(),
            path: long.clone(),
            split_seconds: None,
        }),
        forward_to: vec![format!("rtmp://b/{long}/cam"); 1000],
        extra: many,
        ..PublishGrant::default()
    };
    let accepted = Answer::Publish(PublishDecision::Accept(grant));
    let rejected = Answer::Publish(PublishDecision::Reject(Rejection {
        code: "x ".repeat(100_000),
        description: "y ".repeat(100_000),
        retry_after_ms: None,
        is_verdict: true,
    }));
    for answer in [accepted, rejected] {
        let question = Question::Publish(request.clone().into());
        let record = recorded(settings.clone(), question, Ok(answer)).await;
        let len = record.to_line().len();
        assert!((4000..8000).contains(&len), "{len}");
        assert_eq!(record.attributes.len(), 8);
    }
}

#[tokio::test]
async fn what_turns_text_around_is_escaped() {
    let mut request = Arc::unwrap_or_clone(stream());
    request.name = "a\u{202e}b\u{9b}31m\n\u{e0041}\u{7f}é".into();
    let decision = Answer::Play(PlayDecision::Reject(Rejection::new("no")));
    let question = Question::Play(request.clone().into());
    let record = recorded(DecisionSettings::default(), question, Ok(decision)).await;
    let text = record.to_line();
    let expected = r#""stream":"a\u202eb\u009b31m\n\udb40\udc41\u007fé""#;
    assert!(text.contains(expected), "{text}");
    assert_eq!(line(&record)["stream"], request.name);
}
