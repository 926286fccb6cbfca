//! Streams to players: one to many, many to some, as fast as accepted, with
//! slow readers among the players.

use std::sync::Arc;

use anyhow::Result;

use super::{Meter, Metrics, Subject, metric, open_all, player, publish, settle};
use crate::{
    client::{Client, Happened, Pace, Plan, Reading, Window},
    clock::{SECOND, now_ns},
    media::{BitRate, Model, Shape},
};

/// Tallies: of those who read at once, and of the slow.
const FAST: usize = 0;
const SLOW: usize = 1;
/// Of so many players, one reads at once and gives latencies; the others read
/// by the clock. A load generator that reads each message by itself costs as
/// much as a server. With few players all read at once.
const PROMPT_EVERY: u32 = 10;
const FEW: u32 = 20;
/// Time between the last player's start and the measured window: what players
/// are given to catch up with is sent by then.
const WARM_UP: u64 = 2 * SECOND;

/// Publishers and their players.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Fanout {
    /// Streams, one publisher each.
    #[arg(long, default_value_t = 1)]
    pub(crate) streams: u32,
    /// Players of each stream.
    #[arg(long, default_value_t = 100)]
    pub(crate) players: u32,
    /// Bits a second of each stream.
    #[arg(long, default_value = "2M")]
    pub(crate) rate: BitRate,
    #[command(flatten)]
    pub(crate) shape: Shape,
    /// Publish as fast as it is accepted.
    #[arg(long)]
    pub(crate) unpaced: bool,
    /// How many of the players of each stream read slowly.
    #[arg(long, default_value_t = 0)]
    pub(crate) slow: u32,
    /// Bytes a second that a slow player reads.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) slow_rate: u32,
    /// Let all players read at once, not one in ten.
    #[arg(long)]
    pub(crate) all_prompt: bool,
    /// The measured time.
    #[arg(long, default_value_t = 20)]
    pub(crate) seconds: u64,
}

impl Fanout {
    pub(super) fn run(&self, subject: &Subject) -> Result<Metrics> {
        let mut client = Client::new(subject.target.clone(), 2)?;
        let model = Arc::new(Model::new(self.rate, self.shape));
        let pace = match self.unpaced {
            true => Pace::Unpaced,
            false => Pace::RealTime,
        };
        let mut metrics = Metrics::default();
        let rss_before;
        // Unpaced, players come first: they would never catch up.
        if self.unpaced {
            rss_before = subject.rss()?;
            open_all(&mut client, self.players())?;
            publish(&mut client, self.streams, &model, pace)?;
        } else {
            publish(&mut client, self.streams, &model, pace)?;
            client.run(now_ns() + settle(&model))?;
            rss_before = subject.rss()?;
            open_all(&mut client, self.players())?;
        }
        let mut lost = Lost::default();
        lost.run(&mut client, now_ns() + WARM_UP)?;

        let from_ns = now_ns();
        let to_ns = from_ns + self.seconds * SECOND;
        client.measure(Window { from_ns, to_ns })?;
        let meter = Meter::start(subject)?;
        lost.run(&mut client, to_ns)?;
        let cost = meter.stop()?;
        let rss = subject.rss()?;

        self.report(&client, &mut metrics);
        let gigabytes = client.tallies.iter().map(|tally| tally.bytes).sum::<u64>() as f64 / 1e9;
        cost.report(&mut metrics, metric::CPU_PER_GB, gigabytes);
        if let (Some(server), true) = (cost.server, self.streams > 0) {
            let stream_seconds = f64::from(self.streams) * cost.elapsed.as_secs_f64();
            let millis = 1000.0 * server.as_secs_f64() / stream_seconds;
            metrics.set(metric::CPU_PER_STREAM, millis);
        }
        metrics.set(metric::SPREAD, cost.spread);
        let own = cost.own.as_secs_f64() / gigabytes;
        metrics.set(metric::CLIENT_CPU_PER_GB, own);
        metrics.set(metric::LOST, lost.fast as f64);
        if self.slow > 0 {
            metrics.set(metric::SLOW_LOST, lost.slow as f64);
        }
        if let (Some(before), Some(after)) = (rss_before, rss) {
            metrics.set(metric::RSS, after / f64::from(1 << 20));
            let players = f64::from(self.streams) * f64::from(self.players);
            let each = (after - before) / players / 1024.0;
            metrics.set(metric::RSS_PER_PLAYER, each);
        }
        Ok(metrics)
    }

    fn report(&self, client: &Client, metrics: &mut Metrics) {
        let Some(tally) = client.tallies.get(FAST) else {
            return;
        };
        let quantiles = [
            (metric::LATENCY_P50, 0.5),
            (metric::LATENCY_P99, 0.99),
            (metric::LATENCY_MAX, 1.0),
        ];
        metrics.percentiles(&tally.latency, &quantiles);
        metrics.set(metric::GAPS, tally.gaps as f64);
        metrics.set(metric::WRONG, (tally.disorder + tally.corrupt) as f64);
        metrics.set(metric::CHECKED, tally.checked as f64);
        metrics.set(metric::WITHHELD, client.withheld as f64);
        let bytes = tally.bytes as f64;
        let seconds = self.seconds as f64;
        metrics.set(metric::GOODPUT, bytes * 8.0 / 1e6 / seconds);
        let fast = f64::from(self.players.saturating_sub(self.slow));
        let published = client.published_bytes as f64;
        metrics.set(metric::DELIVERED, 100.0 * bytes / (published * fast));
    }

    fn players(&self) -> Vec<(Plan, u32)> {
        // Unpaced, they read as fast as they can.
        let few = self.streams.saturating_mul(self.players) <= FEW;
        let all_prompt = self.all_prompt || self.unpaced || few;
        (0..self.streams)
            .flat_map(|stream| (0..self.players).map(move |index| (stream, index)))
            .zip(0_u32..)
            .map(|((stream, index), count)| {
                let mut plan = player(stream);
                if index < self.slow {
                    plan.group = SLOW;
                    plan.reading = Reading::Slow(self.slow_rate);
                } else if !all_prompt && count % PROMPT_EVERY != PROMPT_EVERY - 1 {
                    plan.reading = Reading::Batched;
                }
                (plan, stream)
            })
            .collect()
    }
}

/// Connections that the server ended.
#[derive(Debug, Default)]
struct Lost {
    fast: u64,
    slow: u64,
}

impl Lost {
    fn run(&mut self, client: &mut Client, until_ns: u64) -> Result<()> {
        while now_ns() < until_ns {
            for event in client.turn(until_ns)? {
                if matches!(event.what, Happened::Closed(_)) {
                    match event.group {
                        SLOW => self.slow += 1,
                        _ => self.fast += 1,
                    }
                }
            }
        }
        anyhow::ensure!(client.open_count() > 0, "the server ended all connections");
        Ok(())
    }
}
