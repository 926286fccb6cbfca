//! Clients that are connected and do nothing.

use anyhow::Result;

use super::{BATCH, BATCH_PAUSE, Meter, Metrics, START_LIMIT, Subject, metric};
use crate::{
    client::{Client, Happened, Plan, Purpose, Reading},
    clock::{MILLI, SECOND, now_ns},
};

/// Added to the limit for each connection.
const PER_CONNECTION: u64 = 5 * MILLI;

/// Idle connections.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Idle {
    /// How many.
    #[arg(long, default_value_t = 1000)]
    pub(crate) connections: u32,
    /// The measured time.
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
}

impl Idle {
    pub(super) fn run(&self, subject: &Subject) -> Result<Metrics> {
        let mut client = Client::new(subject.target.clone(), 1)?;
        // What the first connections make a server allocate is not theirs.
        open(&mut client, BATCH)?;
        let rss_before = subject.rss()?;
        let count = usize::try_from(self.connections)?;
        open(&mut client, count)?;
        client.run(now_ns() + SECOND)?;

        let meter = Meter::start(subject)?;
        client.run(now_ns() + self.seconds * SECOND)?;
        let cost = meter.stop()?;
        let rss = subject.rss()?;

        let mut metrics = Metrics::default();
        let thousand_seconds = f64::from(self.connections) / 1000.0 * self.seconds as f64;
        cost.report(&mut metrics, metric::CPU_PER_1000_IDLE, thousand_seconds);
        if let (Some(before), Some(after)) = (rss_before, rss) {
            metrics.set(metric::RSS, after / f64::from(1 << 20));
            let each = (after - before) / f64::from(self.connections) / 1024.0;
            metrics.set(metric::RSS_PER_CONNECTION, each);
        }
        Ok(metrics)
    }
}

/// Opens so many more and waits until all are connected.
fn open(client: &mut Client, count: usize) -> Result<()> {
    // A slow machine opens some hundred a second.
    let limit = START_LIMIT + count as u64 * PER_CONNECTION;
    let deadline = now_ns() + limit;
    let plan = Plan {
        purpose: Purpose::Idle,
        group: 0,
        reading: Reading::Prompt,
    };
    let (mut opened, mut connected) = (0, 0);
    let mut next = now_ns();
    while connected < count {
        if opened < count && now_ns() >= next {
            for _ in 0..BATCH.min(count - opened) {
                client.open(plan.clone(), 0)?;
                opened += 1;
            }
            next = now_ns() + BATCH_PAUSE;
        }
        let until = if opened < count { next } else { deadline };
        for event in client.turn(until)? {
            match event.what {
                Happened::Connected => connected += 1,
                Happened::Closed(why) => return Err(why),
                Happened::Started | Happened::Keyframe => {}
            }
        }
        anyhow::ensure!(
            now_ns() < deadline,
            "expected {count} connections within {} s, got {connected}",
            limit / SECOND
        );
    }
    Ok(())
}
