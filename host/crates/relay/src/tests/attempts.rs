//! Attempts over a carrier in memory, in simulated time: when a server that does
//! not do its part is given up.

use bytes::Bytes;
use livehost_app::output::Outbound;
use livehost_app::output::chunks::{Chunks, chunks_for};
use livehost_hub::Subscriber;
use livehost_media::{Kind, Packet};
use livehost_net::carrier::memory::Memory;
use livehost_net::driver::Driver;
use livehost_net::outbound::Reachable;
use livehost_rtmp::handshake::RANDOM_LEN;
use livehost_rtmp::session::Output;
use livehost_rtmp::session::server::{ServerConfig, ServerEvent, ServerSession};
use tokio::time::{Instant, sleep};

use super::*;
use crate::error::RelayError;
use crate::peer::{Peer, PeerTerms, Purpose, woken};
use crate::pull::{Pulling, Source};
use crate::push::{Over, Push};
use crate::report::Report;

const SEC: Duration = Duration::from_secs(1);
const ANSWER: Duration = Duration::from_secs(10);
const STALL: Duration = Duration::from_secs(15);
/// A keyframe of AVC, and its configuration record.
const CONFIGURATION: &[u8] = &[0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f, 0xff, 0xe0, 0];
const KEYFRAME: &[u8] = &[0x17, 1, 0, 0, 0, 0, 0, 0, 1, 0x65];

/// What a server does with what it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Nothing,
    /// It lets the relay in, and answers nothing more.
    Connects,
    All,
}

/// The other server: at the far end of a carrier in memory.
struct Server {
    wire: Arc<Memory>,
    machine: ServerSession,
    does: Does,
    /// Kinds of the media that came.
    media: Vec<livehost_rtmp::session::server::MediaKind>,
}

impl Server {
    fn new(does: Does) -> Self {
        let config = ServerConfig::default();
        Self {
            wire: Arc::default(),
            machine: ServerSession::new(config, Arc::new([7; RANDOM_LEN]), 0),
            does,
            media: Vec::new(),
        }
    }

    /// Reads what has come, and answers.
    fn serve(&mut self) {
        let came = self.wire.take();
        self.machine.handle_input(&mut &came[..]).expect("RTMP");
        while let Some(output) = self.machine.poll_output() {
            let event = match output {
                Output::Send(bytes) => {
                    if self.does != Does::Nothing {
                        self.wire.send(&bytes);
                    }
                    continue;
                }
                Output::Event(event) => event,
            };
            match event {
                ServerEvent::Connect(_) => self.machine.accept_connect(None, None),
                ServerEvent::Publish(_) if self.does == Does::All => self.machine.accept_publish(),
                ServerEvent::Play(_) if self.does == Does::All => self.machine.accept_play(),
                ServerEvent::Media(media) => self.media.push(media.kind),
                _ => {}
            }
            // What waited for that goes on.
            self.machine.handle_input(&mut &[][..]).expect("RTMP");
        }
    }

    /// Serves until the test is over.
    async fn serve_always(mut self) {
        loop {
            self.serve();
            sleep(SEC / 10).await;
        }
    }
}

fn terms() -> PeerTerms {
    let network = Network::new().expect("TLS");
    PeerTerms {
        connector: network.connector("live", Reachable::Anywhere, ANSWER),
        tls: network.tls().clone(),
        answer: ANSWER,
        stall: STALL,
        chunk_size: 60_000,
        message: 1 << 20,
        lineage: Lineage::default(),
        allow: None,
        private: false,
    }
}

fn url() -> RelayUrl {
    RelayUrl::parse("rtmp://192.0.2.1/live/cam").expect("a URL")
}

fn peer(wire: &Arc<Memory>, purpose: Purpose, terms: &PeerTerms) -> Peer {
    let remote = ([192, 0, 2, 1], 1935).into();
    Peer::new(
        &url(),
        purpose,
        terms,
        "",
        Outbound::new(wire.clone()),
        remote,
    )
}

/// A server that has agreed, and its end of the connection.
async fn agreed(purpose: Purpose, terms: &PeerTerms) -> (Peer, Arc<Memory>) {
    let server = Server::new(Does::All);
    let wire = server.wire.clone();
    let mut peer = peer(&wire, purpose, terms);
    // What it does later, the test does in its place.
    tokio::select! {
        agreed = peer.agree(purpose, terms.answer) => agreed.expect("it agrees"),
        () = server.serve_always() => {}
    }
    wire.take();
    (peer, wire)
}

#[tokio::test(start_paused = true)]
async fn a_server_has_so_long_for_all_of_its_answers() {
    for (does, purpose, expected) in [
        (Does::Nothing, Purpose::Play, "handshake and connect"),
        (Does::Connects, Purpose::Play, "play"),
        (Does::Connects, Purpose::Publish, "publish"),
    ] {
        let server = Server::new(does);
        let terms = terms();
        let mut peer = peer(&server.wire, purpose, &terms);
        let begin = Instant::now();
        let outcome = tokio::select! {
            outcome = peer.agree(purpose, terms.answer) => outcome,
            () = server.serve_always() => Ok(()),
        };
        let said = outcome.expect_err("it does not agree").to_string();
        assert_eq!(said, format!("no answer to {expected} within 10 s"));
        assert_eq!(begin.elapsed().as_secs(), 10);
    }
}

/// A pull whose server has agreed, and what it publishes.
struct Pulled {
    hub: Arc<Hub>,
    ear: Arc<Ear>,
    key: StreamKey,
    terms: PeerTerms,
}

impl Pulled {
    fn new() -> Self {
        Self {
            hub: Hub::new(),
            ear: Arc::default(),
            key: StreamKey::called("live", "cam"),
            terms: terms(),
        }
    }

    /// Runs it while `server` acts at the other end: how it has ended, after how
    /// many seconds, and the publications that have started.
    async fn run<F: Future<Output = ()>>(
        &self,
        server: impl FnOnce(Arc<Memory>) -> F,
    ) -> (RelayError, u64, Vec<u64>) {
        let (peer, wire) = agreed(Purpose::Play, &self.terms).await;
        let started = Mutex::new(Vec::new());
        let tell = |id| started.lock().push(id);
        let (application, url) = (application(self.ear.clone()), url());
        let source = Source {
            hub: &self.hub,
            application: &application,
            key: &self.key,
            url: &url,
            terms: &self.terms,
            conn: 1,
            hold: Duration::ZERO,
            started: &tell,
        };
        let gate = self.ear.clone().gate();
        let mut report = Report::new(gate, &self.key, "pull", &url, 1);
        let (out, begin) = (peer.out.clone(), Instant::now());
        let mut pulling = Pulling::of(source, peer, &mut report);
        let wake = pulling.wake.clone();
        let mut driver = Driver::new(&*out, self.terms.stall);
        let forever = async {
            server(wire).await;
            std::future::pending::<()>().await;
        };
        let error = tokio::select! {
            error = driver.run(&mut pulling, woken(&wake)) => error,
            () = forever => unreachable!(),
        };
        pulling.unpublish(error.word(), error.is_loss());
        let after = begin.elapsed().as_secs();
        let started = started.lock().clone();
        (error, after, started)
    }
}

fn chunks(body: &'static [u8], at: i64) -> Bytes {
    let body = Bytes::from_static(body);
    let packet = Packet::from_flv(Kind::Video, at, body).expect("a packet");
    chunks_for(&packet, 1, 128)
}

#[tokio::test(start_paused = true)]
async fn a_server_that_sends_no_media_is_given_up() {
    let pulled = Pulled::new();
    let (error, after, started) = pulled.run(|_| async {}).await;
    assert!(matches!(error, RelayError::NoMedia(_)), "{error}");
    assert_eq!((after, started.len()), (10, 0));
    assert!(!pulled.hub.is_live(&pulled.key), "the name was not claimed");
}

#[tokio::test(start_paused = true)]
async fn a_first_frame_that_comes_slowly_is_waited_for() {
    let pulled = Pulled::new();
    let slowly = |wire: Arc<Memory>| async move {
        let mut chunk = chunks(CONFIGURATION, 0);
        // A message has begun with its header.
        wire.send(&chunk.split_to(12));
        for byte in chunk {
            wire.send(&[byte]);
            sleep(5 * SEC).await;
        }
    };
    let (error, _, started) = pulled.run(slowly).await;
    assert!(matches!(error, RelayError::Over(_)), "{error}");
    assert_eq!(started.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_pull_publishes_once_and_ends_when_its_server_falls_silent() {
    let pulled = Pulled::new();
    let hub = pulled.hub.clone();
    let key = pulled.key.clone();
    let sends = |wire: Arc<Memory>| async move {
        wire.send(&chunks(CONFIGURATION, 0));
        for _ in 0..6 {
            wire.send(&chunks(KEYFRAME, 0));
            sleep(SEC / 2).await;
            assert!(hub.is_live(&key));
        }
    };
    let (error, after, started) = pulled.run(sends).await;
    assert_eq!(
        (error.word(), error.is_loss()),
        ("timeout", true),
        "{error}"
    );
    // The last frame came after 2.5 s, and the application's limit is 1 s.
    assert_eq!((after, started.len()), (3, 1));
    assert!(!pulled.hub.is_live(&pulled.key));
}

#[tokio::test(start_paused = true)]
async fn a_pull_that_is_taken_away_ends_at_once() {
    let pulled = Pulled::new();
    let (hub, key) = (pulled.hub.clone(), pulled.key.clone());
    let taken = |wire: Arc<Memory>| async move {
        wire.send(&chunks(CONFIGURATION, 0));
        sleep(SEC / 2).await;
        let claim = Claim {
            key,
            on_duplicate: DuplicateRule::Replace,
            hold: Duration::ZERO,
            client: Client::default(),
            settings: application(Arc::default()).settings().media,
            wake: Wake::default(),
        };
        let _other = hub.publish(claim).expect("the name");
        std::future::pending::<()>().await;
    };
    let (error, after, _) = pulled.run(taken).await;
    assert_eq!((error.word(), after), ("replaced", 0), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_takes_nothing_is_given_up() {
    let pulled = Pulled::new();
    let stalls = |wire: Arc<Memory>| async move {
        wire.set_room(0);
        loop {
            // Media, and a ping that it takes no answer of.
            wire.send(&chunks(KEYFRAME, 0));
            wire.send(&[2, 0, 0, 0, 0, 0, 6, 4, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0]);
            sleep(SEC / 2).await;
        }
    };
    let (error, after, _) = pulled.run(stalls).await;
    assert!(matches!(error, RelayError::Stalled(_)), "{error}");
    assert_eq!(after, STALL.as_secs());
}

/// A stream, and a push of it whose server has agreed.
async fn pushing(hub: &Arc<Hub>) -> (Publication, Push, Wake, Arc<Memory>) {
    let key = StreamKey::called("live", "cam");
    let media = application(Arc::default()).settings().media;
    let claim = Claim {
        key: key.clone(),
        on_duplicate: DuplicateRule::Reject,
        hold: Duration::ZERO,
        client: Client::default(),
        settings: media,
        wake: Wake::default(),
    };
    let publication = hub.publish(claim).expect("the name");
    let (wake, chunks, terms) = (Wake::default(), Chunks(60_000), terms());
    let subscriber = Subscriber {
        settings: media,
        wake: wake.clone(),
        format: Some(Arc::new(chunks)),
        outlet: None,
    };
    let subscription = hub.play(&key, subscriber);
    let (peer, wire) = agreed(Purpose::Publish, &terms).await;
    let push = Push {
        peer,
        subscription,
        chunks,
    };
    (publication, push, wake, wire)
}

fn packet(body: &'static [u8]) -> Packet {
    Packet::from_flv(Kind::Video, 0, Bytes::from_static(body)).expect("a packet")
}

#[tokio::test(start_paused = true)]
async fn a_push_sends_what_is_published_and_ends_with_it() {
    let (publication, mut push, wake, wire) = pushing(&Hub::new()).await;
    let out = push.peer.out.clone();
    let mut driver = Driver::new(&*out, STALL);
    let publishes = async {
        publication.push(packet(CONFIGURATION));
        publication.push(packet(KEYFRAME));
        sleep(SEC).await;
        let sent = wire.take();
        for body in [CONFIGURATION, KEYFRAME] {
            assert!(sent.windows(body.len()).any(|window| window == body));
        }
        drop(publication);
        std::future::pending::<()>().await;
    };
    let over = tokio::select! {
        over = driver.run(&mut push, woken(&wake)) => over,
        () = publishes => unreachable!(),
    };
    assert_eq!(over.expect("it did not fail"), Over::Unpublished);
}

#[tokio::test(start_paused = true)]
async fn a_push_whose_server_takes_nothing_is_given_up() {
    let (publication, mut push, wake, wire) = pushing(&Hub::new()).await;
    wire.set_room(0);
    let out = push.peer.out.clone();
    let mut driver = Driver::new(&*out, STALL);
    publication.push(packet(CONFIGURATION));
    publication.push(packet(KEYFRAME));
    let begin = Instant::now();
    let over = driver.run(&mut push, woken(&wake)).await;
    assert!(matches!(over, Err(RelayError::Stalled(_))), "{over:?}");
    assert_eq!(begin.elapsed(), STALL);
}
