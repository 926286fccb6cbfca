//! The outside of a plugin under test: HTTP with scripted answers, streams and
//! clients that a case describes, and ears for commands and log lines.

use std::sync::Arc;

use parking_lot::Mutex;

use super::cases::Exchange;
use super::cases::facts::{fact, recording, text, values};
use super::cases::pattern::{Fact, Got, Pattern};
use crate::plugin::{
    Clock, Doubles, HttpDouble, HttpFailure, HttpRequest, HttpResponse, Level, LogDouble, Services,
};
use crate::policy::{
    Ambiguous, Awaited, Client, ControlError, MediaControl, Order, StreamInfo, StreamRegistry,
    Target, check_amf0, names,
};

/// More commands or lines than this are not kept.
const MAX_KEPT: usize = 10_000;

/// One application's outside.
#[derive(Debug, Default)]
pub(super) struct Stage {
    scene: Mutex<Scene>,
}

#[derive(Debug, Default)]
struct Scene {
    streams: Vec<StreamInfo>,
    clients: Vec<Client>,
    /// Taken out when used.
    script: Vec<(Pattern, Result<HttpResponse, HttpFailure>)>,
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
    /// As [`crate::plugin::Trial`] takes it, with a clock.
    pub(super) fn parts(self: &Arc<Self>, clock: &Clock) -> (Services, Doubles) {
        let services = Services {
            registry: Arc::clone(self) as Arc<dyn StreamRegistry>,
            control: Arc::clone(self) as Arc<dyn MediaControl>,
        };
        let doubles = Doubles {
            clock: clock.clone(),
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

    /// The answers to the requests that follow.
    pub(super) fn script(&self, exchanges: &[Exchange]) {
        let exchanges = exchanges.iter();
        let script = exchanges.map(|e| (e.request.clone(), e.answer.clone()));
        self.scene.lock().script = script.collect();
    }

    /// What was seen since the last call, and the requests that were not made.
    pub(super) fn take(&self) -> (Seen, Vec<Pattern>) {
        let mut scene = self.scene.lock();
        let missing = scene.script.drain(..).map(|(request, _)| request).collect();
        (std::mem::take(&mut scene.seen), missing)
    }
}

impl HttpDouble for Stage {
    fn answer(&self, request: HttpRequest) -> Result<HttpResponse, HttpFailure> {
        let request = Fact::of_request(&request);
        let mut scene = self.scene.lock();
        let found = scene
            .script
            .iter()
            .position(|(wanted, _)| wanted.matches(&request));
        if let Some(index) = found {
            return scene.script.remove(index).1;
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

/// What a case calls the stream of an order: its path, or its number.
fn target(stream: &Target) -> (&'static str, Got) {
    match stream {
        Target::Path(path) => ("name", text(path)),
        Target::Id(id) => ("id", Got::Number(*id)),
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
        match order {
            Order::SendData { amf0, .. } => check_amf0(amf0),
            _ => Ok(()),
        }
    }

    fn carry_out(&self, _: &str, order: Order) {
        let (variant, fields) = match &order {
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
        };
        let commands = &mut self.scene.lock().seen.commands;
        if commands.len() < MAX_KEPT {
            commands.push(fact(variant, fields));
        }
    }
}
