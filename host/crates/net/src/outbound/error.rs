//! Why a request has no response, and how often that happened.

use std::error::Error as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::connect::ConnectError;
use super::target::Target;

/// Why a request has no response. The text is one line for an operator's log:
/// it names scheme, host and port, never a path, a query or a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No entry of the allow-list is about this host.
    #[error("{0} is not in the application's http.allow; the entry \"{0}/*\" would permit it")]
    Host(String),
    /// Entries are about this host, none about this path.
    #[error("{0} is in the application's http.allow, but not with this path")]
    Path(String),
    /// The name leads where it must not.
    #[error("{0}")]
    Address(String),
    /// The application's requests at once were too many for too long.
    #[error("waited in vain for one of the application's {0} requests at once (http.requests)")]
    Crowded(usize),
    /// No answer within the time that the request had.
    #[error("no complete answer within {0} ms")]
    TimedOut(u128),
    /// Request or response exceed a limit.
    #[error("the {what} is longer than {limit} bytes{}", if *.what == RESPONSE_BODY { " (http.response)" } else { "" })]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// So much is taken.
        limit: usize,
    },
    /// There is no connection.
    #[error("can't connect: {0}")]
    Connect(String),
    /// The request can't be sent, or the answer is not HTTP.
    #[error("{0}")]
    Protocol(String),
}

/// For [`Error::TooLarge`].
pub(super) const RESPONSE_BODY: &str = "response's body";

impl Error {
    pub(super) fn not_allowed(target: &Target, host_is_known: bool) -> Self {
        let origin = target.origin().to_string();
        if host_is_known {
            Self::Path(origin)
        } else {
            Self::Host(origin)
        }
    }

    pub(super) fn response_header() -> Self {
        Self::TooLarge {
            what: "response's header",
            limit: super::client::MAX_HEADER,
        }
    }

    /// The allow-list or the check of addresses refused it.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Host(_) | Self::Path(_) | Self::Address(_))
    }
}

impl From<ConnectError> for Error {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Forbidden { .. } => Self::Address(error.to_string()),
            other => Self::Connect(other.to_string()),
        }
    }
}

impl From<hyper_util::client::legacy::Error> for Error {
    fn from(error: hyper_util::client::legacy::Error) -> Self {
        let mut innermost = None;
        let mut cause = error.source();
        while let Some(inner) = cause {
            if let Some(connect) = inner.downcast_ref::<ConnectError>() {
                return connect.clone().into();
            }
            if let Some(hyper) = inner.downcast_ref::<hyper::Error>()
                && hyper.is_parse_too_large()
            {
                return Self::response_header();
            }
            innermost = Some(inner.to_string());
            cause = inner.source();
        }
        let reason = innermost.unwrap_or_else(|| error.to_string());
        if error.is_connect() {
            Self::Connect(reason)
        } else {
            Self::Protocol(reason)
        }
    }
}

/// Requests of one application, counted over all generations of its plugin.
#[derive(Debug, Default)]
pub struct HttpCounters {
    requests: AtomicU64,
    denied: AtomicU64,
    over_limit: AtomicU64,
    timed_out: AtomicU64,
    failed: AtomicU64,
}

/// What [`HttpCounters`] had counted at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HttpTotals {
    /// All.
    pub requests: u64,
    /// Refused by the allow-list or for their address.
    pub denied: u64,
    /// Too large, or too many at once.
    pub over_limit: u64,
    /// Without a complete answer in time.
    pub timed_out: u64,
    /// Without connection, or without a proper answer.
    pub failed: u64,
}

impl HttpCounters {
    pub(super) fn add<T>(&self, outcome: &Result<T, Error>) {
        self.requests.fetch_add(1, Relaxed);
        let counter = match outcome {
            Ok(_) => return,
            Err(Error::Host(_) | Error::Path(_) | Error::Address(_)) => &self.denied,
            Err(Error::Crowded(_) | Error::TooLarge { .. }) => &self.over_limit,
            Err(Error::TimedOut(_)) => &self.timed_out,
            Err(Error::Connect(_) | Error::Protocol(_)) => &self.failed,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// What was counted so far.
    pub fn totals(&self) -> HttpTotals {
        HttpTotals {
            requests: self.requests.load(Relaxed),
            denied: self.denied.load(Relaxed),
            over_limit: self.over_limit.load(Relaxed),
            timed_out: self.timed_out.load(Relaxed),
            failed: self.failed.load(Relaxed),
        }
    }
}
