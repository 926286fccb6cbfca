//! Sessions in memory: who gets a name when its publisher has just left.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use bytes::Bytes;
use livehost_app::application::{self, Application};
use livehost_app::claims::Local;
use livehost_app::conn::ConnIds;
use livehost_app::relays::NoRelays;
use livehost_app::shared_objects::{self, Forget, Objects};
use livehost_hub::Hub;
use livehost_net::{Admission, AdmissionLimits};
use livehost_policy::{
    Answer, ConnectDecision, Event, Fallback, Gate, PlayDecision, Policy, PublishDecision,
    Question, Reply,
};
use livehost_rtmp::handshake::RANDOM_LEN;
use livehost_rtmp::session::Output;
use livehost_rtmp::session::client::{self, ClientConfig, ClientEvent};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::yield_now;

use super::*;

/// Turns of the runtime within which everything happens that will.
const TURNS: usize = 2000;

/// Lets everybody in; a call, and who publishes `later`, is answered when the test
/// says so.
#[derive(Default)]
struct Open {
    go_on: Notify,
}

#[async_trait]
impl Policy for Open {
    async fn ask(&self, question: Question) -> Reply {
        let is_late = match &question {
            Question::Publish(request) => request.name == "later",
            question => matches!(question, Question::Call(_)),
        };
        if is_late {
            self.go_on.notified().await;
        }
        let answer = match question {
            Question::Authenticate(_) => Answer::Authenticate(Ok(None)),
            Question::Connect(_) => Answer::Connect(ConnectDecision::Accept(Default::default())),
            Question::Publish(_) => Answer::Publish(PublishDecision::Accept(Default::default())),
            Question::Play(_) => Answer::Play(PlayDecision::Accept(Default::default())),
            Question::Call(_) => Answer::Call(Ok(Bytes::new())),
            other => panic!("{other:?}"),
        };
        answer.into()
    }
    fn decides_shared_objects(&self) -> bool {
        false
    }
    fn notify(&self, _: Event) {}
}

/// The server's end of a connection.
#[derive(Debug, Default)]
struct Wire(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    inbound: VecDeque<u8>,
    /// The client sends no more.
    ended: bool,
    /// The runtime has heard of what is there.
    told: bool,
    outbound: Vec<u8>,
    reader: Option<Waker>,
}

impl Carrier for Wire {
    fn try_read(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if !self.0.lock().told {
            return Err(std::io::ErrorKind::WouldBlock.into());
        }
        self.read_now(buffer)
    }

    fn read_now(&self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut state = self.0.lock();
        if state.inbound.is_empty() && !state.ended {
            state.told = false;
            return Err(std::io::ErrorKind::WouldBlock.into());
        }
        let count = buffer.len().min(state.inbound.len());
        for (byte, sent) in buffer.iter_mut().zip(state.inbound.drain(..count)) {
            *byte = sent;
        }
        Ok(count)
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> std::io::Result<usize> {
        let mut state = self.0.lock();
        for slice in slices {
            state.outbound.extend_from_slice(slice);
        }
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let mut state = self.0.lock();
        if state.told {
            return Poll::Ready(Ok(()));
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_write_ready(&self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn shutdown_write(&self) -> std::io::Result<()> {
        Ok(())
    }

    fn abort(&self) {}
}

impl Wire {
    fn change(&self, tell: bool, change: impl FnOnce(&mut State)) {
        let mut state = self.0.lock();
        change(&mut state);
        if tell {
            state.told = true;
            if let Some(reader) = state.reader.take() {
                reader.wake();
            }
        }
    }
}

/// Everything that sessions share, with one application, `live`.
fn shared() -> (Arc<Shared>, Arc<Open>) {
    let policy = Arc::new(Open::default());
    let shutdown = CancellationToken::new();
    let conns = Arc::new(ConnIds::default());
    let second = Duration::from_secs(1);
    let settings = application::ApplicationSettings {
        media: livehost_hub::MediaSettings {
            keyframe_cache: 1 << 20,
            join: livehost_hub::Join::Keyframe,
            queue_bytes: 1 << 20,
            queue_time: 10 * second,
            slow_close: 20 * second,
            gather: Duration::ZERO,
        },
        chunk_size: 60_000,
        message: 1 << 20,
        publisher_timeout: 3600 * second,
        wait_for_publisher: 3600 * second,
    };
    let objects = Objects::new(shared_objects::ObjectSettings::default(), Arc::new(Forget));
    let gate = Gate::new("live", policy.clone(), Fallback::Reject);
    let live = Application::new("live", gate, settings, objects);
    let applications = Arc::new(Applications::default());
    applications.replace([(live, &[][..])], None);
    let limits = SessionLimits {
        handshake: 3600 * second,
        idle: 3600 * second,
        streams: 8,
        message: 1 << 20,
        call: 1 << 19,
        chunk: 60_000,
        tunnel: second,
        drain: second,
    };
    let shared = Shared {
        broker: Broker::new(
            Hub::new(),
            Arc::default(),
            Arc::new(NoRelays),
            Arc::new(Local),
        ),
        applications,
        directory: Directory::new(conns),
        challenges: Arc::default(),
        limits: ArcSwap::from_pointee(limits),
        shutdown,
    };
    (Arc::new(shared), policy)
}

/// A client and its session.
struct Client {
    wire: Arc<Wire>,
    machine: client::ClientSession,
    events: VecDeque<ClientEvent>,
}

impl Client {
    fn open(shared: &Arc<Shared>) -> Self {
        let wire = Arc::new(Wire::default());
        let admission = Admission::new(AdmissionLimits {
            connections: 1,
            per_address: 0,
            ungranted_per_address: 0,
        });
        let entrance = Entrance {
            protocol: "rtmp",
            tls_name: None,
            handshake_done: false,
            accepted: Instant::now(),
            local: "test".into(),
            applications: Arc::new([]),
            permit: Arc::new(admission.admit(None).unwrap()),
        };
        let remote = SocketAddr::from(([192, 0, 2, 1], 1000));
        tokio::spawn(serve(wire.clone(), remote, entrance, shared.clone()));
        let config = ClientConfig::new("live", "rtmp://host/live");
        Self {
            wire,
            machine: client::ClientSession::new(config, &[7; RANDOM_LEN], 0),
            events: VecDeque::new(),
        }
    }

    /// Moves bytes both ways.
    fn pump(&mut self) {
        let came = std::mem::take(&mut self.wire.0.lock().outbound);
        self.machine.handle_input(&mut &came[..]).unwrap();
        let mut sent = Vec::new();
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Send(bytes) => sent.extend(bytes),
                Output::Event(event) => self.events.push_back(event),
            }
        }
        if !sent.is_empty() {
            self.send(&sent);
        }
    }

    fn send(&self, bytes: &[u8]) {
        self.wire.change(true, |wire| wire.inbound.extend(bytes));
    }

    /// Closes; the runtime hears of it now, later, or never.
    fn close(&self, tell: bool) {
        self.wire.change(tell, |wire| wire.ended = true);
    }

    /// The next event that `wanted` accepts; none if it does not come.
    async fn event<T>(&mut self, wanted: impl Fn(&ClientEvent) -> Option<T>) -> Option<T> {
        for _ in 0..TURNS {
            self.pump();
            while let Some(event) = self.events.pop_front() {
                if let Some(found) = wanted(&event) {
                    return Some(found);
                }
            }
            yield_now().await;
        }
        None
    }

    /// Asks to publish; the message stream, or what the refusal says.
    async fn publish(&mut self, name: &str) -> Option<Result<u32, String>> {
        self.machine.publish(name, "live");
        self.outcome().await
    }

    async fn outcome(&mut self) -> Option<Result<u32, String>> {
        self.event(|event| match event {
            ClientEvent::PublishStarted { stream } => Some(Ok(*stream)),
            ClientEvent::Rejected(why) => Some(Err(why.description.clone())),
            _ => None,
        })
        .await
    }

    /// A client that publishes.
    async fn publishing(shared: &Arc<Shared>, name: &str) -> Self {
        let mut client = Self::open(shared);
        assert!(matches!(client.publish(name).await, Some(Ok(_))));
        client
    }
}

fn assert_busy(outcome: Option<Result<u32, String>>) {
    let refused = outcome.expect("an answer").unwrap_err();
    assert_eq!(refused, "the stream is busy: it is already being published");
}

async fn turns() {
    for _ in 0..TURNS {
        yield_now().await;
    }
}

#[tokio::test]
async fn a_name_is_free_when_its_publisher_has_closed_even_if_nobody_heard_of_it() {
    let (shared, _) = shared();
    for _ in 0..50 {
        let first = Client::publishing(&shared, "cam").await;
        first.close(false);
        // The next one claims the name before the end of this one was told.
    }
    assert_eq!(shared.broker.hub().census().get("publishes_busy"), 0);
}

#[tokio::test]
async fn a_name_stays_with_who_publishes_and_the_other_hears_it_at_once() {
    let (shared, _) = shared();
    let mut first = Client::publishing(&shared, "cam").await;
    let mut second = Client::open(&shared);
    assert_busy(second.publish("cam").await);
    // Both go on.
    assert!(matches!(first.publish("other").await, Some(Ok(_))));
    assert_busy(second.publish("other").await);
    assert!(matches!(second.publish("third").await, Some(Ok(_))));
}

#[tokio::test]
async fn what_a_publisher_said_before_its_end_is_read_first() {
    let (shared, _) = shared();
    let mut first = Client::open(&shared);
    let stream = first.publish("cam").await.unwrap().unwrap();
    // More than one read takes, and the end behind it.
    let frame = [&[0x17, 1, 0, 0, 0][..], &[1; 50_000]].concat();
    for at in 0..5 {
        let frame = Bytes::from(frame.clone());
        first.machine.send_video(stream, at, frame);
    }
    first.pump();
    first.close(true);
    let _second = Client::publishing(&shared, "cam").await;
    let frames = shared.broker.hub().census().get("frames_in");
    assert_eq!(frames, 5);
}

#[tokio::test]
async fn a_publisher_in_the_middle_of_a_message_is_heard_to_its_end() {
    let (shared, _) = shared();
    let mut first = Client::open(&shared);
    let stream = first.publish("cam").await.unwrap().unwrap();
    let frame = [&[0x17, 1, 0, 0, 0][..], &[1; 5000]].concat();
    first.machine.send_video(stream, 0, frame.into());
    let mut said = Vec::new();
    while let Some(output) = first.machine.poll_output() {
        if let Output::Send(bytes) = output {
            said.extend(bytes);
        }
    }
    let (begun, rest) = said.split_at(1000);
    first.send(begun);
    turns().await;
    let mut second = Client::open(&shared);
    assert_eq!(second.publish("cam").await, None, "more must come first");
    first.send(rest);
    first.close(true);
    assert!(matches!(second.outcome().await, Some(Ok(_))));
    assert_eq!(shared.broker.hub().census().get("frames_in"), 1);
}

#[tokio::test]
async fn a_publisher_that_waits_for_a_decision_is_waited_for() {
    let (shared, policy) = shared();
    let mut first = Client::open(&shared);
    let stream = first.publish("cam").await.unwrap().unwrap();
    first.machine.call("anything", Vec::new());
    // So much that no more is read before the decision.
    for at in 0..5 {
        let frame = [&[0x17, 1, 0, 0, 0][..], &[1; 50_000]].concat();
        first.machine.send_video(stream, at, frame.into());
    }
    first.pump();
    first.close(true);
    turns().await;
    let mut second = Client::open(&shared);
    assert_eq!(second.publish("cam").await, None, "not decided yet");
    policy.go_on.notify_one();
    assert!(matches!(second.outcome().await, Some(Ok(_))));
}

#[tokio::test]
async fn two_that_want_each_others_names_are_both_refused() {
    let (shared, _) = shared();
    let mut first = Client::publishing(&shared, "one").await;
    let mut second = Client::publishing(&shared, "two").await;
    first.machine.publish("two", "live");
    second.machine.publish("one", "live");
    first.pump();
    second.pump();
    assert_busy(first.outcome().await);
    assert_busy(second.outcome().await);
    // And its own.
    assert_busy(first.publish("one").await);
}

#[tokio::test]
async fn nobody_who_has_gone_is_let_in() {
    let (shared, policy) = shared();
    let mut first = Client::publishing(&shared, "cam").await;
    first.machine.publish("later", "live");
    first.pump();
    turns().await;
    first.close(true);
    turns().await;
    policy.go_on.notify_one();
    turns().await;
    let census = shared.broker.hub().census();
    assert_eq!((census.get("publishes"), census.get("streams")), (1, 0));
}
