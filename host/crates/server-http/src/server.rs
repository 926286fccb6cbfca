//! An acceptor's HTTP: TLS if its chain has it, then a connection.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::future::BoxFuture;
use livehost_net::tls::Tls;
use livehost_net::{Arrival, Protocol, handshake};

use crate::connection::{self, Peer};
use crate::routes::{self, Service};
use crate::site::Site;

/// What the bytes of an HTTP connection pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpChain {
    /// `[Tcp, Http]`
    Http,
    /// `[Tcp, Tls, Http]`
    Https,
}

impl HttpChain {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Http, Self::Https];

    /// What clients that choose by ALPN may choose (RFC 7301).
    pub const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

    /// Its protocols, in the order of the file.
    #[must_use]
    pub fn protocols(self) -> &'static [&'static str] {
        match self {
            Self::Http => &["Tcp", "Http"],
            Self::Https => &["Tcp", "Tls", "Http"],
        }
    }

    /// The scheme of its URLs.
    #[must_use]
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl fmt::Display for HttpChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}]", self.protocols().join(", "))
    }
}

/// HTTP, as it is served at one address.
#[derive(Debug)]
pub struct HttpServer {
    tls: Option<Arc<Tls>>,
    router: Router,
    site: Arc<Site>,
}

impl HttpServer {
    /// Serves `services` of `site`, with `tls` below for a chain that has it.
    #[must_use]
    pub fn new(site: &Arc<Site>, services: &[Service], tls: Option<Arc<Tls>>) -> Self {
        Self {
            tls,
            router: routes::router(site, services),
            site: site.clone(),
        }
    }
}

impl Protocol for HttpServer {
    fn serve(&self, arrival: Arrival) -> BoxFuture<'static, ()> {
        let (tls, router, site) = (self.tls.clone(), self.router.clone(), self.site.clone());
        let first = self.handshake_limit();
        Box::pin(async move {
            let remote = arrival.remote;
            let peer = Peer::Tcp {
                remote,
                permit: arrival.permit,
            };
            let (tasks, shutdown) = (site.tasks.clone(), site.shutdown.clone());
            let Some(tls) = tls else {
                return connection::serve(arrival.socket, peer, router, tasks, shutdown, first)
                    .await;
            };
            let deadline = handshake::Deadline {
                at: arrival.accepted + first,
                limit: first,
            };
            let agreed = tls.accept(arrival.socket);
            let agreed = handshake::in_time("TLS", agreed, remote, deadline, &shutdown);
            if let Some(stream) = agreed.await {
                connection::serve(stream, peer, router, tasks, shutdown, first).await;
            }
        })
    }

    fn handshake_limit(&self) -> Duration {
        **self.site.handshake.load()
    }
}
