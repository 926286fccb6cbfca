//! Sessions in memory: real ones, over a carrier that a test holds, before a policy
//! that it answers for.

mod claims;
mod deadlines;

use std::collections::VecDeque;

use async_trait::async_trait;
use bytes::Bytes;
use livehost_app::application::{self, Application};
use livehost_app::claims::Local;
use livehost_app::conn::ConnIds;
use livehost_app::relays::NoRelays;
use livehost_app::shared_objects::{self, Forget, Objects};
use livehost_hub::Hub;
use livehost_net::carrier::memory::Memory;
use livehost_net::{Admission, AdmissionLimits};
use livehost_policy::{
    Answer, ConnectDecision, ConnectGrant, Event, Fallback, Gate, PlayDecision, Policy,
    PublishDecision, Question, Reply,
};
use livehost_rtmp::handshake::RANDOM_LEN;
use livehost_rtmp::session::Output;
use livehost_rtmp::session::client::{self, ClientConfig, ClientEvent};
use livehost_wire::amf0::Value;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, yield_now};

use super::*;

/// Turns of the runtime within which everything happens that will.
const TURNS: usize = 2000;

/// Lets everybody in; a call, and who publishes `later`, is answered when the test
/// says so.
#[derive(Default)]
struct Open {
    go_on: Notify,
    /// What everybody is granted with the connection.
    grant: ConnectGrant,
}

#[async_trait]
impl Policy for Open {
    async fn ask(&self, question: Question) -> Reply {
        let is_late = match &question {
            Question::Publish(request) => request.name == "later",
            Question::Call(request) => request.method != "now",
            _ => false,
        };
        if is_late {
            self.go_on.notified().await;
        }
        let answer = match question {
            Question::Authenticate(_) => Answer::Authenticate(Ok(None)),
            Question::Connect(_) => Answer::Connect(ConnectDecision::Accept(self.grant.clone())),
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

const SEC: Duration = Duration::from_secs(1);
/// Within which nothing ends by itself in tests that are not about that.
const LONG: Duration = Duration::from_secs(36_000);

/// When things end by themselves.
struct Times {
    handshake: Duration,
    idle: Duration,
    silence: Duration,
    wait: Duration,
    grant: ConnectGrant,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            handshake: LONG,
            idle: LONG,
            silence: LONG,
            wait: LONG,
            grant: ConnectGrant::default(),
        }
    }
}

/// Everything that sessions share, with one application, `live`.
fn shared() -> (Arc<Shared>, Arc<Open>) {
    shared_with(Times::default())
}

fn shared_with(times: Times) -> (Arc<Shared>, Arc<Open>) {
    let policy = Arc::new(Open {
        grant: times.grant,
        ..Open::default()
    });
    let shutdown = CancellationToken::new();
    let conns = Arc::new(ConnIds::default());
    let settings = application::ApplicationSettings {
        media: livehost_hub::MediaSettings {
            keyframe_cache: 1 << 20,
            join: livehost_hub::Join::Keyframe,
            queue_bytes: 1 << 20,
            queue_time: 10 * SEC,
            slow_close: 20 * SEC,
            gather: Duration::ZERO,
        },
        chunk_size: 60_000,
        message: 1 << 20,
        publisher_timeout: times.silence,
        wait_for_publisher: times.wait,
    };
    let objects = Objects::new(shared_objects::ObjectSettings::default(), Arc::new(Forget));
    let gate = Gate::new("live", policy.clone(), Fallback::Reject);
    let live = Application::new("live", gate, settings, objects);
    let applications = Arc::new(Applications::default());
    applications.replace([(live, &[][..])], None);
    let limits = SessionLimits {
        handshake: times.handshake,
        idle: times.idle,
        streams: 8,
        message: 1 << 20,
        call: 1 << 19,
        chunk: 60_000,
        tunnel: SEC,
        drain: 10 * SEC,
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
    wire: Arc<Memory>,
    task: JoinHandle<()>,
    machine: client::ClientSession,
    events: VecDeque<ClientEvent>,
}

impl Client {
    fn open(shared: &Arc<Shared>) -> Self {
        let wire = Arc::new(Memory::default());
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
        let task = tokio::spawn(serve(wire.clone(), remote, entrance, shared.clone()));
        let mut config = ClientConfig::new("live", "rtmp://host/live");
        // It connects again when it is asked to.
        config.properties.push("capsEx", Value::from(1.0));
        Self {
            wire,
            task,
            machine: client::ClientSession::new(config, &[7; RANDOM_LEN], 0),
            events: VecDeque::new(),
        }
    }

    /// Moves bytes both ways.
    fn pump(&mut self) {
        let came = self.wire.take();
        self.machine.handle_input(&mut &came[..]).unwrap();
        let mut sent = Vec::new();
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Send(bytes) => sent.extend(bytes),
                Output::Event(event) => self.events.push_back(event),
            }
        }
        if !sent.is_empty() {
            self.wire.send(&sent);
        }
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

/// What is allocated for a connection that does nothing, apart from the
/// socket's.
#[test]
fn a_connection_takes_little_memory() {
    fn task<B, C, D, F>(_: impl Fn(TcpStream, B, C, D) -> F) -> usize {
        size_of::<F>()
    }
    let (task, session) = (task(serve), size_of::<RtmpSession>());
    assert!(task <= 1536, "a task of {task} bytes");
    assert!(session <= 2048, "a session of {session} bytes");
}
