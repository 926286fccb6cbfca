//! RTMP tunnelled through HTTP: RTMPT, and inside TLS RTMPTS.
//!
//! A client that may speak nothing but HTTP opens a tunnel, then carries the
//! RTMP bytes in the bodies of requests and takes the server's in the bodies
//! of answers:
//!
//! | request | answer |
//! |---|---|
//! | `POST /open/1` | a name, and a line feed |
//! | `POST /send/NAME/NUMBER`, body: RTMP | an interval, then RTMP |
//! | `POST /idle/NAME/NUMBER` | the same |
//! | `POST /close/NAME/NUMBER` | an interval |
//! | `POST /fcs/ident2` | 404: there is no other address to use |
//!
//! The interval is one byte that grows while the server has nothing to say.
//! Numbers grow with each request of a tunnel. The requests of one tunnel may
//! come in on several connections. Adobe has documented none of this; clients
//! agree on it.
//!
//! Flows in: a byte stream and what came with it. Flows out: a session for
//! each tunnel; see `tunnels.rs`. A tunnel is two bounded buffers between requests
//! and a session, with an owner that ends it when nobody asks any more.

mod tunnel;
mod tunnels;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use livehost_telemetry::limited;
use livehost_telemetry::log::STRANGERS;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::debug;

use crate::chain::RtmpChain;
use crate::session::{Entrance, Shared};
use tunnel::Tunnel;

pub use tunnels::Tunnels;

/// The most that the head of a request may have, bytes.
const MAX_HEAD: usize = 16 * 1024;
/// For the body of a request, or its next piece, and for the session to take
/// that; before that, for the requests in front of it.
const BODY_WITHIN: Duration = Duration::from_secs(30);
/// What a request other than `/send` may have as its body, bytes.
const MAX_IDLE_BODY: usize = 1024;

/// One HTTP connection.
struct HttpConnection {
    chain: RtmpChain,
    remote: SocketAddr,
    entrance: Entrance,
    tunnels: Arc<Tunnels>,
    shared: Arc<Shared>,
    last_use: Mutex<Use>,
}

/// When a request of a connection had to do with a tunnel.
#[derive(Debug, Clone, Copy)]
enum Use {
    Never,
    Now,
    Until(Instant),
}

/// Answers the requests of one connection until it ends.
///
/// A connection without a tunnel is a stranger's, whatever it asks for: it has
/// the time of a handshake for the first, and as long when a tunnel is over.
pub(super) async fn serve(
    io: impl AsyncRead + AsyncWrite + Unpin,
    chain: RtmpChain,
    remote: SocketAddr,
    entrance: Entrance,
    tunnels: Arc<Tunnels>,
    shared: Arc<Shared>,
) {
    let shutdown = shared.shutdown.clone();
    let connection = HttpConnection {
        chain,
        remote,
        entrance,
        tunnels: tunnels.clone(),
        shared,
        last_use: Mutex::new(Use::Never),
    };
    let service =
        service_fn(|request| async { Ok::<_, Infallible>(connection.answer(request).await) });
    let served = http1::Builder::new()
        // A deadline of ours covers the heads of requests, and what is between.
        .header_read_timeout(None::<Duration>)
        .max_buf_size(MAX_HEAD)
        // librtmp looks for "Content-".
        .title_case_headers(true)
        .serve_connection(TokioIo::new(io), service);
    let mut served = pin!(served);
    // The sessions' last words have their clients' next requests to go out.
    let mut drained = pin!(async {
        shutdown.cancelled().await;
        tunnels.drained().await;
    });
    let mut is_ending = false;
    let outcome = loop {
        tokio::select! {
            outcome = &mut served => break outcome,
            () = &mut drained, if !is_ending => {
                is_ending = true;
                served.as_mut().graceful_shutdown();
            }
            () = connection.expired() => return connection.say_expired(),
        }
    };
    match outcome {
        Ok(()) => {}
        Err(error) if error.is_parse() => {
            limited!(WARN, STRANGERS.admits(), %remote, reason = %error,
                "HTTP connection refused: expected POST requests of RTMPT");
        }
        Err(error) => debug!(%remote, %error, "HTTP connection ended"),
    }
}

impl HttpConnection {
    /// For the first tunnel.
    fn handshake(&self) -> Duration {
        self.shared.limits.load().handshake
    }

    /// Without a request of a tunnel.
    fn patience(&self) -> Duration {
        let limits = self.shared.limits.load();
        limits.handshake.max(limits.tunnel)
    }

    /// Waits until the connection has been without a tunnel for too long.
    async fn expired(&self) {
        loop {
            let last_use = *self.last_use.lock();
            let due = match last_use {
                Use::Never => self.entrance.accepted + self.handshake(),
                Use::Until(end) => end + self.patience(),
                // Such requests have limits of their own.
                Use::Now => Instant::now() + self.patience(),
            };
            if due <= Instant::now() {
                return;
            }
            sleep_until(due).await;
        }
    }

    fn say_expired(&self) {
        let remote = self.remote;
        match *self.last_use.lock() {
            Use::Never => {
                let reason = format!("no tunnel within {} s", self.handshake().as_secs_f32());
                limited!(WARN, STRANGERS.admits(), %remote, reason, "HTTP connection closed");
            }
            _ => debug!(%remote, "HTTP connection closed: no more requests of a tunnel"),
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::POST {
            let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, "RTMPT has POST alone\n");
            let allow = HeaderValue::from_static("POST");
            response.headers_mut().insert(header::ALLOW, allow);
            return response;
        }
        let path = request.uri().path().to_owned();
        let mut parts = path.split('/').skip(1);
        let command = parts.next().unwrap_or_default();
        match (command, parts.next(), parts.next(), parts.next()) {
            ("open", Some(_), None, None) => self.open(request.into_body()).await,
            ("send" | "idle" | "close", Some(name), Some(number), None) => {
                let Ok(number) = number.parse() else {
                    return refusal(StatusCode::BAD_REQUEST, "expected a number at the end\n");
                };
                let Some(tunnel) = self.tunnels.get(name, &self.entrance.permit) else {
                    return refusal(StatusCode::NOT_FOUND, "no such tunnel, or no more\n");
                };
                *self.last_use.lock() = Use::Now;
                let body = request.into_body();
                let response = self.carry(&tunnel, command, number, body).await;
                *self.last_use.lock() = Use::Until(Instant::now());
                response
            }
            _ => refusal(
                StatusCode::NOT_FOUND,
                "expected /open, /send, /idle or /close\n",
            ),
        }
    }

    async fn open(&self, body: Incoming) -> Response<Full<Bytes>> {
        if !drained(body).await {
            return refusal(StatusCode::PAYLOAD_TOO_LARGE, "expected no body\n");
        }
        let opened = self.tunnels.open(
            self.chain,
            self.remote,
            self.entrance.clone(),
            self.shared.clone(),
        );
        match opened {
            Ok(name) => {
                *self.last_use.lock() = Use::Until(Instant::now());
                success(Bytes::from(format!("{name}\n")))
            }
            Err(reason) => {
                debug!(remote = %self.remote, %reason, "tunnel refused");
                refusal(StatusCode::SERVICE_UNAVAILABLE, "no more tunnels\n")
            }
        }
    }

    async fn carry(
        &self,
        tunnel: &Tunnel,
        command: &str,
        number: u64,
        body: Incoming,
    ) -> Response<Full<Bytes>> {
        let Ok(mut turn) = timeout(BODY_WITHIN, tunnel.turn()).await else {
            return refusal(
                StatusCode::TOO_MANY_REQUESTS,
                "expected requests in a row\n",
            );
        };
        if !turn.advance(number) {
            limited!(WARN, STRANGERS.admits(), remote = %self.remote, number,
                "expected a higher number in a tunnel's request");
            return refusal(StatusCode::BAD_REQUEST, "expected a higher number\n");
        }
        let taken = match command {
            "send" => pass(tunnel, body).await,
            _ => drained(body).await,
        };
        if !taken {
            // A part of the stream is missing.
            debug!(remote = %self.remote, "a request of a tunnel was cut short");
            tunnel.close();
            return refusal(StatusCode::BAD_REQUEST, "expected the whole body\n");
        }
        if command == "close" {
            tunnel.close();
        }
        success(tunnel.answer())
    }
}

/// Hands a body to the session piece by piece; false if it broke off, or if
/// nothing of it came, or was taken, for long. A keyframe may take longer as a
/// whole.
async fn pass(tunnel: &Tunnel, mut body: Incoming) -> bool {
    loop {
        let frame = match timeout(BODY_WITHIN, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => return true,
            Ok(Some(Err(_))) | Err(_) => return false,
        };
        // Otherwise it has trailers.
        if let Ok(bytes) = frame.into_data() {
            match timeout(BODY_WITHIN, tunnel.push(bytes)).await {
                Ok(true) => {}
                // The session is over: the rest is nobody's.
                Ok(false) => return true,
                Err(_) => return false,
            }
        }
    }
}

/// Reads a body that says nothing; false if it is too long or broke off.
async fn drained(body: Incoming) -> bool {
    let body = http_body_util::Limited::new(body, MAX_IDLE_BODY);
    matches!(timeout(BODY_WITHIN, body.collect()).await, Ok(Ok(_)))
}

fn success(body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/x-fcs");
    headers.insert(header::CONTENT_TYPE, kind);
    let fresh = HeaderValue::from_static("no-cache");
    headers.insert(header::CACHE_CONTROL, fresh);
    response
}

fn refusal(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response
}
