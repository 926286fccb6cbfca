//! Hundreds of generations in a row while connects keep arriving: none is
//! dropped, none decided twice, and nothing is left behind. In a process of its
//! own, since it looks at the memory of all of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test's way to fail; clippy's own allowance covers test functions only, not what they call"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use livehost_net::outbound;
use livehost_plugin::{
    Compiler, Plugin, PluginLimits, PluginSpec, Reload, Runtime, Services, StopReason, Storage,
};
use livehost_policy::{
    CallRequest, Client, ConnectDecision, ConnectRequest, OnCall, OnConnect, OnPublish,
    PolicyError, StreamRequest, ask,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const RELOADS: u32 = 500;
const CRASHES: u64 = 100;
const VERSIONS: u32 = 8;
const CALLERS: usize = 8;
/// For what must happen, however busy the machine is.
const SOON: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;

/// The versions of the probe as files.
fn versions(folder: &Path) -> Vec<PathBuf> {
    const MARKER: &[u8] = b"LIVEHOST-PROBE-VERSION=";
    let plugins = std::env::var_os("LIVEHOST_GUESTS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/plugins"),
        PathBuf::from,
    );
    let probe = plugins.join("test/probe.wasm");
    let probe = fs::read(&probe)
        .unwrap_or_else(|error| panic!("{}: {error}: run `make test`", probe.display()));
    let places: Vec<usize> = probe
        .windows(MARKER.len())
        .enumerate()
        .filter(|(_, window)| *window == MARKER)
        .map(|(place, _)| place + MARKER.len())
        .collect();
    assert!(!places.is_empty(), "the probe has no version marker");
    (0..VERSIONS)
        .map(|version| {
            let mut wasm = probe.clone();
            for place in &places {
                wasm[*place..place + 6].copy_from_slice(format!("{version:06}").as_bytes());
            }
            let file = folder.join(format!("{version}.wasm"));
            fs::write(&file, wasm).unwrap();
            file
        })
        .collect()
}

fn connect() -> ConnectRequest {
    ConnectRequest {
        client: client(),
        local: "0.0.0.0:1935".into(),
        app: "live".into(),
        instance: None,
        query: Vec::new(),
        tc_url: "rtmp://127.0.0.1/live".into(),
        flash_ver: String::new(),
        props: Vec::new(),
        extra: Vec::new(),
    }
}

/// Each time of another address: many clients fail, not one.
fn client() -> Client {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    Client {
        conn: 7,
        remote: format!("203.0.113.{}:51234", NEXT.fetch_add(1, Ordering::Relaxed)),
        protocol: "rtmp".into(),
        ..Client::default()
    }
}

/// Resident memory of this process, in bytes.
fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() * 1024
}

/// What the callers saw.
#[derive(Default)]
struct Seen {
    /// Accepted connects by the version that decided.
    accepted: BTreeMap<String, u64>,
    failed: Vec<PolicyError>,
    times: Vec<Duration>,
}

impl Seen {
    fn accepted(&self) -> u64 {
        self.accepted.values().sum()
    }

    fn at(&self, share: f64) -> Duration {
        self.times[((self.times.len() - 1) as f64 * share) as usize]
    }
}

struct Load {
    done: CancellationToken,
    callers: Vec<JoinHandle<Seen>>,
}

impl Load {
    /// Clients that connect all the time.
    fn start(plugin: &Arc<Plugin>) -> Self {
        let done = CancellationToken::new();
        let caller = |_| {
            let (plugin, done) = (Arc::clone(plugin), done.clone());
            tokio::spawn(async move {
                let mut seen = Seen::default();
                while !done.is_cancelled() {
                    let began = Instant::now();
                    let decision = ask(&*plugin, OnConnect::new(connect())).await;
                    seen.times.push(began.elapsed());
                    match decision {
                        Ok(ConnectDecision::Accept(grant)) => {
                            *seen.accepted.entry(grant.attrs[0].1.clone()).or_default() += 1;
                        }
                        Ok(other) => panic!("{other:?}"),
                        Err(error) => seen.failed.push(error),
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                seen
            })
        };
        let callers = (0..CALLERS).map(caller).collect();
        Self { done, callers }
    }

    async fn stop(self) -> Seen {
        self.done.cancel();
        let mut all = Seen::default();
        for caller in self.callers {
            let seen = caller.await.unwrap();
            for (version, count) in seen.accepted {
                *all.accepted.entry(version).or_default() += count;
            }
            all.failed.extend(seen.failed);
            all.times.extend(seen.times);
        }
        all.times.sort();
        all
    }
}

/// Waits until a counter has this value.
async fn until(plugin: &Plugin, counter: &str, value: u64) {
    let reached = async {
        while plugin.stats().get(counter) != value {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let reached = tokio::time::timeout(SOON, reached).await;
    assert!(reached.is_ok(), "{counter} {value}: {}", plugin.stats());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_generations_under_load_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let files = versions(folder.path());
    // With the versions compiled once, reloads are as fast as they can be.
    let storage = Storage::Folder(folder.path().join("state"));
    let runtime = Runtime::new(&storage, Compiler::Here).unwrap();
    let spec = |number: u64, mode: &str| PluginSpec {
        app: "live".into(),
        file: files[number as usize % files.len()].clone(),
        config: format!(r#"{{"mode": "{mode}"}}"#),
        limits: PluginLimits {
            // A crash is a crash, on a busy machine too.
            cpu: Duration::from_secs(5),
            wall: SOON,
            ..PluginLimits::default()
        },
        http: outbound::HttpSettings::default(),
    };
    let tally = "tally-on-connect";
    let plugin = Plugin::load(&runtime, spec(0, tally), Services::detached())
        .await
        .unwrap();
    for number in 1..=u64::from(VERSIONS) {
        plugin.respec(spec(number, tally)).await.unwrap();
    }
    until(&plugin, "generations", 1).await;
    let before = memory();
    let stats = plugin.stats();
    let (reloads, decided) = (stats.get("reloads"), stats.get("connects_accepted"));

    let load = Load::start(&plugin);
    let began = Instant::now();
    for number in 1..=u64::from(RELOADS) {
        let reload = plugin.respec(spec(number, tally)).await;
        assert!(matches!(reload, Ok(Reload::Swapped { .. })), "{reload:?}");
    }
    let took = began.elapsed();
    let seen = load.stop().await;
    until(&plugin, "generations", 1).await;
    let stats = plugin.stats();
    println!(
        "{RELOADS} reloads in {took:?} under load: {} connects, p50 {:?}, p99 {:?}, longest {:?}; \
         memory {} MiB before, {} MiB after, {} instances",
        seen.times.len(),
        seen.at(0.5),
        seen.at(0.99),
        seen.at(1.0),
        before / MIB,
        memory() / MIB,
        stats.get("instances"),
    );
    assert!(seen.failed.is_empty(), "{:?}", seen.failed);
    assert_eq!(stats.get("reloads") - reloads, u64::from(RELOADS));
    assert_eq!(stats.get("connects_accepted") - decided, seen.accepted());
    // Counted by the guests, in what all generations share.
    assert_eq!(
        tallied(&plugin).await,
        seen.accepted(),
        "each by exactly one"
    );
    assert!(seen.accepted.len() > 1, "several versions decided");
    assert!(stats.get("instances") <= CALLERS as u64 + 1, "{stats}");
    assert!(memory() < before + 64 * MIB, "memory stays");

    crashes(&plugin, spec).await;
    assert!(memory() < before + 64 * MIB, "memory stays");
    plugin.shutdown(StopReason::Shutdown).await;
}

/// What the guests counted.
async fn tallied(plugin: &Plugin) -> u64 {
    let call = OnCall::new(CallRequest {
        client: client(),
        method: "kv-incr".into(),
        amf0: "connects 0".into(),
    });
    let count = ask(plugin, call).await.expect("the probe answers");
    let count = count.expect("it has the method");
    String::from_utf8(count.to_vec()).unwrap().parse().unwrap()
}

/// Generations that crash: each is rolled back, and the breaker closes again.
async fn crashes(plugin: &Arc<Plugin>, spec: impl Fn(u64, &str) -> PluginSpec) {
    let before = plugin.stats();
    let load = Load::start(plugin);
    for number in 1..=CRASHES {
        let mut bad = spec(number, "");
        // Each time another one: what was rolled back is not tried again.
        bad.config = format!(r#"{{"mode": "panic-on-connect", "note": "{number}"}}"#);
        let swapped = plugin.respec(bad).await;
        assert!(matches!(swapped, Ok(Reload::Swapped { .. })), "{swapped:?}");
        until(plugin, "roll_backs", before.get("roll_backs") + number).await;
        let decision = ask(&**plugin, OnConnect::new(connect())).await;
        assert!(
            matches!(decision, Ok(ConnectDecision::Accept(_))),
            "{decision:?}"
        );
    }
    let seen = load.stop().await;
    until(plugin, "generations", 1).await;
    let stats = plugin.stats();
    let of = |name: &str| stats.get(name) - before.get(name);
    println!(
        "{CRASHES} crashing generations: {} connects accepted, {} failed, {} refused by the \
         breaker; p99 {:?}, longest {:?}; memory {} MiB",
        seen.accepted(),
        of("traps"),
        of("breaker_refused"),
        seen.at(0.99),
        seen.at(1.0),
        memory() / MIB,
    );
    assert_eq!(of("breaker_opened"), CRASHES);
    assert_eq!(of("roll_backs"), CRASHES);
    assert_eq!(stats.get("breaker_open"), 0, "it closed");
    assert!(of("traps") >= 5 * CRASHES, "five open it: {stats}");
    assert_eq!(of("connects_failed"), seen.failed.len() as u64);
    let stream = StreamRequest {
        client: client(),
        app: "live".into(),
        instance: None,
        name: "cam".into(),
        raw_name: "cam".into(),
        query: Vec::new(),
        mode: "live".into(),
        start_seconds: None,
        extra: Vec::new(),
    };
    let decision = ask(&**plugin, OnPublish::new(stream)).await;
    decision.expect("it decides");
}
