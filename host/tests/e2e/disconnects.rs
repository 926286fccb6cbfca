//! Publishers that leave, in every way: the name is free at once, or at the
//! timeout, and whoever comes back may publish.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    App, Config, Encoder, Host, Tool,
    amf::Amf,
    chunks::{self, USER_CONTROL},
    clients, fixture,
    flv::VIDEO,
    log::{Entry, Mark, START},
    marked,
    process::Signal,
    rtmp::{self, Client},
    together,
};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn killed_encoder_frees_the_name_and_may_come_back_at_once() {
    let _guard = together();
    let tools = clients::present(&[Tool::Ffmpeg9, Tool::Ffmpeg5]);
    if !tools.contains(&Tool::Ffmpeg9) {
        return;
    }
    let film = fixture::film(20, 0);
    let host = Host::start(&Config::live(App::open("reject")));
    let url = host.url("live/cam");
    for tool in tools {
        let mark = host.log.mark();
        let mut first = Encoder(tool).publish(&film, &url);
        host.log.wait(mark, "publishing", &[], SOON);
        let mut player = Client::play(host.addr, "live", "cam").expect("may play");
        host.log.wait(mark, "playing", &[("stream", "cam")], SOON);
        let mark = host.log.mark();
        let killed = Instant::now();
        first.signal(Signal::Kill);
        let mut second = Encoder(tool).publish(&film, &url);
        let freed = host.log.wait(mark, "unpublished", &[], SOON);
        let back = host.log.wait(mark, "publishing", &[], SOON);
        eprintln!(
            "{tool} killed: the name was free after {:.1} ms, published again after {:.0} ms",
            (freed.at - killed).as_secs_f64() * 1e3,
            (back.at - killed).as_secs_f64() * 1e3,
        );
        // How long that took is told, not judged: most of it is the encoder's
        // own start. A name that only its timeout frees (15 s) is not free SOON.
        assert!(!second.has_ended(), "{tool} was refused");
        told_the_end(&mut player);
        first.kill();
        let mark = host.log.mark();
        second.kill();
        // Before the next tool claims the name.
        host.log.wait(mark, "unpublished", &[], SOON);
    }
    host.stop();
}

/// The player hears of the end of its stream.
fn told_the_end(player: &mut Client) {
    let deadline = Instant::now() + SOON;
    loop {
        let message = player.next(deadline).expect("the player is told");
        if rtmp::is_end(&message) {
            return;
        }
    }
}

#[test]
fn players_stay_for_the_publisher_that_comes_back() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")));
    let player = Client::playing(host.addr, "live", "cam").expect("may play");
    let player = thread::spawn(move || marked::watch(player));
    for mark in [1, 2] {
        let since = host.log.mark();
        let mut publisher = Client::publish(host.addr, "live", "cam").expect("may publish");
        marked::send(&mut publisher, mark, 500).expect("sent");
        publisher.leave();
        host.log.wait(since, "unpublished", &[], SOON);
    }
    let seen = player.join().expect("the player");
    marked::assert_handed_over(&seen, 1, 2, marked::frames_before(500));
    host.stop();
}

/// Publishes, leaves as `leave` does, and publishes again.
fn comes_back(host: &Host, how: &str, leave: impl FnOnce(Client) -> Option<Client>) {
    let mut player = Client::play(host.addr, "live", how).expect("may play");
    host.log.wait(
        START,
        "playing: waiting for a publisher",
        &[("stream", how)],
        SOON,
    );
    let first = Client::publish(host.addr, "live", how).expect("may publish");
    let begin = Instant::now();
    // Kept, so that a connection that is still open stays so.
    let _left = leave(first);
    let (_second, attempts) = retry(host, how, begin);
    eprintln!(
        "{how}: published again after {:.1} ms, attempt {attempts}",
        begin.elapsed().as_secs_f64() * 1e3
    );
    told_the_end(&mut player);
}

/// Publishes as a reconnecting encoder does: again until it succeeds.
fn retry(host: &Host, name: &str, begin: Instant) -> (Client, u32) {
    for attempt in 1.. {
        match Client::publish(host.addr, "live", name) {
            Ok(client) => return (client, attempt),
            Err(refused) => {
                assert!(begin.elapsed() < SOON, "{name}: {refused:?}");
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
    unreachable!("attempts don't run out");
}

#[test]
fn every_way_to_leave_frees_the_name() {
    let _guard = together();
    let host = Host::start(&Config::live(App::probe("accept")));
    comes_back(&host, "fin", |first| {
        drop(first);
        None
    });
    comes_back(&host, "reset", |first| {
        first.reset();
        None
    });
    comes_back(&host, "fcunpublish", |mut first| {
        let arguments = ["fcunpublish".into()];
        first
            .command(0, "FCUnpublish", 6.0, Amf::Null, &arguments)
            .expect("sent");
        Some(first)
    });
    comes_back(&host, "deletestream", |mut first| {
        let id = f64::from(first.stream);
        first
            .command(0, "deleteStream", 0.0, Amf::Null, &[id.into()])
            .expect("sent");
        Some(first)
    });
    comes_back(&host, "closestream", |mut first| {
        first
            .command(first.stream, "closeStream", 0.0, Amf::Null, &[])
            .expect("sent");
        Some(first)
    });
    // The plugin heard of each end once, after its beginning.
    let ways = ["fin", "reset", "fcunpublish", "deletestream", "closestream"];
    for name in ways {
        // Twice each: the publisher that left, and the one that came back.
        let mut ends = 0;
        let both = host.log.wait_until(START, SOON, |entry| {
            let end = format!("event unpublished {name} ");
            ends += u32::from(entry.message().starts_with(&end));
            ends == 2
        });
        assert!(both.is_some(), "{ends} events for {name}");
        let events = events(&host, START, name);
        let expected = ["published", "unpublished", "published", "unpublished"];
        assert_eq!(events, expected, "{name}");
    }
    host.stop();
}

/// The server finds the end of the old connection and the publish on the new one
/// at the same time, as one that is busy does, and works on either first.
#[test]
fn an_encoder_that_closes_and_comes_back_at_once_is_let_in() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")));
    let mut old = Client::publish(host.addr, "live", "cam").expect("may publish");
    for round in 0..20 {
        let mut new = Client::connect(host.addr, "live").expect("may connect");
        new.create_stream().expect("a message stream");
        host.process.pause();
        match round % 2 {
            0 => drop(old),
            _ => old.reset(),
        }
        new.publish_command("cam").expect("sent");
        host.process.signal(Signal::Continue);
        let started = new.status(rtmp::ANSWER, "NetStream.Publish.Start");
        started.unwrap_or_else(|refused| panic!("round {round}: {refused:?}"));
        old = new;
    }
    // One that is still there keeps its name.
    let refused = Client::publish(host.addr, "live", "cam").expect_err("it is taken");
    assert_eq!(refused.code(), "NetStream.Publish.BadName");
    host.stop();
}

#[test]
fn last_words_count_although_the_client_has_gone() {
    let _guard = together();
    let host = Host::start(&Config::live(App::probe("accept")));
    for (name, with_reset) in [("fin", false), ("reset", true)] {
        let mut client = Client::publish(host.addr, "live", name).expect("may publish");
        let id = f64::from(client.stream);
        let send = |client: &mut Client, stream, command: &str, argument: Amf| {
            let sent = client.command(stream, command, 9.0, Amf::Null, &[argument]);
            sent.expect("sent");
        };
        // While the plugin thinks, what follows waits: in the session, and what
        // is too much for it in the socket.
        send(&mut client, 0, "doze", Amf::Null);
        for at in 0..5 {
            let frame = [&[0x17, 1, 0, 0, 0][..], &[at; 20_000]].concat();
            client.media(VIDEO, at.into(), &frame).expect("sent");
        }
        send(&mut client, 0, "FCUnpublish", name.into());
        send(&mut client, 0, "deleteStream", id.into());
        client.delivered();
        if with_reset {
            // The answer to the call is the write that meets it.
            client.reset();
        } else {
            drop(client);
        }
        let its = [("stream", name)];
        let ended = host.log.wait(START, "unpublished", &its, SOON);
        assert_eq!(
            ended.field("reason").as_deref(),
            Some("unpublish"),
            "{name}"
        );
        assert_eq!(ended.field("bytes_in").as_deref(), Some("100025"), "{name}");
    }
    host.stop();
}

/// The published and unpublished events of a stream that the probe logged.
fn events(host: &Host, since: Mark, name: &str) -> Vec<String> {
    host.log
        .all(since)
        .iter()
        .filter_map(|entry| {
            let mut words = entry.message().split(' ');
            let event = (words.next()? == "event").then(|| words.next())??;
            (words.next()? == name && event.ends_with("published")).then(|| event.to_owned())
        })
        .collect()
}

#[test]
fn silent_encoder_loses_the_name_at_the_timeout() {
    let _guard = together();
    if !clients::all(&[Tool::Ffmpeg9]) {
        return;
    }
    let film = fixture::film(20, 0);
    let app = App::open("reject").media("publisher_timeout: \"2 s\"");
    let host = Host::start(&Config::live(app));
    let silent = Encoder(Tool::Ffmpeg9).publish(&film, &host.url("live/cam"));
    host.log.wait(START, "publishing", &[], SOON);
    let mut player = Client::play(host.addr, "live", "cam").expect("may play");
    // Its socket stays open: only the silence tells.
    silent.signal(Signal::Stop);
    let stopped = Instant::now();
    let early = Client::publish(host.addr, "live", "cam").expect_err("the name is taken");
    assert_eq!(early.code(), "NetStream.Publish.BadName");
    let freed = host
        .log
        .wait(START, "unpublished", &[("reason", "timeout")], 2 * SOON);
    let after = freed.at - stopped;
    eprintln!("a stopped encoder lost its name after {after:?} (limit 2 s)");
    assert!(after >= Duration::from_millis(1500), "{after:?}");
    told_the_end(&mut player);
    Client::publish(host.addr, "live", "cam").expect("the name is free");
    host.stop();
}

/// A keyframe of many pieces, each within the limit, all of them far beyond
/// it; a machine that is too busy to send them in time tries again.
#[test]
fn a_keyframe_that_comes_slowly_keeps_its_publisher() {
    let _guard = together();
    let app = App::open("reject").media("publisher_timeout: \"1 s\"");
    let host = Host::start(&Config::live(app));
    let payload = [&[0x17, 1, 0, 0, 0][..], &[0x65; 40_000]].concat();
    for attempt in 1..=10 {
        let mark = host.log.mark();
        let name = format!("cam{attempt}");
        let mut publisher = Client::publish(host.addr, "live", &name).expect("it may publish");
        let mut player = Client::playing(host.addr, "live", &name).expect("it may play");
        let frame = chunks::encode(6, VIDEO, 0, publisher.stream, &payload, 4096);
        let mut slowest = Duration::ZERO;
        let mut last = Instant::now();
        for piece in frame.chunks(frame.len() / 25) {
            thread::sleep(Duration::from_millis(100));
            let taken = publisher.raw(piece);
            slowest = slowest.max(last.elapsed());
            last = Instant::now();
            if taken.is_err() {
                break;
            }
        }
        if slowest > Duration::from_millis(500) {
            eprintln!("attempt {attempt}: a piece took {slowest:?}");
            continue;
        }
        let deadline = Instant::now() + SOON;
        let keyframe = loop {
            let message = player.next(deadline).expect("the keyframe");
            if message.kind == VIDEO {
                break message.payload;
            }
        };
        assert!(keyframe == payload, "the keyframe is another");
        // What is no media, and does not grow, keeps nobody.
        let chunks = 12 + 4096 + 4 * 4097;
        publisher.raw(&frame[..chunks]).expect("it is read");
        let ping = chunks::encode(2, USER_CONTROL, 0, 0, &[0, 6, 0, 0, 0, 1], 4096);
        let ends = |entry: &Entry| entry.message() == "unpublished";
        let ended = (0..100).find_map(|_| {
            let _ = publisher.raw(&ping);
            host.log.wait_until(mark, Duration::from_millis(100), ends)
        });
        let reason = ended.expect("it is silent").field("reason");
        assert_eq!(reason.as_deref(), Some("timeout"));
        host.stop();
        return;
    }
    panic!("the machine is too busy to send a piece every 500 ms");
}
