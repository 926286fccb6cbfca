//! Clients that come and go: connect, be let in to play or to publish, leave.

use std::sync::Arc;

use anyhow::Result;

use super::{Meter, Metrics, Subject, metric, player, publish, publisher, settle, stream_alone};
use crate::{
    client::{Client, Happened, Pace, new_histogram},
    clock::{SECOND, now_ns},
    media::{BitRate, Model, Shape},
};

/// Time after the last connect in which its answer counts.
const GRACE: u64 = 5 * SECOND;
/// Bits a second of the stream that players ask for.
const RATE: BitRate = BitRate(2_000_000);

/// Connects, decisions and leaves; every second client publishes a name of its
/// own, the others play a running stream.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Churn {
    /// Connects a second.
    #[arg(long, default_value_t = 200)]
    pub(crate) connects: u32,
    /// The measured time.
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
}

impl Churn {
    pub(super) fn run(&self, subject: &Subject) -> Result<Metrics> {
        let mut client = Client::new(subject.target.clone(), 1)?;
        let model = Arc::new(Model::new(RATE, Shape::USUAL));
        publish(&mut client, 1, &model, Pace::RealTime)?;
        client.run(now_ns() + settle(&model))?;
        let alone = stream_alone(&mut client, subject)?;

        let start = now_ns();
        let rss_before = subject.rss()?;
        let meter = Meter::start(subject)?;
        let total = self.seconds * u64::from(self.connects);
        let due = |count: u64| start + count * SECOND / u64::from(self.connects.max(1));
        let (mut opened, mut done, mut lost) = (0, 0, 0);
        let mut waits = new_histogram()?;
        while done + lost < total && now_ns() < due(total) + GRACE {
            while opened < total && due(opened) <= now_ns() {
                let plan = match opened % 2 {
                    0 => player(0),
                    _ => publisher(format!("churn{opened}")),
                };
                client.open(plan, 0)?;
                opened += 1;
            }
            let until = if opened < total {
                due(opened)
            } else {
                due(total) + GRACE
            };
            for event in client.turn(until)? {
                match event.what {
                    Happened::Started => {
                        waits.saturating_record(event.after_ns / 1000);
                        client.leave(event.conn);
                        done += 1;
                    }
                    Happened::Closed(_) => lost += 1,
                    Happened::Connected | Happened::Keyframe => {}
                }
            }
        }
        let cost = meter.stop()?.beyond(&alone);
        let rss = subject.rss()?;
        let mut metrics = Metrics::default();
        let quantiles = [(metric::CYCLE_P50, 0.5), (metric::CYCLE_P99, 0.99)];
        metrics.percentiles(&waits, &quantiles);
        metrics.set(metric::CYCLES, done as f64);
        metrics.set(metric::LOST, (total - done) as f64);
        cost.report(&mut metrics, metric::CPU_PER_1000, done as f64 / 1000.0);
        if let (Some(before), Some(after)) = (rss_before, rss) {
            metrics.set(metric::RSS, after / f64::from(1 << 20));
            let grown = (after - before) / f64::from(1 << 20);
            metrics.set(metric::RSS_GROWTH, grown);
        }
        Ok(metrics)
    }
}
