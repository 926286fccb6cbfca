//! Real clients through every chain: what is played is what was sent.

use std::time::Duration;

use crate::{
    publish_play::{assert_whole, sent},
    support::{
        App, Config, Encoder, Host, Player, Tool, clients,
        compare::{self, By},
        fixture, flv,
        host::folder,
        log::START,
        tls, together,
    },
};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn ffmpeg_5_over_rtmps() {
    let players = [Tool::Ffmpeg5, Tool::Ffmpeg9, Tool::Rtmpdump];
    plays_what_is_published("rtmps", Tool::Ffmpeg5, &players);
}

#[test]
fn ffmpeg_9_over_rtmps() {
    let players = [Tool::Ffmpeg5, Tool::Ffmpeg9];
    plays_what_is_published("rtmps", Tool::Ffmpeg9, &players);
}

#[test]
fn ffmpeg_5_over_rtmpt() {
    let players = [Tool::Ffmpeg5, Tool::Ffmpeg9, Tool::Rtmpdump];
    plays_what_is_published("rtmpt", Tool::Ffmpeg5, &players);
}

#[test]
fn ffmpeg_9_over_rtmpt() {
    let players = [Tool::Ffmpeg5, Tool::Ffmpeg9];
    plays_what_is_published("rtmpt", Tool::Ffmpeg9, &players);
}

#[test]
fn ffmpeg_5_over_rtmpts() {
    // FFmpeg 9 refuses its own second request: "Cannot reuse HTTP connection
    // for different protocol https vs http".
    plays_what_is_published("rtmpts", Tool::Ffmpeg5, &[Tool::Ffmpeg5]);
}

// Debian's FFmpeg is built without RTMPE.

#[test]
fn ffmpeg_9_over_rtmpe() {
    let players = [Tool::Ffmpeg9, Tool::Rtmpdump];
    plays_what_is_published("rtmpe", Tool::Ffmpeg9, &players);
}

#[test]
fn ffmpeg_9_over_rtmpte() {
    let players = [Tool::Ffmpeg9, Tool::Rtmpdump];
    plays_what_is_published("rtmpte", Tool::Ffmpeg9, &players);
}

#[test]
fn librtmp_over_rtmpe() {
    let players = [Tool::Ffmpeg9, Tool::Rtmpdump];
    plays_what_is_published("rtmpe", Tool::GstreamerLibrtmp, &players);
}

#[test]
fn librtmp_over_rtmpte() {
    let players = [Tool::Ffmpeg9, Tool::Rtmpdump];
    plays_what_is_published("rtmpte", Tool::GstreamerLibrtmp, &players);
}

/// The chain of a scheme's URLs.
fn chain(scheme: &str) -> &'static str {
    match scheme {
        "rtmps" => "[Tcp, Tls, Rtmp]",
        "rtmpt" => "[Tcp, Http, Rtmp]",
        "rtmpts" => "[Tcp, Tls, Http, Rtmp]",
        "rtmpe" => "[Tcp, Rtmpe]",
        "rtmpte" => "[Tcp, Http, Rtmpe]",
        other => panic!("no chain for {other}"),
    }
}

fn plays_what_is_published(scheme: &str, encoder: Tool, players: &[Tool]) {
    let _guard = together();
    if !clients::all(&[Tool::Ffmpeg9, encoder]) {
        return;
    }
    let film = fixture::film(6, 0);
    let folder = folder();
    let chain = chain(scheme);
    let fields = if chain.contains("Tls") {
        let certificate = tls::localhost().write(folder.path(), "own");
        format!("tls: {certificate},")
    } else {
        String::new()
    };
    let config = Config::live(App::open("reject")).chain(chain, &fields);
    let host = Host::start_in(folder, &config);
    // By name, as FFmpeg 9 checks certificates.
    let url = format!("{scheme}://localhost:{}/live/film", host.addr.port());
    let by = match encoder {
        // Its multiplexer makes timestamps that depend on when it started.
        Tool::Gstreamer | Tool::GstreamerLibrtmp => By::Essence,
        _ => By::Hash,
    };
    let sent = sent(&host, Encoder(encoder), &film);
    let mut mark = START;
    let mut recordings = Vec::new();
    for tool in clients::present(players) {
        let file = host.file(&format!("played-{}.flv", recordings.len()));
        recordings.push(Player(tool).record(&url, file));
        // It waits, so nothing is skipped.
        let waiting = "playing: waiting for a publisher";
        host.log.wait(mark, waiting, &[("stream", "film")], SOON);
        mark = host.log.mark();
    }
    let mut publisher = Encoder(encoder).publish(&film, &url);
    let exit = publisher.wait(Duration::from_secs(60));
    assert!(exit.status.success(), "{encoder}: {}", exit.stderr);
    for recording in &mut recordings {
        recording.ended(SOON);
        let who = format!("{encoder} to {} over {scheme}", recording.tool);
        let run = compare::contiguous(&sent, &flv::packets(&recording.file), by)
            .unwrap_or_else(|difference| panic!("{who}: {difference}"));
        eprintln!("{who}: {run:?}");
        assert_eq!(run.skipped, 0, "{who}: {run:?}");
        if chain.contains("Http") {
            // FFmpeg closes a tunnel without sending what waits for its next
            // request (rtmphttp.c: rtmp_http_close).
            let (video, audio) = run.missing;
            assert!(video < 30 && audio < 50, "{who}: {run:?}");
        } else {
            assert_whole(recording.tool, run, &who);
        }
    }
    host.stop();
}
