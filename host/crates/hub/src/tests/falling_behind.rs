//! The limits of what waits for a player.

use livehost_media::Video;

use super::*;

#[test]
fn a_player_behind_in_bytes_goes_on_at_the_next_keyframe() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let tight = MediaSettings {
        // Four small messages are a little more, with what each costs beside.
        queue_bytes: 330 + 4 * 256,
        ..settings()
    };
    let mut player = hub.play(&key("cam"), listener(tight));
    video_header(&publication);
    keyframe(&publication, 0, 1);
    inter(&publication, 33, 2);
    inter(&publication, 66, 3);
    inter(&publication, 99, 4);
    keyframe(&publication, 132, 5);
    inter(&publication, 165, 6);
    assert_eq!(
        taken(&mut player),
        ["Video header@0", "key5@132", "inter6@165"]
    );
    assert_eq!(player.dropped(), 4);
    assert!(player.end().is_none());
}

#[test]
fn a_player_behind_in_time_goes_on_at_the_next_keyframe() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let mut player = play(&hub);
    keyframe(&publication, 0, 1);
    for at in [2_500, 5_000, 7_500, 10_001] {
        inter(&publication, at, 2);
    }
    keyframe(&publication, 10_033, 4);
    assert_eq!(taken(&mut player), ["key4@10033"]);
    assert_eq!(player.dropped(), 5);
}

#[test]
fn a_player_that_never_catches_up_is_ended() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let impatient = MediaSettings {
        queue_bytes: 150,
        slow_close: Duration::ZERO,
        ..settings()
    };
    let mut player = hub.play(&key("cam"), listener(impatient));
    keyframe(&publication, 0, 1);
    inter(&publication, 33, 2);
    inter(&publication, 66, 3);
    assert_eq!(player.end(), Some(PlayerEnd::TooSlow(Duration::ZERO)));
    assert!(taken(&mut player).is_empty());
}

/// A player's queue alone, which gets frames at given times. Two frames fit.
struct Clocked {
    queue: queue::PlayerQueue,
    start: Instant,
}

impl Clocked {
    fn new(hub: &Arc<Hub>) -> Self {
        let patient = MediaSettings {
            queue_bytes: 2 * 400,
            slow_close: Duration::from_secs(20),
            ..settings()
        };
        Self {
            queue: queue::PlayerQueue::new(&listener(patient), None, 0, hub.counters.clone()),
            start: Instant::now(),
        }
    }

    fn deliver(&self, frame_type: u8, second: u64) {
        let body = avc(frame_type, 1, 0, 100);
        let packet = Packet::from_flv(Kind::Video, 0, body).unwrap();
        let mut batch = batch::Batch::default();
        batch.push(Arc::new(Frame::new(packet)), Video::Going);
        let now = self.start + Duration::from_secs(second);
        let delivery = batch.delivery(&[]);
        delivery.now.set(now).unwrap();
        self.queue.deliver(&delivery);
    }
}

#[test]
fn what_waits_for_a_player_when_it_is_ended_counts_as_dropped() {
    let hub = Hub::new();
    let clocked = Clocked::new(&hub);
    let queue = &clocked.queue;
    for (frame_type, second) in [(1, 0), (2, 0), (2, 1), (1, 20), (2, 20)] {
        clocked.deliver(frame_type, second);
    }
    assert_eq!(
        queue.dropped(),
        3,
        "two that waited, one for want of a base"
    );
    assert!(queue.end().is_none());
    clocked.deliver(2, 22);
    let end = Some(PlayerEnd::TooSlow(Duration::from_secs(20)));
    assert_eq!((queue.end(), queue.dropped()), (end, 6));
    assert!(
        hub.census()
            .iter()
            .any(|count| count == ("frames_dropped", 6))
    );
    assert!(queue.pop().is_none());
}

#[test]
fn what_a_player_leaves_out_after_it_caught_up_was_not_dropped() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let tight = MediaSettings {
        queue_bytes: 2 * 400,
        ..settings()
    };
    let mut player = hub.play(&key("cam"), listener(tight));
    keyframe(&publication, 0, 1);
    inter(&publication, 33, 2);
    inter(&publication, 66, 3);
    inter(&publication, 99, 4);
    assert_eq!(
        player.dropped(),
        4,
        "two that waited, two for want of a base"
    );
    keyframe(&publication, 132, 5);
    assert_eq!(taken(&mut player), ["key5@132"]);
    // It asks for a fresh start; nothing of this is the fault of its network.
    player.resync();
    inter(&publication, 165, 6);
    keyframe(&publication, 198, 7);
    assert_eq!(taken(&mut player), ["key7@198"]);
    assert_eq!(player.leave().dropped, 4);
}

#[test]
fn publishers_that_come_and_go_add_nothing_to_what_waits() {
    let hub = Hub::new();
    let tight = MediaSettings {
        queue_bytes: 10_000,
        ..settings()
    };
    let mut player = hub.play(&key("cam"), listener(tight));
    for conn in 0..100 {
        drop(publish(&hub, conn));
    }
    assert_eq!(taken(&mut player), ["published", "unpublished"]);
    let publication = publish(&hub, 1);
    assert_eq!(taken(&mut player), ["published"]);
    drop(publication);
    for conn in 0..100 {
        drop(publish(&hub, conn));
    }
    assert_eq!(taken(&mut player), ["unpublished"]);
    // With frames between, the limits do it.
    for conn in 0..100 {
        let publication = publish(&hub, conn);
        video_header(&publication);
        for at in 0..40 {
            keyframe(&publication, at * 200, 1);
        }
    }
    let waiting = taken(&mut player).len();
    let most = tight.queue_bytes / 256;
    assert!(waiting < 2 * most, "{waiting} items wait");
}

#[test]
fn the_cached_burst_does_not_count_as_being_behind() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    keyframe(&publication, 0, 1);
    for at in 1..20 {
        inter(&publication, at * 1_000, 2);
    }
    let tight = MediaSettings {
        queue_bytes: 220,
        queue_time: Duration::from_secs(1),
        ..settings()
    };
    let mut player = hub.play(&key("cam"), listener(tight));
    inter(&publication, 20_000, 3);
    assert_eq!(taken(&mut player).len(), 21);
    assert_eq!(player.dropped(), 0);
}

#[test]
fn metadata_that_waits_does_not_make_media_late() {
    let hub = Hub::new();
    let publication = publish(&hub, 1);
    let mut player = play(&hub);
    // As pulled from a server that stamps metadata 0 and media by the stream.
    publication.push_flv(Kind::Data, 0, metadata()).unwrap();
    keyframe(&publication, 3_600_000, 1);
    inter(&publication, 3_600_033, 2);
    assert_eq!(
        taken(&mut player),
        ["meta@0", "key1@3600000", "inter2@3600033"]
    );
    assert_eq!(player.dropped(), 0);
}

#[test]
fn a_player_whose_socket_took_all_is_not_behind() {
    let hub = Hub::new();
    let clocked = Clocked::new(&hub);
    for (frame_type, second) in [(1, 0), (2, 0), (2, 1), (2, 2)] {
        clocked.deliver(frame_type, second);
    }
    let queue = &clocked.queue;
    assert!(queue.dropped() > 0, "it is behind");
    while queue.pop().is_some() {}
    queue.rest(true, false);
    // The session's next write was the last.
    queue.caught_up();
    clocked.deliver(2, 30);
    assert_eq!(queue.end(), None);
}
