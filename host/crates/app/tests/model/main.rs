//! A model of what runs at once in a stream: lanes, queues and outlets, the very
//! code of the hub and of [`Outbound`], under a scheduler that decides at every
//! lock, atomic and task who goes on.
//!
//! Each scene is played in so many schedules: at random, and with few changes
//! between tasks, which finds what needs one of them to be late. Whoever waits for
//! a wake that does not come, or for a frame that is lost, waits for ever: the
//! scheduler says that nobody can go on. The seed is fixed, so that a run repeats.
//! `make model` plays more, `LIVEHOST_SCHEDULES` says how many.
//!
//! [`Outbound`]: livehost_app::output::Outbound

#![allow(clippy::unwrap_used, reason = "tests")]

mod stage;

use std::any::Any;
use std::panic::catch_unwind;
use std::time::Duration;

use livehost_hub::sync::shuttle::rand::{Rng, thread_rng};
use livehost_hub::sync::shuttle::scheduler::{PctScheduler, RandomScheduler};
use livehost_hub::sync::shuttle::{Config, MaxSteps, Runner, future, thread};
use livehost_hub::sync::{Slip, set_fault};
use livehost_hub::{Hub, Publication, Wake};

use stage::{Player, frame, publish};

/// Schedules of each kind, for each scene.
const SCHEDULES: usize = 100;
/// By which a fault must be found.
const MOST: usize = 1_500;
const SEED: u64 = 0x5eed;
/// Tasks change places so often in a schedule of the second kind, beside where
/// they wait.
const CHANGES: usize = 3;

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = 1 << 18;
    // Those that turn without end do not wait.
    config.max_steps = MaxSteps::FailAfter(100_000);
    config.silence_warnings = true;
    config
}

fn play(scene: fn(), count: usize) {
    let random = RandomScheduler::new_from_seed(SEED, count);
    Runner::new(random, config()).run(scene);
    let few = PctScheduler::new_from_seed(SEED, CHANGES, count);
    Runner::new(few, config()).run(scene);
}

/// Numbers from 1 on.
fn numbers(count: usize) -> Vec<u8> {
    (1..).take(count).collect()
}

fn push(publication: &Publication, count: u8) {
    for number in 1..=count {
        publication.push(frame(number));
    }
}

/// Players in two lanes, and one that joins in between: each gets every frame of
/// the group once and in order.
fn all_get_every_frame() {
    const FRAMES: usize = 5;
    let hub = Hub::new();
    let (publication, _) = publish(&hub, Duration::ZERO);
    let players: Vec<_> = (0..3)
        .map(|number| {
            let hub = hub.clone();
            let early = (number < 2).then(|| Player::joined(&hub));
            thread::spawn(move || {
                let mut player = early.unwrap_or_else(|| Player::joined(&hub));
                assert_eq!(player.take(FRAMES), numbers(FRAMES));
            })
        })
        .collect();
    push(&publication, FRAMES as u8);
    for player in players {
        player.join().unwrap();
    }
}

/// One leaves at any time, and plays again over the same socket.
fn nothing_is_written_for_who_has_left() {
    const FRAMES: usize = 5;
    let hub = Hub::new();
    let (publication, _) = publish(&hub, Duration::ZERO);
    let mut player = Player::joined(&hub);
    let player = thread::spawn(move || {
        player.take(thread_rng().gen_range(0..FRAMES));
        let totals = player.leave();
        let (first, waiting, past) = player.account();
        assert_eq!(first, numbers(first.len()));
        assert_eq!(totals.written, past);
        for _ in 0..thread_rng().gen_range(0..20) {
            thread::yield_now();
        }
        assert_eq!(player.account(), (first.clone(), waiting, past));
        let so_far = first.len() + waiting;
        player.join();
        let written = player.take(so_far + FRAMES);
        assert_eq!(written, [numbers(so_far), numbers(FRAMES)].concat());
    });
    push(&publication, FRAMES as u8);
    player.join().unwrap();
}

/// Lanes that have too much stop the publisher, and call it again.
async fn push_patiently(publication: &Publication, wake: &Wake, count: u8) {
    for number in 1..=count {
        while publication.is_held_up() {
            wake.notified().await;
        }
        publication.push(frame(number));
    }
}

fn a_publisher_that_was_held_up_goes_on() {
    const FRAMES: usize = 6;
    let hub = Hub::new();
    let (publication, wake) = publish(&hub, Duration::ZERO);
    // They read later: there are fewer orders to try.
    let players = [Player::joined(&hub), Player::joined(&hub)];
    future::block_on(push_patiently(&publication, &wake, FRAMES as u8));
    for mut player in players {
        assert_eq!(player.take(FRAMES), numbers(FRAMES));
    }
}

/// Frames that wait for their interval go out with nothing behind them that would
/// send them, whoever comes and goes meanwhile.
fn gathered_frames_go_out() {
    const FRAMES: usize = 4;
    let hub = Hub::new();
    let (publication, _) = publish(&hub, Duration::from_millis(1));
    let mut player = Player::joined(&hub);
    let player = thread::spawn(move || assert_eq!(player.take(FRAMES), numbers(FRAMES)));
    let passing = thread::spawn(move || {
        for _ in 0..2 {
            Player::joined(&hub).leave();
        }
    });
    push(&publication, FRAMES as u8);
    player.join().unwrap();
    passing.join().unwrap();
}

/// The last player of a stream leaves it while its publisher and a player come:
/// these two meet.
fn who_comes_meets_who_comes() {
    let hub = Hub::new();
    let mut leaving = Player::joined(&hub);
    let joining = hub.clone();
    let leaving = thread::spawn(move || {
        leaving.leave();
    });
    let coming = thread::spawn(move || Player::joined(&joining));
    let (publication, _) = publish(&hub, Duration::ZERO);
    leaving.join().unwrap();
    let mut coming = coming.join().unwrap();
    push(&publication, 2);
    assert_eq!(coming.take(2), [1, 2]);
}

macro_rules! scenes {
    ($($name:ident),*) => {
        mod scenes {
            $(#[test]
            fn $name() {
                let count = std::env::var("LIVEHOST_SCHEDULES");
                let count = count.map_or(super::SCHEDULES, |count| count.parse().unwrap());
                super::play(super::$name, count);
            })*
        }
    };
}

scenes!(
    all_get_every_frame,
    nothing_is_written_for_who_has_left,
    a_publisher_that_was_held_up_goes_on,
    gathered_frames_go_out,
    who_comes_meets_who_comes
);

/// What the model says of a scene with a fault, which it must find.
fn failure(fault: Slip, scene: fn()) -> String {
    set_fault(Some(fault));
    let played = catch_unwind(|| play(scene, MOST));
    set_fault(None);
    let text = |panic: Box<dyn Any + Send>| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => format!("{:?}", other.downcast_ref::<&str>()),
    };
    played.err().map_or_else(|| "nothing".to_owned(), text)
}

#[test]
fn a_lane_that_stops_late_is_found() {
    let said = failure(Slip::Stop, nothing_is_written_for_who_has_left);
    assert!(said.contains("deadlock"), "{said}");
}

#[test]
fn a_queue_that_rests_late_is_found() {
    let said = failure(Slip::Rest, all_get_every_frame);
    assert!(said.contains("deadlock"), "{said}");
}

#[test]
fn an_outlet_that_writes_late_is_found() {
    let said = failure(Slip::Write, nothing_is_written_for_who_has_left);
    assert!(said.contains("assertion"), "{said}");
}
