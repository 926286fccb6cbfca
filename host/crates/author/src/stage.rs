//! The outside of a plugin under test: HTTP with scripted answers, streams and
//! clients that a case describes, and ears for commands and log lines.

use std::collections::BTreeSet;
use std::sync::Arc;

use livehost_plugin::{
    Clock, Doubles, HttpDouble, HttpFailure, HttpRequest, HttpResponse, Level, LogDouble,
    PluginLimits, Services,
};
use livehost_policy::{
    Ambiguous, Awaited, Client, ConnId, ControlError, MediaControl, Order, StreamInfo, StreamRef,
    StreamRegistry, check_amf0, names,
};
use parking_lot::Mutex;

use super::cases::facts::{fact, recording, text, values};
use super::cases::pattern::{Fact, Got, TextPattern};
use super::cases::{CaseCommand, Exchange, Outside};

/// More commands or lines than this are not kept.
const MAX_KEPT: usize = 10_000;

/// One application's outside.
#[derive(Debug)]
pub(super) struct Stage {
    scene: Mutex<Scene>,
    clock: Clock,
}

#[derive(Debug, Default)]
struct Scene {
    streams: Vec<StreamInfo>,
    clients: Vec<Client>,
    /// The paths of streams that the plugin was told of when it granted them.
    granted: BTreeSet<String>,
    /// Taken out when used.
    script: Vec<Exchange>,
    /// What commands come to, in the order in which they are given.
    orders: Vec<CaseCommand>,
    seen: Seen,
}

/// What the plugin did to the outside.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// HTTP requests that no scripted one matches.
    pub(super) unexpected: Vec<Fact>,
    pub(super) commands: Vec<Fact>,
    pub(super) lines: Vec<Fact>,
}

impl Stage {
    /// Nothing is there, at the time of `clock`.
    pub(super) fn new(clock: &Clock) -> Arc<Self> {
        Arc::new(Self {
            scene: Mutex::default(),
            clock: clock.clone(),
        })
    }

    /// As [`livehost_plugin::Trial`] takes it.
    pub(super) fn parts(self: &Arc<Self>) -> (Services, Doubles) {
        let services = Services {
            registry: Arc::clone(self) as Arc<dyn StreamRegistry>,
            control: Arc::clone(self) as Arc<dyn MediaControl>,
        };
        let doubles = Doubles {
            clock: self.clock.clone(),
            http: Some(Arc::clone(self) as Arc<dyn HttpDouble>),
            log: Some(Arc::clone(self) as Arc<dyn LogDouble>),
        };
        (services, doubles)
    }

    /// Other streams and clients; everything else begins anew.
    pub(super) fn set(&self, streams: &[StreamInfo], clients: &[Client]) {
        *self.scene.lock() = Scene {
            streams: streams.to_vec(),
            clients: clients.to_vec(),
            ..Scene::default()
        };
    }

    /// The answers to the requests and commands that follow.
    pub(super) fn script(&self, outside: &Outside) {
        let mut scene = self.scene.lock();
        scene.script.clone_from(&outside.http);
        scene.orders = outside.control.clone().unwrap_or_default();
    }

    /// The stream with this path, if it is live.
    pub(super) fn stream(&self, path: &str) -> Option<StreamInfo> {
        let scene = self.scene.lock();
        let mut streams = scene.streams.iter();
        streams.find(|info| full_name(info) == path).cloned()
    }

    /// The plugin hears of a stream because it granted it.
    pub(super) fn granted(&self, path: String) {
        self.scene.lock().granted.insert(path);
    }

    /// Whether the plugin has heard of a stream so, and it is still live.
    pub(super) fn was_granted(&self, path: &str) -> bool {
        self.scene.lock().granted.contains(path)
    }

    /// The streams of a connection.
    pub(super) fn streams_of(&self, conn: ConnId) -> Vec<StreamInfo> {
        let scene = self.scene.lock();
        let streams = scene.streams.iter();
        let of_conn = streams.filter(|info| info.publisher.conn == conn);
        of_conn.cloned().collect()
    }

    /// A stream is live from now on, as it is here; a number that is taken
    /// becomes the next one that is free.
    pub(super) fn enter(&self, mut info: StreamInfo) -> StreamInfo {
        let mut scene = self.scene.lock();
        let path = full_name(&info);
        scene.streams.retain(|other| full_name(other) != path);
        while scene.streams.iter().any(|other| other.id == info.id) {
            info.id = info.id.saturating_add(1);
        }
        scene.streams.push(info.clone());
        info
    }

    /// A stream is live no more.
    pub(super) fn leave(&self, path: &str) {
        let mut scene = self.scene.lock();
        scene.streams.retain(|info| full_name(info) != path);
        scene.granted.remove(path);
    }

    /// A client was accepted.
    pub(super) fn enter_client(&self, client: Client) {
        let mut scene = self.scene.lock();
        scene.clients.retain(|other| other.conn != client.conn);
        scene.clients.push(client);
    }

    /// A client has left.
    pub(super) fn leave_client(&self, conn: ConnId) {
        self.scene
            .lock()
            .clients
            .retain(|client| client.conn != conn);
    }

    /// What was seen since the last call, and the requests that were not made.
    pub(super) fn take(&self) -> (Seen, Vec<TextPattern>) {
        let mut scene = self.scene.lock();
        let missing = scene.script.drain(..).map(|made| made.request).collect();
        (std::mem::take(&mut scene.seen), missing)
    }

    fn command(
        &self,
        variant: &'static str,
        fields: Vec<(&'static str, Got)>,
    ) -> Result<(), ControlError> {
        let mut scene = self.scene.lock();
        let command = fact(variant, fields);
        let order = scene.orders.get(scene.seen.commands.len());
        let result = match order {
            Some(order) if order.pattern.matches(&command) => order.result.clone(),
            _ => Ok(()),
        };
        if scene.seen.commands.len() < MAX_KEPT {
            scene.seen.commands.push(command);
        }
        result
    }
}

impl HttpDouble for Stage {
    fn answer(&self, request: HttpRequest) -> Result<HttpResponse, HttpFailure> {
        // A hook may take so long in a server.
        let timeout = request.timeout.unwrap_or(PluginLimits::default().wall);
        let request = Fact::of_request(&request);
        let mut scene = self.scene.lock();
        let mut script = scene.script.iter();
        let found = script.position(|made| made.request.matches(&request));
        if let Some(index) = found {
            let made = scene.script.remove(index);
            self.clock.advance(made.after.min(timeout));
            if made.after > timeout {
                return Err(HttpFailure::Timeout);
            }
            return made.answer;
        }
        if scene.seen.unexpected.len() < MAX_KEPT {
            scene.seen.unexpected.push(request);
        }
        let reason = "the case has no answer to this request";
        Err(HttpFailure::Connect(reason.to_owned()))
    }
}

impl LogDouble for Stage {
    fn line(&self, level: Level, message: &str, fields: &[(String, String)]) {
        let lines = &mut self.scene.lock().seen.lines;
        if lines.len() < MAX_KEPT {
            lines.push(Fact::of_line(level, message, fields));
        }
    }
}

impl StreamRegistry for Stage {
    fn resolve(&self, _: &str, path: &str) -> Result<String, Ambiguous> {
        let scene = self.scene.lock();
        let of_name = scene.streams.iter().filter(|info| info.name == path);
        names::meant(path, of_name.map(StreamInfo::path))
    }

    fn get(&self, _: &str, path: &str) -> Option<StreamInfo> {
        let (instance, name) = names::split(path);
        let scene = self.scene.lock();
        let mut streams = scene.streams.iter();
        let found = streams.find(|info| info.instance == instance && info.name == name);
        found.cloned()
    }

    fn find(&self, _: &str, prefix: &str, limit: usize) -> Vec<StreamInfo> {
        let mut found = self.scene.lock().streams.clone();
        found.retain(|info| info.path().starts_with(prefix));
        found.sort_by_key(StreamInfo::path);
        found.truncate(limit);
        found
    }

    fn count(&self, app: &str, prefix: &str) -> usize {
        self.find(app, prefix, usize::MAX).len()
    }

    fn awaited(&self, _: &str, _: &str, _: usize) -> Vec<Awaited> {
        Vec::new()
    }

    fn clients(&self, _: &str, limit: usize) -> Vec<Client> {
        self.scene
            .lock()
            .clients
            .iter()
            .take(limit)
            .cloned()
            .collect()
    }
}

/// As the registry names streams of an application instance.
pub(super) fn full_name(info: &StreamInfo) -> String {
    info.path()
}

/// What a case calls the stream of an order: its path, or its number.
fn target(stream: &StreamRef) -> (&'static str, Got) {
    match stream {
        StreamRef::Path(path) => ("name", text(path)),
        StreamRef::Id(id) => ("id", Got::Number(*id)),
    }
}

impl MediaControl for Stage {
    fn may_record(&self) -> bool {
        true
    }

    fn may_forward(&self, _: &str, _: &str) -> bool {
        true
    }

    fn check(&self, _: &str, order: &Order) -> Result<(), ControlError> {
        if let Order::SendData { amf0, .. } = order {
            check_amf0(amf0)?;
        }
        let (variant, fields) = told(order);
        self.command(variant, fields)
    }

    /// It was seen when it was given.
    fn carry_out(&self, _: &str, _: Order) {}
}

/// An order as cases write it.
fn told(order: &Order) -> (&'static str, Vec<(&'static str, Got)>) {
    match order {
        Order::Disconnect { conn, reason } => (
            "Disconnect",
            vec![("conn", Got::Number(*conn)), ("reason", text(reason))],
        ),
        Order::StopStream { stream, reason } => {
            ("StopStream", vec![target(stream), ("reason", text(reason))])
        }
        Order::StartRecord { stream, spec } => (
            "StartRecord",
            vec![target(stream), ("spec", recording(spec))],
        ),
        Order::StopRecord { stream } => ("StopRecord", vec![target(stream)]),
        Order::StartForward { stream, url } => {
            ("StartForward", vec![target(stream), ("url", text(url))])
        }
        Order::StopForward { stream, url } => {
            ("StopForward", vec![target(stream), ("url", text(url))])
        }
        Order::SendData {
            stream,
            handler,
            amf0,
        } => (
            "SendData",
            vec![
                target(stream),
                ("handler", text(handler)),
                ("values", values(amf0)),
            ],
        ),
    }
}
