//! Refusals, and what becomes one.

use std::time::Duration;

use crate::decision::millis;
use crate::http_client::HttpError;
use crate::kv::KvError;
use crate::{Rejection, log};

impl Rejection {
    /// A refusal with the command's usual status code.
    pub fn new(description: impl Into<String>) -> Self {
        Self {
            code: String::new(),
            description: description.into(),
            retry_after_ms: None,
        }
    }

    /// Sends another status code, such as `NetStream.Publish.Denied`.
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = code.into();
        self
    }

    /// Says when trying again makes sense: the refusal is about the moment, not
    /// about who asks. The log then does not take the client for one that guesses. The
    /// client finds it in the status object as `retryAfterMs`, a number.
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after_ms = Some(millis(delay));
        self
    }
}

impl From<&str> for Rejection {
    fn from(description: &str) -> Self {
        Self::new(description)
    }
}

impl From<String> for Rejection {
    fn from(description: String) -> Self {
        Self::new(description)
    }
}

/// How long a client should wait when the trouble is on this side.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// The client is told to try again; what went wrong is for the log.
fn unavailable(what: &str, error: &dyn std::fmt::Debug) -> Rejection {
    let error = format!("{error:?}");
    log::write(log::Level::Warn, what, &[("error", &error)]);
    Rejection::new("the server could not check this; try again").retry_after(TRY_AGAIN)
}

impl From<KvError> for Rejection {
    fn from(error: KvError) -> Self {
        unavailable("state is unavailable", &error)
    }
}

impl From<HttpError> for Rejection {
    fn from(error: HttpError) -> Self {
        unavailable("an HTTP request failed", &error)
    }
}
