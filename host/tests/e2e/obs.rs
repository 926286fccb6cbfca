//! OBS Studio, the encoder that most people have.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::support::{
    App, Config, Host, Player, Tool, clients,
    compare::{self, By},
    fixture,
    flv::{self, Packet, Role, VIDEO},
    host::folder,
    log::START,
    nginx,
    obs::{self, Obs, Service},
    process::Signal,
    rtmp::Client,
    tls, together,
    viewer::Seen,
};

const SOON: Duration = Duration::from_secs(20);
const KEY: &str = "key-obs-5d1e";

fn service(host: &Host, key: &str, login: Option<(&str, &str)>) -> Service {
    Service {
        server: host.url("live"),
        key: key.to_owned(),
        login: login.map(|(user, password)| (user.to_owned(), password.to_owned())),
    }
}

#[test]
fn obs_publishes_and_what_is_played_is_what_it_records() {
    let _guard = together();
    if !clients::all(&[Tool::Ffmpeg9, Tool::Obs]) {
        return;
    }
    let film = fixture::film(6, 0);
    let keys = format!(r#"{{ "publish": {{ "keys": ["{KEY}"] }}, "play": "open" }}"#);
    let host = Host::start(&Config::live(App::keys(&keys)));
    let obs = Obs::start(&film, &service(&host, &format!("cam?key={KEY}"), None));
    host.log
        .wait(START, "publishing", &[("stream", "cam")], obs::START);
    let file = host.file("played.flv");
    let mark = host.log.mark();
    let mut player = Player(Tool::Ffmpeg9).record(&host.url("live/cam"), file);
    host.log.wait(mark, "playing", &[("stream", "cam")], SOON);
    await_groups(host.addr, 5);
    player.process.signal(Signal::Interrupt);
    player.ended(SOON);
    // The recording is a little behind.
    await_groups(host.addr, 3);
    let mark = host.log.mark();
    obs.process.signal(Signal::Kill);
    host.log
        .wait(mark, "unpublished", &[("stream", "cam")], SOON);

    // The first frame that an output gets has a note of the encoder in front,
    // which the other output's does not.
    let played = from_second_keyframe(flv::packets(&player.file));
    let sent = flv::packets(&obs.recording());
    let run = compare::contiguous(&sent, &played, By::Essence)
        .unwrap_or_else(|difference| panic!("OBS to FFmpeg 9: {difference}"));
    eprintln!("OBS to FFmpeg 9: {run:?}");
    assert!(run.video > 60 && run.audio > 60, "{run:?}");
    let seen = Seen::of(&player.file);
    eprintln!(
        "{} pictures, {} bytes of sound",
        seen.pictures.len(),
        seen.sound
    );
    assert!(seen.pictures.len() >= run.video, "{}", seen.pictures.len());

    // Its name is free.
    let mark = host.log.mark();
    let _again = Obs::start(&film, &service(&host, &format!("cam?key={KEY}"), None));
    host.log
        .wait(mark, "publishing", &[("stream", "cam")], obs::START);
    host.stop();
}

#[test]
fn obs_publishes_over_tls() {
    let _guard = together();
    if !clients::all(&[Tool::Ffmpeg9, Tool::Obs]) || !obs::can_trust() {
        return;
    }
    let film = fixture::film(6, 0);
    let folder = folder();
    let fields = format!("tls: {},", tls::localhost().write(folder.path(), "own"));
    let plain = nginx::free();
    let config = Config::live(App::open("reject")).chain("[Tcp, Tls, Rtmp]", &fields);
    let config = config.also(plain, "[Tcp, Rtmp]", "");
    let host = Host::start_in(folder, &config);
    let service = Service {
        server: format!("rtmps://localhost:{}/live", host.addr.port()),
        key: "cam".into(),
        login: None,
    };
    let _obs = Obs::start(&film, &service);
    host.log
        .wait(START, "publishing", &[("stream", "cam")], obs::START);
    await_groups(plain, 2);
    host.stop();
}

/// Watches the stream for so many groups of pictures.
fn await_groups(addr: SocketAddr, count: usize) {
    let mut client = Client::play(addr, "live", "cam").expect("may play");
    let deadline = Instant::now() + SOON;
    let mut keyframes = 0;
    while keyframes <= count {
        let message = client.next(deadline).expect("the stream goes on");
        if message.kind == VIDEO && !message.payload.is_empty() {
            let packet = Packet::new(VIDEO, message.timestamp, &message.payload);
            keyframes += usize::from(packet.keyframe);
        }
    }
}

/// The headers, and all from the second group of pictures on.
fn from_second_keyframe(mut packets: Vec<Packet>) -> Vec<Packet> {
    let keyframes = packets.iter().filter(|packet| packet.keyframe);
    let from = keyframes.map(|packet| packet.dts).nth(1);
    let from = from.expect("two groups of pictures");
    packets.retain(|packet| packet.role != Role::Frame || packet.dts >= from);
    packets
}

#[test]
fn obs_is_refused_with_a_wrong_key_and_says_so() {
    let _guard = together();
    if !clients::all(&[Tool::Ffmpeg9, Tool::Obs]) {
        return;
    }
    let film = fixture::film(6, 0);
    let keys = format!(r#"{{ "publish": {{ "keys": ["{KEY}"] }}, "play": "open" }}"#);
    let host = Host::start(&Config::live(App::keys(&keys)));
    let obs = Obs::start(&film, &service(&host, "cam?key=wrong", None));
    host.log.wait(START, "publish refused", &[], obs::START);
    // The reason of the policy is in its log.
    obs.wait("NetStream.Publish.Denied (publish key for \"cam\" is wrong)");
    obs.wait(obs::STOPPED);
    assert!(host.log.find(START, "publishing", &[]).is_empty());
    host.stop();
}

#[test]
fn obs_logs_in_with_a_user_and_a_password() {
    let _guard = together();
    if !clients::all(&[Tool::Ffmpeg9, Tool::Obs]) {
        return;
    }
    let film = fixture::film(6, 0);
    for challenge in ["adobe", "llnw"] {
        let users = format!(
            r#"{{ "publish": "users", "users": {{ "ann": "{KEY}" }}, "challenge": "{challenge}" }}"#
        );
        let host = Host::start(&Config::live(App::keys(&users)));
        let _right = Obs::start(&film, &service(&host, "cam", Some(("ann", KEY))));
        host.log
            .wait(START, "authenticated", &[("user", "ann")], obs::START);
        host.log
            .wait(START, "publishing", &[("stream", "cam")], SOON);
        let wrong = Obs::start(&film, &service(&host, "other", Some(("ann", "wrong"))));
        host.log.wait(
            START,
            "authentication failed",
            &[("user", "ann")],
            obs::START,
        );
        wrong.wait(obs::STOPPED);
        let log = host.process.stderr.text();
        assert!(!log.contains(KEY), "the password is in the log:\n{log}");
        host.stop();
    }
}
