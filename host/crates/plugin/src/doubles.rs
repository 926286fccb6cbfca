//! What stands in for the outside when a plugin is tried instead of served:
//! the clock, HTTP, and an ear on the log. State and timers are the real ones,
//! on that clock.

use std::sync::Arc;
use std::time::Duration;

use super::Clock;

pub use super::bindings::livehost::app::log::Level;
use livehost_net::outbound;

/// The stand-ins of one application; by default there are none.
#[derive(Clone, Default)]
pub struct Doubles {
    /// The time the plugin sees.
    pub clock: Clock,
    /// Answers the plugin's HTTP requests; none: the network does.
    pub http: Option<Arc<dyn HttpDouble>>,
    /// Hears the plugin's log; none: it goes to the host's log.
    pub log: Option<Arc<dyn LogDouble>>,
}

impl std::fmt::Debug for Doubles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doubles")
            .field("clock", &self.clock)
            .field("http", &self.http.is_some())
            .field("log", &self.log.is_some())
            .finish()
    }
}

/// Answers HTTP requests in place of the network.
pub trait HttpDouble: Send + Sync + 'static {
    /// The answer to one request.
    fn answer(&self, request: HttpRequest) -> Result<HttpResponse, HttpFailure>;
}

/// Hears the lines of a plugin's log, standard output and error.
pub trait LogDouble: Send + Sync + 'static {
    /// One line.
    fn line(&self, level: Level, message: &str, fields: &[(String, String)]);
}

/// A request of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// `GET`, `POST`, ...
    pub method: String,
    /// Where to.
    pub url: String,
    /// In the guest's order.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
    /// How long it waits for an answer; none: as long as the call may take.
    pub timeout: Option<Duration>,
}

/// What the other side says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// 200, 404, ...
    pub status: u16,
    /// In the order of arrival.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpFailure {
    /// The configuration does not allow the request.
    Denied,
    /// No response in time.
    Timeout,
    /// The response is longer than allowed.
    TooLarge,
    /// No connection.
    Connect(String),
    /// What came is no HTTP.
    Protocol(String),
}

/// The answer of `double` to a request, by whichever interface it came.
pub(super) fn answered(
    double: &dyn HttpDouble,
    request: outbound::Request,
    body: &[u8],
    timeout: Option<Duration>,
) -> Result<outbound::Response, outbound::Error> {
    let headers = request.headers.iter();
    let headers = headers.map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    let origin = origin_of(&request.url);
    let answer = double.answer(HttpRequest {
        method: request.method.to_string(),
        headers: headers.collect(),
        body: body.to_vec(),
        url: request.url,
        timeout,
    });
    let answer = answer.map_err(|failure| failure.of(origin))?;
    let mut response = http::Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(name, value);
    }
    let response = response.body(answer.body.into());
    response.map_err(|error| outbound::Error::Protocol(error.to_string()))
}

/// As the configuration's `http.allow` has it.
fn origin_of(url: &str) -> String {
    let target = outbound::Target::parse(url);
    target.map_or_else(|_| String::new(), |target| target.origin().to_string())
}

impl HttpFailure {
    fn of(self, origin: String) -> outbound::Error {
        match self {
            Self::Denied => outbound::Error::Host(origin),
            Self::Timeout => outbound::Error::TimedOut(0),
            Self::TooLarge => outbound::Error::TooLarge {
                what: "scripted response",
                limit: 0,
            },
            Self::Connect(reason) => outbound::Error::Connect(reason),
            Self::Protocol(reason) => outbound::Error::Protocol(reason),
        }
    }
}
