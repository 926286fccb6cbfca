//! Load and comparison for RTMP servers.
//!
//! Flows in: arguments (`cli.rs`). A server is there or is started (`peer/`); a
//! scenario (`scenario/`) drives a client (`client/`) that publishes and plays
//! streams (`media.rs`), and reads what the server costs (`process.rs`). Flows
//! out: metrics, or a report over many (`compare/`). A soak (`soak/`) is a load
//! that comes, goes and misbehaves for hours.

mod cli;
mod client;
mod clock;
mod compare;
mod floor;
mod media;
mod peer;
mod process;
mod scenario;
mod soak;

use std::{
    io::{Write as _, stdout},
    net::{SocketAddr, ToSocketAddrs as _},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result};
use clap::Parser as _;

use cli::{Cli, Command, On, Start};
use client::Target;
use peer::{Kind, NGINX_CHUNK, Peer};
use process::{Cores, pin, prioritise};
use scenario::{Metrics, Scenario, Subject};

fn main() -> ExitCode {
    process::raise_file_limit();
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Fanout { load, on } => single(&Scenario::Fanout(load), &on),
        Command::Join { load, on } => single(&Scenario::Join(load), &on),
        Command::Churn { load, on } => single(&Scenario::Churn(load), &on),
        Command::Idle { load, on } => single(&Scenario::Idle(load), &on),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Soak(soak) => soak.run(),
        Command::Floor {
            listen,
            coalesce_ms,
        } => floor::serve(listen, Duration::from_millis(coalesce_ms)),
    }
}

/// One load on one server.
fn single(scenario: &Scenario, on: &On) -> Result<()> {
    let cores = Cores::split(on.share_cores)?;
    prioritise(on.nice)?;
    let metrics = if let Some(url) = &on.server {
        let target = target(url, on.segment)?;
        pin(&cores.client)?;
        let subject = Subject {
            target,
            pid: on.pid,
        };
        scenario.run(&subject)?
    } else {
        let kind = match on.start {
            Start::Livehost => Kind::Livehost(on.gather),
            Start::Nginx => Kind::Nginx(NGINX_CHUNK),
            Start::NginxTuned => Kind::Nginx(60_000),
            Start::Floor => Kind::Floor(on.gather),
        };
        let peer = Peer::start(&kind, &on.programs, &cores, on.segment)?;
        let subject = Subject {
            target: peer.target.clone(),
            pid: Some(peer.pid()),
        };
        let outcome = scenario.run(&subject);
        outcome.with_context(|| format!("{kind}:\n{}", peer.log()))?
    };
    print(&metrics, on.json)
}

fn print(metrics: &Metrics, json: bool) -> Result<()> {
    let mut out = stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(metrics)?)?;
    } else {
        for (name, value) in &metrics.0 {
            writeln!(out, "{name:<28} {value:.3}")?;
        }
    }
    Ok(())
}

/// The server at `rtmp://address:port/application`.
fn target(url: &str, segment: u32) -> Result<Target> {
    let expected = || format!("expected rtmp://address:port/application, got {url:?}");
    let rest = url.strip_prefix("rtmp://").with_context(expected)?;
    let (host, app) = rest.split_once('/').with_context(expected)?;
    let addr: Option<SocketAddr> = match host.parse() {
        Ok(addr) => Some(addr),
        Err(_) if host.contains(':') => host.to_socket_addrs()?.next(),
        Err(_) => (host, 1935).to_socket_addrs()?.next(),
    };
    Ok(Target {
        addr: addr.with_context(expected)?,
        app: app.trim_end_matches('/').to_owned(),
        url: url.trim_end_matches('/').to_owned(),
        raw: false,
        segment,
    })
}
