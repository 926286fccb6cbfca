//! Enhanced RTMP v2: what FFmpeg can send goes through unchanged to its
//! players; what no encoder here can send is scripted, byte by byte. Which test
//! covers what is in `docs/enhanced-rtmp.md`.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::support::{
    App, Config, Host, Tool,
    amf::Amf,
    clients,
    compare::{self, By},
    fixture,
    flv::{self, AUDIO, Packet, Role, SCRIPT, VIDEO},
    log::START,
    process::Process,
    rtmp::{self, Client},
    together,
};

const SOON: Duration = Duration::from_secs(10);

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

/// A message of a scripted publisher.
struct Line {
    kind: u8,
    at: u32,
    body: Vec<u8>,
    /// Whether a player that joins after all of it gets the message.
    kept: bool,
}

fn line(kind: u8, at: u32, body: &[u8]) -> Line {
    Line {
        kind,
        at,
        body: body.to_vec(),
        kept: true,
    }
}

/// A message that nobody needs who joins later.
fn passing(kind: u8, at: u32, body: &[u8]) -> Line {
    Line {
        kept: false,
        ..line(kind, at, body)
    }
}

/// Media messages of a player in order: as many as `count`.
fn receive(client: &mut Client, count: usize, who: &str) -> Vec<(u8, u32, Vec<u8>)> {
    let deadline = Instant::now() + SOON;
    let mut received = Vec::new();
    while received.len() < count {
        let message = client.next(deadline).unwrap_or_else(|failure| {
            panic!("{who}: {failure:?} after {} of {count}", received.len())
        });
        assert!(!rtmp::is_end(&message), "{who}: over after {received:x?}");
        let is_media = matches!(message.kind, AUDIO | VIDEO | SCRIPT);
        // The server's own word for Flash.
        let own = message
            .payload
            .starts_with(b"\x02\x00\x11|RtmpSampleAccess");
        if is_media && !own {
            received.push((message.kind, message.timestamp, message.payload));
        }
    }
    received
}

/// Publishes `script`. A player that waited gets every message as it was sent,
/// at its time; one that comes late those that are kept.
fn play_script(name: &str, script: &[Line]) {
    let host = Host::start(&Config::live(App::open("reject")));
    let mut early = Client::play(host.addr, "live", name).expect("may play");
    host.log.wait(
        START,
        "playing: waiting for a publisher",
        &[("stream", name)],
        SOON,
    );
    // Announces nothing: enhanced media is taken all the same.
    let mut publisher = Client::publish(host.addr, "live", name).expect("may publish");
    for line in script {
        publisher
            .media(line.kind, line.at, &line.body)
            .unwrap_or_else(|failure| panic!("{name}: {failure:?}"));
    }
    let received = receive(&mut early, script.len(), name);
    for (line, (kind, at, body)) in script.iter().zip(&received) {
        assert_eq!(
            (line.kind, line.at, &line.body),
            (*kind, *at, body),
            "{name}"
        );
    }
    let kept: Vec<_> = script.iter().filter(|line| line.kept).collect();
    let mut late = Client::play(host.addr, "live", name).expect("may play");
    let received = receive(&mut late, kept.len(), &format!("{name}, late"));
    for (line, (kind, _, body)) in kept.iter().zip(&received) {
        assert_eq!((line.kind, &line.body), (*kind, body), "{name}, late");
    }
    // Nothing more was there: the next is what is sent now.
    let last = b"\xa1av01last";
    publisher.media(VIDEO, 9_000, last).expect("still there");
    let next = receive(&mut late, 1, name);
    assert_eq!(next[0].2, last, "{name}, late");
    publisher.leave();
    let log = host
        .log
        .find(START, "dropping a message that is no frame", &[]);
    assert!(log.is_empty(), "{name}: {log:?}");
    host.stop();
}

/// A track of a message with several: id, size, body.
fn track(id: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).expect("short").to_be_bytes();
    [&[id], &len[1..], body].concat()
}

#[test]
fn codecs_that_ffmpeg_does_not_send_pass_unchanged() {
    let _guard = together();
    for (name, video) in [("vp8", b"vp08"), ("vvc", b"vvc1"), ("other", b"zz99")] {
        let script = [
            line(VIDEO, 0, &[b"\x90", &video[..], b"config"].concat()),
            line(VIDEO, 0, &[b"\x91", &video[..], b"\0\0\0key"].concat()),
            line(AUDIO, 0, b"\x91.mp3\xff\xfbframe"),
            line(AUDIO, 20, b"\x91.mp3\xff\xfbframe2"),
            line(VIDEO, 40, &[b"\xa1", &video[..], b"\0\0\x28inter"].concat()),
        ];
        play_script(name, &script);
    }
}

#[test]
fn modifiers_with_nanoseconds_pass_unchanged() {
    let _guard = together();
    let nano = b"\x02\x0f\x42\x3f";
    let unknown = [&b"\xff\x01\x03"[..], &[7; 260], b"\x57"].concat();
    play_script(
        "modex",
        &[
            line(VIDEO, 0, &[b"\x97", &nano[..], b"\x00hvc1config"].concat()),
            line(
                AUDIO,
                0,
                &[b"\x97", &nano[..], b"\x00OpusOpusHead"].concat(),
            ),
            line(
                VIDEO,
                0,
                &[b"\x97", &nano[..], b"\x01hvc1\0\0\0key"].concat(),
            ),
            line(AUDIO, 1, &[b"\x97", &nano[..], b"\x01Opusframe"].concat()),
            line(VIDEO, 40, &[b"\xa7", &nano[..], b"\x03hvc1inter"].concat()),
            // A modifier that nobody knows, with a size of 16 bits, and
            // nanoseconds behind it; then tracks.
            line(
                VIDEO,
                80,
                &[b"\xa7", &unknown[..], nano, b"\x06\x01hvc1\x01\0\0\0zz"].concat(),
            ),
        ],
    );
}

#[test]
fn one_track_many_tracks_and_many_codecs_pass_unchanged() {
    let _guard = together();
    // The default track is never the first.
    play_script(
        "one-track",
        &[
            line(VIDEO, 0, b"\x96\x00av01\x01config1"),
            line(VIDEO, 0, b"\x96\x00av01\x00config0"),
            line(AUDIO, 0, b"\x95\x00Opus\x01config1"),
            line(AUDIO, 0, b"\x95\x00Opus\x00config0"),
            line(VIDEO, 0, b"\x96\x01av01\x01key1"),
            line(VIDEO, 0, b"\x96\x01av01\x00key0"),
            line(AUDIO, 5, b"\x95\x01Opus\x01frame1"),
            line(AUDIO, 5, b"\x95\x01Opus\x00frame0"),
            line(VIDEO, 40, b"\xa6\x01av01\x01inter1"),
            line(VIDEO, 40, b"\xa6\x01av01\x00inter0"),
        ],
    );
    let many = |head: &[u8], tracks: [Vec<u8>; 2]| [head, &tracks.concat()].concat();
    play_script(
        "many-tracks",
        &[
            line(
                VIDEO,
                0,
                &many(b"\x96\x10hvc1", [track(2, b"c2"), track(0, b"c0")]),
            ),
            line(
                AUDIO,
                0,
                &many(b"\x95\x10fLaC", [track(1, b"c1"), track(0, b"c0")]),
            ),
            line(
                VIDEO,
                0,
                &many(
                    b"\x96\x11hvc1",
                    [track(2, b"\0\0\0k2"), track(0, b"\0\0\x28k0")],
                ),
            ),
            line(
                AUDIO,
                20,
                &many(b"\x95\x11fLaC", [track(1, b"f1"), track(0, b"")]),
            ),
            line(
                VIDEO,
                40,
                &many(b"\xa6\x13hvc1", [track(2, b"i2"), track(0, b"i0")]),
            ),
        ],
    );
    let codecs = |head: &[u8], a: (&[u8], Vec<u8>), b: (&[u8], Vec<u8>)| {
        [head, a.0, &a.1, b.0, &b.1].concat()
    };
    play_script(
        "many-codecs",
        &[
            line(
                VIDEO,
                0,
                &codecs(
                    b"\x96\x20",
                    (b"vp09", track(1, b"c1")),
                    (b"avc1", track(0, b"c0")),
                ),
            ),
            line(
                AUDIO,
                0,
                &codecs(
                    b"\x95\x20",
                    (b"Opus", track(1, b"c1")),
                    (b"mp4a", track(0, b"c0")),
                ),
            ),
            line(
                VIDEO,
                0,
                &codecs(
                    b"\x96\x21",
                    (b"vp09", track(1, b"k1")),
                    (b"avc1", track(0, b"\0\0\0k0")),
                ),
            ),
            line(
                AUDIO,
                20,
                &codecs(
                    b"\x95\x21",
                    (b"ac-3", track(2, b"f2")),
                    (b".mp3", track(3, b"f3")),
                ),
            ),
        ],
    );
    // No default track at all.
    play_script(
        "tracks-1-and-2",
        &[
            line(VIDEO, 0, b"\x96\x00av01\x01config1"),
            line(VIDEO, 0, b"\x96\x00av01\x02config2"),
            passing(VIDEO, 0, b"\x96\x01av01\x01key1"),
            passing(VIDEO, 0, b"\x96\x01av01\x02key2"),
            line(VIDEO, 1_000, b"\x96\x01av01\x01key1"),
            line(VIDEO, 1_000, b"\x96\x01av01\x02key2"),
        ],
    );
}

#[test]
fn channel_order_colour_information_and_commands_pass_unchanged() {
    let _guard = together();
    let mut colour = b"\xd4hvc1".to_vec();
    colour.extend(crate::support::amf::encode(&[
        "colorInfo".into(),
        Amf::Object(vec![(
            "colorConfig".into(),
            Amf::Object(vec![
                ("bitDepth".into(), 10.0.into()),
                ("transferCharacteristics".into(), 16.0.into()),
            ]),
        )]),
    ]));
    // Reset, as the specification recommends: undefined.
    let reset = b"\x94hvc1\x02\x00\x09colorInfo\x06";
    play_script(
        "supplements",
        &[
            line(VIDEO, 0, b"\x90hvc1config"),
            line(VIDEO, 0, &colour),
            line(VIDEO, 0, b"\x96\x04av01\x01\x02\x00\x09colorInfo\x06"),
            line(AUDIO, 0, b"\x90OpusOpusHead"),
            // Native order, 6 channels, 5.1.
            line(AUDIO, 0, b"\x94Opus\x01\x06\x00\x00\x00\x3f"),
            // Custom order of 2 channels: right, left.
            line(AUDIO, 0, b"\x95\x04Opus\x01\x02\x02\x01\x00"),
            line(VIDEO, 0, b"\x91hvc1\0\0\0key"),
            // A seek of the client begins and ends: no keyframe, no codec.
            line(VIDEO, 0, b"\xd0\x00"),
            line(VIDEO, 40, b"\xd1\x01"),
            line(VIDEO, 40, b"\x57\x00"),
            line(AUDIO, 40, b"\x92Opus"),
            line(VIDEO, 40, b"\x92hvc1"),
        ],
    );
    play_script(
        "reset-colour",
        &[
            passing(VIDEO, 0, &colour),
            // In the place of the one it replaces.
            line(VIDEO, 0, reset),
            line(VIDEO, 0, b"\x90hvc1config"),
            line(VIDEO, 0, b"\x91hvc1\0\0\0key"),
        ],
    );
}

#[test]
fn commands_of_a_publisher_of_audio_do_not_make_players_wait() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")));
    let mut publisher = Client::publish(host.addr, "live", "radio").expect("may publish");
    let send = |publisher: &mut Client, kind, at, body: &[u8]| {
        publisher.media(kind, at, body).expect("is taken");
    };
    send(&mut publisher, VIDEO, 0, b"\xd1\x00");
    send(&mut publisher, AUDIO, 0, b"\x90OpusOpusHead");
    send(&mut publisher, AUDIO, 0, b"\x91Opusframe");
    let mut player = Client::play(host.addr, "live", "radio").expect("may play");
    player.status(SOON, "NetStream.Play.Start").expect("plays");
    send(&mut publisher, VIDEO, 20, b"\xd1\x01");
    send(&mut publisher, AUDIO, 20, b"\x91Opusframe2");
    let received = receive(&mut player, 2, "player of radio");
    let bodies: Vec<_> = received.iter().map(|(_, _, body)| &body[..]).collect();
    assert_eq!(bodies, [&b"\x90OpusOpusHead"[..], b"\x91Opusframe2"]);
    publisher.leave();
    host.stop();
}

#[test]
fn headers_beyond_the_limit_are_told_in_the_log() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")));
    let mut publisher = Client::publish(host.addr, "live", "many").expect("may publish");
    for id in 0..=u8::MAX {
        let header = [&b"\x96\x00av01"[..], &[id], b"config"].concat();
        publisher.media(VIDEO, 0, &header).expect("is taken");
    }
    let text = "a codec header is not kept for players that join later: the stream has more \
                of them than are kept";
    let told = host.log.wait(START, text, &[], SOON);
    assert_eq!(told.field("track").as_deref(), Some("64"));
    publisher.leave();
    host.log.wait(START, "session ended", &[], SOON);
    assert_eq!(host.log.find(START, text, &[]).len(), 1, "once");
    host.stop();
}

#[test]
fn connect_is_answered_with_what_the_server_supports() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")));
    let list = ["av01", "hvc1", "Opus"].map(Amf::from);
    let flags = Amf::Object(vec![("vp09".into(), 3.0.into())]);
    for announced in [
        ("fourCcList", Amf::Array(list.into())),
        ("videoFourCcInfoMap", flags.clone()),
        ("audioFourCcInfoMap", flags),
        ("capsEx", Amf::Number(0.0)),
    ] {
        let what = announced.0;
        let answer = answer(&host, &[announced]);
        let Amf::Object(properties) = &answer else {
            panic!("{what}: {answer:?}");
        };
        let value = |name: &str| {
            let found = properties.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.clone())
        };
        // Reconnect, multitrack, ModEx, nanoseconds.
        assert_eq!(value("capsEx"), Some(Amf::Number(15.0)), "{what}");
        let video = value("videoFourCcInfoMap").expect("video codecs");
        let audio = value("audioFourCcInfoMap").expect("audio codecs");
        for (map, four_cc) in [
            (&video, "*"),
            (&video, "vvc1"),
            (&audio, "*"),
            (&audio, ".mp3"),
        ] {
            let Amf::Object(codecs) = map else {
                panic!("{what}: {map:?}");
            };
            let can_forward = (four_cc.to_owned(), Amf::Number(4.0));
            assert!(codecs.contains(&can_forward), "{what}: {four_cc}");
        }
        let Some(Amf::Array(list)) = value("fourCcList") else {
            panic!("{what}: {properties:?}");
        };
        assert!(list.contains(&"hvc1".into()) && list.contains(&"*".into()));
    }
    // Others get the answer they always got.
    let legacy = answer(&host, &[]);
    let Amf::Object(properties) = &legacy else {
        panic!("{legacy:?}");
    };
    let names: Vec<_> = properties.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["fmsVer", "capabilities", "mode"]);
    host.stop();
}

/// The properties in the `_result` of a connect.
fn answer(host: &Host, announced: &[(&str, Amf)]) -> Amf {
    let mut client = Client::open(host.addr).expect("a handshake");
    client
        .connect_command_with(host.addr, "live", announced)
        .expect("is sent");
    let result = client
        .until(SOON, |command| command.name == "_result")
        .expect("is accepted");
    let object = result.arguments.get(1).cloned();
    object.expect("a result has properties")
}
