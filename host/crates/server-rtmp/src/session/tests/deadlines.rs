//! What ends by itself, in simulated time.

use livehost_rtmp::session::client::PlayOptions;

use super::*;

impl Client {
    /// Reads and answers every second until the session has ended: seconds, from
    /// now.
    async fn attend(&mut self) -> u64 {
        let begin = Instant::now();
        while !self.task.is_finished() {
            self.pump();
            tokio::time::sleep(SEC).await;
        }
        self.pump();
        begin.elapsed().as_secs()
    }

    /// Neither reads nor answers until the session has ended.
    async fn ignore(&mut self) -> u64 {
        let begin = Instant::now();
        (&mut self.task).await.unwrap();
        begin.elapsed().as_secs()
    }

    /// The status codes that have come by now.
    fn codes(&mut self) -> Vec<String> {
        self.pump();
        let codes = self.events.drain(..).filter_map(|event| match event {
            ClientEvent::Status { code, .. } => Some(code),
            ClientEvent::Rejected(rejection) => Some(rejection.code),
            _ => None,
        });
        codes.collect()
    }

    async fn connected(shared: &Arc<Shared>) -> Self {
        let mut client = Self::open(shared);
        for _ in 0..TURNS {
            client.pump();
            if client.machine.is_connected() {
                break;
            }
            yield_now().await;
        }
        assert!(client.machine.is_connected());
        client
    }

    async fn playing(shared: &Arc<Shared>, name: &str) -> Self {
        let mut client = Self::open(shared);
        client.machine.play(name, PlayOptions::default());
        let started = |event: &ClientEvent| match event {
            ClientEvent::PlayStarted { .. } => Some(()),
            _ => None,
        };
        client.event(started).await.expect("it plays");
        client
    }
}

/// How sessions have ended, for what reason.
fn ends(shared: &Shared, reason: &'static str) -> u64 {
    shared.directory.ends().get(reason)
}

/// For the last bytes, when the client does not close its side.
const LINGER: u64 = 2;

#[tokio::test(start_paused = true)]
async fn who_does_not_connect_is_closed_after_the_limit() {
    let (shared, _) = shared_with(Times {
        handshake: 10 * SEC,
        ..Times::default()
    });
    // Even if it goes on saying something.
    let mut client = Client::open(&shared);
    let wire = client.wire.clone();
    let slow = tokio::spawn(async move {
        for byte in [3, 0, 0, 0, 0, 0] {
            wire.send(&[byte]);
            tokio::time::sleep(3 * SEC).await;
        }
    });
    assert_eq!(client.ignore().await, 10 + LINGER);
    assert_eq!(ends(&shared, "timeout"), 1);
    slow.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_is_connected_and_does_nothing_is_closed_after_the_limit() {
    let (shared, _) = shared_with(Times {
        idle: 90 * SEC,
        ..Times::default()
    });
    let mut client = Client::connected(&shared).await;
    let after = client.attend().await;
    assert!((90..=90 + LINGER + 1).contains(&after), "{after}");
    assert_eq!(client.codes(), ["NetConnection.Connect.Closed"]);
    assert_eq!(ends(&shared, "timeout"), 1);
}

#[tokio::test(start_paused = true)]
async fn who_says_and_takes_nothing_is_gone_after_a_minute_and_who_answers_is_not() {
    let (shared, _) = shared();
    let mut mute = Client::publishing(&shared, "mute").await;
    let mut answers = Client::publishing(&shared, "answers").await;
    let begin = Instant::now();
    let answering = tokio::spawn(async move {
        while begin.elapsed() < 600 * SEC {
            answers.pump();
            tokio::time::sleep(SEC).await;
        }
        answers
    });
    assert_eq!(mute.ignore().await, 60 + LINGER);
    assert_eq!(ends(&shared, "timeout"), 1);
    let answers = answering.await.unwrap();
    assert!(!answers.task.is_finished());
    assert_eq!(ends(&shared, "timeout"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_publisher_without_media_loses_its_stream_and_then_its_connection() {
    let (shared, _) = shared_with(Times {
        silence: 5 * SEC,
        ..Times::default()
    });
    let mut client = Client::publishing(&shared, "cam").await;
    // Media within the limit keeps it.
    for at in 0..3 {
        tokio::time::sleep(4 * SEC).await;
        client
            .machine
            .send_audio(1, at, Bytes::from_static(&[0xAF, 1, 0]));
        client.pump();
        assert!(!client.task.is_finished());
    }
    let after = client.attend().await;
    assert!((5..=5 + LINGER + 1).contains(&after), "{after}");
    assert_eq!(ends(&shared, "timeout"), 1);
    assert!(!client.codes().is_empty());
    // The name is free.
    Client::publishing(&shared, "cam").await;
}

#[tokio::test(start_paused = true)]
async fn a_player_waits_for_a_publisher_as_long_as_the_setting_says() {
    let (shared, _) = shared_with(Times {
        wait: 7 * SEC,
        ..Times::default()
    });
    let mut client = Client::playing(&shared, "cam").await;
    let after = client.attend().await;
    assert!((7..=7 + LINGER + 1).contains(&after), "{after}");
    assert!(
        client
            .codes()
            .contains(&"NetStream.Play.StreamNotFound".to_owned())
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_lasts_as_long_as_was_granted() {
    let (shared, _) = shared_with(Times {
        grant: ConnectGrant {
            max_seconds: Some(9),
            ..ConnectGrant::default()
        },
        ..Times::default()
    });
    let mut client = Client::publishing(&shared, "cam").await;
    let after = client.attend().await;
    assert!((9..=9 + LINGER + 1).contains(&after), "{after}");
    assert_eq!(ends(&shared, "limit"), 1);
}

#[tokio::test(start_paused = true)]
async fn who_takes_no_byte_of_what_waits_is_stalled() {
    let (shared, _) = shared();
    let mut client = Client::connected(&shared).await;
    client.wire.set_room(0);
    client.machine.publish("cam", "live");
    client.pump();
    // It goes on talking: that does not help.
    let wire = client.wire.clone();
    let talking = tokio::spawn(async move {
        for _ in 0..10 {
            tokio::time::sleep(5 * SEC).await;
            // A ping's answer.
            wire.send(&[2, 0, 0, 0, 0, 0, 6, 4, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0]);
        }
    });
    assert_eq!(client.ignore().await, 30 + LINGER);
    assert_eq!(ends(&shared, "stalled"), 1);
    assert!(client.wire.is_aborted(), "the kernel keeps nothing for it");
    talking.abort();
}

#[tokio::test(start_paused = true)]
async fn who_can_connect_again_is_asked_to_and_served_until_it_must_go() {
    let (shared, _) = shared();
    let mut client = Client::publishing(&shared, "cam").await;
    shared.shutdown.cancel();
    // Of 10 s, 2 are for closing.
    let after = client.attend().await;
    assert!((8..=8 + LINGER + 1).contains(&after), "{after}");
    let codes = client.codes();
    assert_eq!(
        codes.first().unwrap(),
        "NetConnection.Connect.ReconnectRequest"
    );
    assert!(codes.contains(&"NetConnection.Connect.AppShutdown".to_owned()));
    assert_eq!(ends(&shared, "shutdown"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_publisher_is_not_silent_while_it_waits_for_a_decision() {
    let (shared, policy) = shared_with(Times {
        silence: SEC,
        ..Times::default()
    });
    let mut client = Client::publishing(&shared, "cam").await;
    client.machine.call("anything", Vec::new());
    client.pump();
    tokio::time::sleep(30 * SEC).await;
    assert!(!client.task.is_finished(), "it was not listened to");
    policy.go_on.notify_one();
    // Then it is.
    let after = client.attend().await;
    assert!((1..=1 + LINGER + 1).contains(&after), "{after}");
}

#[tokio::test]
async fn an_order_to_leave_is_heard_by_who_asks_without_pause() {
    let (shared, _) = shared();
    let mut client = Client::connected(&shared).await;
    const CALLS: usize = 20_000;
    for _ in 0..CALLS {
        client.machine.call("now", Vec::new());
    }
    client.pump();
    assert!(shared.directory.disconnect("live", 1, "enough"));
    for _ in 0..TURNS {
        client.pump();
        if ends(&shared, "kicked") == 1 {
            break;
        }
        yield_now().await;
    }
    assert_eq!(ends(&shared, "kicked"), 1);
    assert!(client.events.len() < CALLS, "each was answered first");
}
