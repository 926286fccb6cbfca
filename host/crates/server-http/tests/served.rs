//! HTTP as it is served, of a server without plugins.

// clippy.toml allows these in test functions; helpers are tests as well.
#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use livehost_app::broker::Broker;
use livehost_app::claims::Local;
use livehost_app::control::Control;
use livehost_app::directory::Directory;
use livehost_app::lineage::Identity;
use livehost_app::relays::NoRelays;
use livehost_decisions::DecisionLog;
use livehost_hub::Hub;
use livehost_net::{Admission, AdmissionLimits, Arrival, Protocol as _};
use livehost_server_http::operations::{
    ApplicationReport, DecisionTimes, OrderRefused, ReloadReport, ServerReport, ServerState,
};
use livehost_server_http::{
    AccessSettings, HttpServer, MAX_FEEDS, Operations, Scope, Service, Site, Token,
};
use livehost_telemetry::counters::Counts;
use sha2::Digest as _;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A process that has no plugins and carries nothing out.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Operations for Nothing {
    fn server(&self) -> ServerReport {
        ServerReport {
            version: "1.2.3".into(),
            pid: 1,
            started_unix_ms: 1000,
            config: "config.ron".into(),
            state: ServerState::Serving,
            acceptors: Vec::new(),
        }
    }

    fn applications(&self) -> Vec<ApplicationReport> {
        Vec::new()
    }

    fn counters(&self) -> Vec<(String, Counts)> {
        Vec::new()
    }

    fn decision_times(&self) -> Vec<DecisionTimes> {
        Vec::new()
    }

    fn configuration(&self) -> serde_json::Value {
        serde_json::json!({})
    }

    fn log_level(&self) -> String {
        "info".into()
    }

    fn set_log_level(&self, _: &str) -> Result<(), OrderRefused> {
        Ok(())
    }

    async fn reload_configuration(&self) -> Result<(), OrderRefused> {
        Err(OrderRefused::Ending)
    }

    async fn reload_plugin(&self, app: &str) -> Result<ReloadReport, OrderRefused> {
        Err(OrderRefused::NoApplication(app.into()))
    }

    async fn roll_plugin_back(&self, app: &str) -> Result<ReloadReport, OrderRefused> {
        Err(OrderRefused::NoApplication(app.into()))
    }

    fn drain(&self) {}
}

const TOKEN: &str = "a-token-for-tests";

fn site() -> Arc<Site> {
    let (hub, identity) = (Hub::new(), Arc::<Identity>::default());
    let broker = Broker::new(hub, identity, Arc::new(NoRelays), Arc::new(Local));
    let directory = Directory::new(Arc::default());
    Arc::new(Site {
        control: Control::new(broker.clone(), directory.clone()),
        broker,
        directory,
        admission: Admission::new(AdmissionLimits {
            connections: 1000,
            per_address: 0,
            ungranted_per_address: 0,
        }),
        decisions: DecisionLog::new(),
        feeds: Arc::new(Semaphore::new(MAX_FEEDS)),
        operations: Arc::new(Nothing),
        access: ArcSwap::from_pointee(AccessSettings {
            tokens: vec![Token {
                name: "test".into(),
                sha256: sha2::Sha256::digest(TOKEN).into(),
                scopes: [Scope::Read, Scope::Media, Scope::Admin].into(),
            }],
            hosts: Vec::new(),
        }),
        metric_streams: AtomicUsize::new(10),
        handshake: ArcSwap::from_pointee(Duration::from_secs(10)),
        tasks: TaskTracker::new(),
        shutdown: CancellationToken::new(),
    })
}

/// Serves at a free port of this machine, for as long as the runtime runs.
async fn serve(site: Arc<Site>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = HttpServer::new(&site, &[Service::Api, Service::Metrics], None);
    tokio::spawn(async move {
        while let Ok((socket, remote)) = listener.accept().await {
            let permit = site.admission.admit(Some(remote.ip())).unwrap();
            tokio::spawn(server.serve(Arrival {
                socket,
                remote,
                local: address.to_string().into(),
                accepted: tokio::time::Instant::now(),
                permit: Arc::new(permit),
            }));
        }
    });
    address
}

async fn get(address: SocketAddr, path: &'static str) -> String {
    let asked = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    });
    asked.await.unwrap()
}

/// Those of plugins, and that nothing else is listed, `make check-alerts` looks at.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_page_lists_the_metrics_that_are_served() {
    let address = serve(site()).await;
    let answer = get(address, "/metrics").await;
    let page = include_str!("../../../../docs/operations.md");
    let mut families = 0;
    for line in answer
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
    {
        let (name, kind) = line.split_once(' ').unwrap();
        let row = format!("| `{name}` | {kind} |");
        assert!(page.contains(&row), "docs/operations.md has no row {row}");
        families += 1;
    }
    assert!(families > 20, "{answer}");
}
