//! A connection to another server: the socket, the client's state machine, and
//! the deadlines of both.
//!
//! Flows in: a URL and what to do there. Flows out: a message stream to send on
//! or to receive from, then the server's events, one turn at a time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use livehost_app::lineage::{self, Lineage};
use livehost_app::output::Outbound;
use livehost_hub::Wake;
use livehost_net::carrier::socket::{Keepalive, tune};
use livehost_net::carrier::tls::TlsCarrier;
use livehost_net::driver::{Driver, Lost, Session};
use livehost_net::outbound::Connector;
use livehost_rtmp::auth;
use livehost_rtmp::chunk::ReaderLimits;
use livehost_rtmp::handshake::RANDOM_LEN;
use livehost_rtmp::session::Output;
use livehost_rtmp::session::client::{
    ClientConfig, ClientEvent, ClientSession, PlayOptions, RefusedCommand, ServerRejection,
};
use livehost_wire::amf0::Value;
use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::allow::Allow;
use super::backoff;
use super::error::RelayError;
use super::redirect::Route;
use super::url::RelayUrl;

/// Connections that one login takes: to hear that a password is wanted, to get
/// the challenge, and to answer it.
const LOGIN_STEPS: usize = 3;
/// A server whose machine is gone is noticed by the kernel.
const KEEPALIVE: Keepalive = Keepalive {
    idle: Duration::from_secs(30),
    interval: Duration::from_secs(10),
    retries: 3,
};

/// How the connection is made.
#[derive(Debug, Clone)]
pub(super) struct PeerTerms {
    /// Finds the server; knows how long that may take.
    pub(super) connector: Connector,
    /// Whom `rtmps` trusts.
    pub(super) tls: Arc<rustls::ClientConfig>,
    /// For the handshake and each answer, together.
    pub(super) answer: Duration,
    /// Without a byte taken for so long the server is gone.
    pub(super) stall: Duration,
    /// Outbound chunk size, bytes.
    pub(super) chunk_size: u32,
    /// The longest message that is taken, bytes.
    pub(super) message: usize,
    /// What is passed on.
    pub(super) lineage: Lineage,
    /// Where redirects may lead; none: the configuration wants the relay, and
    /// they may lead anywhere that their server can reach.
    pub(super) allow: Option<Allow>,
    /// Redirects may lead to this machine and to local networks.
    pub(super) private: bool,
}

/// What is wanted of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Publish,
    Play,
}

/// A server that agreed.
#[derive(Debug)]
pub(super) struct Peer {
    /// Where it is, after all redirects.
    pub(super) url: RelayUrl,
    pub(super) machine: ClientSession,
    pub(super) out: Arc<Outbound>,
    /// The message stream.
    pub(super) stream: u32,
    /// The server's address.
    pub(super) remote: SocketAddr,
    /// Without a byte taken for so long the server is gone.
    pub(super) stall: Duration,
}

/// A server that was asked, until it agrees.
struct Agreeing<'p> {
    peer: &'p mut Peer,
    purpose: Purpose,
    answer: Duration,
    until: Instant,
}

impl Peer {
    /// Connects and asks; returns once a server has agreed: the one of `url`,
    /// or one that it redirects to.
    pub(super) async fn open(
        url: &RelayUrl,
        purpose: Purpose,
        terms: &PeerTerms,
    ) -> Result<Self, RelayError> {
        let mut route = Route::new(url, terms);
        loop {
            match Self::log_in(&route, purpose, terms).await {
                Err(RelayError::Redirected(redirect, from)) => {
                    route.follow(&redirect, from, terms)?;
                }
                outcome => return outcome,
            }
        }
    }

    /// A server that wants a password closes the connection each time it says
    /// so.
    async fn log_in(
        route: &Route,
        purpose: Purpose,
        terms: &PeerTerms,
    ) -> Result<Self, RelayError> {
        let mut login = String::new();
        for _ in 0..LOGIN_STEPS {
            match Self::attempt(route, purpose, terms, &login).await {
                Err(RelayError::Challenged(next)) => login = next,
                outcome => return outcome,
            }
        }
        Err(RelayError::Challenged(login))
    }

    async fn attempt(
        route: &Route,
        purpose: Purpose,
        terms: &PeerTerms,
        login: &str,
    ) -> Result<Self, RelayError> {
        let url = &route.url;
        let socket = route.connector.dial(url.host(), url.port()).await?;
        tune(&SockRef::from(&socket), KEEPALIVE);
        let remote = socket.peer_addr()?;
        let out: Arc<Outbound> = if url.is_secure() {
            Outbound::new(secure(url, socket, terms).await?)
        } else {
            Outbound::new(socket)
        };
        let mut peer = Self::new(url, purpose, terms, login, out, remote);
        peer.agree(purpose, terms.answer).await?;
        Ok(peer)
    }

    /// Asks the server behind `out`.
    pub(super) fn new(
        url: &RelayUrl,
        purpose: Purpose,
        terms: &PeerTerms,
        login: &str,
        out: Arc<Outbound>,
        remote: SocketAddr,
    ) -> Self {
        Self {
            url: url.clone(),
            machine: machine(url, purpose, terms, login),
            out,
            stream: 0,
            remote,
            stall: terms.stall,
        }
    }

    /// Waits for its answer, for as long as `answer`.
    pub(super) async fn agree(
        &mut self,
        purpose: Purpose,
        answer: Duration,
    ) -> Result<(), RelayError> {
        let (out, stall) = (self.out.clone(), self.stall);
        let mut agreeing = Agreeing {
            peer: self,
            purpose,
            answer,
            until: Instant::now() + answer,
        };
        let nothing_else = |_: &mut Agreeing<'_>, _: &mut Context<'_>| Poll::Pending;
        Driver::new(&*out, stall)
            .run(&mut agreeing, nothing_else)
            .await
    }

    /// What to do about a refusal.
    fn refused(&self, rejection: ServerRejection) -> RelayError {
        if let Some(next) = reply(&rejection, &self.url) {
            return RelayError::Challenged(next);
        }
        match rejection.redirect {
            Some(redirect) => RelayError::Redirected(redirect, self.remote.ip()),
            None => RelayError::refused(&rejection, &self.url),
        }
    }

    /// An event that ends a relay, as its reason.
    pub(super) fn check(&self, event: &ClientEvent) -> Result<(), RelayError> {
        end_of(event, &self.url)
    }

    /// The next event; the machine's bytes are queued on the way.
    pub(super) fn poll(&mut self) -> Option<ClientEvent> {
        loop {
            match self.machine.poll_output()? {
                Output::Send(bytes) => self.out.push(bytes),
                Output::Event(event) => return Some(event),
            }
        }
    }

    /// Takes bytes that have come. Events are to be polled after it.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<usize, RelayError> {
        self.machine.handle_input(&mut &*bytes)?;
        Ok(bytes.len())
    }

    /// Sends what waits, and waits for the server to close its side: closing
    /// with unread input would reset the connection and lose the last frames.
    pub(super) async fn close(mut self) {
        self.machine.delete_stream(self.stream);
        while self.poll().is_some() {}
        // It is over either way.
        Driver::new(&*self.out, self.stall).linger().await;
    }

    /// Queues bytes of media.
    pub(super) fn push(&self, bytes: Bytes) {
        self.out.push(bytes);
    }
}

impl Session for Agreeing<'_> {
    type End = Result<(), RelayError>;

    fn lost(&self, lost: Lost) -> Self::End {
        Err(lost.into())
    }

    fn advance(&mut self, _: Instant) -> Result<(), Self::End> {
        while let Some(event) = self.peer.poll() {
            match event {
                ClientEvent::PublishStarted { stream } | ClientEvent::PlayStarted { stream } => {
                    self.peer.stream = stream;
                    return Err(Ok(()));
                }
                ClientEvent::Rejected(rejection) => {
                    return Err(Err(self.peer.refused(rejection)));
                }
                other => self.peer.check(&other).map_err(Err)?,
            }
        }
        Ok(())
    }

    fn handle_input(&mut self, _: Instant, bytes: &[u8]) -> Result<usize, Self::End> {
        self.peer.feed(bytes).map_err(Err)
    }

    fn next_deadline(&self) -> Option<Instant> {
        Some(self.until)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Self::End> {
        if now < self.until {
            return Ok(());
        }
        Err(Err(RelayError::NoAnswer {
            what: match (self.peer.machine.is_connected(), self.purpose) {
                (false, _) => "handshake and connect",
                (true, Purpose::Publish) => "publish",
                (true, Purpose::Play) => "play",
            },
            seconds: self.answer.as_secs_f32(),
        }))
    }

    fn may_read(&mut self, _: usize) -> bool {
        true
    }
}

/// The events of a session that others wake.
pub(super) fn woken<S: Session>(
    wake: &Wake,
) -> impl FnMut(&mut S, &mut Context<'_>) -> Poll<Result<(), S::End>> + use<S> {
    let wake = wake.clone();
    let mut woken = Box::pin(wake.clone().notified_owned());
    move |_, cx| {
        ready!(woken.as_mut().poll(cx));
        woken.set(wake.clone().notified_owned());
        Poll::Ready(Ok(()))
    }
}

/// The TLS handshake; the machine's certificates say whom to trust.
async fn secure(
    url: &RelayUrl,
    socket: TcpStream,
    terms: &PeerTerms,
) -> Result<TlsCarrier, RelayError> {
    let host = url.host();
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let name = ServerName::try_from(address.unwrap_or(host).to_owned());
    let name = name.map_err(|error| RelayError::Tls(error.to_string()))?;
    let handshake = TlsConnector::from(terms.tls.clone()).connect(name, socket);
    match timeout(terms.answer, handshake).await {
        Ok(Ok(stream)) => Ok(TlsCarrier::new(stream)),
        Ok(Err(error)) => Err(RelayError::Tls(error.to_string())),
        Err(_) => Err(RelayError::NoAnswer {
            what: "the TLS handshake",
            seconds: terms.answer.as_secs_f32(),
        }),
    }
}

fn end_of(event: &ClientEvent, url: &RelayUrl) -> Result<(), RelayError> {
    let ended = |code: &str, text: &str| {
        let said = match text.is_empty() {
            true => code.to_owned(),
            false => format!("{code}: {text}"),
        };
        Err(RelayError::Ended {
            // It has the stream, or knows whence, and can't give it.
            is_not_found: !code.starts_with(PLAY_FAILED),
            said: url.redact(&said),
        })
    };
    match event {
        ClientEvent::Status {
            level,
            code,
            description,
            ..
        } => {
            let over = level == "error"
                || ENDS.contains(&code.as_str())
                || code.starts_with("NetConnection.Connect.") && code != CONNECTED;
            if over {
                return ended(code, description);
            }
        }
        ClientEvent::Command { command, .. } if command.name == "close" => {
            return ended("close", "");
        }
        _ => {}
    }
    Ok(())
}

const PLAY_FAILED: &str = "NetStream.Play.Failed";
const CONNECTED: &str = "NetConnection.Connect.Success";
/// Status codes after which nothing more comes, or is taken.
const ENDS: [&str; 5] = [
    "NetStream.Play.Stop",
    "NetStream.Play.Complete",
    "NetStream.Play.UnpublishNotify",
    "NetStream.Unpublish.Success",
    "NetStream.Publish.Idle",
];

/// What goes behind the application in the next connect, if the server asks
/// for a password and the URL has one.
fn reply(rejection: &ServerRejection, url: &RelayUrl) -> Option<String> {
    let login = url
        .login()
        .filter(|_| rejection.what == RefusedCommand::Connect)?;
    let random = format!("{:08x}", backoff::random());
    auth::reply(
        &rejection.description,
        url.app(),
        &login.user,
        &login.password,
        &random,
    )
}

/// `text` with what a login wants behind it.
fn with_login(text: &str, login: &str) -> String {
    match (login.is_empty(), text.contains('?')) {
        (true, _) => text.to_owned(),
        (false, false) => format!("{text}?{login}"),
        (false, true) => format!("{text}&{login}"),
    }
}

fn machine(url: &RelayUrl, purpose: Purpose, terms: &PeerTerms, login: &str) -> ClientSession {
    let app = with_login(url.app(), login);
    let mut config = ClientConfig::new(app, with_login(&url.tc_url(), login));
    config.chunk_size = terms.chunk_size;
    config.limits = ReaderLimits::of_messages(u32::try_from(terms.message).unwrap_or(u32::MAX));
    if !terms.lineage.is_empty() {
        let marks = terms.lineage.to_string();
        (config.properties).push(lineage::PROPERTY, Value::from(marks.as_str()));
    }
    let mut random = [0; RANDOM_LEN];
    // The handshake's random bytes protect nothing.
    let _ = getrandom::fill(&mut random);
    let mut machine = ClientSession::new(config, &random, 0);
    match purpose {
        Purpose::Publish => machine.publish(url.name(), "live"),
        Purpose::Play => {
            let live = PlayOptions {
                start: -1.0,
                ..PlayOptions::default()
            };
            machine.play(url.name(), live);
        }
    }
    machine
}
