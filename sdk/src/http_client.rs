//! HTTP requests, to where the application's configuration allows (`http.allow`).
//!
//! A request suspends the calling instance only. Ask for no more time than the
//! hook has; `timeout_ms: 0` is all of it.
//!
//! ```
//! use livehost_sdk::{http_client::{self, Request}, testing::MockHost};
//!
//! let host = MockHost::new();
//! host.answer_http(200, "welcome");
//! let response = http_client::send(&Request::post("http://127.0.0.1:8080/hook", "name=cam1"))?;
//! assert_eq!(response.status, 200);
//! assert_eq!(host.http_requests()[0].body, b"name=cam1");
//! # Ok::<(), http_client::HttpError>(())
//! ```

pub use crate::bindings::livehost::app::http_client::{HttpError, Request, Response};
use crate::import::ask;

/// Sends one request and waits for the whole response.
///
/// ```
/// # use livehost_sdk::{http_client::{self, HttpError, Request}, testing::MockHost};
/// let host = MockHost::new();
/// host.on_http(|request| match request.url.as_str() {
///     "http://127.0.0.1:8080/up" => Ok(http_client::Response {
///         status: 200,
///         headers: vec![("Content-Type".into(), "text/plain".into())],
///         body: b"yes".to_vec(),
///     }),
///     _ => Err(HttpError::Denied),
/// });
/// let response = http_client::send(&Request::get("http://127.0.0.1:8080/up"))?;
/// assert!(response.is_success());
/// assert_eq!(response.header("content-type"), Some("text/plain"));
/// // The configuration's http.allow does not name it.
/// let denied = http_client::send(&Request::get("http://other.example/"));
/// assert!(matches!(denied, Err(HttpError::Denied)));
/// # Ok::<(), HttpError>(())
/// ```
pub fn send(request: &Request) -> Result<Response, HttpError> {
    ask!(http_client::send(request), |host| host.http(request))
}

impl Request {
    /// A request without body, with all the time the hook has.
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            method: "GET".into(),
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout_ms: 0,
            follow_redirects: 0,
        }
    }

    /// Like [`Request::get`], with a body.
    pub fn post(url: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self {
            method: "POST".into(),
            body: body.into(),
            ..Self::get(url)
        }
    }

    /// Adds a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

impl Response {
    /// The first value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }

    /// A status of 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}
