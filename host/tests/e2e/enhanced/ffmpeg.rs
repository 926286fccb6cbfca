//! FFmpeg 9 at both ends.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::SOON;
use crate::support::{
    App, Config, Host, Tool, clients,
    compare::{self, By},
    fixture,
    flv::{self, AUDIO, Packet, Role, VIDEO},
    log::START,
    process::Process,
    rtmp::Client,
    together,
};

/// What FFmpeg 9 is told to announce with `fourCcList`.
const ANNOUNCED: &str = "av01,hvc1,vp09,avc1,ac-3,ec-3,fLaC,Opus,mp4a,.mp3";

/// FFmpeg 9 publishes `film` with all its streams at its own pace.
fn publish(film: &Path, url: &str) -> Process {
    let mut command = Tool::Ffmpeg9.command();
    command.args(["-nostdin", "-hide_banner", "-loglevel", "warning", "-re"]);
    command.arg("-i").arg(film);
    command.args(["-map", "0", "-c", "copy", "-f", "flv"]);
    command.args(["-rtmp_enhanced_codecs", ANNOUNCED, url]);
    Process::spawn(format!("FFmpeg 9 publishing {url}"), &mut command)
}

/// FFmpeg 9 plays all streams of `url` into a file.
fn record(url: &str, file: &Path) -> Process {
    let mut command = Tool::Ffmpeg9.command();
    command.args(["-nostdin", "-hide_banner", "-loglevel", "warning", "-y"]);
    command.args(["-i", url, "-map", "0:v", "-map", "0:a", "-c", "copy"]);
    // Frames before a track's first keyframe, too: tracks may have groups of
    // pictures of their own.
    command
        .args(["-copyinkf", "-copyts", "-f", "flv"])
        .arg(file);
    Process::spawn(format!("FFmpeg 9 playing {url}"), &mut command)
}

/// A film of 6 s as FFmpeg 9 sends it, made once per checkout. It went through
/// the multiplexer twice: what that adds of its own (colour information, the
/// last configuration of FLAC) is then the same at either end.
fn film(name: &str, codecs: &[&str]) -> PathBuf {
    fixture::made(&format!("enhanced-{name}-v1.flv"), |fresh| {
        let raw = fresh.with_extension("raw.flv");
        let mut command = Tool::Ffmpeg9.command();
        command.args(["-nostdin", "-loglevel", "error", "-y"]);
        command.args([
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=320x180:rate=25:duration=6",
        ]);
        command.args([
            "-f",
            "lavfi",
            "-i",
            "sine=frequency=440:sample_rate=48000:duration=6",
        ]);
        command.args(["-pix_fmt", "yuv420p", "-g", "25", "-keyint_min", "25"]);
        command.args(codecs).args(["-f", "flv"]).arg(&raw);
        let exit =
            Process::spawn(format!("making {name}"), &mut command).wait(Duration::from_secs(240));
        assert!(exit.status.success(), "{name}: {}", exit.stderr);
        remux(&raw, fresh);
        std::fs::remove_file(&raw).expect("the raw film can be removed");
    })
}

/// What FFmpeg 9 sends of `film`, in a file.
fn remux(film: &Path, out: &Path) {
    let mut command = Tool::Ffmpeg9.command();
    command.args(["-nostdin", "-loglevel", "error", "-y", "-i"]);
    command.arg(film);
    command
        .args(["-map", "0", "-c", "copy", "-f", "flv"])
        .arg(out);
    let exit = Process::spawn("remuxing", &mut command).wait(SOON);
    assert!(exit.status.success(), "{}", exit.stderr);
}

/// Publishes films at once; each has a player that waits for it and one that
/// comes late. Both must get every packet from where they began, by hash.
fn pass_through(films: &[(&str, &[&str])], video: &[&[u8; 4]], audio: &[&[u8; 4]]) {
    let _guard = together();
    if !clients::all(&[Tool::Ffmpeg9]) {
        return;
    }
    let films: Vec<_> = films
        .iter()
        .map(|(name, codecs)| (*name, film(name, codecs)))
        .collect();
    let host = Host::start(&Config::live(App::open("reject")));
    let mut running = Vec::new();
    for (name, film) in &films {
        let sent = host.file(&format!("{name}-sent.flv"));
        remux(film, &sent);
        let sent = flv::packets(&sent);
        let url = host.url(&format!("live/{name}"));
        let early = host.file(&format!("{name}-early.flv"));
        let mark = host.log.mark();
        let player = record(&url, &early);
        host.log
            .wait(mark, "playing: waiting for a publisher", &[], SOON);
        running.push((*name, sent, early, player, publish(film, &url)));
    }
    let mut late = Vec::new();
    for (name, ..) in &running {
        // Both codecs are known and frames go out.
        host.log.wait(START, "ready", &[("stream", name)], SOON);
        await_second_group(&host, name);
        let file = host.file(&format!("{name}-late.flv"));
        late.push((
            file.clone(),
            record(&host.url(&format!("live/{name}")), &file),
        ));
    }
    let mut codecs = Vec::new();
    for ((name, sent, early, mut player, mut publisher), (late, mut late_player)) in
        running.into_iter().zip(late)
    {
        let exit = publisher.wait(Duration::from_secs(60));
        assert!(exit.status.success(), "{name}: {}", exit.stderr);
        for (who, player, file) in [
            ("early", &mut player, early),
            ("late", &mut late_player, late),
        ] {
            player.wait(SOON);
            let played = flv::packets(&file);
            let run = compare::contiguous(&sent, &played, By::Hash)
                .unwrap_or_else(|difference| panic!("{name}, {who}: {difference}"));
            eprintln!("{name}, {who}: {run:?}");
            assert_eq!(run.missing, (0, 0), "{name}, {who}: the last are missing");
            assert_eq!(run.offset, 0, "{name}, {who}: timestamps are the encoder's");
            assert_eq!(run.skipped > 0, who == "late", "{name}, {who}: {run:?}");
            has_all_headers(&sent, &played, &format!("{name}, {who}"));
        }
        codecs.extend(sent.iter().map(|p| (p.kind, p.codec)));
    }
    for (kind, wanted) in [(VIDEO, video), (AUDIO, audio)] {
        for codec in wanted {
            assert!(codecs.contains(&(kind, **codec)), "{codec:?} was not sent");
        }
    }
    host.stop();
}

/// Watches the stream until its second group of pictures has begun, so that a
/// player that joins now has missed something.
fn await_second_group(host: &Host, name: &str) {
    let mut client = Client::play(host.addr, "live", name).expect("may play");
    let deadline = Instant::now() + SOON;
    loop {
        let message = client.next(deadline).expect("the stream goes on");
        if message.kind == VIDEO && !message.payload.is_empty() {
            let packet = Packet::new(VIDEO, message.timestamp, &message.payload);
            if packet.keyframe && packet.dts >= 900 {
                return;
            }
        }
    }
}

/// The newest header and supplement of every track, as sent before the frames.
fn has_all_headers(sent: &[Packet], played: &[Packet], who: &str) {
    let is_header = |p: &&Packet| matches!(p.role, Role::Header | Role::Supplement);
    for header in sent.iter().filter(is_header) {
        assert!(
            played.iter().any(|p| p.hash == header.hash),
            "{who}: {header:?} of {:?} is missing",
            header.codec.escape_ascii().to_string()
        );
    }
}

#[test]
fn ffmpeg_9_publishes_and_plays_hevc_av1_and_vp9() {
    let films: [(&str, &[&str]); 3] = [
        (
            "hevc-opus",
            &[
                "-c:v",
                "libx265",
                "-preset",
                "ultrafast",
                "-x265-params",
                "log-level=none:bframes=2",
                "-c:a",
                "libopus",
            ],
        ),
        (
            "av1-ac3",
            &["-c:v", "libsvtav1", "-preset", "12", "-c:a", "ac3"],
        ),
        (
            "vp9-eac3",
            &[
                "-c:v",
                "libvpx-vp9",
                "-deadline",
                "realtime",
                "-cpu-used",
                "8",
                "-c:a",
                "eac3",
            ],
        ),
    ];
    pass_through(
        &films,
        &[b"hvc1", b"av01", b"vp09"],
        &[b"Opus", b"ac-3", b"ec-3"],
    );
}

#[test]
fn ffmpeg_9_publishes_and_plays_flac_mp3_and_multichannel_opus() {
    const X264: [&str; 4] = ["-c:v", "libx264", "-preset", "veryfast"];
    let with = |audio: &[&'static str]| [&X264[..], audio].concat();
    let (flac, mp3) = (with(&["-c:a", "flac"]), with(&["-c:a", "libmp3lame"]));
    let surround = with(&["-c:a", "libopus", "-ac", "6"]);
    let films: [(&str, &[&str]); 3] = [
        ("avc-flac", &flac),
        ("avc-mp3", &mp3),
        ("avc-opus-6", &surround),
    ];
    pass_through(&films, &[b"avc1"], &[b"fLaC", b".mp3", b"Opus"]);
}

#[test]
fn ffmpeg_9_publishes_and_plays_several_tracks_of_several_codecs() {
    const TRACKS: [&str; 8] = ["-map", "0:v", "-map", "0:v", "-map", "1:a", "-map", "1:a"];
    let with = |codecs: &[&'static str]| [&TRACKS[..], codecs].concat();
    let alike = with(&["-c:v", "libx264", "-preset", "veryfast", "-c:a", "aac"]);
    let mixed = with(&[
        "-c:v:0",
        "libx264",
        "-preset",
        "veryfast",
        "-c:v:1",
        "libvpx-vp9",
        "-deadline",
        "realtime",
        "-cpu-used",
        "8",
        "-c:a:0",
        "libopus",
        "-c:a:1",
        "flac",
    ]);
    let films: [(&str, &[&str]); 2] = [("tracks-alike", &alike), ("tracks-mixed", &mixed)];
    pass_through(&films, &[b"avc1", b"vp09"], &[b"mp4a", b"Opus", b"fLaC"]);
}
