//! One client: drives the RTMP state machine, asks the policy, applies grants.
//!
//! Flows in: bytes of a carrier, decisions of the application's
//! [`Gate`](livehost_policy::Gate), wakes and frames of the hub. Flows out:
//! bytes, questions and frames for the application. A session
//! knows nothing of plugins and nothing of other sessions.

mod activity;
mod answers;
mod auth;
mod client;
mod deadlines;
mod end;
mod leaving;
mod machine;
mod objects;
mod player;
mod questions;
mod run;
mod status;
#[cfg(test)]
mod tests;
mod text;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span};

pub use auth::Challenges;

use livehost_app::application::Applications;
use livehost_app::broker::Broker;
use livehost_app::directory::Directory;
use livehost_app::output::Outbound;
use livehost_net::Permit;
use livehost_net::carrier::Carrier;

use client::RtmpSession;
use tokio::time::Instant;

/// Limits of a connection.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    /// From accept to an accepted `connect`.
    pub handshake: Duration,
    /// Connected without publishing, playing or sharing.
    pub idle: Duration,
    /// Message streams at once.
    pub streams: usize,
    /// Bytes of one message of a client that publishes.
    pub message: usize,
    /// The same of one that does not.
    pub call: usize,
    /// Outbound chunk size, bytes.
    pub chunk: u32,
    /// Without a request of a client that is tunnelled through HTTP.
    pub tunnel: Duration,
    /// For clients to leave when the server stops.
    pub drain: Duration,
}

/// What all sessions share.
#[derive(Debug)]
pub struct Shared {
    /// The way in and out.
    pub broker: Arc<Broker>,
    /// The applications that serve.
    pub applications: Arc<Applications>,
    /// Every connection.
    pub directory: Arc<Directory>,
    /// What clients have to answer that log in.
    pub challenges: Arc<Challenges>,
    /// Limits of a connection; one that is there keeps those it started with.
    pub limits: ArcSwap<SessionLimits>,
    /// Cancelled when the server stops: sessions tell their clients and end.
    pub shutdown: CancellationToken,
}

/// Where a client came in.
#[derive(Debug, Clone)]
pub struct Entrance {
    /// `rtmp`, `rtmps`, ...
    pub protocol: &'static str,
    /// Server name of the TLS handshake.
    pub tls_name: Option<String>,
    /// The carrier begins with the chunk stream: RTMPE's handshake is below.
    pub handshake_done: bool,
    /// When the connection was accepted.
    pub accepted: Instant,
    /// Its place among all connections.
    pub permit: Arc<Permit>,
    /// The acceptor's address, as plugins are told it.
    pub local: Arc<str>,
    /// Applications served here; empty: all.
    pub applications: Arc<[String]>,
}

impl Entrance {
    fn serves(&self, application: &str) -> bool {
        self.applications.is_empty() || self.applications.iter().any(|name| name == application)
    }
}

/// Serves one client until it leaves or is told to.
///
/// Not an `async fn`, which would keep room for its arguments and for every
/// place that the session is moved to.
pub fn serve(
    carrier: impl Carrier,
    remote: SocketAddr,
    entrance: Entrance,
    shared: Arc<Shared>,
) -> impl Future<Output = ()> + Send + 'static {
    let registration = shared.directory.register();
    let span =
        info_span!("session", conn = registration.conn, %remote, app = tracing::field::Empty);
    let out = Outbound::new(carrier);
    let session = Box::new(RtmpSession::new(
        registration,
        remote,
        entrance,
        shared,
        out,
    ));
    run::run(session).instrument(span)
}
