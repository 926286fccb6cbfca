//! What is done to a server, and what is measured meanwhile.
//!
//! In: a server that serves, and the arguments of a load. Out: [`Metrics`].

mod churn;
mod fanout;
mod idle;
mod join;

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::{
    client::{Client, ConnId, Event, Happened, Pace, Plan, Purpose, Reading, Target},
    clock::{MILLI, SECOND, now_ns},
    media::Model,
    process::{CpuTime, own_cpu, resident},
};

pub(crate) use churn::Churn;
pub(crate) use fanout::Fanout;
pub(crate) use idle::Idle;
pub(crate) use join::Join;

/// How long connections may take to start.
const START_LIMIT: u64 = 30 * SECOND;
/// After a group of pictures and this, a publisher's first one is complete.
const SETTLE: u64 = 500 * MILLI;
/// How long a stream is watched alone.
const ALONE: u64 = 4 * SECOND;
/// Connections opened at once, and between two batches: no server's backlog
/// overflows.
const BATCH: usize = 20;
const BATCH_PAUSE: u64 = 20 * MILLI;

/// Names of what is measured, each with its unit.
pub(crate) mod metric {
    /// Server CPU seconds for 10^9 bytes of message bodies received by players.
    pub(crate) const CPU_PER_GB: &str = "cpu_s_per_gb";
    /// The same of this program: what measuring costs.
    pub(crate) const CLIENT_CPU_PER_GB: &str = "client_cpu_s_per_gb";
    /// Server CPU milliseconds for a second of one stream and its players.
    pub(crate) const CPU_PER_STREAM: &str = "cpu_ms_per_stream_s";
    /// Server CPU to that of its busiest thread.
    pub(crate) const SPREAD: &str = "usable_cores";
    /// Server CPU, percent of one core.
    pub(crate) const CPU_PERCENT: &str = "cpu_percent";
    /// Percent of the time that the server waited for a core: what other work
    /// on the machine took from it. More than a few make a figure worthless.
    pub(crate) const CPU_WAIT: &str = "cpu_wait_percent";
    /// From publish to receive.
    pub(crate) const LATENCY_P50: &str = "latency_p50_ms";
    pub(crate) const LATENCY_P99: &str = "latency_p99_ms";
    pub(crate) const LATENCY_MAX: &str = "latency_max_ms";
    /// Messages missing between received ones.
    pub(crate) const GAPS: &str = "missing_messages";
    /// Messages out of order, or not as they were sent.
    pub(crate) const WRONG: &str = "wrong_messages";
    /// Messages whose checksum was computed.
    pub(crate) const CHECKED: &str = "checked_messages";
    /// Received of what was published, for all players.
    pub(crate) const DELIVERED: &str = "delivered_percent";
    /// Message bodies received.
    pub(crate) const GOODPUT: &str = "goodput_mbit_s";
    /// Connections that the server ended.
    pub(crate) const LOST: &str = "lost_connections";
    /// Messages the publisher could not send in time.
    pub(crate) const WITHHELD: &str = "withheld_messages";
    /// Resident memory of the server.
    pub(crate) const RSS: &str = "rss_mib";
    pub(crate) const RSS_PER_PLAYER: &str = "rss_per_player_kib";
    pub(crate) const RSS_PER_CONNECTION: &str = "rss_per_connection_kib";
    /// From connect to the first whole keyframe.
    pub(crate) const KEYFRAME_P50: &str = "first_keyframe_p50_ms";
    pub(crate) const KEYFRAME_P99: &str = "first_keyframe_p99_ms";
    /// From connect until the server said that it plays or publishes.
    pub(crate) const CYCLE_P50: &str = "cycle_p50_ms";
    pub(crate) const CYCLE_P99: &str = "cycle_p99_ms";
    pub(crate) const CYCLES: &str = "cycles";
    pub(crate) const CPU_PER_1000: &str = "cpu_s_per_1000";
    /// Server CPU seconds a second for 1,000 idle connections.
    pub(crate) const CPU_PER_1000_IDLE: &str = "cpu_s_per_1000_idle_s";
    /// Resident memory at the end against the start.
    pub(crate) const RSS_GROWTH: &str = "rss_growth_mib";
    /// Slow readers that the server ended.
    pub(crate) const SLOW_LOST: &str = "slow_readers_closed";
}

/// Measured values by name. What could not be measured is not in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Metrics(pub(crate) BTreeMap<String, f64>);

impl Metrics {
    pub(crate) fn set(&mut self, name: &str, value: f64) {
        if value.is_finite() {
            self.0.insert(name.to_owned(), value);
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    fn percentiles(&mut self, micros: &Histogram<u64>, names: &[(&str, f64)]) {
        if micros.is_empty() {
            return;
        }
        for (name, quantile) in names {
            self.set(name, micros.value_at_quantile(*quantile) as f64 / 1000.0);
        }
    }
}

/// A server under test.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) target: Target,
    /// Its process on this machine, for CPU and memory.
    pub(crate) pid: Option<u32>,
}

/// A load with its arguments.
#[derive(Debug, Clone)]
pub(crate) enum Scenario {
    Fanout(Fanout),
    Join(Join),
    Churn(Churn),
    Idle(Idle),
}

impl Scenario {
    /// Runs it against a server.
    ///
    /// # Errors
    /// If the server does not serve.
    pub(crate) fn run(&self, subject: &Subject) -> Result<Metrics> {
        match self {
            Self::Fanout(load) => load.run(subject),
            Self::Join(load) => load.run(subject),
            Self::Churn(load) => load.run(subject),
            Self::Idle(load) => load.run(subject),
        }
    }
}

/// CPU of server and client over a period.
#[derive(Debug)]
struct Meter {
    pid: Option<u32>,
    server: CpuTime,
    own: Duration,
    from_ns: u64,
}

/// What a period cost.
#[derive(Debug)]
struct Cost {
    server: Option<Duration>,
    waited: Duration,
    own: Duration,
    elapsed: Duration,
    /// The server's CPU to that of its busiest thread.
    spread: f64,
}

impl Meter {
    fn start(subject: &Subject) -> Result<Self> {
        Ok(Self {
            pid: subject.pid,
            server: subject
                .pid
                .map(CpuTime::of)
                .transpose()?
                .unwrap_or_default(),
            own: own_cpu(),
            from_ns: now_ns(),
        })
    }

    fn stop(&self) -> Result<Cost> {
        let now = self.pid.map(CpuTime::of).transpose()?;
        Ok(Cost {
            waited: now
                .as_ref()
                .map(|now| now.waited_since(&self.server))
                .unwrap_or_default(),
            spread: now
                .as_ref()
                .map_or(f64::NAN, |now| now.spread_since(&self.server)),
            server: now.map(|now| now.since(&self.server)),
            own: own_cpu().saturating_sub(self.own),
            elapsed: Duration::from_nanos(now_ns().saturating_sub(self.from_ns)),
        })
    }
}

impl Cost {
    /// Without what would have been used anyway, as measured in `base`.
    fn beyond(mut self, base: &Self) -> Self {
        let ratio = self.elapsed.as_secs_f64() / base.elapsed.as_secs_f64();
        if let (Some(server), Some(base)) = (&mut self.server, base.server) {
            *server = server.saturating_sub(base.mul_f64(ratio));
        }
        self
    }

    /// CPU per `count` units, where the server's is known.
    fn report(&self, metrics: &mut Metrics, name: &str, count: f64) {
        if let Some(server) = self.server {
            metrics.set(name, server.as_secs_f64() / count);
            let elapsed = self.elapsed.as_secs_f64();
            let percent = |time: Duration| 100.0 * time.as_secs_f64() / elapsed;
            metrics.set(metric::CPU_PERCENT, percent(server));
            metrics.set(metric::CPU_WAIT, percent(self.waited));
        }
    }
}

impl Subject {
    fn rss(&self) -> Result<Option<f64>> {
        let bytes = self.pid.map(resident).transpose()?;
        Ok(bytes.map(|bytes| bytes as f64))
    }
}

/// Name of a stream.
fn name(stream: u32) -> String {
    format!("bench{stream}")
}

fn player(stream: u32) -> Plan {
    Plan {
        purpose: Purpose::Play { name: name(stream) },
        group: 0,
        reading: Reading::Prompt,
    }
}

fn publisher(name: String) -> Plan {
    Plan {
        purpose: Purpose::Publish { name },
        group: 0,
        reading: Reading::Prompt,
    }
}

/// Time after which a publisher's first group of pictures is complete, in
/// nanoseconds.
fn settle(model: &Model) -> u64 {
    let group = u64::try_from(model.group().as_nanos()).unwrap_or(u64::MAX);
    group.saturating_add(SETTLE)
}

/// What a running stream costs by itself, over a whole number of groups of
/// pictures.
fn stream_alone(client: &mut Client, subject: &Subject) -> Result<Cost> {
    let meter = Meter::start(subject)?;
    client.run(now_ns() + ALONE)?;
    meter.stop()
}

/// Publishes streams 0 to `count`, their keyframes spread evenly.
fn publish(
    client: &mut Client,
    count: u32,
    model: &std::sync::Arc<Model>,
    pace: Pace,
) -> Result<()> {
    let plans = (0..count).map(|stream| (publisher(name(stream)), stream));
    let conns = open_all(client, plans.collect())?;
    let now = now_ns();
    for (stream, conn) in (0..count).zip(conns) {
        let group = settle(model) - SETTLE;
        let offset = group / u64::from(count.max(1)) * u64::from(stream);
        client.feed(conn, stream, model, pace, now + offset)?;
    }
    Ok(())
}

/// Opens connections in batches and waits until all have started.
fn open_all(client: &mut Client, plans: Vec<(Plan, u32)>) -> Result<Vec<ConnId>> {
    let mut conns = Vec::new();
    let mut plans = plans.into_iter().peekable();
    while plans.peek().is_some() {
        let batch: Vec<ConnId> = plans
            .by_ref()
            .take(BATCH)
            .map(|(plan, stream)| client.open(plan, stream))
            .collect::<Result<_>>()?;
        await_started(client, &batch)?;
        conns.extend(batch);
        client.run(now_ns() + BATCH_PAUSE)?;
    }
    Ok(conns)
}

/// Waits until each of these is connected, or publishes or plays.
fn await_started(client: &mut Client, conns: &[ConnId]) -> Result<()> {
    let deadline = now_ns() + START_LIMIT;
    let mut missing = conns.to_vec();
    while !missing.is_empty() {
        let events = client.turn(deadline)?;
        anyhow::ensure!(
            !events.is_empty(),
            "expected {} connections to start within {} s",
            missing.len(),
            START_LIMIT / SECOND
        );
        for Event { conn, what, .. } in events {
            match what {
                Happened::Started => missing.retain(|waiting| *waiting != conn),
                Happened::Closed(why) => {
                    return Err(why).context("a connection ended before it started");
                }
                Happened::Connected | Happened::Keyframe => {}
            }
        }
    }
    Ok(())
}
