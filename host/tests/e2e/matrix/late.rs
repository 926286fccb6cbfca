//! Players that join a stream which runs, and write what they get into other
//! containers: a file in each has the tracks that are published, no others.
//!
//! One publisher for each pair of codecs, whose metadata comes again and again
//! as some encoders send it, and all players at once: the time of one.

use std::{
    fs,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::{
    axes::{self, Codecs},
    film,
};
use crate::support::{
    App, Config, Host, Tool, amf,
    flv::{Role, SCRIPT},
    log::START,
    process::Process,
    rtmp::Client,
    together,
};

/// Of the film that is sent over and over, milliseconds.
const ROUND: u32 = 2_000;
/// The publishers' clock at their first message, milliseconds.
const FIRST: u32 = 5_000;
/// Metadata is sent again after so much of it, milliseconds.
const TELL: u32 = 200;
/// For a player to have what it wants, and to end.
const LIMIT: Duration = Duration::from_secs(60);

/// What a player writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    Mp4,
    Matroska,
    MpegTs,
    Hls,
    /// For what none of the others has a place for.
    Flv,
}

impl Container {
    const ALL: [Self; 5] = [
        Self::Mp4,
        Self::Matroska,
        Self::MpegTs,
        Self::Hls,
        Self::Flv,
    ];

    fn format(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Matroska => "matroska",
            Self::MpegTs => "mpegts",
            Self::Hls => "hls",
            Self::Flv => "flv",
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::Matroska => "mkv",
            Self::MpegTs => "ts",
            Self::Hls => "m3u8",
            Self::Flv => "flv",
        }
    }

    /// Whether there is a place for both codecs in it.
    fn has(self, codecs: Codecs) -> bool {
        let (video, audio) = (codecs.video.name, codecs.audio.name);
        match self {
            Self::Mp4 => video != "flv1",
            Self::Matroska => audio != "nellymoser",
            Self::Flv => audio == "nellymoser",
            Self::MpegTs | Self::Hls => matches!(video, "h264" | "hevc") && audio != "flac",
        }
    }
}

#[test]
fn a_player_that_joins_late_sees_the_published_tracks_and_no_others() {
    let _guard = together();
    let tools: Vec<_> = axes::present()
        .into_iter()
        .filter(|tool| matches!(tool, Tool::Ffmpeg5 | Tool::Ffmpeg9))
        .collect();
    if !tools.contains(&Tool::Ffmpeg9) {
        return;
    }
    let host = Host::start(&Config::live(App::open("reject")));
    let over = AtomicBool::new(false);
    let differences: Vec<String> = thread::scope(|scope| {
        for codecs in published() {
            let (addr, over) = (host.addr, &over);
            scope.spawn(move || publish(addr, codecs, over));
        }
        for codecs in published() {
            host.log
                .wait(START, "ready", &[("stream", &codecs.word())], LIMIT);
        }
        let host = &host;
        let spawn = |job: Job| (job, scope.spawn(move || join(host, job)));
        let players: Vec<_> = jobs(&tools).into_iter().map(spawn).collect();
        let differences = players
            .into_iter()
            .filter_map(|((tool, codecs, container), player)| {
                let difference = player.join().expect("no panic").err()?;
                Some(format!(
                    "{tool}, {}, {container:?}: {difference}",
                    codecs.name
                ))
            });
        let differences = differences.collect();
        over.store(true, Ordering::Relaxed);
        differences
    });
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    host.stop();
}

type Job = (Tool, Codecs, Container);

/// What every client knows into every container; else each pair of codecs into
/// one of them, in turn.
fn jobs(tools: &[Tool]) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (start, tool) in tools.iter().enumerate() {
        let known = Codecs::ALL
            .into_iter()
            .filter(|codecs| knows(*tool, *codecs));
        for (turn, codecs) in known.enumerate() {
            let possible = Container::ALL
                .into_iter()
                .filter(|container| container.has(codecs));
            let possible: Vec<_> = possible.collect();
            let count = match codecs == Codecs::common() {
                true => possible.len(),
                false => possible.len().min(1),
            };
            let chosen = possible.iter().cycle().skip(start + turn).take(count);
            jobs.extend(chosen.map(|container| (*tool, codecs, *container)));
        }
    }
    jobs
}

/// What it plays: the reasons are in the table.
fn knows(tool: Tool, codecs: Codecs) -> bool {
    match tool {
        Tool::Ffmpeg5 => codecs.is_legacy(),
        _ => codecs.video.name != "vp8",
    }
}

fn published() -> impl Iterator<Item = Codecs> {
    Codecs::ALL
        .into_iter()
        .filter(|codecs| knows(Tool::Ffmpeg9, *codecs))
}

/// Publishes the film again and again, at its pace, until it is `over`.
fn publish(addr: SocketAddr, codecs: Codecs, over: &AtomicBool) {
    let mut film = film::messages(codecs);
    film.retain(|tag| tag.packet_role() != Role::End && tag.dts < ROUND);
    let metadata = [
        amf::encode(&["@setDataFrame".into()]),
        film::metadata(codecs),
    ];
    let metadata = metadata.concat();
    let mut client = Client::publish(addr, "live", &codecs.word()).expect("may publish");
    let begin = Instant::now();
    let mut told = 0;
    for round in 0..LIMIT.as_millis() as u32 / ROUND {
        for tag in film
            .iter()
            .filter(|tag| round == 0 || tag.packet_role() == Role::Frame)
        {
            let at = round * ROUND + tag.dts;
            let due = begin + Duration::from_millis(at.into());
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if over.load(Ordering::Relaxed) {
                return client.leave();
            }
            if at >= told {
                client
                    .media(SCRIPT, FIRST + at, &metadata)
                    .expect("is taken");
                told = at + TELL;
            }
            client
                .media(tag.kind, FIRST + at, &tag.payload)
                .expect("is taken");
        }
    }
}

/// Joins, writes a second into a file, and compares its tracks.
fn join(host: &Host, (tool, codecs, container): Job) -> Result<(), String> {
    let name = format!("{}-{tool}.{}", codecs.word(), container.extension());
    let file = host.file(&name.replace(' ', "-"));
    let mut command = tool.command();
    command.args(["-nostdin", "-hide_banner", "-y"]);
    command.args(["-i", &host.url(&format!("live/{}", codecs.word()))]);
    command.args(["-t", "1", "-c", "copy", "-strict", "experimental"]);
    command.args(["-f", container.format()]).arg(&file);
    let mut player = Process::spawn(format!("{tool} writing {name}"), &mut command);
    let exit = player.ends(LIMIT);
    player.kill();
    let said = player.stderr.text();
    let Some(exit) = exit else {
        return Err(format!("it does not end:\n{said}"));
    };
    let published = [("Video", codecs.video.name), ("Audio", codecs.audio.name)];
    let published = published.map(|(kind, codec)| format!("{kind}: {codec}"));
    for part in ["Input #0", "Output #0"] {
        let found = tracks(&said, part);
        if found != published {
            return Err(format!(
                "{part} has {found:?}, expected {published:?}:\n{said}"
            ));
        }
    }
    let length = fs::metadata(&file).map_or(0, |file| file.len());
    if !exit.status.success() || length == 0 {
        return Err(format!("{}, {length} bytes:\n{said}", exit.status));
    }
    Ok(())
}

/// The tracks that FFmpeg lists in a part of what it says: kind and codec.
fn tracks(said: &str, part: &str) -> Vec<String> {
    let mut tracks = Vec::new();
    let mut is_inside = false;
    for line in said.lines() {
        if line.starts_with("Input #") || line.starts_with("Output #") {
            is_inside = line.starts_with(part);
        }
        // "  Stream #0:1[0x1]: Audio: aac (LC), 48000 Hz, mono"
        let track = line.trim_start().strip_prefix("Stream #0:");
        if let Some((_, track)) = track.filter(|_| is_inside).and_then(|t| t.split_once(": ")) {
            let track = track.split([',', '(']).next().unwrap_or_default();
            tracks.push(track.trim_end().to_owned());
        }
    }
    tracks
}
