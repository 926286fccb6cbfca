//! The policies of the SDK's documentation, for the real host: which one it is
//! says the configuration, `{"example": "on_play", "settings": {}}`.

use livehost_sdk::{
    App, Client, ConnectDecision, ConnectRequest, Handoff, PlayDecision, PublishDecision,
    SessionEnd, StartReason, StopReason, StreamInfo, StreamRequest,
};

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    example: String,
    #[serde(default)]
    settings: serde_json::Value,
}

macro_rules! examples {
    ($($variant:ident = $name:ident),*) => {
        $(
            #[allow(dead_code, unused_imports, clippy::all, reason = "as it stands in the documentation")]
            mod $name {
                include!(concat!(env!("OUT_DIR"), "/", stringify!($name), ".rs"));
            }
        )*

        enum Example {
            $($variant($name::Policy)),*
        }

        macro_rules! ask {
            ($example:expr, $policy:ident => $call:expr) => {
                match $example {
                    $(Example::$variant($policy) => $call),*
                }
            };
        }

        impl Example {
            fn of(name: &str, settings: &str) -> Result<Self, String> {
                match name {
                    $(stringify!($name) => $name::Policy::configure(settings).map(Self::$variant),)*
                    other => Err(format!("config: example: no hook {other:?} has one")),
                }
            }
        }
    };
}

examples!(
    Configure = configure,
    OnConnect = on_connect,
    OnPublish = on_publish,
    OnPlay = on_play,
    OnStart = on_start,
    Snapshot = snapshot,
    OnStop = on_stop,
    OnTimer = on_timer,
    OnPublished = on_published,
    OnReady = on_ready,
    OnUnpublished = on_unpublished,
    OnPlayEnded = on_play_ended,
    OnDisconnected = on_disconnected,
    OnRecorded = on_recorded,
    OnCall = on_call
);

impl App for Example {
    fn configure(config: &str) -> Result<Self, String> {
        let Config { example, settings } = livehost_sdk::parse_config(config)?;
        Self::of(&example, &settings.to_string())
    }

    fn on_connect(&self, req: &ConnectRequest) -> ConnectDecision {
        ask!(self, policy => policy.on_connect(req))
    }

    fn on_publish(&self, req: &StreamRequest) -> PublishDecision {
        ask!(self, policy => policy.on_publish(req))
    }

    fn on_play(&self, req: &StreamRequest) -> PlayDecision {
        ask!(self, policy => policy.on_play(req))
    }

    fn on_start(&self, reason: StartReason, from_old: Option<Handoff>) -> Result<(), String> {
        ask!(self, policy => policy.on_start(reason, from_old))
    }

    fn snapshot(&self) -> Option<Handoff> {
        ask!(self, policy => policy.snapshot())
    }

    fn on_stop(&self, reason: StopReason) {
        ask!(self, policy => policy.on_stop(reason));
    }

    fn on_timer(&self, key: &str) {
        ask!(self, policy => policy.on_timer(key));
    }

    fn on_published(&self, info: &StreamInfo) {
        ask!(self, policy => policy.on_published(info));
    }

    fn on_ready(&self, info: &StreamInfo) {
        ask!(self, policy => policy.on_ready(info));
    }

    fn on_unpublished(&self, info: &StreamInfo, end: &SessionEnd) {
        ask!(self, policy => policy.on_unpublished(info, end));
    }

    fn on_play_ended(&self, req: &StreamRequest, end: &SessionEnd) {
        ask!(self, policy => policy.on_play_ended(req, end));
    }

    fn on_disconnected(&self, who: &Client, end: &SessionEnd) {
        ask!(self, policy => policy.on_disconnected(who, end));
    }

    fn on_call(&self, who: &Client, method: &str, amf0: &[u8]) -> Result<Vec<u8>, String> {
        ask!(self, policy => policy.on_call(who, method, amf0))
    }
}

livehost_sdk::export!(Example);
