//! A plugin of track 0.1, as somebody compiled it when that was released.
//!
//! `wit/` beside this crate is a copy of that release and never changes: a host
//! that can't run this component breaks every plugin there is. It uses each
//! imported interface once and exports everything.

wit_bindgen::generate!({
    path: "wit",
    world: "app-full",
});

use exports::livehost::app::{calls, events, lifecycle, policy};
use livehost::app::types::{
    Client, ConnectDecision, ConnectGrant, ConnectRequest, DuplicateRule, Handoff, PlayDecision,
    PlayGrant, PublishDecision, PublishGrant, Recording, Rejection, SessionEnd, StreamInfo,
    StreamRequest,
};
use livehost::app::{control, http_client, kv, log, registry, timers};

struct Compat;

/// As data to a stream named `compat`: a test records that command.
fn tell(line: &str) {
    let _ = control::send_data("compat", "tell", line.as_bytes());
}

impl lifecycle::Guest for Compat {
    fn configure(config: String) -> Result<(), String> {
        if config.is_empty() {
            return Err("expected JSON".into());
        }
        Ok(())
    }

    fn on_start(_reason: lifecycle::StartReason, from_old: Option<Handoff>) -> Result<(), String> {
        log::write(
            log::Level::Info,
            "compat starts",
            &[("track".into(), "0.1".into())],
        );
        tell(if from_old.is_some() {
            "start with a handoff"
        } else {
            "start"
        });
        Ok(())
    }

    fn snapshot() -> Option<Handoff> {
        Some(Handoff {
            format: "compat".into(),
            data: vec![1],
        })
    }

    fn on_stop(_reason: lifecycle::StopReason) {
        tell("stop");
    }

    fn on_timer(key: String) {
        tell(&format!("timer {key}"));
    }
}

impl policy::Guest for Compat {
    /// Counts, sets a timer, and tries to leave through HTTP.
    fn on_connect(req: ConnectRequest) -> ConnectDecision {
        let count = kv::incr("connects", 1, None).unwrap_or(-1);
        timers::set("compat", 1, None);
        let http = http_client::send(&http_client::Request {
            method: "GET".into(),
            url: "http://192.0.2.1/".into(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout_ms: 100,
            follow_redirects: 0,
        });
        let attrs = vec![
            ("app".into(), req.app),
            ("local".into(), req.local),
            ("count".into(), count.to_string()),
            (
                "http".into(),
                http.map_or_else(|error| format!("{error:?}"), |_| "sent".into()),
            ),
        ];
        ConnectDecision::Accept(ConnectGrant {
            attrs,
            chunk_size: None,
            window_ack: None,
            max_seconds: Some(60),
            extra: Vec::new(),
        })
    }

    fn on_publish(req: StreamRequest) -> PublishDecision {
        PublishDecision::Accept(PublishGrant {
            name: Some(format!("compat-{}", req.name)),
            on_duplicate: DuplicateRule::Replace,
            record_to: None,
            forward_to: Vec::new(),
            max_kbps: Some(1000),
            idle_timeout_ms: None,
            hold_ms: Some(500),
            extra: Vec::new(),
        })
    }

    fn on_play(req: StreamRequest) -> PlayDecision {
        if registry::get(&req.name).is_none() {
            return PlayDecision::Reject(Rejection {
                code: "Compat.Nothing".into(),
                description: format!("{} streams", registry::count("")),
                retry_after_ms: Some(100),
            });
        }
        PlayDecision::Accept(PlayGrant {
            name: None,
            pull_from: None,
            wait_ms: Some(1000),
            max_seconds: None,
            extra: Vec::new(),
        })
    }
}

impl events::Guest for Compat {
    fn on_published(info: StreamInfo) {
        tell(&format!("event published {} {}", info.name, info.kbps));
    }

    fn on_ready(info: StreamInfo) {
        tell(&format!("event ready {}", info.name));
    }

    fn on_unpublished(info: StreamInfo, end: SessionEnd) {
        tell(&format!("event unpublished {} {}", info.name, end.reason));
    }

    fn on_play_ended(req: StreamRequest, end: SessionEnd) {
        tell(&format!("event play-ended {} {}", req.name, end.reason));
    }

    fn on_disconnected(who: Client, end: SessionEnd) {
        tell(&format!("event disconnected {} {}", who.conn, end.reason));
    }

    fn on_recorded(info: StreamInfo, file: Recording, bytes: u64, _duration_ms: u64) {
        tell(&format!(
            "event recorded {} {} {bytes}",
            info.name, file.path
        ));
    }
}

impl calls::Guest for Compat {
    fn on_call(_who: Client, method: String, amf0: Vec<u8>) -> Result<Vec<u8>, String> {
        match method.as_str() {
            "echo" => Ok(amf0),
            _ => Err("unknown".into()),
        }
    }
}

export!(Compat);
