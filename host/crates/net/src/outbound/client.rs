//! One application's HTTP client.
//!
//! Flows in: a request with its deadline. Flows out: the whole response. A
//! dropped [`HttpClient::send`] ends its request and its connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::warn;

use super::connect::{self, Connector, Reachable, Within};
use super::error::{Error, HttpCounters, RESPONSE_BODY};
use super::target::Target;
use super::{HttpSettings, Network, redirect};

/// Header of a request or a response, in bytes.
pub(super) const MAX_HEADER: usize = 64 << 10;
/// The longest body of a request, in bytes.
pub const MAX_REQUEST_BODY: usize = 4 << 20;
/// An unused connection is closed after this: sooner than servers do, so that
/// a request never meets a connection that is just being closed.
const IDLE: Duration = Duration::from_secs(2);
/// Redirects of one request, however many it asks for.
const MAX_REDIRECTS: u8 = 10;

/// Headers that the client sets itself, or that belong to a connection.
const NOT_PASSED_ON: [HeaderName; 11] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
];

/// A request; its body comes beside it.
#[derive(Debug, Clone)]
pub struct Request {
    /// Any but `CONNECT` and `TRACE`.
    pub method: Method,
    /// The whole URL.
    pub url: String,
    /// `Host`, `Content-Length` and those of the connection are not passed on:
    /// the client sets them.
    pub headers: HeaderMap,
    /// So many redirects are followed; the response after them is returned,
    /// whatever it is.
    pub redirects: u8,
    /// When the response must be complete.
    pub deadline: Instant,
}

/// A whole response.
pub type Response = http::Response<Bytes>;

/// Sends the requests of one application's plugin, within its settings.
#[derive(Debug)]
pub struct HttpClient {
    settings: HttpSettings,
    counts: Arc<HttpCounters>,
    permits: Semaphore,
    http: legacy::Client<Within<HttpsConnector<Connector>>, Full<Bytes>>,
}

/// One request on its way, with what redirects change.
#[derive(Debug)]
pub(super) struct Hop {
    pub(super) method: Method,
    pub(super) target: Target,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl HttpClient {
    /// A client of `application` that counts in `counts`.
    pub fn new(
        network: &Network,
        application: &str,
        settings: HttpSettings,
        counts: Arc<HttpCounters>,
    ) -> Arc<Self> {
        if settings.allow.any_https() && !network.trusts {
            warn!(
                "no trusted certificates found on this machine: https requests of plugins will \
                 fail (on Debian: apt install ca-certificates)"
            );
        }
        let reachable = match settings.private {
            true => Reachable::Private,
            false => Reachable::Global,
        };
        let connector = network.connector(application, reachable, settings.connect);
        let connector = connect::connector(connector, Arc::clone(&network.tls));
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(settings.requests)
            .http1_max_buf_size(MAX_HEADER)
            .build(connector);
        Arc::new(Self {
            permits: Semaphore::new(settings.requests),
            settings,
            counts,
            http,
        })
    }

    /// What it keeps to.
    pub fn settings(&self) -> &HttpSettings {
        &self.settings
    }

    /// Sends a request and collects the response. `body` is waited for only
    /// after the URL was found to be allowed and the request's turn came, so
    /// that bodies do not pile up.
    ///
    /// # Errors
    /// [`Error`], at the deadline at the latest.
    pub async fn send(
        &self,
        request: Request,
        body: impl Future<Output = Result<Bytes, Error>> + Send,
    ) -> Result<Response, Error> {
        let started = Instant::now();
        let deadline = request.deadline;
        let mut crowded = true;
        let exchange =
            tokio::time::timeout_at(deadline, self.exchange(request, body, &mut crowded));
        let outcome = match exchange.await {
            Ok(outcome) => outcome,
            Err(_) if crowded => Err(Error::Crowded(self.settings.requests)),
            Err(_) => Err(Error::TimedOut(started.elapsed().as_millis())),
        };
        self.counts.add(&outcome);
        outcome
    }

    /// `crowded` is true as long as the request waits for others to end.
    async fn exchange(
        &self,
        request: Request,
        body: impl Future<Output = Result<Bytes, Error>> + Send,
        crowded: &mut bool,
    ) -> Result<Response, Error> {
        let target = Target::parse(&request.url).map_err(|e| Error::Protocol(e.to_string()))?;
        self.check(&target)?;
        let mut hop = Hop {
            headers: headers(request.headers)?,
            method: request.method,
            target,
            body: Bytes::new(),
        };
        if matches!(hop.method, Method::CONNECT | Method::TRACE) {
            let message = format!("expected a method other than {}", hop.method);
            return Err(Error::Protocol(message));
        }
        let turn = self.permits.acquire().await;
        let _turn = turn.map_err(|_| Error::Crowded(self.settings.requests))?;
        *crowded = false;
        hop.body = body.await?;
        if hop.body.len() > MAX_REQUEST_BODY {
            let (what, limit) = ("request's body", MAX_REQUEST_BODY);
            return Err(Error::TooLarge { what, limit });
        }
        for _ in 0..request.redirects.min(MAX_REDIRECTS) {
            let response = self.once(&hop).await?;
            let (status, headers) = (response.status(), response.headers());
            if !redirect::follow(&mut hop, status, headers)? {
                return self.whole(response).await;
            }
            // The address is checked when it is connected to.
            self.check(&hop.target)?;
        }
        let response = self.once(&hop).await?;
        self.whole(response).await
    }

    fn check(&self, target: &Target) -> Result<(), Error> {
        let allow = &self.settings.allow;
        if allow.allows(target) {
            return Ok(());
        }
        Err(Error::not_allowed(target, allow.knows_origin(target)))
    }

    async fn once(&self, hop: &Hop) -> Result<http::Response<hyper::body::Incoming>, Error> {
        let request = http::Request::builder()
            .method(&hop.method)
            .uri(hop.target.as_str())
            .body(Full::new(hop.body.clone()));
        let mut request = request.map_err(|error| Error::Protocol(error.to_string()))?;
        *request.headers_mut() = hop.headers.clone();
        let response = self.http.request(request).await?;
        // The client's own bound is how much it reads at once.
        if header_bytes(response.headers()) > MAX_HEADER {
            return Err(Error::response_header());
        }
        Ok(response)
    }

    async fn whole(
        &self,
        response: http::Response<hyper::body::Incoming>,
    ) -> Result<Response, Error> {
        let limit = self.settings.response_bytes;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, limit).collect().await.map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() {
                let what = RESPONSE_BODY;
                Error::TooLarge { what, limit }
            } else {
                Error::Protocol(format!("the answer breaks off: {error}"))
            }
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

fn header_bytes(headers: &HeaderMap) -> usize {
    headers
        .iter()
        .map(|(name, value)| name.as_str().len().saturating_add(value.len()))
        .fold(0, usize::saturating_add)
}

/// The headers that are sent.
fn headers(mut headers: HeaderMap) -> Result<HeaderMap, Error> {
    for name in NOT_PASSED_ON {
        headers.remove(name);
    }
    if header_bytes(&headers) > MAX_HEADER {
        let (what, limit) = ("request's header", MAX_HEADER);
        return Err(Error::TooLarge { what, limit });
    }
    let agent = HeaderValue::from_static(concat!("livehost/", env!("CARGO_PKG_VERSION")));
    headers.entry(header::USER_AGENT).or_insert(agent);
    Ok(headers)
}
