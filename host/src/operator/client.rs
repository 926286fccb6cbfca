//! A small client of the API: one request, one connection.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use livehost_net::outbound::Network;
use livehost_server_http::api::page::Page;
use livehost_server_http::problem::Problem;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{NoServer, refused};

/// To connect, TLS included.
const CONNECT: Duration = Duration::from_secs(5);
/// For an answer: the server gives up a little sooner and says so.
const ANSWER: Duration = Duration::from_secs(75);
/// The longest answer, bytes.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// Entries that are asked for at once.
const PAGE: usize = 1000;
/// Entries of a list at most; a server has fewer.
const MAX_ENTRIES: usize = 1_000_000;

/// The API of one server.
#[derive(Debug)]
pub(super) struct ApiClient {
    at: Place,
    answer: Duration,
}

#[derive(Debug)]
enum Place {
    Socket(PathBuf),
    Url(UrlPlace),
}

/// An API over TCP.
struct UrlPlace {
    /// Host and port, as the URL has them.
    authority: String,
    host: String,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
    token: String,
}

impl fmt::Debug for UrlPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UrlPlace")
            .field("authority", &self.authority)
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "{}", path.display()),
            Self::Url(url) => f.write_str(&url.authority),
        }
    }
}

impl ApiClient {
    /// At a control socket.
    pub(super) fn at_socket(path: &Path) -> Self {
        Self {
            at: Place::Socket(path.to_owned()),
            answer: ANSWER,
        }
    }

    /// At `url`, which has a scheme, a host and perhaps a port, and no path.
    ///
    /// # Errors
    /// When it is no such URL, or TLS can't be set up.
    pub(super) fn at_url(url: &str, token: String) -> anyhow::Result<Self> {
        let expected = "--url: expected http://HOST:PORT or https://HOST:PORT";
        let uri: Uri = url.parse().context(expected)?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            bail!("{expected}; found {url:?}");
        };
        let has_user = authority.as_str().contains('@');
        ensure!(!has_user, "{expected}; a token is in --token-file");
        ensure!(
            matches!(uri.path(), "" | "/") && uri.query().is_none(),
            "{expected}, without a path; found {url:?}"
        );
        let (port, tls) = match scheme {
            "http" => (80, None),
            "https" => {
                let network = Network::new().context("TLS can't be set up")?;
                (443, Some(network.tls().clone()))
            }
            _ => bail!("{expected}; found {url:?}"),
        };
        let host = authority.host();
        Ok(Self {
            at: Place::Url(UrlPlace {
                authority: authority.to_string(),
                host: host.trim_matches(['[', ']']).to_owned(),
                port: authority.port_u16().unwrap_or(port),
                tls,
                token,
            }),
            answer: ANSWER,
        })
    }

    /// The same, with so much patience for each answer.
    pub(super) fn patient_for(self, answer: Duration) -> Self {
        Self { answer, ..self }
    }

    /// What is at `path`, below `/api/v1`.
    ///
    /// # Errors
    /// [`NoServer`] when nobody answers there, or what the server says is wrong.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let answer = self.ask(Method::GET, path, None).await?;
        self.read(&answer)
    }

    /// All entries of the list at `path`, `app`'s or of all applications.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        app: Option<&str>,
    ) -> anyhow::Result<Vec<T>> {
        let of_app = app.map_or_else(String::new, |app| format!("&app={}", encoded(app)));
        let mut entries: Vec<T> = Vec::new();
        let mut after = String::new();
        loop {
            let page: Page<T> = self
                .get(&format!("{path}?limit={PAGE}{of_app}{after}"))
                .await?;
            let is_empty = page.items.is_empty();
            entries.extend(page.items);
            match page.next {
                Some(next) if !is_empty && entries.len() < MAX_ENTRIES => {
                    after = format!("&after={}", encoded(&next));
                }
                _ => return Ok(entries),
            }
        }
    }

    /// Gives the order at `path`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(super) async fn order(
        &self,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> anyhow::Result<()> {
        let body = body.map(serde_json::to_vec).transpose()?;
        self.ask(Method::POST, path, body).await.map(drop)
    }

    /// Gives the order at `path`, whose answer says more.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(super) async fn told<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> anyhow::Result<T> {
        let body = body.map(serde_json::to_vec).transpose()?;
        let answer = self.ask(method, path, body).await?;
        self.read(&answer)
    }

    fn read<T: DeserializeOwned>(&self, answer: &[u8]) -> anyhow::Result<T> {
        serde_json::from_slice(answer).with_context(|| {
            format!(
                "{}: the answer is not what livehost {} expects: is the server of another version?",
                self.at,
                env!("CARGO_PKG_VERSION")
            )
        })
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> anyhow::Result<Bytes> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/{path}"))
            .header(header::ACCEPT, "application/json");
        request = match &self.at {
            Place::Socket(_) => request.header(header::HOST, "localhost"),
            Place::Url(url) => request
                .header(header::HOST, &url.authority)
                .header(header::AUTHORIZATION, format!("Bearer {}", url.token)),
        };
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())))?;
        let (status, answer) = match &self.at {
            Place::Socket(path) => {
                let stream = within(CONNECT, UnixStream::connect(path)).await;
                self.exchange(stream.map_err(|why| self.unreachable(&why))?, request)
                    .await
            }
            Place::Url(url) => {
                let address = (url.host.as_str(), url.port);
                let tcp = within(CONNECT, TcpStream::connect(address)).await;
                let tcp = tcp.map_err(|why| self.unreachable(&why))?;
                match &url.tls {
                    None => self.exchange(tcp, request).await,
                    Some(tls) => {
                        let name = ServerName::try_from(url.host.clone())?;
                        let connector = TlsConnector::from(tls.clone());
                        let stream = within(CONNECT, connector.connect(name, tcp)).await;
                        let stream = stream.map_err(|why| self.unreachable(&why))?;
                        self.exchange(stream, request).await
                    }
                }
            }
        }?;
        match status.is_success() {
            true => Ok(answer),
            false => Err(self.refusal(status, &answer)),
        }
    }

    /// Sends the request and waits for all of its answer.
    async fn exchange(
        &self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: Request<Full<Bytes>>,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let exchange = async {
            let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
            // The answer has its own errors.
            let connection = async { connection.await.ok() };
            let answered = async {
                let response = sender.send_request(request).await?;
                let status = response.status();
                let body = Limited::new(response.into_body(), MAX_ANSWER)
                    .collect()
                    .await;
                let body = body.map_err(|error| anyhow!(error))?;
                Ok((status, body.to_bytes()))
            };
            tokio::pin!(answered, connection);
            tokio::select! {
                answer = &mut answered => answer,
                // What it has read is there still.
                _ = &mut connection => answered.await,
            }
        };
        let answer = timeout(self.answer, exchange).await;
        let answer: anyhow::Result<_> =
            answer.unwrap_or_else(|_| Err(anyhow!("no answer within {} s", self.answer.as_secs())));
        answer.with_context(|| format!("{}", self.at))
    }

    fn unreachable(&self, why: &anyhow::Error) -> NoServer {
        NoServer(format!("no server answers at {}: {why:#}", self.at))
    }

    fn refusal(&self, status: StatusCode, answer: &[u8]) -> anyhow::Error {
        let Ok(problem) = serde_json::from_slice::<Problem>(answer) else {
            return anyhow!(
                "{}: expected the API of a livehost server; found {status}",
                self.at
            );
        };
        let mut text = refused(&problem.detail);
        // An order about what is not there says so; nothing at all means another port.
        if status == StatusCode::NOT_FOUND && text == NOTHING && matches!(self.at, Place::Url(_)) {
            text.push_str("; expected an acceptor with `serve: [Api]`");
        }
        anyhow!(text)
    }
}

/// What a server says of paths that it does not have.
const NOTHING: &str = "there is nothing at this path";

/// A part of a path or a query.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

async fn within<T, E>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> anyhow::Result<T>
where
    E: Into<anyhow::Error>,
{
    match timeout(limit, work).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(anyhow!("no connection within {} s", limit.as_secs())),
    }
}

/// Nothing, as the body of a request.
pub(super) const EMPTY: Option<&Value> = None;
