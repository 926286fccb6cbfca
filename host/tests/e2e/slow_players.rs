//! Players that don't read what they asked for.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::support::{
    App, Config, Host,
    flv::VIDEO,
    log::START,
    rtmp::{Client, Failure},
    together,
    torrent::{FRAMES, LARGE, next_number, numbers, torrent},
};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_player_that_does_not_read_is_closed_with_a_reason_and_its_bytes_are_forgotten() {
    let _guard = together();
    let app = App::open("reject").media("queue_time: \"500 ms\", slow_close: \"1 s\"");
    let host = Host::start(&Config::live(app).level("debug"));
    let mut stuck = Client::playing(host.addr, "live", "cam").expect("may play");
    let healthy = Client::playing(host.addr, "live", "cam").expect("may play");
    let healthy = thread::spawn(move || numbers(healthy));
    let publisher = torrent(host.addr, "cam");

    let remote = stuck.local();
    let its = [("remote", remote.as_str()), ("reason", "too-slow")];
    let ended = host.log.wait(START, "play ended", &its, SOON);
    let dropped = ended.field("frames_dropped").expect("how many it lost");
    assert_ne!(dropped, "0");
    let ended = host.log.wait(START, "session ended", &its, SOON);
    let detail = ended.field("detail").expect("a reason");
    assert!(detail.contains("behind for more than 1 s"), "{detail}");

    // It goes on not reading, so that the kernel would hold its bytes for ever.
    let its = [("remote", remote.as_str())];
    let message = "the client did not take the last bytes in time";
    host.log.wait(START, message, &its, SOON);
    let end = loop {
        match stuck.next(std::time::Instant::now() + SOON) {
            Ok(_) => {}
            Err(end) => break end,
        }
    };
    let Failure::Closed(reason) = end else {
        panic!("{end:?}");
    };
    assert!(reason.contains("reset"), "{reason}");

    publisher.join().expect("the publisher was not held up");
    let numbers = healthy.join().expect("the other player");
    let all: Vec<u32> = (0..FRAMES).collect();
    assert_eq!(numbers, all, "the other player got every frame");
    host.stop();
}

#[test]
fn a_player_that_paused_returns_to_the_present_past_what_the_kernel_could_hold() {
    const PAUSES_AT: u32 = 100;
    const RESUMES_AT: u32 = 300;
    const QUEUE: usize = 1 << 20;
    /// The player's own kernel, the server's, and a frame under way in each.
    const ELSEWHERE: usize = 600_000;

    let _guard = together();
    let app = App::open("reject").media("queue_bytes: \"1 MiB\", slow_close: \"30 s\"");
    let host = Host::start(&Config::live(app));
    let mut paused = Client::playing(host.addr, "live", "cam").expect("may play");
    paused.hold_little(LARGE);
    let mut healthy = Client::playing(host.addr, "live", "cam").expect("may play");
    let (reached, resumes) = mpsc::channel();
    let healthy = thread::spawn(move || {
        while let Some(number) = next_number(&mut healthy) {
            if number == RESUMES_AT {
                reached.send(()).expect("the test waits");
            }
        }
    });
    let publisher = torrent(host.addr, "cam");

    while next_number(&mut paused).expect("the stream goes on") < PAUSES_AT {}
    resumes.recv_timeout(SOON).expect("the stream goes on");
    let rest = numbers(paused);
    let old = rest.iter().filter(|number| **number < RESUMES_AT).count();
    assert!(
        old * LARGE < QUEUE + ELSEWHERE,
        "{old} frames of {LARGE} bytes from before it read on"
    );
    assert_eq!(rest.last(), Some(&(FRAMES - 1)), "it was not closed");

    publisher.join().expect("the publisher was not held up");
    healthy.join().expect("the other player");
    host.stop();
}

#[test]
fn a_reset_is_called_a_reset_whoever_writes_into_it_first() {
    // So many that tasks write to them, which keep the sessions waiting.
    const PLAYERS: usize = 60;
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")).level("debug"));
    let play = |_| Client::playing(host.addr, "live", "cam").expect("may play");
    let players: Vec<_> = (0..PLAYERS).map(play).collect();
    let remotes: Vec<_> = players.iter().map(Client::local).collect();
    let is_over = Arc::new(AtomicBool::new(false));
    let publisher = flood(host.addr, "cam", is_over.clone());
    for mut player in players {
        next_number(&mut player).expect("a frame");
        player.reset();
    }
    for remote in &remotes {
        let its = [("remote", remote.as_str())];
        let ended = host.log.wait(START, "session ended", &its, SOON);
        assert_eq!(ended.field("reason").as_deref(), Some("reset"), "{ended:?}");
    }
    is_over.store(true, Ordering::Relaxed);
    publisher.join().expect("the publisher was not held up");
    host.stop();
}

/// Publishes small frames as fast as they are accepted, until it is over.
fn flood(addr: SocketAddr, name: &str, is_over: Arc<AtomicBool>) -> JoinHandle<()> {
    let mut client = Client::publish(addr, "live", name).expect("may publish");
    thread::spawn(move || {
        for number in 0_u32.. {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            let first = if number % 20 == 0 { 0x17 } else { 0x27 };
            let mut payload = vec![first, 1, 0, 0, 0];
            payload.extend(number.to_be_bytes());
            client.media(VIDEO, number, &payload).expect("sent");
        }
        client.leave();
    })
}
