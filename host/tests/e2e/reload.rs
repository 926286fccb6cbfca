//! The plugin's file is replaced while streams flow.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use crate::{
    publish_play::{assert_whole, sent},
    support::{
        App, Config, Encoder, Host, Player, Tool, Witness, alone, clients,
        compare::{self, By},
        fixture, flv, guests, host,
        log::START,
        rtmp::Client,
    },
};

const SOON: Duration = Duration::from_secs(30);
const ROUNDS: u32 = 20;

/// What a new connection is told about the version that decides.
fn serving(host: &Host) -> String {
    let refused = Client::connect(host.addr, "live?mode=tell-version");
    let refused = refused.expect_err("the probe answers with its version");
    refused.description().to_owned()
}

/// Files that must never serve: each is another way to be broken.
fn garbage(round: u32) -> Vec<u8> {
    let good = guests::probe_version(900_000 + round);
    match round / 4 {
        0 => b"this is no wasm at all\n".repeat(1000),
        1 => good[..good.len() / 2].to_vec(),
        // A core module, not a component.
        2 => b"\0asm\x01\0\0\0".to_vec(),
        // A component without a single export.
        3 => b"\0asm\x0d\0\x01\0".to_vec(),
        _ => Vec::new(),
    }
}

#[test]
fn twenty_reloads_with_five_broken_ones_disturb_nothing() {
    let _guard = alone();
    let folder = host::folder();
    let plugin = folder.path().join("plugin.wasm");
    fs::write(&plugin, guests::probe_version(0)).expect("the plugin can be written");
    let host = Host::start_in(
        folder,
        &Config::live(App::probe_at("plugin.wasm", "accept")),
    );
    assert_eq!(serving(&host), "version 000000");

    // Two streams: one measured to the millisecond, one between real clients.
    let real = clients::all(&[Tool::Ffmpeg9, Tool::Rtmpdump]).then(|| {
        let film = fixture::film(20, 0);
        let sent = sent(&host, Encoder(Tool::Ffmpeg9), &film);
        let player = Player(Tool::Rtmpdump).record(&host.url("live/film"), host.file("out.flv"));
        host.log
            .wait(START, "playing: waiting for a publisher", &[], SOON);
        let publisher = Encoder(Tool::Ffmpeg9).publish(&film, &host.url("live/film"));
        host.log
            .wait(START, "publishing", &[("stream", "film")], SOON);
        (sent, player, publisher)
    });
    let witness = Witness::start(host.addr, "live", "watched");

    let mut version = 0;
    let mut worst = Duration::ZERO;
    for round in 0..ROUNDS {
        if round % 4 == 3 {
            replaced_by_garbage(&host, &plugin, round, version);
        } else {
            version = round + 1;
            worst = worst.max(replaced_by_version(&host, &plugin, version));
        }
    }
    let report = witness.finish();
    eprintln!(
        "{ROUNDS} replacements, 5 of them garbage: a new policy served new connections after \
         {:.0} ms at worst; the running stream: {report}",
        worst.as_secs_f64() * 1e3
    );
    report.assert_on_time();
    if let Some((sent, mut player, mut publisher)) = real {
        let exit = publisher.wait(Duration::from_secs(60));
        assert!(exit.status.success(), "{}", exit.stderr);
        player.ended(SOON);
        let run = compare::contiguous(&sent, &flv::packets(&player.file), By::Hash)
            .unwrap_or_else(|difference| panic!("the real clients' stream: {difference}"));
        eprintln!("FFmpeg 9 to rtmpdump meanwhile: {run:?}");
        assert_eq!((run.skipped, run.offset), (0, 0), "{run:?}");
        assert_whole(player.tool, run, "FFmpeg 9 to rtmpdump");
    }
    let failures = host.log.find(
        START,
        "plugin reload failed; the old generation keeps serving",
        &[],
    );
    assert_eq!(failures.len(), 5, "each broken file is reported once");
    host.stop();
}

/// Returns how long it took until a new connection met the new version.
fn replaced_by_version(host: &Host, plugin: &Path, version: u32) -> Duration {
    let wasm = guests::probe_version(version);
    let before = serving(host);
    let expected = format!("version {version:06}");
    if version.is_multiple_of(2) {
        guests::replace(plugin, &wasm);
    } else {
        // As `cp` does: the file is short for a moment.
        fs::write(plugin, &wasm).expect("the plugin can be written");
    }
    let begin = Instant::now();
    loop {
        let now = serving(host);
        if now == expected {
            return begin.elapsed();
        }
        assert_eq!(now, before, "neither the old nor the new version");
        assert!(begin.elapsed() < SOON, "{expected} doesn't come");
        thread::sleep(Duration::from_millis(10));
    }
}

fn replaced_by_garbage(host: &Host, plugin: &Path, round: u32, version: u32) {
    let mark = host.log.mark();
    guests::replace(plugin, &garbage(round));
    let failed = host.log.wait(
        mark,
        "plugin reload failed; the old generation keeps serving",
        &[("app", "live")],
        SOON,
    );
    assert_eq!(failed.level(), "ERROR");
    let error = failed.field("error").expect("a failure has a reason");
    eprintln!("broken file {round}: {error}");
    assert!(!error.contains('\n'), "one line: {error:?}");
    assert_eq!(serving(host), format!("version {version:06}"));
}

#[test]
fn plugin_that_refuses_to_start_does_not_replace_the_old_one() {
    let _guard = crate::support::together();
    let folder = host::folder();
    let plugin = folder.path().join("plugin.wasm");
    fs::copy(guests::guest("allow-all.wasm"), &plugin).expect("the plugin can be copied");
    let host = Host::start_in(
        folder,
        &Config::live(App::new("plugin.wasm", "{ \"on_duplicate\": \"reject\" }")),
    );
    // The probe knows no field on_duplicate: its configure refuses.
    let mark = host.log.mark();
    guests::replace(&plugin, &guests::probe_version(1));
    let failed = host.log.wait(
        mark,
        "plugin reload failed; the old generation keeps serving",
        &[],
        SOON,
    );
    let error = failed.field("error").expect("a failure has a reason");
    assert!(
        error.contains("on_duplicate"),
        "the guest's reason: {error}"
    );
    Client::publish(host.addr, "live", "cam").expect("allow-all still decides");
    host.stop();
}
