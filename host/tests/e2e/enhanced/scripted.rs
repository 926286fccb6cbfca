//! What no encoder here can send, byte by byte.

use std::time::Instant;

use super::SOON;
use crate::support::{
    App, Config, Host,
    amf::Amf,
    flv::{AUDIO, SCRIPT, VIDEO},
    log::START,
    rtmp::{self, Client},
    together,
};

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
