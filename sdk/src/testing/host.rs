//! The mock host.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use crate::control::ControlError;
use crate::http_client::{HttpError, Request, Response};
use crate::kv::{Entry, KvError};
use crate::log::Level;
use crate::registry::Awaited;
use crate::{Client, ConnId, Recording, StreamId, StreamInfo};

/// 2026-01-01 00:00 UTC, since 1970.
const START: Duration = Duration::from_secs(1_767_225_600);
/// As long as a decision may take in a server that does not say otherwise.
const DECISION: Duration = Duration::from_secs(3);
/// Bytes of a key, of the state and of a timer, and of a value.
const MAX_KEY: usize = 512;
const MAX_VALUE: usize = 1 << 20;
/// A timer that repeats does so no faster.
const MIN_PERIOD: Duration = Duration::from_millis(10);
/// As many timers as an application may have by default.
const MAX_TIMERS: usize = 1024;
/// Entries of a list.
const MAX_FOUND: u32 = 10_000;
/// Bytes of a handler, and of the values behind it.
const MAX_HANDLER: usize = 255;
const MAX_DATA: usize = 256 << 10;

thread_local! {
    static HOST: RefCell<Option<Rc<State>>> = const { RefCell::new(None) };
}

/// A host for the policies of this thread, until it is dropped. Its clock
/// stands at 2026-01-01 00:00 UTC until [`MockHost::advance`].
#[derive(Debug)]
pub struct MockHost(Rc<State>);

/// A command of [`crate::control`]; a `name` is the stream's path.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Command {
    Disconnect {
        conn: ConnId,
        reason: String,
    },
    StopStream {
        name: String,
        reason: String,
    },
    StopStreamId {
        id: StreamId,
        reason: String,
    },
    StartRecord {
        name: String,
        spec: Recording,
    },
    StopRecord {
        name: String,
    },
    StartForward {
        name: String,
        url: String,
    },
    StopForward {
        name: String,
        url: String,
    },
    SendData {
        name: String,
        handler: String,
        amf0: Vec<u8>,
    },
    StartForwardId {
        id: StreamId,
        url: String,
    },
    StopForwardId {
        id: StreamId,
        url: String,
    },
    SendDataId {
        id: StreamId,
        handler: String,
        amf0: Vec<u8>,
    },
}

/// A line of [`crate::log`].
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Its level.
    pub level: Level,
    /// Its text.
    pub message: String,
    /// Its fields.
    pub fields: Vec<(String, String)>,
}

type Handler = Box<dyn FnMut(&Request) -> Result<Response, HttpError>>;

#[derive(Default)]
pub(crate) struct State {
    passed: Cell<Duration>,
    kv: RefCell<BTreeMap<String, Stored>>,
    version: Cell<u64>,
    kv_fails: RefCell<Option<KvError>>,
    timers: RefCell<BTreeMap<String, Timer>>,
    streams: RefCell<Vec<StreamInfo>>,
    awaited: RefCell<Vec<Awaited>>,
    clients: RefCell<Vec<Client>>,
    /// Each with the time that it takes.
    answers: RefCell<VecDeque<(Duration, Result<Response, HttpError>)>>,
    handler: RefCell<Option<Handler>>,
    requests: RefCell<Vec<Request>>,
    commands: RefCell<Vec<Command>>,
    control_fails: RefCell<Option<ControlError>>,
    lines: RefCell<Vec<Line>>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("kv", &self.kv)
            .field("timers", &self.timers)
            .field("commands", &self.commands)
            .field("lines", &self.lines)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Stored {
    value: Vec<u8>,
    version: u64,
    expires: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
struct Timer {
    due: Duration,
    every: Option<Duration>,
}

/// Runs `f` with the host of this thread.
pub(crate) fn with<R>(f: impl FnOnce(&State) -> R) -> R {
    try_with(f).expect(
        "the policy asks its host, and there is none: keep a livehost_sdk::testing::MockHost \
         for the length of the test",
    )
}

/// Like [`with`]; none without a host.
pub(crate) fn try_with<R>(f: impl FnOnce(&State) -> R) -> Option<R> {
    let host = HOST.with(|host| host.borrow().clone());
    host.map(|host| f(&host))
}

impl Default for MockHost {
    fn default() -> Self {
        Self::new()
    }
}

impl MockHost {
    /// The host of this thread from now on.
    ///
    /// # Panics
    /// When this thread has one.
    pub fn new() -> Self {
        let state = Rc::new(State::default());
        HOST.with(|host| {
            let old = host.replace(Some(Rc::clone(&state)));
            assert!(old.is_none(), "this thread has a MockHost already");
        });
        Self(state)
    }

    /// Lets time pass, and says which timers fired, in order: call `on_timer`
    /// with each.
    pub fn advance(&self, time: Duration) -> Vec<String> {
        let end = self.0.passed.get() + time;
        let mut fired = Vec::new();
        while let Some((key, timer)) = self.0.next_timer(end) {
            self.0.passed.set(timer.due.max(self.0.passed.get()));
            let mut timers = self.0.timers.borrow_mut();
            match timer.every {
                Some(every) => {
                    let due = timer.due + every;
                    timers.insert(key.clone(), Timer { due, ..timer });
                }
                None => {
                    timers.remove(&key);
                }
            }
            fired.push(key);
        }
        self.0.passed.set(end);
        fired
    }

    /// Sets a value of the state, for good.
    pub fn set_kv(&self, key: &str, value: impl AsRef<[u8]>) {
        self.0.store(key, value.as_ref(), None);
    }

    /// A value of the state, as text.
    pub fn kv(&self, key: &str) -> Option<String> {
        let entry = self.0.kv_get(key)?;
        Some(String::from_utf8_lossy(&entry.value).into_owned())
    }

    /// Every change of the state fails from now on; with `None` it works again.
    pub fn fail_kv(&self, error: Option<KvError>) {
        self.0.kv_fails.replace(error);
    }

    /// The keys of the timers, in order.
    pub fn timers(&self) -> Vec<String> {
        self.0.timers.borrow().keys().cloned().collect()
    }

    /// Makes a stream live; see [`super::stream`]. As soon as there is one, commands
    /// for others are for something unknown.
    pub fn add_stream(&self, info: StreamInfo) {
        self.0.streams.borrow_mut().push(info);
    }

    /// Ends the stream of this path.
    pub fn remove_stream(&self, path: &str) {
        let mut streams = self.0.streams.borrow_mut();
        streams.retain(|info| info.path() != path);
    }

    /// Adds a stream that nobody publishes: `players` wait for it, or it is `held`.
    pub fn add_awaited(&self, path: &str, players: u32, held: bool) {
        let (instance, name) = super::requests::place(path);
        self.0.awaited.borrow_mut().push(Awaited {
            path: path.to_owned(),
            instance,
            name,
            players,
            held,
        });
    }

    /// Adds an accepted connection; see [`super::client`]. As soon as there is one,
    /// commands for others are for something unknown.
    pub fn add_client(&self, client: Client) {
        self.0.clients.borrow_mut().push(client);
    }

    /// The answer to the next HTTP request that has none yet.
    pub fn answer_http(&self, status: u16, body: impl Into<Vec<u8>>) {
        self.answer_http_after(Duration::ZERO, status, body);
    }

    /// The same, after this time of the mock's clock. The request fails with
    /// [`HttpError::Timeout`] if it does not wait so long; without a
    /// `timeout_ms` it waits for 3 s, as long as a server's decision may take.
    pub fn answer_http_after(&self, delay: Duration, status: u16, body: impl Into<Vec<u8>>) {
        let response = Response {
            status,
            headers: Vec::new(),
            body: body.into(),
        };
        let mut answers = self.0.answers.borrow_mut();
        answers.push_back((delay, Ok(response)));
    }

    /// The next HTTP request that has no answer yet fails.
    pub fn fail_http(&self, error: HttpError) {
        let mut answers = self.0.answers.borrow_mut();
        answers.push_back((Duration::ZERO, Err(error)));
    }

    /// Answers every HTTP request that has no answer yet.
    pub fn on_http(&self, handler: impl FnMut(&Request) -> Result<Response, HttpError> + 'static) {
        self.0.handler.replace(Some(Box::new(handler)));
    }

    /// The HTTP requests since the last call.
    pub fn http_requests(&self) -> Vec<Request> {
        self.0.requests.take()
    }

    /// Every command of [`crate::control`] fails from now on; with `None` they
    /// succeed again.
    pub fn fail_control(&self, error: Option<ControlError>) {
        self.0.control_fails.replace(error);
    }

    /// The commands since the last call, also those that failed.
    pub fn commands(&self) -> Vec<Command> {
        self.0.commands.take()
    }

    /// The lines of the log since the last call.
    pub fn log(&self) -> Vec<Line> {
        self.0.lines.take()
    }
}

impl Drop for MockHost {
    fn drop(&mut self) {
        HOST.with(|host| host.replace(None));
    }
}

/// What the modules of the interface ask.
impl State {
    pub(crate) fn unix(&self) -> Duration {
        START + self.passed.get()
    }

    pub(crate) fn kv_get(&self, key: &str) -> Option<Entry> {
        if !self.is_key("nothing was looked up in kv", key) {
            return None;
        }
        let kv = self.kv.borrow();
        let stored = kv.get(key)?;
        let live = stored.expires.is_none_or(|end| end > self.passed.get());
        live.then(|| Entry {
            value: stored.value.clone(),
            version: stored.version,
        })
    }

    pub(crate) fn kv_put(
        &self,
        key: &str,
        value: &[u8],
        ttl_ms: Option<u64>,
    ) -> Result<u64, KvError> {
        self.working()?;
        if key.len() > MAX_KEY || value.len() > MAX_VALUE {
            return Err(KvError::TooLarge);
        }
        let expires = ttl_ms.map(|ttl| self.passed.get() + Duration::from_millis(ttl));
        Ok(self.store(key, value, expires))
    }

    pub(crate) fn kv_incr(&self, key: &str, by: i64, ttl_ms: Option<u64>) -> Result<i64, KvError> {
        self.working()?;
        let Some(entry) = self.kv_get(key) else {
            self.kv_put(key, by.to_string().as_bytes(), ttl_ms)?;
            return Ok(by);
        };
        let unavailable = |reason: &str| KvError::Unavailable(reason.into());
        let text = String::from_utf8_lossy(&entry.value);
        let number: i64 = text
            .parse()
            .map_err(|_| unavailable("the value is not a counter"))?;
        let number = number
            .checked_add(by)
            .ok_or_else(|| unavailable("the counter would overflow"))?;
        let expires = self.kv.borrow().get(key).and_then(|stored| stored.expires);
        self.store(key, number.to_string().as_bytes(), expires);
        Ok(number)
    }

    pub(crate) fn kv_delete(&self, key: &str) {
        if self.is_key("nothing was looked up in kv", key) {
            self.kv.borrow_mut().remove(key);
        }
    }

    pub(crate) fn kv_list(&self, prefix: &str, after: Option<&str>, limit: u32) -> Vec<String> {
        let kv = self.kv.borrow();
        let keys = kv.iter().filter(|(key, stored)| {
            let live = stored.expires.is_none_or(|end| end > self.passed.get());
            live && key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after)
        });
        let keys = keys.map(|(key, _)| key.clone());
        keys.take(limit.min(MAX_FOUND) as usize).collect()
    }

    /// Whether `key` can be one; if not, the log says what did not happen.
    fn is_key(&self, otherwise: &str, key: &str) -> bool {
        let (fits, found) = (key.len() <= MAX_KEY, key.len());
        if !fits {
            self.warn(&format!(
                "{otherwise}: expected a key of at most {MAX_KEY} bytes, found {found}"
            ));
        }
        fits
    }

    fn warn(&self, message: &str) {
        self.line(Level::Warn, message, &[]);
    }

    fn working(&self) -> Result<(), KvError> {
        self.kv_fails.borrow().clone().map_or(Ok(()), Err)
    }

    fn store(&self, key: &str, value: &[u8], expires: Option<Duration>) -> u64 {
        let version = self.version.get() + 1;
        self.version.set(version);
        let stored = Stored {
            value: value.to_vec(),
            version,
            expires,
        };
        self.kv.borrow_mut().insert(key.to_owned(), stored);
        version
    }

    pub(crate) fn timer(&self, key: &str, delay_ms: u64, every_ms: Option<u64>) {
        if !self.is_key("a timer was not set", key) {
            return;
        }
        let timers = self.timers.borrow().len();
        if timers >= MAX_TIMERS && !self.timers.borrow().contains_key(key) {
            return self.warn(&format!(
                "a timer was not set: the application has {timers} timers, the most it may have"
            ));
        }
        let due = self.passed.get() + Duration::from_millis(delay_ms);
        let every = every_ms.map(|every| Duration::from_millis(every).max(MIN_PERIOD));
        let timer = Timer { due, every };
        self.timers.borrow_mut().insert(key.to_owned(), timer);
    }

    pub(crate) fn cancel(&self, key: &str) {
        if self.is_key("no timer was cancelled", key) {
            self.timers.borrow_mut().remove(key);
        }
    }

    /// The first timer that is due at `end`.
    fn next_timer(&self, end: Duration) -> Option<(String, Timer)> {
        let timers = self.timers.borrow();
        let due = timers.iter().filter(|(_, timer)| timer.due <= end);
        let (key, timer) = due.min_by_key(|(_, timer)| timer.due)?;
        Some((key.clone(), *timer))
    }

    pub(crate) fn streams(&self, prefix: &str) -> Vec<StreamInfo> {
        let mut found = self.streams.borrow().clone();
        found.retain(|info| info.path().starts_with(prefix));
        found.sort_by_key(StreamInfo::path);
        found
    }

    pub(crate) fn awaited(&self, prefix: &str) -> Vec<Awaited> {
        let mut found = self.awaited.borrow().clone();
        found.retain(|awaited| awaited.path.starts_with(prefix));
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }

    /// The stream that is called `path`, as the host finds it.
    pub(crate) fn stream(&self, path: &str) -> Option<StreamInfo> {
        let (instance, name) = super::requests::place(path);
        let streams = self.streams.borrow();
        let exact = |info: &&StreamInfo| info.instance == instance && info.name == name;
        if let Some(info) = streams.iter().find(exact) {
            return Some(info.clone());
        }
        if instance.is_some() {
            return None;
        }
        let of_name = || streams.iter().filter(|info| info.name == name);
        if of_name().count() > 1 {
            let mut paths: Vec<_> = of_name().map(StreamInfo::path).collect();
            paths.sort_unstable();
            let paths = paths.join(", ");
            self.warn(&format!(
                "expected the path of one stream, found {name:?}, which is the name of {}: {paths}",
                of_name().count()
            ));
            return None;
        }
        of_name().next().cloned()
    }

    /// The path of the stream that a command is for.
    pub(crate) fn target(&self, path: &str) -> Result<String, ControlError> {
        if self.streams.borrow().is_empty() {
            return Ok(path.to_owned());
        }
        let found = self.stream(path).ok_or(ControlError::NotFound)?;
        Ok(found.path())
    }

    pub(crate) fn target_id(&self, id: StreamId) -> Result<(), ControlError> {
        let streams = self.streams.borrow();
        match streams.is_empty() || streams.iter().any(|info| info.id == id) {
            true => Ok(()),
            false => Err(ControlError::NotFound),
        }
    }

    pub(crate) fn connected(&self, conn: ConnId) -> Result<(), ControlError> {
        let clients = self.clients.borrow();
        match clients.is_empty() || clients.iter().any(|client| client.conn == conn) {
            true => Ok(()),
            false => Err(ControlError::NotFound),
        }
    }

    pub(crate) fn check_data(&self, handler: &str, amf0: &[u8]) -> Result<(), ControlError> {
        if handler.len() > MAX_HANDLER || amf0.len() > MAX_DATA {
            self.warn(&format!(
                "data was not sent: expected at most {MAX_HANDLER} bytes of handler and \
                 {MAX_DATA} of amf0, found {} and {}",
                handler.len(),
                amf0.len()
            ));
            return Err(ControlError::Denied);
        }
        if !super::amf0::is_values(amf0) {
            self.warn("data was not sent: expected AMF0 values");
            return Err(ControlError::Denied);
        }
        Ok(())
    }

    pub(crate) fn clients(&self) -> Vec<Client> {
        self.clients.borrow().clone()
    }

    pub(crate) fn http(&self, request: &Request) -> Result<Response, HttpError> {
        self.requests.borrow_mut().push(request.clone());
        let answer = self.answers.borrow_mut().pop_front();
        if let Some((delay, answer)) = answer {
            let patience = match request.timeout_ms {
                0 => DECISION,
                own => Duration::from_millis(own.into()),
            };
            self.passed.set(self.passed.get() + delay.min(patience));
            return if delay > patience {
                Err(HttpError::Timeout)
            } else {
                answer
            };
        }
        match self.handler.borrow_mut().as_mut() {
            Some(handler) => handler(request),
            None => Err(HttpError::Connect("the test has no answer to this".into())),
        }
    }

    pub(crate) fn command(&self, command: Command) -> Result<(), ControlError> {
        self.commands.borrow_mut().push(command);
        self.control_fails.borrow().map_or(Ok(()), Err)
    }

    pub(crate) fn line(&self, level: Level, message: &str, fields: &[(&str, &str)]) {
        let fields = fields.iter();
        self.lines.borrow_mut().push(Line {
            level,
            message: message.to_owned(),
            fields: fields
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        });
    }
}
