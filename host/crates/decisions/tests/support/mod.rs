//! A policy that answers as it is told, and requests with secrets wherever they can be.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use livehost_decisions::{DecisionFilter, DecisionLog, DecisionRecord, DecisionSettings};
use livehost_policy::{
    Answer, CallRequest, Client, ConnectRequest, CredentialRequest, Event, ObjectOperation,
    ObjectRequest, Policy, PolicyError, Question, Reply, Scalar, StreamRequest,
};

/// In every field that may hold a secret.
pub(crate) const SECRET: &str = "s3cret";

/// Answers in order, as the generation 3; then never.
#[derive(Debug, Default)]
pub(crate) struct Scripted(Mutex<Vec<Result<Answer, PolicyError>>>);

impl Scripted {
    pub(crate) fn new(answers: impl IntoIterator<Item = Result<Answer, PolicyError>>) -> Arc<Self> {
        let mut answers: Vec<_> = answers.into_iter().collect();
        answers.reverse();
        Arc::new(Self(Mutex::new(answers)))
    }
}

#[async_trait]
impl Policy for Scripted {
    async fn ask(&self, _: Question) -> Reply {
        let answer = self.0.lock().unwrap().pop();
        match answer {
            Some(answer) => Reply {
                answer,
                generation: Some(3),
            },
            None => std::future::pending().await,
        }
    }
    fn decides_shared_objects(&self) -> bool {
        true
    }
    fn notify(&self, _: Event) {}
}

/// A log with a ring for all that a test asks.
pub(crate) fn log(settings: DecisionSettings) -> Arc<DecisionLog> {
    let log = DecisionLog::new();
    log.set(
        DecisionSettings {
            ring: 100,
            ..settings
        },
        Path::new("/nowhere"),
    );
    log
}

/// What is recorded of a question that is answered so.
pub(crate) async fn recorded(
    settings: DecisionSettings,
    question: Question,
    answer: Result<Answer, PolicyError>,
) -> Arc<DecisionRecord> {
    let log = log(settings);
    let policy = log.around("live", Scripted::new([answer.clone()]));
    assert_eq!(policy.ask(question).await.answer, answer);
    let mut records = log.recent(&DecisionFilter::default(), None, 10);
    assert_eq!(records.len(), 1);
    records.remove(0)
}

/// A record's line, without its time and how long it took.
pub(crate) fn line(record: &DecisionRecord) -> serde_json::Value {
    let mut line: serde_json::Value = serde_json::from_str(&record.to_line()).unwrap();
    let fields = line.as_object_mut().unwrap();
    let time = fields.remove("time").unwrap();
    let time = time.as_str().unwrap();
    assert!(time.len() == 24 && time.ends_with('Z'), "{time}");
    assert!(fields.remove("latency_us").unwrap().is_u64());
    line
}

pub(crate) fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

pub(crate) fn client() -> Client {
    Client {
        conn: 7,
        remote: "203.0.113.7:51234".into(),
        protocol: "rtmp".into(),
        tls_name: None,
        attrs: vec![pair("user", "ann"), pair("token", SECRET)],
    }
}

pub(crate) fn connect() -> Arc<ConnectRequest> {
    Arc::new(ConnectRequest {
        client: Client {
            attrs: Vec::new(),
            ..client()
        },
        local: "0.0.0.0:1935".into(),
        app: "live".into(),
        instance: Some("room1".into()),
        query: vec![pair("key", SECRET)],
        tc_url: format!("rtmp://ann:{SECRET}@a/live/room1?key={SECRET}"),
        flash_ver: "FMLE/3.0".into(),
        props: vec![("token".into(), Scalar::Text(SECRET.into()))],
        extra: vec![pair("arguments", SECRET)],
    })
}

pub(crate) fn credential() -> Arc<CredentialRequest> {
    Arc::new(CredentialRequest {
        connect: connect(),
        user: "ann".into(),
    })
}

pub(crate) fn stream() -> Arc<StreamRequest> {
    Arc::new(StreamRequest {
        client: client(),
        app: "live".into(),
        instance: Some("room1".into()),
        name: "cam".into(),
        raw_name: format!("cam?key={SECRET}"),
        query: vec![pair("key", SECRET)],
        mode: "live".into(),
        start_seconds: None,
        extra: vec![pair("type", SECRET)],
    })
}

pub(crate) fn object(operation: ObjectOperation) -> Arc<ObjectRequest> {
    Arc::new(ObjectRequest {
        client: client(),
        app: "live".into(),
        instance: None,
        name: "chat".into(),
        persistent: true,
        operation,
    })
}

pub(crate) fn call() -> Arc<CallRequest> {
    Arc::new(CallRequest {
        client: client(),
        method: "sum".into(),
        amf0: amf0(),
    })
}

/// A text.
pub(crate) fn amf0() -> Bytes {
    let mut amf0 = vec![2, 0, SECRET.len() as u8];
    amf0.extend_from_slice(SECRET.as_bytes());
    amf0.into()
}
