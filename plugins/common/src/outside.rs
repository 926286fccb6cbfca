//! What a policy asks the host for, as a trait: [`Live`] asks the host,
//! [`crate::script::Script`] answers in native tests.

use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use livehost_sdk::http_client::{self, HttpError, Request, Response};
use livehost_sdk::{kv, log, timers};

/// The host of one policy instance.
pub type Host = Rc<dyn Outside>;

/// Clock, HTTP, state, timers and log.
///
/// State that can't be read or written counts as absent, with a warning in the
/// log: what the shipped policies keep there can be asked for again.
pub trait Outside {
    /// Time since 1970, UTC.
    fn now(&self) -> Duration;
    /// One request; suspends the calling instance.
    fn http(&self, request: &Request) -> Result<Response, HttpError>;
    /// A value of the application's state.
    fn get(&self, key: &str) -> Option<Vec<u8>>;
    /// Keeps a value for `ttl`.
    fn set(&self, key: &str, value: &[u8], ttl: Duration);
    /// Keeps a value for `ttl` unless there is one; true if it did.
    fn claim(&self, key: &str, ttl: Duration) -> bool;
    /// Forgets a value.
    fn delete(&self, key: &str);
    /// Calls `on_timer` with `key` every so often.
    fn every(&self, key: &str, period: Duration);
    /// Writes a line.
    fn log(&self, level: log::Level, message: &str, fields: &[(&str, &str)]);
}

/// The host that runs this component.
#[derive(Debug, Clone, Copy)]
pub struct Live;

impl Live {
    /// As policies keep it.
    pub fn host() -> Host {
        Rc::new(Self)
    }

    fn kept<T>(result: Result<T, kv::KvError>) -> Option<T> {
        result
            .inspect_err(|error| {
                let error = format!("{error:?}");
                log::write(
                    log::Level::Warn,
                    "state is unavailable",
                    &[("error", &error)],
                );
            })
            .ok()
    }
}

impl Outside for Live {
    fn now(&self) -> Duration {
        // Before 1970 nothing has expired, and nothing is valid yet.
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
    }

    fn http(&self, request: &Request) -> Result<Response, HttpError> {
        http_client::send(request)
    }

    fn get(&self, key: &str) -> Option<Vec<u8>> {
        Self::kept(kv::get(key)).flatten().map(|entry| entry.value)
    }

    fn set(&self, key: &str, value: &[u8], ttl: Duration) {
        Self::kept(kv::set(key, value, Some(millis(ttl))));
    }

    fn claim(&self, key: &str, ttl: Duration) -> bool {
        Self::kept(kv::cas(key, &[], 0, Some(millis(ttl)))).unwrap_or(false)
    }

    fn delete(&self, key: &str) {
        Self::kept(kv::delete(key));
    }

    fn every(&self, key: &str, period: Duration) {
        timers::set(key, millis(period), Some(millis(period)));
    }

    fn log(&self, level: log::Level, message: &str, fields: &[(&str, &str)]) {
        log::write(level, message, fields);
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
