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
    Client, ConnId, ControlError, MediaControl, Recording, StreamInfo, StreamRegistry,
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

    fn command(
        &self,
        variant: &'static str,
        fields: Vec<(&'static str, Got)>,
    ) -> Result<(), ControlError> {
        let commands = &mut self.scene.lock().seen.commands;
        if commands.len() < MAX_KEPT {
            commands.push(fact(variant, fields));
        }
        Ok(())
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
    fn get(&self, _: &str, name: &str) -> Option<StreamInfo> {
        let scene = self.scene.lock();
        scene
            .streams
            .iter()
            .find(|info| full_name(info) == name)
            .cloned()
    }

    fn find(&self, _: &str, prefix: &str, limit: usize) -> Vec<StreamInfo> {
        let mut found = self.scene.lock().streams.clone();
        found.retain(|info| full_name(info).starts_with(prefix));
        found.sort_by_key(full_name);
        found.truncate(limit);
        found
    }

    fn count(&self, app: &str, prefix: &str) -> usize {
        self.find(app, prefix, usize::MAX).len()
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
fn full_name(info: &StreamInfo) -> String {
    match &info.instance {
        Some(instance) => format!("{instance}/{}", info.name),
        None => info.name.clone(),
    }
}

impl MediaControl for Stage {
    fn may_record(&self) -> bool {
        true
    }

    fn may_forward(&self, _: &str, _: &str) -> bool {
        true
    }

    fn disconnect(&self, _: &str, conn: ConnId, reason: &str) -> Result<(), ControlError> {
        let fields = vec![("conn", Got::Number(conn)), ("reason", text(reason))];
        self.command("Disconnect", fields)
    }

    fn stop_stream(&self, _: &str, name: &str, reason: &str) -> Result<(), ControlError> {
        self.command(
            "StopStream",
            vec![("name", text(name)), ("reason", text(reason))],
        )
    }

    fn start_record(&self, _: &str, name: &str, spec: Recording) -> Result<(), ControlError> {
        let fields = vec![("name", text(name)), ("spec", recording(&spec))];
        self.command("StartRecord", fields)
    }

    fn stop_record(&self, _: &str, name: &str) -> Result<(), ControlError> {
        self.command("StopRecord", vec![("name", text(name))])
    }

    fn start_forward(&self, _: &str, name: &str, url: &str) -> Result<(), ControlError> {
        self.command(
            "StartForward",
            vec![("name", text(name)), ("url", text(url))],
        )
    }

    fn stop_forward(&self, _: &str, name: &str, url: &str) -> Result<(), ControlError> {
        self.command(
            "StopForward",
            vec![("name", text(name)), ("url", text(url))],
        )
    }

    fn send_data(
        &self,
        _: &str,
        name: &str,
        handler: &str,
        amf0: &[u8],
    ) -> Result<(), ControlError> {
        let fields = vec![
            ("name", text(name)),
            ("handler", text(handler)),
            ("values", values(amf0)),
        ];
        self.command("SendData", fields)
    }
}
