//! For native tests: a scripted host, and requests as a session makes them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use livehost_sdk::http_client::{HttpError, Request, Response};
use livehost_sdk::{Client, ConnectRequest, Pairs, SessionEnd, StreamInfo, StreamRequest, log};

use crate::outside::Outside;

/// A host whose clock stands and whose HTTP answers are given beforehand.
#[derive(Debug, Default)]
pub struct Script {
    now: Cell<Duration>,
    answers: RefCell<VecDeque<Result<Response, HttpError>>>,
    requests: RefCell<Vec<Request>>,
    state: RefCell<BTreeMap<String, (Vec<u8>, Duration)>>,
    timers: RefCell<Vec<(String, Duration)>>,
    lines: RefCell<Vec<String>>,
}

impl Script {
    /// At `now` seconds after 1970.
    pub fn at(now: u64) -> Rc<Self> {
        let script = Self::default();
        script.now.set(Duration::from_secs(now));
        Rc::new(script)
    }

    /// Moves the clock.
    pub fn pass(&self, time: Duration) {
        self.now.set(self.now.get() + time);
    }

    /// The answer to the next request that has none yet.
    pub fn answer(&self, status: u16, headers: &[(&str, &str)], body: &str) {
        self.answers.borrow_mut().push_back(Ok(Response {
            status,
            headers: pairs(headers),
            body: body.as_bytes().to_vec(),
        }));
    }

    /// The next request that has no answer yet fails.
    pub fn fail(&self, error: HttpError) {
        self.answers.borrow_mut().push_back(Err(error));
    }

    /// The requests since the last call.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.take()
    }

    /// The timers since the last call: key and period.
    pub fn timers(&self) -> Vec<(String, Duration)> {
        self.timers.take()
    }

    /// All lines of the log.
    pub fn log(&self) -> String {
        self.lines.borrow().join("\n")
    }

    /// All keys and values of the state, expired ones too.
    pub fn state(&self) -> String {
        format!("{:?}", self.state.borrow())
    }

    /// How many values the state holds.
    pub fn kept(&self) -> usize {
        self.state.borrow().len()
    }
}

impl Outside for Script {
    fn now(&self) -> Duration {
        self.now.get()
    }

    fn http(&self, request: &Request) -> Result<Response, HttpError> {
        self.requests.borrow_mut().push(request.clone());
        let answer = self.answers.borrow_mut().pop_front();
        answer.unwrap_or_else(|| Err(HttpError::Connect("no answer is scripted".into())))
    }

    fn get(&self, key: &str) -> Option<Vec<u8>> {
        let state = self.state.borrow();
        let (value, until) = state.get(key)?;
        (*until > self.now.get()).then(|| value.clone())
    }

    fn set(&self, key: &str, value: &[u8], ttl: Duration) {
        let until = self.now.get() + ttl;
        self.state
            .borrow_mut()
            .insert(key.to_owned(), (value.to_vec(), until));
    }

    fn claim(&self, key: &str, ttl: Duration) -> bool {
        let free = self.get(key).is_none();
        if free {
            self.set(key, &[], ttl);
        }
        free
    }

    fn delete(&self, key: &str) {
        self.state.borrow_mut().remove(key);
    }

    fn every(&self, key: &str, period: Duration) {
        self.timers.borrow_mut().push((key.to_owned(), period));
    }

    fn log(&self, level: log::Level, message: &str, fields: &[(&str, &str)]) {
        self.lines
            .borrow_mut()
            .push(format!("{level:?} {message} {fields:?}"));
    }
}

/// Owned pairs.
pub fn pairs(of: &[(&str, &str)]) -> Pairs {
    of.iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// Connection 7, over RTMP, from `remote` (`address:port`).
pub fn client(remote: &str) -> Client {
    Client {
        conn: 7,
        remote: remote.into(),
        protocol: "rtmp".into(),
        tls_name: None,
        attrs: Vec::new(),
    }
}

/// A connection from 203.0.113.7 to the application `live`.
pub fn connect(query: &[(&str, &str)]) -> ConnectRequest {
    ConnectRequest {
        client: client("203.0.113.7:51234"),
        local: "0.0.0.0:1935".into(),
        app: "live".into(),
        instance: None,
        query: pairs(query),
        tc_url: "rtmp://media.example/live".into(),
        flash_ver: "FMLE/3.0".into(),
        props: Vec::new(),
        extra: Vec::new(),
    }
}

/// A publish or play of `live/name` from 203.0.113.7.
pub fn stream(name: &str, query: &[(&str, &str)]) -> StreamRequest {
    StreamRequest {
        client: client("203.0.113.7:51234"),
        app: "live".into(),
        instance: None,
        name: name.into(),
        raw_name: name.into(),
        query: pairs(query),
        mode: "live".into(),
        start_seconds: None,
        extra: Vec::new(),
    }
}

/// A stream that [`stream`] published.
pub fn info(name: &str) -> StreamInfo {
    StreamInfo {
        id: 1,
        app: "live".into(),
        instance: None,
        name: name.into(),
        publisher: client("203.0.113.7:51234"),
        video: None,
        audio: None,
        started_unix_ms: 0,
        bytes_in: 0,
        idle_ms: 0,
        kbps: 0,
        players: 0,
        extra: Vec::new(),
    }
}

/// An end after 2 s, 100 bytes in and 200 out.
pub fn end(reason: &str) -> SessionEnd {
    SessionEnd {
        reason: reason.into(),
        duration_ms: 2000,
        bytes_in: 100,
        bytes_out: 200,
        frames_dropped: 0,
    }
}
