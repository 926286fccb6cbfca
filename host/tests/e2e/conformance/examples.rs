//! The policies of the SDK's documentation, as they stand there, decide in the
//! real host what their text says. `host/tests/guests/examples` has them.

use std::time::{Duration, Instant};

use crate::state::run;
use crate::support::{
    App, Config, Host,
    amf::Amf,
    guests,
    log::START,
    rtmp::{Client, Failure},
    together,
};

const SOON: Duration = Duration::from_secs(20);
const VIDEO: u8 = 9;
const AUDIO: u8 = 8;
const AAC: &[u8] = &[0xaf, 0, 0x12, 0x10];
const SOUND: &[u8] = &[0xaf, 1, 0x21];

fn example(hook: &str, settings: &str) -> App {
    let config = format!("{{\"example\": \"{hook}\", \"settings\": {settings}}}");
    App::new(guests::guest("test/examples.wasm"), config)
}

/// Publishes video and audio, as far as codecs are known.
fn publish(host: &Host, app: &str, name: &str) -> Client {
    let mut client = Client::publish(host.addr, app, name).expect("may publish");
    let avc: [&[u8]; 2] = [
        &[0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 0, 0],
        &[0x17, 1, 0, 0, 0, 0, 0, 0, 1, 0x65],
    ];
    let [header, keyframe] = avc;
    for (kind, body) in [
        (VIDEO, header),
        (AUDIO, AAC),
        (VIDEO, keyframe),
        (AUDIO, SOUND),
    ] {
        client.media(kind, 0, body).expect("sent");
    }
    client
}

#[test]
fn the_documented_policies_do_what_their_text_says() {
    let _guard = together();
    let mut config = Config::live(App::probe("accept"));
    for hook in [
        "on_connect",
        "on_play",
        "on_start",
        "snapshot",
        "on_stop",
        "on_timer",
        "on_published",
        "on_ready",
        "on_unpublished",
        "on_play_ended",
        "on_disconnected",
        "on_recorded",
        "on_call",
    ] {
        config = config.and(hook, example(hook, "{}"));
    }
    config = config.and("configure", example("configure", "{\"apps\": [\"live\"]}"));
    let host = Host::start(&config);

    // on_connect
    Client::connect(host.addr, "on_connect?user=ann").expect("it says who it is");
    let refused = Client::connect(host.addr, "on_connect").expect_err("it does not");
    assert!(
        refused.description().starts_with("who are you?"),
        "{refused:?}"
    );

    // on_play: who wants cam1 gets cam1-hd.
    let _camera = publish(&host, "on_play", "cam1-hd");
    let mut player = Client::playing(host.addr, "on_play", "cam1").expect("may play");
    let deadline = Instant::now() + SOON;
    while player.next(deadline).expect("the better stream").kind != VIDEO {}

    // on_published, on_call, on_unpublished, on_play_ended, on_disconnected.
    let camera = publish(&host, "on_published", "cam");
    host.log
        .wait(START, "on air stream=cam user=somebody", &[], SOON);
    camera.leave();
    let _camera = publish(&host, "on_call", "cam");
    let mut viewer = Client::playing(host.addr, "on_call", "cam").expect("may play");
    let call = |client: &mut Client, method: &str| -> Result<Option<f64>, Failure> {
        client.command(0, method, 7.0, Amf::Null, &[])?;
        let mut told = None;
        client.until(SOON, |command| {
            told = command.arguments.last().and_then(Amf::number);
            command.name == "_result" && command.arguments.first() == Some(&Amf::Number(7.0))
        })?;
        Ok(told)
    };
    assert_eq!(call(&mut viewer, "viewers").expect("answered"), Some(1.0));
    call(&mut viewer, "views").expect_err("there is no such method");
    for app in ["on_unpublished", "on_play_ended", "on_disconnected"] {
        let camera = publish(&host, app, "cam");
        let viewer = Client::playing(host.addr, app, "cam").expect("may play");
        viewer.leave();
        camera.leave();
    }

    // on_publish: its tickets are in the application's state, which stays.
    assert_eq!(run(&host, "live", "kv-put", "tickets/83a7 cam1"), "kept");
    let mark = host.log.mark();
    let text = config.text();
    let probe = App::probe("accept");
    let ticketed = Config::live(example("on_publish", "{}")).text();
    let old = Config::live(probe).text();
    let line = |text: &str| {
        text.lines()
            .find(|line| line.contains("\"live\""))
            .map(str::to_owned)
    };
    let (old, new) = (
        line(&old).expect("a line"),
        line(&ticketed).expect("a line"),
    );
    let text = text.replace(&old, &new);
    guests::replace(&host.file("config.ron"), text.as_bytes());
    host.log.wait(mark, "configuration in force", &[], SOON);
    Client::publish(host.addr, "live", "cam1?ticket=83a7").expect("the ticket is right");
    for (name, why) in [
        ("cam2?ticket=83a7", "the ticket is not for this stream"),
        ("cam1", "a ticket is required: NAME?ticket=..."),
    ] {
        let refused = Client::publish(host.addr, "live", name).expect_err(why);
        assert_eq!(refused.description(), why);
    }

    let log = host.process.stderr.text();
    for word in ["trapped", "was not counted", "plugin event failed"] {
        assert!(!log.contains(word), "{word} in\n{log}");
    }
    host.stop();
}
