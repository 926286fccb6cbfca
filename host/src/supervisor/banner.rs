//! What `run` and `check` print for the person at the terminal.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use livehost_plugin::{Check, Plugin, Welcome};
use livehost_policy::{Fallback, OnError};
use livehost_ron::units::format_duration;
use livehost_server_http::Service;
use livehost_telemetry::say;

use crate::config::{ApplicationConfig, Config, SocketPlace};

/// The stream of the lines to paste.
pub(super) const STREAM: &str = "test";

/// The application that the lines to paste are about, with its URL.
pub(super) fn tried<'a>(config: &'a Config, addresses: &[SocketAddr]) -> Option<(&'a str, String)> {
    let mut listening = addresses.iter().zip(&config.acceptors);
    let (address, configured) = listening.find(|(_, acceptor)| !acceptor.chain.is_http())?;
    let mut names = config.applications.keys();
    let name = names.find(|name| configured.serves(name))?;
    let scheme = configured.chain.scheme();
    Some((name, format!("{scheme}://{}/{name}", reachable(*address))))
}

/// Says what listens where, what decides there, and how to try it; `welcome` is
/// what the policy says to who does.
pub(super) fn print<'a>(
    config: &Config,
    addresses: &[SocketAddr],
    plugins: impl Iterator<Item = &'a Plugin>,
    welcome: Option<&Welcome>,
) {
    let mut text = format!("livehost {}\n", env!("CARGO_PKG_VERSION"));
    for (address, configured) in addresses.iter().zip(&config.acceptors) {
        let applications = config.applications.keys().map(String::as_str);
        let applications = applications.filter(|name| configured.serves(name));
        let services = configured.serve.iter().map(|service| service.path());
        let served: Vec<&str> = applications.chain(services).collect();
        let _ = writeln!(
            text,
            "  listening     {}://{address}  ({})",
            configured.chain.scheme(),
            served.join(", ")
        );
    }
    for plugin in plugins {
        let about = plugin.describe();
        let _ = writeln!(
            text,
            "  application   {}  decided by {} ({}, generation {})",
            about.app,
            shown(&about.file, &config.base),
            about.hash,
            about.generation
        );
    }
    if let Some((_, url)) = tried(config, addresses) {
        let url = format!("{url}/{STREAM}");
        let refused = |why: Option<&String>| {
            why.map_or(String::new(), |why| {
                format!("\n                the policy refuses it as it is: {why}")
            })
        };
        let _ = writeln!(
            text,
            "\n  publish       ffmpeg -re -f lavfi -i testsrc2=size=1280x720:rate=30 -f lavfi -i sine \
             -c:v libx264 -preset veryfast -g 60 -pix_fmt yuv420p -c:a aac -f flv '{url}'{}\n  \
             play          ffplay '{url}'{}",
            refused(welcome.and_then(|welcome| welcome.publish.as_ref())),
            refused(welcome.and_then(|welcome| welcome.play.as_ref())),
        );
        let mut listening = addresses.iter().zip(&config.acceptors);
        let api = listening.find(|(_, acceptor)| acceptor.serve.contains(&Service::Api));
        let api = api.map_or(String::new(), |(address, acceptor)| {
            let (scheme, address) = (acceptor.chain.scheme(), reachable(*address));
            format!(", or {scheme}://{address}{}", Service::Api.path())
        });
        if config.api.socket != SocketPlace::Off || !api.is_empty() {
            let _ = writeln!(text, "  see           livehost status{api}");
        }
    }
    say!("{}", text.trim_end_matches('\n'));
}

/// One application's line of `check`, with what its `on_error` leaves open and a
/// warning where strangers could publish.
pub(super) fn print_checked(
    config: &Config,
    name: &str,
    application: &ApplicationConfig,
    check: &Check,
) {
    say!(
        "application {name}: {} ({}) {}",
        shown(&application.plugin, &config.base),
        check.hash,
        if check.undecided.is_none() {
            "ok"
        } else {
            "not started"
        }
    );
    if let Some(open) = undecided(&application.on_error) {
        say!(
            "note: application {name} lets clients {open} undecided while its plugin waits for \
             longer than {} (limits.decision), as on_error says; never when it fails otherwise",
            format_duration(application.limits.wall)
        );
    }
    for origin in &check.not_allowed {
        say!(
            "warning: application {name} can't ask {origin}, which its plugin's config names or \
             which it tried: no entry of http.allow permits it"
        );
    }
    if let Some(reason) = &check.undecided {
        say!(
            "warning: application {name}: whether it can start was not found out, since it \
             {reason}, and no request by HTTP goes out without --online"
        );
    }
    if !check.held_back.is_empty() {
        let origins: Vec<&str> = check.held_back.iter().map(String::as_str).collect();
        say!(
            "note: application {name} would have asked {}; --online sends such requests",
            origins.join(", ")
        );
    }
    if check.open_publish {
        for warning in open_publish(config, name) {
            say!("warning: {warning}");
        }
    }
}

/// What is wrong with an application that accepts publishers without any key: a
/// warning for each address that other machines reach it by.
pub(super) fn open_publish(config: &Config, name: &str) -> impl Iterator<Item = String> {
    let exposed = config
        .acceptors
        .iter()
        .filter(move |acceptor| acceptor.serves(name) && !acceptor.listen.ip().is_loopback());
    exposed.map(move |acceptor| {
        format!(
            "application {name} accepts publishers without any key, and {} can be reached from \
             other machines; give its plugin keys, or listen on 127.0.0.1",
            acceptor.listen
        )
    })
}

/// What clients may do without a decision, in words; none when nothing.
fn undecided(on_error: &OnError) -> Option<String> {
    let OnError {
        connect,
        publish,
        play,
        shared_object,
    } = on_error;
    let questions = [
        (connect, "connect"),
        (publish, "publish"),
        (play, "play"),
        (shared_object, "use shared objects"),
    ];
    let open = questions.into_iter();
    let open = open.filter(|(fallback, _)| **fallback == Fallback::Allow);
    let mut open: Vec<&str> = open.map(|(_, what)| what).collect();
    let last = open.pop()?;
    Some(match open.is_empty() {
        true => last.to_owned(),
        false => format!("{} and {last}", open.join(", ")),
    })
}

fn shown(file: &Path, base: &Path) -> String {
    file.strip_prefix(base)
        .unwrap_or(file)
        .display()
        .to_string()
}

/// An address that a client on this machine can use.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let loopback = match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        address.set_ip(loopback);
    }
    address
}
