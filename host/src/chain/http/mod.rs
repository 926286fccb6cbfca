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
//! each tunnel; see `tunnels.rs`.

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
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::config::Chain;
use crate::session::{Entrance, Shared};
use tunnel::Tunnel;
pub use tunnels::Tunnels;

/// The most that the head of a request may have, bytes.
const MAX_HEAD: usize = 16 * 1024;
/// For the next request on a connection, and for its head to be complete.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// For the body of a request, or its next piece, and for the session to take
/// that.
const BODY_WITHIN: Duration = Duration::from_secs(30);
/// What a request other than `/send` may have as its body, bytes.
const MAX_IDLE_BODY: usize = 1024;

/// One HTTP connection.
struct Connection {
    chain: Chain,
    remote: SocketAddr,
    entrance: Entrance,
    tunnels: Arc<Tunnels>,
    shared: Arc<Shared>,
}

/// Answers the requests of one connection until it ends.
pub(super) async fn serve(
    io: impl AsyncRead + AsyncWrite + Unpin,
    chain: Chain,
    remote: SocketAddr,
    entrance: Entrance,
    tunnels: Arc<Tunnels>,
    shared: Arc<Shared>,
) {
    let shutdown = shared.shutdown.clone();
    let connection = Connection {
        chain,
        remote,
        entrance,
        tunnels: tunnels.clone(),
        shared,
    };
    let service =
        service_fn(|request| async { Ok::<_, Infallible>(connection.answer(request).await) });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(MAX_HEAD)
        // librtmp looks for "Content-".
        .title_case_headers(true)
        .serve_connection(TokioIo::new(io), service);
    let mut served = pin!(served);
    let outcome = tokio::select! {
        outcome = &mut served => outcome,
        // The sessions' last words have their clients' next requests to go out.
        () = async { shutdown.cancelled().await; tunnels.drained().await } => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    match outcome {
        Ok(()) => {}
        Err(error) if error.is_parse() => {
            warn!(%remote, reason = %error, "HTTP connection refused: expected POST requests of RTMPT");
        }
        Err(error) => debug!(%remote, %error, "HTTP connection ended"),
    }
}

impl Connection {
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
                self.carry(&tunnel, command, number, request.into_body())
                    .await
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
            Ok(name) => success(Bytes::from(format!("{name}\n"))),
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
        let mut turn = tunnel.turn().await;
        if !turn.advance(number) {
            warn!(remote = %self.remote, number, "expected a higher number in a tunnel's request");
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
