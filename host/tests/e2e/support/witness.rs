//! A stream that is watched closely while something else goes on: a publisher
//! that sends every frame exactly when it is due, and a player that notes when
//! each arrives.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    amf,
    compare::{self, By, Run},
    fixture,
    flv::{AUDIO, Packet, Role, SCRIPT, Tag, VIDEO},
    rtmp::{self, Client, Failure},
};

/// A frame sent or received, and when.
#[derive(Debug, Clone)]
struct Timed {
    packet: Packet,
    at: Instant,
}

/// A watched stream.
#[derive(Debug)]
pub(crate) struct Witness {
    publisher: JoinHandle<Result<Vec<Timed>, Failure>>,
    player: JoinHandle<Result<Vec<Timed>, Failure>>,
    sleeper: JoinHandle<Duration>,
    stop: Arc<AtomicBool>,
    begin: Instant,
}

/// What the player saw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report {
    pub(crate) run: Run,
    /// Longest time from the socket of the publisher to that of the player.
    pub(crate) latency: Duration,
    /// 99 of 100 frames took at most this long.
    pub(crate) latency_p99: Duration,
    /// Worst arrival behind the first arrival plus the timestamps' distance.
    pub(crate) lateness: Duration,
    /// How far the machine itself was late: the worst sending behind the
    /// publisher's own schedule, or waking of a thread that does nothing else.
    pub(crate) machine: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} video and {} audio frames, none lost or changed; worst lateness {:.1} ms, \
             worst latency through the server {:.1} ms, p99 {:.1} ms (the machine itself was up to {:.1} ms late)",
            self.run.video,
            self.run.audio,
            self.lateness.as_secs_f64() * 1e3,
            self.latency.as_secs_f64() * 1e3,
            self.latency_p99.as_secs_f64() * 1e3,
            self.machine.as_secs_f64() * 1e3,
        )
    }
}

impl Report {
    /// No frame was held up: what would hold it up here does so for longer,
    /// on a machine that is not busy. How late frames really are is in the
    /// report; on a busy machine it says more of the machine than of the server.
    ///
    /// # Panics
    /// If one was.
    pub(crate) fn assert_on_time(&self) {
        let limit = Duration::from_millis(500) + 10 * self.machine;
        assert!(self.latency <= limit, "late in the server: {self}");
        assert!(self.lateness <= limit, "late: {self}");
    }
}

impl Witness {
    /// Starts to publish and play `name`; returns once the first frame has
    /// arrived.
    pub(crate) fn start(addr: SocketAddr, app: &str, name: &str) -> Self {
        Self::across((addr, app), (addr, app), name)
    }

    /// Starts to publish `name` at one server's application and to play it at
    /// another's, to which it is relayed.
    pub(crate) fn across(
        publish_at: (SocketAddr, &str),
        play_at: (SocketAddr, &str),
        name: &str,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (arrived, first) = mpsc::channel();
        let (addr, app) = play_at;
        let client = Client::playing(addr, app, name).expect("the witness may play");
        let player = thread::spawn(move || play(client, &arrived));
        let (addr, app) = publish_at;
        let client = Client::publish(addr, app, name).expect("the witness may publish");
        let stopped = Arc::clone(&stop);
        let publisher = thread::spawn(move || publish(client, &stopped));
        let stopped = Arc::clone(&stop);
        let sleeper = thread::spawn(move || oversleep(&stopped));
        first
            .recv_timeout(Duration::from_secs(10))
            .expect("the witness's first frame arrives");
        Self {
            publisher,
            player,
            sleeper,
            stop,
            begin: Instant::now(),
        }
    }

    /// Ends the stream, not before it has run for 2 s, and compares.
    ///
    /// # Panics
    /// If a frame was lost or changed.
    pub(crate) fn finish(self) -> Report {
        // What went on meanwhile may have been over in no time; its effects on
        // the stream need not be.
        thread::sleep(
            (self.begin + Duration::from_secs(2)).saturating_duration_since(Instant::now()),
        );
        self.stop.store(true, Ordering::Relaxed);
        let sent = self.publisher.join().expect("the witness's publisher");
        let sent = sent.expect("the witness could publish to the end");
        let played = self.player.join().expect("the witness's player");
        let played = played.expect("the witness could play to the end");
        let machine = self.sleeper.join().expect("the sleeping thread");
        let packets = |timed: &[Timed]| timed.iter().map(|t| t.packet.clone()).collect::<Vec<_>>();
        let run = compare::contiguous(&packets(&sent), &packets(&played), By::Hash)
            .unwrap_or_else(|difference| panic!("the running stream suffered: {difference}"));
        assert_eq!(
            run.missing,
            (0, 0),
            "frames of the witness were lost: {run:?}"
        );
        assert_eq!((run.skipped, run.offset), (0, 0), "{run:?}");

        let frames = |timed: &[Timed], kind| {
            let frames = timed.iter().filter(|t| t.packet.role == Role::Frame);
            frames
                .filter(|t| t.packet.kind == kind)
                .cloned()
                .collect::<Vec<_>>()
        };
        let mut report = Report {
            run,
            latency: Duration::ZERO,
            latency_p99: Duration::ZERO,
            lateness: Duration::ZERO,
            machine,
        };
        let mut latencies = Vec::new();
        for kind in [VIDEO, AUDIO] {
            let (sent, played) = (frames(&sent, kind), frames(&played, kind));
            for (sent, played) in sent.iter().zip(&played) {
                latencies.push(played.at - sent.at);
            }
            report.lateness = report.lateness.max(worst(&played));
            report.machine = report.machine.max(worst(&sent));
        }
        latencies.sort_unstable();
        report.latency = latencies.last().copied().unwrap_or_default();
        let p99 = latencies.get(latencies.len() * 99 / 100);
        report.latency_p99 = p99.copied().unwrap_or_default();
        report
    }
}

/// The worst time behind the first frame's time plus the timestamps' distance.
fn worst(frames: &[Timed]) -> Duration {
    let Some(first) = frames.first() else {
        return Duration::ZERO;
    };
    let late = |frame: &Timed| {
        let due = first.at
            + Duration::from_millis(u64::from(frame.packet.dts.saturating_sub(first.packet.dts)));
        frame.at.saturating_duration_since(due)
    };
    frames.iter().map(late).max().unwrap_or_default()
}

/// The worst that a sleep took too long, until `stop`.
fn oversleep(stop: &AtomicBool) -> Duration {
    let nap = Duration::from_millis(1);
    let mut worst = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let begin = Instant::now();
        thread::sleep(nap);
        worst = worst.max(begin.elapsed().saturating_sub(nap));
    }
    worst
}

/// Sends the clip over and over, each frame when its timestamp is due.
fn publish(mut client: Client, stop: &AtomicBool) -> Result<Vec<Timed>, Failure> {
    let (round, period) = round();
    client.media(SCRIPT, 0, &set_data_frame())?;
    let mut sent = Vec::new();
    let begin = Instant::now();
    for turn in 0_u32.. {
        for tag in &round {
            if turn > 0 && tag.packet_role() != Role::Frame {
                continue;
            }
            if stop.load(Ordering::Relaxed) {
                client.leave();
                return Ok(sent);
            }
            let dts = tag.dts + turn * period;
            let due = begin + Duration::from_millis(dts.into());
            thread::sleep(due.saturating_duration_since(Instant::now()));
            sent.push(Timed {
                packet: Packet::new(tag.kind, dts, &tag.payload),
                at: Instant::now(),
            });
            client.media(tag.kind, dts, &tag.payload)?;
        }
    }
    Ok(sent)
}

/// The clip's metadata as encoders send it.
fn set_data_frame() -> Vec<u8> {
    let mut payload = amf::encode(&["@setDataFrame".into()]);
    payload.extend(metadata());
    payload
}

/// The clip's metadata as players get it: `onMetaData` and its values.
pub(crate) fn metadata() -> Vec<u8> {
    let script = fixture::clip().into_iter().find(|tag| tag.kind == SCRIPT);
    script.expect("the clip has metadata").payload
}

/// The clip in sending order, and after how many milliseconds it starts again.
pub(crate) fn round() -> (Vec<Tag>, u32) {
    let mut tags = fixture::clip();
    tags.retain(|tag| tag.kind != SCRIPT && tag.packet_role() != Role::End);
    tags.sort_by_key(|tag| tag.dts);
    let last = tags.last().map_or(0, |tag| tag.dts);
    (tags, last + 33)
}

fn play(mut client: Client, arrived: &mpsc::Sender<()>) -> Result<Vec<Timed>, Failure> {
    let mut played = Vec::new();
    loop {
        let message = client.next(Instant::now() + Duration::from_secs(10))?;
        if rtmp::is_end(&message) {
            return Ok(played);
        }
        if message.kind != AUDIO && message.kind != VIDEO {
            continue;
        }
        assert_eq!(
            message.stream, client.stream,
            "media is on the player's stream"
        );
        if message.payload.is_empty() {
            continue;
        }
        let packet = Packet::new(message.kind, message.timestamp, &message.payload);
        if packet.role == Role::Frame {
            // The test may have what it waited for.
            let _ = arrived.send(());
        }
        played.push(Timed {
            packet,
            at: message.at,
        });
    }
}
