//! What a decision costs the session that waits for it: the real pool, one
//! caller and many.
//!
//! `make bench-decisions` runs it on the plugins that ship and on the examples
//! in other languages that are built. By hand:
//! `cargo bench -p livehost --bench decisions -- FILE.wasm ...`; a file may be
//! followed by its configuration: `keys.wasm='{"publish": {"keys": ["k1"]}}'`.
//! Prints a table in Markdown.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench's way to fail"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use livehost_net::outbound;
use livehost_plugin::{
    Compiler, Plugin, PluginLimits, PluginSpec, Runtime, Services, StopReason, Storage,
};
use livehost_policy::{Client, ConnectRequest, OnConnect, OnPlay, OnPublish, StreamRequest, ask};

/// Each figure is of so long, after a tenth of it to warm up.
const LENGTH: Duration = Duration::from_secs(2);
const CALLERS: [usize; 2] = [1, 16];
/// Interpreted guests need longer to start than Rust's.
const START: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy)]
enum Hook {
    Connect,
    Publish,
    Play,
}

impl Hook {
    const ALL: [Self; 3] = [Self::Connect, Self::Publish, Self::Play];

    fn name(self) -> &'static str {
        match self {
            Self::Connect => "on-connect",
            Self::Publish => "on-publish",
            Self::Play => "on-play",
        }
    }

    async fn call(self, plugin: &Plugin) {
        let decided = match self {
            Self::Connect => ask(plugin, OnConnect::new(connect())).await.map(drop),
            Self::Publish => ask(plugin, OnPublish::new(stream())).await.map(drop),
            Self::Play => ask(plugin, OnPlay::new(stream())).await.map(drop),
        };
        decided.expect("a decision");
    }
}

fn client() -> Client {
    Client {
        conn: 7,
        remote: "203.0.113.7:51234".into(),
        protocol: "rtmp".into(),
        ..Client::default()
    }
}

fn connect() -> ConnectRequest {
    ConnectRequest {
        client: client(),
        local: "0.0.0.0:1935".into(),
        app: "live".into(),
        instance: None,
        query: Vec::new(),
        tc_url: "rtmp://127.0.0.1/live".into(),
        flash_ver: "FMLE/3.0 (compatible; FMSc/1.0)".into(),
        props: Vec::new(),
        extra: Vec::new(),
    }
}

fn stream() -> StreamRequest {
    StreamRequest {
        client: client(),
        app: "live".into(),
        instance: None,
        name: "cam1".into(),
        raw_name: "cam1?key=k1".into(),
        query: vec![("key".into(), "k1".into())],
        mode: "live".into(),
        start_seconds: None,
        extra: Vec::new(),
    }
}

/// Nanoseconds, to three digits.
fn histogram() -> Histogram<u64> {
    let minute = 60_000_000_000;
    Histogram::new_with_bounds(1, minute, 3).expect("it has digits and bounds")
}

/// How long calls took, in nanoseconds, and how long all of them together.
async fn measure(plugin: &Arc<Plugin>, hook: Hook, callers: usize) -> (Histogram<u64>, Duration) {
    let begin = Instant::now() + LENGTH / 10;
    let end = begin + LENGTH;
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let plugin = Arc::clone(plugin);
            tokio::spawn(async move {
                let mut times = histogram();
                loop {
                    let called = Instant::now();
                    if called >= end {
                        return times;
                    }
                    hook.call(&plugin).await;
                    if called >= begin {
                        times.saturating_record(called.elapsed().as_nanos() as u64);
                    }
                    // As a session does, which has bytes to read in between.
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let mut all = histogram();
    for task in tasks {
        all.add(task.await.expect("no panic")).expect("same digits");
    }
    (all, begin.elapsed())
}

fn micros(times: &Histogram<u64>, quantile: f64) -> String {
    let time = times.value_at_quantile(quantile) as f64 / 1000.0;
    if time < 100.0 {
        format!("{time:.1}")
    } else {
        format!("{time:.0}")
    }
}

/// Measures one plugin; a row for each hook and number of callers.
async fn rows(runtime: &Arc<Runtime>, file: &Path, config: &str) {
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    let limits = PluginLimits {
        start_cpu: START,
        start: START,
        memory_bytes: 512 << 20,
        // A busy machine preempts; what is measured is the cost.
        cpu: Duration::from_secs(1),
        ..PluginLimits::default()
    };
    let spec = PluginSpec {
        app: "live".into(),
        file: file.to_owned(),
        config: config.into(),
        limits,
        http: outbound::HttpSettings::default(),
    };
    let size = std::fs::metadata(file).map_or(0, |metadata| metadata.len()) / 1024;
    let loading = Instant::now();
    let plugin = match Plugin::load(runtime, spec, Services::detached()).await {
        Ok(plugin) => plugin,
        Err(error) => {
            eprintln!("left out: {error}");
            return;
        }
    };
    let load = loading.elapsed().as_millis();
    for callers in CALLERS {
        for hook in Hook::ALL {
            let (times, took) = measure(&plugin, hook, callers).await;
            println!(
                "| {name} | {size} | {load} | {} | {callers} | {} | {} | {} | {:.0} |",
                hook.name(),
                micros(&times, 0.5),
                micros(&times, 0.99),
                micros(&times, 0.999),
                times.len() as f64 / took.as_secs_f64(),
            );
        }
    }
    plugin.shutdown(StopReason::Shutdown).await;
}

fn config_of(file: &Path) -> &'static str {
    if file.parent().is_some_and(|folder| folder.ends_with("lang")) {
        return r#"{"keys": {"cam1": ["k1"]}}"#;
    }
    match file.file_stem().and_then(|stem| stem.to_str()) {
        Some("static-keys") => r#"{"publish": {"keys": ["k1"]}, "play": "open"}"#,
        Some("rules") => r#"{"rules": [], "default": "allow"}"#,
        _ => "{}",
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    // `cargo bench` adds --bench.
    let asked = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"));
    let plugins: Vec<(PathBuf, String)> = asked
        .map(|argument| match argument.split_once('=') {
            Some((file, config)) => (file.into(), config.to_owned()),
            None => {
                let file = PathBuf::from(&argument);
                let config = config_of(&file).to_owned();
                (file, config)
            }
        })
        .collect();
    if plugins.is_empty() {
        // `cargo test` runs it too, without a file: nothing to measure.
        eprintln!("expected the files of plugins to measure: see make bench-decisions");
        return;
    }
    let runtime = Runtime::new(&Storage::Memory, Compiler::Here).expect("the runtime starts");
    println!("| plugin | KiB | load ms | hook | callers | p50 us | p99 us | p99.9 us | calls/s |");
    println!("|---|--:|--:|---|--:|--:|--:|--:|--:|");
    for (file, config) in &plugins {
        rows(&runtime, file, config).await;
    }
}
