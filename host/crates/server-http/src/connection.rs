//! One connection: HTTP/1.1 or HTTP/2 on its bytes, and how long it may stay.
//!
//! A connection without a request is closed after a while, the first one sooner;
//! so is one whose answer is not taken. That holds for both versions alike, for a
//! head that comes byte by byte, and for a preface that never ends.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::Request;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use livehost_net::Permit;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service as _;
use tracing::debug;

/// The most that the head of a request may have, bytes.
const MAX_HEAD: usize = 16 * 1024;
/// Fields of a head.
const MAX_FIELDS: usize = 64;
/// Requests at once on a connection of HTTP/2.
const MAX_STREAMS: u32 = 16;
/// Between two requests.
const IDLE: Duration = Duration::from_secs(60);
/// From a request's head to its answer's last byte.
const REQUEST: Duration = Duration::from_secs(90);

/// Who is at the other end.
#[derive(Debug, Clone)]
pub(crate) enum Peer {
    /// Over TCP.
    Tcp {
        remote: SocketAddr,
        /// Granted with the first request that has a token.
        permit: Arc<Permit>,
    },
    /// At the control socket.
    Socket { uid: u32 },
}

/// Spawns HTTP/2's tasks, which end with their connection.
#[derive(Debug, Clone)]
struct Tasks(TaskTracker);

impl<F> Executor<F> for Tasks
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}

/// Serves a connection to its end. The first request has `first` to come;
/// `shutdown` ends it when it has answered.
pub(crate) async fn serve(
    io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    router: Router,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    first: Duration,
) {
    let activity = Arc::new(Activity::new(first));
    let service = service_fn(|request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        let turn = Turn::begin(&activity);
        let answer = router.clone().call(request);
        async move {
            let response = answer.await?;
            let lasts = response.extensions().get::<Lasting>().is_some();
            let turn = if lasts { turn.for_long() } else { turn };
            Ok::<_, Infallible>(response.map(|body| Answer { body, _turn: turn }))
        }
    });
    let mut builder = auto::Builder::new(Tasks(tasks));
    builder
        .http1()
        // The deadlines here cover heads, and what is between.
        .header_read_timeout(None::<Duration>)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_FIELDS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
        .max_concurrent_streams(MAX_STREAMS);
    let mut served = pin!(builder.serve_connection(TokioIo::new(io), service));
    let mut is_ending = false;
    let outcome = loop {
        tokio::select! {
            outcome = &mut served => break outcome,
            () = shutdown.cancelled(), if !is_ending => {
                is_ending = true;
                served.as_mut().graceful_shutdown();
            }
            () = activity.expired() => {
                debug!(?peer, "HTTP connection closed: no request, or an answer not taken");
                return;
            }
        }
    };
    if let Err(error) = outcome {
        debug!(?peer, %error, "HTTP connection ended");
    }
}

/// An answer that goes on as long as its client listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lasting;

/// The requests of a connection.
#[derive(Debug)]
struct Activity {
    state: Mutex<ActivityState>,
}

#[derive(Debug)]
struct ActivityState {
    answering: usize,
    /// Of them, those whose answer goes on.
    lasting: usize,
    /// When one came or was answered.
    since: Instant,
    /// What it may be without one.
    patience: Duration,
}

impl Activity {
    fn new(first: Duration) -> Self {
        Self {
            state: Mutex::new(ActivityState {
                answering: 0,
                lasting: 0,
                since: Instant::now(),
                patience: first,
            }),
        }
    }

    /// Resolves when the connection has been idle, or stuck, for too long.
    async fn expired(&self) {
        loop {
            let due = self.due();
            if due <= Instant::now() {
                return;
            }
            sleep_until(due).await;
        }
    }

    fn due(&self) -> Instant {
        let state = self.state.lock();
        match state.answering {
            0 => state.since + state.patience,
            _ if state.lasting > 0 => Instant::now() + REQUEST,
            _ => state.since + REQUEST,
        }
    }
}

/// A request that is being answered, until it is dropped.
#[derive(Debug)]
struct Turn {
    activity: Arc<Activity>,
    lasts: bool,
}

impl Turn {
    fn begin(activity: &Arc<Activity>) -> Self {
        let mut state = activity.state.lock();
        state.answering = state.answering.saturating_add(1);
        state.since = Instant::now();
        state.patience = IDLE;
        drop(state);
        Self {
            activity: activity.clone(),
            lasts: false,
        }
    }

    fn for_long(mut self) -> Self {
        let mut state = self.activity.state.lock();
        state.lasting = state.lasting.saturating_add(1);
        drop(state);
        self.lasts = true;
        self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.activity.state.lock();
        state.answering = state.answering.saturating_sub(1);
        state.lasting = state.lasting.saturating_sub(usize::from(self.lasts));
        state.since = Instant::now();
    }
}

/// A body that ends its turn when it is sent, or given up.
#[derive(Debug)]
struct Answer {
    body: Body,
    _turn: Turn,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    fn connection() -> (DuplexStream, tokio::task::JoinHandle<()>) {
        let (client, io) = duplex(64 * 1024);
        let router = Router::new().route("/", get(async || "hello"));
        let peer = Peer::Socket { uid: 0 };
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let first = Duration::from_secs(10);
        let served = serve(io, peer, router, tasks, shutdown, first);
        (client, tokio::spawn(served))
    }

    async fn ask(client: &mut DuplexStream) -> String {
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n")
            .await
            .unwrap();
        let mut answer = vec![0; 1024];
        let read = client.read(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_request_has_less_time_than_those_after_it() {
        let began = Instant::now();
        let (client, served) = connection();
        served.await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 10);
        drop(client);

        let began = Instant::now();
        let (mut client, served) = connection();
        assert!(ask(&mut client).await.starts_with("HTTP/1.1 200"));
        served.await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_or_a_preface_that_never_ends_is_no_request() {
        for start in ["GET / HTTP/1.1\r\nho", "PRI * HTTP/2"] {
            let began = Instant::now();
            let (mut client, served) = connection();
            client.write_all(start.as_bytes()).await.unwrap();
            served.await.unwrap();
            assert_eq!(began.elapsed().as_secs(), 10, "{start}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_is_too_long_is_refused() {
        let (mut client, _served) = connection();
        let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(20_000));
        client.write_all(long.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
}
