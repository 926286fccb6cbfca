//! A policy around a policy: all that is decided and told goes through it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test's way to fail"
)]

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use livehost_policy::{
    Answer, CallError, CallRequest, Challenge, Client, ConnectDecision, ConnectRequest, Credential,
    CredentialRequest, Event, Fallback, Gate, ObjectDecision, ObjectOperation, ObjectRequest,
    OnAuthenticate, OnCall, OnConnect, OnCredential, OnPlay, OnPublish, OnSharedObject,
    PlayDecision, Policy, PolicyError, PublishDecision, Question, Rejection, Reply, SessionEnd,
    StreamRequest,
};

/// Answers with what it is said to; its generation is the number of the question.
struct Scripted(Mutex<Vec<Result<Answer, PolicyError>>>);

#[async_trait]
impl Policy for Scripted {
    async fn ask(&self, _: Question) -> Reply {
        let mut left = self.0.lock().unwrap();
        let answer = left.pop().expect("an answer is left");
        Reply {
            answer,
            generation: Some(left.len() as u64),
        }
    }
    fn decides_shared_objects(&self) -> bool {
        true
    }
    fn notify(&self, _: Event) {}
}

/// Writes down what another policy is asked, answers and is told.
struct Recorder {
    policy: Scripted,
    decisions: Mutex<Vec<(Question, Reply)>>,
    events: Mutex<Vec<Event>>,
}

#[async_trait]
impl Policy for Recorder {
    async fn ask(&self, question: Question) -> Reply {
        let reply = self.policy.ask(question.clone()).await;
        let seen = (question, reply.clone());
        self.decisions.lock().unwrap().push(seen);
        reply
    }
    fn decides_shared_objects(&self) -> bool {
        self.policy.decides_shared_objects()
    }
    fn notify(&self, event: Event) {
        self.events.lock().unwrap().push(event.clone());
        self.policy.notify(event);
    }
}

fn recorded(answers: Vec<Result<Answer, PolicyError>>) -> (Arc<Recorder>, Gate) {
    let recorder = Arc::new(Recorder {
        policy: Scripted(Mutex::new(answers.into_iter().rev().collect())),
        decisions: Mutex::default(),
        events: Mutex::default(),
    });
    let gate = Gate::new("live", recorder.clone(), Fallback::Allow);
    (recorder, gate)
}

fn client() -> Client {
    Client {
        conn: 7,
        ..Client::default()
    }
}

fn connect() -> Arc<ConnectRequest> {
    Arc::new(ConnectRequest {
        client: client(),
        local: String::new(),
        app: "live".into(),
        instance: Some("room1".into()),
        query: Vec::new(),
        tc_url: String::new(),
        flash_ver: String::new(),
        props: Vec::new(),
        extra: Vec::new(),
    })
}

fn stream() -> Arc<StreamRequest> {
    Arc::new(StreamRequest {
        client: client(),
        app: "live".into(),
        instance: Some("room1".into()),
        name: "cam".into(),
        raw_name: "cam".into(),
        query: Vec::new(),
        mode: "live".into(),
        start_seconds: None,
        extra: Vec::new(),
    })
}

fn credential() -> Arc<CredentialRequest> {
    Arc::new(CredentialRequest {
        connect: connect(),
        user: "ann".into(),
    })
}

fn object() -> Arc<ObjectRequest> {
    Arc::new(ObjectRequest {
        client: client(),
        app: "live".into(),
        instance: Some("room1".into()),
        name: "so".into(),
        persistent: false,
        operation: ObjectOperation::Clear,
    })
}

fn call() -> Arc<CallRequest> {
    Arc::new(CallRequest {
        client: client(),
        method: "sum".into(),
        amf0: Bytes::from_static(b"\x05"),
    })
}

/// Every question once, as callers ask; each answer, in words.
async fn ask_all(gate: &Gate) -> Vec<String> {
    let mut answers = vec![
        format!("{:?}", gate.ask(OnAuthenticate::new(connect())).await),
        format!("{:?}", gate.ask(OnCredential::new(credential())).await),
        format!("{:?}", gate.ask(OnConnect::new(connect())).await),
        format!("{:?}", gate.ask(OnPublish::new(stream())).await),
        format!("{:?}", gate.ask(OnPlay::new(stream())).await),
        format!("{:?}", gate.ask(OnSharedObject::new(object())).await),
    ];
    answers.push(format!("{:?}", gate.try_ask(OnCall::new(call())).await));
    answers
}

fn questions() -> [Question; 7] {
    [
        Question::Authenticate(connect()),
        Question::Credential(credential()),
        Question::Connect(connect()),
        Question::Publish(stream()),
        Question::Play(stream()),
        Question::SharedObject(object()),
        Question::Call(call()),
    ]
}

#[tokio::test]
async fn it_sees_every_question_with_its_answer() {
    let answers = [
        Answer::Authenticate(Ok(Some(Challenge::Adobe))),
        Answer::Credential(Ok(Some(Credential::Password("s3cret".into())))),
        Answer::Connect(ConnectDecision::Redirect("rtmp://b/live".into())),
        Answer::Publish(PublishDecision::Reject(Rejection::new("no"))),
        Answer::Play(PlayDecision::Accept(Default::default())),
        Answer::SharedObject(ObjectDecision::Rewrite(Bytes::from_static(b"\x05"))),
        Answer::Call(Err(CallError::Unknown("sum".into()))),
    ];
    let (recorder, gate) = recorded(answers.clone().map(Ok).to_vec());
    let told = ask_all(&gate).await;
    let seen = std::mem::take(&mut *recorder.decisions.lock().unwrap());
    assert_eq!(seen.len(), 7);
    let expected = questions().into_iter().zip(answers).enumerate();
    for ((n, (question, answer)), (asked, reply)) in expected.zip(seen) {
        assert_eq!(asked, question);
        assert_eq!(asked.hook(), answer.hook());
        assert_eq!(asked.client(), &client());
        let instance = (asked.hook() != "on-call").then_some("room1");
        assert_eq!(asked.instance(), instance);
        assert_eq!(reply.answer, Ok(answer));
        assert_eq!(reply.generation, Some(6 - n as u64));
        // The caller gets the same.
        let answer = format!("{:?}", reply.answer.unwrap());
        let (_, answer) = answer.split_once('(').unwrap();
        assert!(
            told[n].contains(answer.strip_suffix(')').unwrap()),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn it_sees_the_failure_and_the_caller_what_stands_in_for_it() {
    let waited = PolicyError::TimedOut {
        hook: "on-publish",
        budget: "wall deadline",
        limit_ms: 3000,
        waiting: true,
    };
    let (recorder, gate) = recorded(vec![Err(waited.clone()); 7]);
    let told = ask_all(&gate).await;
    let seen = recorder.decisions.lock().unwrap();
    assert_eq!(seen.len(), 7);
    for ((asked, reply), question) in seen.iter().zip(questions()) {
        assert_eq!(*asked, question);
        assert_eq!(reply.answer, Err(waited.clone()));
    }
    // Nobody passes without his credential, and a call has no other result.
    let allowed = told
        .iter()
        .map(|told| told == "Ok(None)" || told == "Allow" || told.starts_with("Accept("));
    let allowed: Vec<_> = allowed.collect();
    assert_eq!(
        allowed,
        [true, false, true, true, true, true, false],
        "{told:?}"
    );
}

#[tokio::test]
async fn the_answer_to_another_question_is_none() {
    let played = || Ok(Answer::Play(PlayDecision::Accept(Default::default())));
    let (_, gate) = recorded(vec![played(), played()]);
    let decision = gate.ask(OnPublish::new(stream())).await;
    assert!(
        matches!(decision, PublishDecision::Reject(_)),
        "{decision:?}"
    );
    let result = gate.try_ask(OnCall::new(call())).await;
    assert!(
        matches!(
            result,
            Err(PolicyError::Unusable {
                hook: "on-call",
                ..
            })
        ),
        "{result:?}"
    );
}

#[test]
fn it_sees_what_is_told() {
    let (recorder, gate) = recorded(Vec::new());
    let left = Event::Disconnected(client(), SessionEnd::default());
    gate.notify(left.clone());
    assert!(gate.decides_shared_objects());
    assert_eq!(*recorder.events.lock().unwrap(), [left]);
}
