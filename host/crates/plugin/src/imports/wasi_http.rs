//! `wasi:http/outgoing-handler`: what the standard libraries of other
//! languages make of their `fetch`.
//!
//! Flows in: the requests that wasmtime assembles. Flows out: the same
//! [`HttpClient::send`](livehost_net::outbound::HttpClient::send) that `http-client` uses. A
//! response is collected before the guest sees it, so a guest can't hold a
//! connection open; what it has not read yet is bounded for each instance.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use livehost_net::outbound::{self, HttpClient, MAX_REQUEST_BODY};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use wasmtime_wasi_http::{
    Error as WasiError, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks,
    WasiHttpView,
};

use super::http::failure;
use crate::application::AppContext;
use crate::doubles;
use crate::instance::HostState;

/// What a guest may write into a body at once, in bytes: as much is buffered
/// for each body that nobody takes.
const BODY_CHUNK: usize = 16 << 10;
/// Response bodies of one instance that the guest has not read, in bytes; at
/// least two of the longest.
const UNREAD: usize = 8 << 20;

/// The `wasi:http` of one instance.
pub(crate) struct WasiHttp {
    context: WasiHttpCtx,
    hooks: Outgoing,
}

struct Outgoing {
    app: Arc<AppContext>,
    plugin: Arc<str>,
    client: Arc<HttpClient>,
    /// Bytes that may still be handed out unread.
    unread: Arc<Semaphore>,
    answer_by: Instant,
}

impl WasiHttp {
    pub(crate) fn new(app: &Arc<AppContext>, plugin: &Arc<str>, client: &Arc<HttpClient>) -> Self {
        let longest = client.settings().response_bytes;
        let unread = UNREAD.max(longest.saturating_mul(2));
        Self {
            context: WasiHttpCtx::new(),
            hooks: Outgoing {
                app: Arc::clone(app),
                plugin: Arc::clone(plugin),
                client: Arc::clone(client),
                unread: Arc::new(Semaphore::new(unread.min(Semaphore::MAX_PERMITS))),
                answer_by: Instant::now(),
            },
        }
    }

    /// A call begins; its requests must be answered by then.
    pub(crate) fn begin(&mut self, answer_by: Instant) {
        self.hooks.answer_by = answer_by;
    }
}

impl WasiHttpView for HostState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.wasi_http.hooks,
            ctx: &mut self.wasi_http.context,
            table: &mut self.table,
        }
    }
}

type Worker = Box<dyn Future<Output = Result<(), WasiError>> + Send>;
type SendResult = Result<(http::Response<WasiBody>, Worker), WasiError>;

impl WasiHttpHooks for Outgoing {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: Worker,
    ) -> Box<dyn Future<Output = SendResult> + Send> {
        let (head, body) = request.into_parts();
        let timeout = options.and_then(|options| options.first_byte_timeout);
        // Redirects are the guest's: each is a request of its own here.
        let request = outbound::Request {
            method: head.method,
            url: head.uri.to_string(),
            headers: head.headers,
            redirects: 0,
            deadline: deadline(self.answer_by, options),
        };
        let client = Arc::clone(&self.client);
        let unread = Arc::clone(&self.unread);
        let (app, plugin) = (Arc::clone(&self.app), Arc::clone(&self.plugin));
        Box::new(async move {
            let answer = match &app.doubles.http {
                Some(double) => collected(body)
                    .await
                    .and_then(|body| doubles::answered(&**double, request, &body, timeout)),
                None => client.send(request, collected(body)).await,
            };
            let answer = answer.and_then(|answer| held(answer, unread));
            match answer {
                Ok(answer) => {
                    let done: Worker = Box::new(async { Ok(()) });
                    Ok((answer, done))
                }
                Err(error) => {
                    app.warn(&plugin, &failure(&error));
                    Err(wasi_error(error))
                }
            }
        })
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK
    }
}

/// The sooner of the call's end and the time that the guest gives.
fn deadline(answer_by: Instant, options: Option<RequestOptions>) -> Instant {
    let options = options.unwrap_or_default();
    let own = [options.connect_timeout, options.first_byte_timeout];
    let [Some(connect), Some(first_byte)] = own else {
        return answer_by;
    };
    let own = Instant::now().checked_add(connect.saturating_add(first_byte));
    own.map_or(answer_by, |own| answer_by.min(own))
}

async fn collected(body: WasiBody) -> Result<Bytes, outbound::Error> {
    let body = Limited::new(body, MAX_REQUEST_BODY).collect().await;
    match body {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(outbound::Error::TooLarge {
            what: "request's body",
            limit: MAX_REQUEST_BODY,
        }),
        Err(error) => Err(outbound::Error::Protocol(format!(
            "the request's body breaks off: {error}"
        ))),
    }
}

/// A response that counts as unread until its body is taken or dropped.
fn held(
    answer: outbound::Response,
    unread: Arc<Semaphore>,
) -> Result<http::Response<WasiBody>, outbound::Error> {
    let (head, body) = answer.into_parts();
    let too_much = |_| outbound::Error::TooLarge {
        what: "instance's unread responses",
        limit: UNREAD,
    };
    let bytes = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let hold = unread.try_acquire_many_owned(bytes).map_err(too_much)?;
    let body = HeldBody {
        body: Full::new(body),
        _hold: hold,
    };
    Ok(http::Response::from_parts(head, body.boxed_unsync()))
}

struct HeldBody {
    body: Full<Bytes>,
    _hold: OwnedSemaphorePermit,
}

impl Body for HeldBody {
    type Data = Bytes;
    type Error = WasiError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, WasiError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        frame.map_err(|never| match never {})
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn wasi_error(error: outbound::Error) -> WasiError {
    use outbound::Error;
    match error {
        Error::Host(_) | Error::Path(_) => WasiError::HttpRequestDenied,
        Error::Address(_) => WasiError::DestinationIpProhibited,
        Error::Crowded(_) => WasiError::ConnectionLimitReached,
        Error::TimedOut(_) => WasiError::HttpResponseTimeout,
        Error::TooLarge { limit, .. } => WasiError::HttpResponseBodySize(u64::try_from(limit).ok()),
        Error::Connect(reason) => WasiError::InternalError(Some(reason)),
        Error::Protocol(reason) => WasiError::InternalError(Some(reason)),
    }
}
