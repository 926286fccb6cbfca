//! What the hub did, counted, and what is in it.

use livehost_telemetry::counters;
use livehost_telemetry::counters::Counts;

use super::Hub;

counters! {
    /// The counters of a hub.
    pub(super) struct Counters {
        /// Names that were claimed.
        publishes,
        /// Claims refused: somebody publishes under the name.
        publishes_busy,
        /// Claims refused: too many stand by already.
        publishes_standby_full,
        /// Publishers whose name another one took.
        publishers_replaced,
        /// Publishers that were ordered to stop.
        publishers_stopped,
        /// Publishers that took over from the one before them.
        takeovers,
        /// Publishers lost whose name was held.
        holds,
        /// Holds that ended without the publisher's return.
        holds_over,
        /// Players that joined.
        plays,
        /// Players refused: as many played the stream as may.
        plays_full,
        /// Messages of active publishers.
        frames_in,
        /// Bytes of media of active publishers.
        bytes_in,
        /// Frames that players did not get, since they were behind.
        frames_dropped,
        /// How often a player fell back to the next keyframe: `queue_bytes`.
        drops_for_bytes,
        /// How often a player fell back to the next keyframe: `queue_time`.
        drops_for_time,
        /// Players that were closed: behind for `slow_close`.
        players_too_slow,
        /// How often a publisher was not read from, since too much waited.
        publishers_held_up,
    }
}

impl Hub {
    /// What is in the hub now (`streams`, `publishers`, `players`), and all
    /// that it did since the start.
    pub fn census(&self) -> Counts {
        let streams: Vec<_> = self.streams.lock().all().cloned().collect();
        let (mut publishers, mut players) = (0_u64, 0_u64);
        for stream in &streams {
            let (here, listening) = stream.population();
            publishers = publishers.saturating_add(here as u64);
            players = players.saturating_add(listening as u64);
        }
        let mut counts = Counts::from_iter([
            (
                "streams",
                "Streams that are published, played or held.",
                streams.len() as u64,
            ),
            (
                "publishers",
                "Publishers now, those that stand by included.",
                publishers,
            ),
            ("players", "Players now, those that wait included.", players),
        ]);
        counts.extend(self.counters.by_name());
        counts
    }
}
