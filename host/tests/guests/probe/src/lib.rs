//! A test guest: behaves well or badly, as its configuration or one client's
//! query asks.
//!
//! Configuration: `{"mode": "accept"}`; a client overrides the mode for its own
//! decision with `mode=...` in the query. Modes are `accept`, `reject`,
//! `rename`, `version`, `tell-version`, `tell-extra`, `tell-props`, `tell-mode`,
//! `tell-client`, `later`, `hold`, `user`, which grants `user=...`, `sizes`, which
//! grants `chunk=...&window=...`, `attrs`, which
//! grants an attribute of `bytes=...`, those made of a fault and a hook
//! (`panic-on-connect`, `loop-on-publish`, `alloc-on-play`, `sleep-on-start`,
//! ...), `log-in` and `nobody-logs-in`, `refuse-configure`, `refuse-start`,
//! `ask-on-start`, `refuse-trial`, `publish-no-trial` and `record`,
//! `tell`, which answers with a field of the question (`of=...`), `limited` and
//! `impatient`, which grant little time, `do`, which answers a connect with what the command of `do=...&args=...` returned.
//! A timer whose key is `do:COMMAND~ARG~ARG` runs that command, too.
//!
//! The bytes behind `MARKER` are the version: tests patch the digits in the
//! compiled file and so get a new version without a compiler.

mod commands;
#[cfg(target_arch = "wasm32")]
mod wasi_http;

use std::hint::black_box;
use std::time::Duration;

use livehost_sdk::{
    App, Authenticate, Challenge, Client, ConnectDecision, ConnectRequest, Credential, Handoff,
    ObjectDecision, ObjectRequest, Operation, PlayDecision, Property, PublishDecision,
    PublishGrant, Rejection, Relay, RelayFailure, Relays, SessionEnd, ShareObjects, StartReason,
    StopReason, StreamInfo, StreamRequest, accept, amf0, control, deny, kv, log,
};

/// The digits are patched by tests.
#[used]
static MARKER: [u8; 29] = *b"LIVEHOST-PROBE-VERSION=000000";

/// The marker's six digits, read so that the compiler can't know them.
fn version() -> String {
    MARKER
        .iter()
        .skip(23)
        // SAFETY: the pointer comes from a reference; volatile only keeps the
        // compiler from folding the value.
        .map(|byte| char::from(unsafe { std::ptr::read_volatile(byte) }))
        .collect()
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    mode: String,
    /// Makes a configuration another one; the URL that `ask-on-start` asks.
    note: String,
}

struct Probe {
    mode: String,
    note: String,
}

/// Writes `line` to the log, and sends it as data to a stream named `probe`:
/// a test without a log to read records that command.
fn tell(line: &str) {
    log::info(line);
    let _ = control::send_data("probe", "tell", &amf0::text(line));
}

fn log_codecs(when: &str, info: &StreamInfo) {
    let none = || "none".to_owned();
    let video = info.video.clone().unwrap_or_else(none);
    let audio = info.audio.clone().unwrap_or_else(none);
    log::info(format!("{when}: {video} and {audio}"));
}

/// One field of a question.
fn told_of_connect(req: &ConnectRequest, field: &str) -> String {
    match field {
        "app" => format!("{} {:?}", req.app, req.instance),
        "local" => req.local.clone(),
        "client" => format!("{} {}", req.client.protocol, req.client.remote),
        "tc-url" => req.tc_url.clone(),
        "flash-ver" => req.flash_ver.clone(),
        "query" => format!("{:?}", req.query),
        "props" => format!("{:?}", req.props),
        _ => format!("{:?}", req.extra),
    }
}

fn told_of_stream(req: &StreamRequest) -> String {
    format!(
        "{} as {} by {} at {:?} in {:?} of {}, {:?}",
        req.name,
        req.raw_name,
        req.mode,
        req.start_seconds,
        req.instance,
        req.app,
        req.client.attrs
    )
}

/// Misbehaves when `mode` is `<fault>-on-<hook>`; `any` stands for everything
/// that is called while it serves.
fn misbehave(mode: &str, hook: &str) {
    const LIFE: [&str; 5] = ["configure", "start", "snapshot", "stop", "need"];
    let Some((fault, at)) = mode.split_once("-on-") else {
        return;
    };
    if at != hook && (at != "any" || LIFE.contains(&hook)) {
        return;
    }
    match fault {
        "panic" => panic!("asked to panic in {hook}"),
        "trap" => std::process::abort(),
        "exit" => std::process::exit(3),
        "loop" => loop {
            black_box(());
        },
        "alloc" => {
            let mut hoard = Vec::new();
            loop {
                hoard.push(black_box(vec![1_u8; 1 << 20]));
            }
        }
        "sleep" => std::thread::sleep(Duration::from_secs(600)),
        // Long enough to be seen running, shorter than any deadline.
        "doze" => std::thread::sleep(Duration::from_millis(300)),
        "tally" => {
            let _ = kv::incr("connects", 1, None);
        }
        "chatter" => {
            for line in 0..1000 {
                log::info(format!("chatter {line}"));
            }
        }
        _ => {}
    }
}

impl Probe {
    fn mode<'a>(&'a self, asked: Option<&'a str>) -> &'a str {
        asked.unwrap_or(&self.mode)
    }

    /// The rejection that a mode asks for.
    fn refusal(mode: &str, asked_version: Option<&str>) -> Option<Rejection> {
        let version = version();
        match mode {
            "reject" => Some(Rejection::new("asked to reject").code("Probe.Rejected")),
            "later" => Some(Rejection::new("come back").retry_after(Duration::from_millis(1500))),
            "version" if asked_version == Some(version.as_str()) => None,
            "version" | "tell-version" => Some(Rejection::new(format!("version {version}"))),
            "verbose" => Some(Rejection::new("x".repeat(100_000))),
            _ => None,
        }
    }
}

impl App for Probe {
    fn configure(config: &str) -> Result<Self, String> {
        let Config { mode, note } = livehost_sdk::parse_config(config)?;
        misbehave(&mode, "configure");
        if mode == "refuse-configure" {
            return Err("asked to refuse its configuration".into());
        }
        Ok(Self { mode, note })
    }

    fn on_connect(&self, req: &ConnectRequest) -> ConnectDecision {
        let mode = self.mode(req.param("mode"));
        misbehave(mode, "connect");
        if let ("do", Some(method)) = (mode, req.param("do")) {
            let done = commands::run(method, req.param("args").unwrap_or_default());
            return Rejection::new(done.unwrap_or_else(|error| error)).into();
        }
        if mode == "tell-client" {
            let who = &req.client;
            let name = who.tls_name.as_deref().unwrap_or("-");
            return Rejection::new(format!("{} {name} {}", who.protocol, who.remote)).into();
        }
        if mode == "tell" {
            return deny(told_of_connect(req, req.param("of").unwrap_or_default()));
        }
        match Self::refusal(mode, req.param("v")) {
            Some(rejection) => rejection.into(),
            None if mode == "refuse-trial" && req.is_trial() => deny("a trial"),
            None if mode == "limited" => livehost_sdk::ConnectGrant::default()
                .max_duration(Duration::from_secs(1))
                .into(),
            None if mode == "tell-extra" => deny(format!("{:?}", req.extra)),
            None if mode == "tell-props" => deny(format!("{:?}", req.props)),
            None if mode == "sizes" => {
                let size = |name| req.param(name).and_then(|size| size.parse().ok());
                livehost_sdk::ConnectGrant {
                    chunk_size: size("chunk"),
                    window_ack: size("window"),
                    ..Default::default()
                }
                .into()
            }
            None if mode == "user" => livehost_sdk::ConnectGrant::default()
                .attr("user", req.param("user").unwrap_or_default())
                .into(),
            None if mode == "attrs" => {
                let bytes = req.param("bytes").unwrap_or_default().parse();
                livehost_sdk::ConnectGrant::default()
                    .attr("a", "x".repeat(bytes.unwrap_or(0)))
                    .into()
            }
            None if mode == "redirect" => {
                ConnectDecision::Redirect("rtmp://elsewhere.example/live".into())
            }
            None => livehost_sdk::ConnectGrant::default()
                .attr("version", version())
                .into(),
        }
    }

    fn on_publish(&self, req: &StreamRequest) -> PublishDecision {
        let mode = self.mode(req.param("mode"));
        misbehave(mode, "publish");
        match Self::refusal(mode, req.param("v")) {
            Some(rejection) => rejection.into(),
            None if mode == "tell-mode" => deny(format!("{} {:?}", req.mode, req.extra)),
            None if mode == "hold" => PublishGrant::default()
                .hold(Duration::from_secs(600))
                .into(),
            None if mode == "publish-no-trial" && req.is_trial() => deny("a trial"),
            None if mode == "tell" => deny(told_of_stream(req)),
            None if mode == "record" => PublishGrant::default().record("flv", "cam.flv").into(),
            None if mode == "rename" => PublishGrant::default()
                .name(format!("renamed-{}", req.name))
                .into(),
            None => accept(),
        }
    }

    fn on_play(&self, req: &StreamRequest) -> PlayDecision {
        let mode = self.mode(req.param("mode"));
        misbehave(mode, "play");
        match Self::refusal(mode, req.param("v")) {
            Some(rejection) => rejection.into(),
            None if mode == "tell" => deny(told_of_stream(req)),
            None if mode == "impatient" => livehost_sdk::PlayGrant::default()
                .wait(Duration::from_millis(50))
                .into(),
            None if mode == "no-play" => deny("asked not to play"),
            None => accept(),
        }
    }

    fn on_start(&self, reason: StartReason, from_old: Option<Handoff>) -> Result<(), String> {
        misbehave(&self.mode, "start");
        if self.mode == "refuse-start" {
            return Err("asked to refuse to start".into());
        }
        if self.mode == "ask-on-start" {
            commands::run("http", &format!("GET {} 0 0", self.note))?;
        }
        let old = from_old.map_or_else(String::new, |handoff| {
            format!(" after {}", String::from_utf8_lossy(&handoff.data))
        });
        tell(&format!("start {reason:?} {}{old}", version()));
        Ok(())
    }

    fn snapshot(&self) -> Option<Handoff> {
        misbehave(&self.mode, "snapshot");
        let data = if self.mode == "huge-snapshot" {
            vec![0; 2 << 20]
        } else {
            version().into_bytes()
        };
        Some(Handoff {
            format: "version".into(),
            data,
        })
    }

    fn on_stop(&self, reason: StopReason) {
        misbehave(&self.mode, "stop");
        tell(&format!("stop {reason:?} {}", version()));
    }

    fn on_timer(&self, key: &str) {
        misbehave(&self.mode, "timer");
        if let Some(command) = key.strip_prefix("do:") {
            let (method, args) = command.split_once('~').unwrap_or((command, ""));
            let done = commands::run(method, &args.replace('~', " "));
            tell(&format!(
                "{command} = {}",
                done.unwrap_or_else(|error| error)
            ));
        }
        tell(&format!("timer {key}"));
        let _ = kv::incr(&format!("timer:{key}"), 1, None);
    }

    fn on_published(&self, info: &StreamInfo) {
        misbehave(&self.mode, "published");
        log_codecs("published", info);
        tell(&format!("event published {}", info.name));
    }

    fn on_ready(&self, info: &StreamInfo) {
        misbehave(&self.mode, "ready");
        log_codecs("ready", info);
        tell(&format!("event ready {}", info.name));
    }

    fn on_unpublished(&self, info: &StreamInfo, end: &SessionEnd) {
        misbehave(&self.mode, "unpublished");
        tell(&format!("event unpublished {} {}", info.name, end.reason));
        let extra: Vec<_> = info
            .extra
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        log::info(format!("left behind: {}", extra.join(" ")));
    }

    fn on_play_ended(&self, req: &StreamRequest, end: &SessionEnd) {
        misbehave(&self.mode, "play-ended");
        tell(&format!("event play-ended {} {}", req.name, end.reason));
    }

    fn on_disconnected(&self, who: &Client, end: &SessionEnd) {
        misbehave(&self.mode, "disconnected");
        tell(&format!("event disconnected {} {}", who.conn, end.reason));
    }

    fn on_call(&self, _who: &Client, method: &str, amf0: &[u8]) -> Result<Vec<u8>, String> {
        misbehave(&self.mode, "call");
        match method {
            "echo" => return Ok(amf0.to_vec()),
            "refuse" => return Err("not for you".into()),
            "doze" => {
                std::thread::sleep(Duration::from_millis(300));
                return Ok(Vec::new());
            }
            _ => {}
        }
        let args = String::from_utf8_lossy(amf0);
        commands::run(method, &args).map(String::into_bytes)
    }
}

/// In the mode `nobody-logs-in` it would ask, if it were asked.
impl Authenticate for Probe {
    fn needs_auth(&self) -> bool {
        misbehave(&self.mode, "need");
        self.mode == "log-in"
    }

    fn on_authenticate(&self, req: &ConnectRequest) -> Option<Challenge> {
        misbehave(self.mode(req.param("mode")), "authenticate");
        self.mode.contains("log").then_some(Challenge::Adobe)
    }

    fn on_credential(&self, _: &ConnectRequest, _: &str) -> Option<Credential> {
        None
    }
}

impl Relays for Probe {
    fn on_relay_up(&self, relay: &Relay) {
        misbehave(&self.mode, "relay-up");
        tell(&format!("event relay-up {}", told(relay)));
    }

    fn on_relay_failed(&self, relay: &Relay, failure: &RelayFailure) {
        let was = if failure.up_ms.is_some() {
            "lost"
        } else {
            "failed"
        };
        let next = match failure.retry_ms {
            Some(_) => "again",
            None => "no-more",
        };
        let reason = &failure.reason;
        tell(&format!(
            "event relay-{was} {} {next} {reason}",
            told(relay)
        ));
    }

    fn on_relay_ended(&self, relay: &Relay, reason: &str) {
        misbehave(&self.mode, "relay-ended");
        tell(&format!("event relay-ended {} {reason}", told(relay)));
    }
}

fn told(relay: &Relay) -> String {
    let Relay {
        direction,
        name,
        target,
        attempt,
        ..
    } = relay;
    format!("{direction} {name} {target} {attempt}")
}

/// Everything is allowed but what its name asks for.
impl ShareObjects for Probe {
    fn on_shared_object(&self, req: &ObjectRequest) -> ObjectDecision {
        misbehave(&self.mode, "shared-object");
        match &req.operation {
            Operation::Connect => ObjectDecision::when(req.name != "closed"),
            Operation::Set(Property { name, amf0 }) => match name.as_str() {
                "locked" => ObjectDecision::Deny,
                "lower" => {
                    let text = amf0::as_text(amf0).unwrap_or_default();
                    ObjectDecision::rewrite(amf0::text(&text.to_lowercase()))
                }
                "broken" => ObjectDecision::rewrite(b"no AMF0".to_vec()),
                "panic" => panic!("asked to panic on a shared object"),
                "doze" => {
                    std::thread::sleep(Duration::from_millis(300));
                    ObjectDecision::Allow
                }
                "sleep" => {
                    std::thread::sleep(Duration::from_secs(600));
                    ObjectDecision::Deny
                }
                _ => ObjectDecision::Allow,
            },
            Operation::Remove(name) => ObjectDecision::when(name != "locked"),
            Operation::Clear => ObjectDecision::when(req.persistent),
            Operation::Send(amf0) => match amf0::as_text(amf0) {
                Some("shout") => {
                    ObjectDecision::rewrite([amf0::text("say"), amf0::text("quietly")].concat())
                }
                handler => ObjectDecision::when(handler != Some("spam")),
            },
        }
    }
}

livehost_sdk::export!(Probe, auth, relays, shared_objects);
