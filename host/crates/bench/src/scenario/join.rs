//! Players that join a running stream, at a steady rate.

use std::sync::Arc;

use anyhow::Result;

use super::{Meter, Metrics, Subject, metric, player, publish, settle, stream_alone};
use crate::{
    client::{Client, Happened, Pace, new_histogram},
    clock::{SECOND, now_ns},
    media::{BitRate, Model, Shape},
};

/// Time after the last connect in which its keyframe counts.
const GRACE: u64 = 5 * SECOND;

/// Joining players; each leaves with its first keyframe.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Join {
    /// Connects a second.
    #[arg(long, default_value_t = 100)]
    pub(crate) connects: u32,
    /// Bits a second of the stream.
    #[arg(long, default_value = "2M")]
    pub(crate) rate: BitRate,
    /// The measured time.
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
}

impl Join {
    pub(super) fn run(&self, subject: &Subject) -> Result<Metrics> {
        let mut client = Client::new(subject.target.clone(), 1)?;
        let model = Arc::new(Model::new(self.rate, Shape::USUAL));
        publish(&mut client, 1, &model, Pace::RealTime)?;
        client.run(now_ns() + settle(&model))?;
        let alone = stream_alone(&mut client, subject)?;

        let start = now_ns();
        let meter = Meter::start(subject)?;
        let total = self.seconds * u64::from(self.connects);
        let due = |count: u64| start + count * SECOND / u64::from(self.connects.max(1));
        let (mut opened, mut seen, mut lost) = (0, 0, 0);
        let mut waits = new_histogram()?;
        while seen + lost < total && now_ns() < due(total) + GRACE {
            while opened < total && due(opened) <= now_ns() {
                client.open(player(0), 0)?;
                opened += 1;
            }
            let until = if opened < total {
                due(opened)
            } else {
                due(total) + GRACE
            };
            for event in client.turn(until)? {
                match event.what {
                    Happened::Keyframe => {
                        waits.saturating_record(event.after_ns / 1000);
                        client.leave(event.conn);
                        seen += 1;
                    }
                    Happened::Closed(_) => lost += 1,
                    Happened::Connected | Happened::Started => {}
                }
            }
        }
        let cost = meter.stop()?.beyond(&alone);
        let mut metrics = Metrics::default();
        let quantiles = [(metric::KEYFRAME_P50, 0.5), (metric::KEYFRAME_P99, 0.99)];
        metrics.percentiles(&waits, &quantiles);
        metrics.set(metric::CYCLES, seen as f64);
        metrics.set(metric::LOST, (total - seen) as f64);
        cost.report(&mut metrics, metric::CPU_PER_1000, seen as f64 / 1000.0);
        Ok(metrics)
    }
}
