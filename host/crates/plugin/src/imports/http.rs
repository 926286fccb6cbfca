//! `http-client`: requests of guests to the outside.
//!
//! The rules are those of [`livehost_net::outbound`]; here is what the interface
//! makes of them, and the line in the log when a request fails.

use std::future::ready;
use std::time::Duration;

use http::Method;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use livehost_net::outbound::{self, MAX_REQUEST_BODY};
use tokio::time::Instant;

use crate::bindings::livehost::app::http_client::{Host, HttpError, Request, Response};
use crate::doubles;
use crate::instance::HostState;

/// No method of HTTP has a longer name, in bytes.
const MAX_METHOD: usize = 32;

impl Host for HostState {
    async fn send(&mut self, req: Request) -> Result<Response, HttpError> {
        let answer = match prepared(&req, self.answer_by) {
            // Before it waits for its turn.
            Ok(_) if req.body.len() > MAX_REQUEST_BODY => Err(outbound::Error::TooLarge {
                what: "request's body",
                limit: MAX_REQUEST_BODY,
            }),
            Ok(request) => match &self.app.doubles.http {
                Some(double) => {
                    let own = Duration::from_millis(req.timeout_ms.into());
                    let own = (!own.is_zero()).then_some(own);
                    doubles::answered(&**double, request, &req.body, own)
                }
                None => self.http.send(request, ready(Ok(req.body.into()))).await,
            },
            Err(error) => Err(error),
        };
        let answer = answer.inspect_err(|error| {
            self.warn(&failure(error));
        })?;
        let (head, body) = answer.into_parts();
        Ok(Response {
            status: head.status.as_u16(),
            headers: head.headers.iter().map(pair).collect(),
            body: body.into(),
        })
    }
}

/// The line in the log.
pub(super) fn failure(error: &outbound::Error) -> String {
    let what = if error.is_denied() {
        "denied"
    } else {
        "failed"
    };
    format!("HTTP request {what}: {error}")
}

fn prepared(req: &Request, answer_by: Instant) -> Result<outbound::Request, outbound::Error> {
    let invalid = |what: &str, text: &str| {
        let text: String = text.chars().take(64).collect();
        outbound::Error::Protocol(format!("{text:?} is no {what} of HTTP"))
    };
    let method = match req.method.len() <= MAX_METHOD {
        true => Method::from_bytes(req.method.as_bytes()).ok(),
        false => None,
    };
    let mut headers = HeaderMap::new();
    for (name, value) in &req.headers {
        let header = HeaderName::from_bytes(name.as_bytes());
        let header = header.map_err(|_| invalid("header name", name))?;
        // The value may be a secret.
        let value = HeaderValue::from_str(value).map_err(|_| {
            outbound::Error::Protocol(format!("the value of {header} is none of HTTP"))
        })?;
        let added = headers.try_append(header, value);
        added.map_err(|_| outbound::Error::Protocol("too many headers".into()))?;
    }
    let own = Duration::from_millis(req.timeout_ms.into());
    Ok(outbound::Request {
        method: method.ok_or_else(|| invalid("method", &req.method))?,
        url: req.url.clone(),
        headers,
        redirects: req.follow_redirects,
        deadline: match req.timeout_ms {
            0 => answer_by,
            _ => answer_by.min(Instant::now() + own),
        },
    })
}

fn pair((name, value): (&HeaderName, &HeaderValue)) -> (String, String) {
    let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
    (name.as_str().to_owned(), value)
}

impl From<outbound::Error> for HttpError {
    fn from(error: outbound::Error) -> Self {
        use outbound::Error;
        match error {
            Error::Host(_) | Error::Path(_) | Error::Address(_) => Self::Denied,
            Error::Crowded(_) | Error::TimedOut(_) => Self::Timeout,
            Error::TooLarge { .. } => Self::TooLarge,
            Error::Connect(reason) => Self::Connect(reason),
            Error::Protocol(reason) => Self::Protocol(reason),
        }
    }
}
