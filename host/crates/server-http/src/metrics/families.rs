//! What is gathered: the process, connections, streams, applications.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;

use livehost_app::relays::Direction;
use livehost_telemetry::counters::{Count, Counts};

use super::text::{Family, Kind, Label, Value};
use crate::process;
use crate::site::Site;

/// Before every name of the server's own.
const PREFIX: &str = "livehost";
/// Counts of what is there now; all others only grow.
const GAUGES: [&str; 7] = [
    "streams",
    "publishers",
    "players",
    "open",
    "generations",
    "instances",
    "breaker_open",
];
/// What became of questions: function and outcome, by the counter's name.
const DECISIONS: [(&str, &str, &str); 17] = [
    ("connects_accepted", "connect", "accepted"),
    ("connects_rejected", "connect", "rejected"),
    ("connects_redirected", "connect", "redirected"),
    ("connects_failed", "connect", "failed"),
    ("publishes_accepted", "publish", "accepted"),
    ("publishes_rejected", "publish", "rejected"),
    ("publishes_failed", "publish", "failed"),
    ("plays_accepted", "play", "accepted"),
    ("plays_rejected", "play", "rejected"),
    ("plays_failed", "play", "failed"),
    ("objects_allowed", "shared-object", "accepted"),
    ("objects_rewritten", "shared-object", "rewritten"),
    ("objects_denied", "shared-object", "rejected"),
    ("objects_failed", "shared-object", "failed"),
    ("calls_answered", "call", "accepted"),
    ("calls_refused", "call", "rejected"),
    ("calls_failed", "call", "failed"),
];

/// Everything.
pub(super) fn all(site: &Site) -> Vec<Family> {
    let server = site.operations.server();
    let mut families = process(server.started_unix_ms);
    families.push(Family {
        name: format!("{PREFIX}_build"),
        help: "The program's version.".into(),
        kind: Kind::Gauge,
        series: vec![(vec![("version", server.version)], 1.0.into())],
    });
    families.extend(connections(site));
    let census = site.broker.hub().census();
    families.extend(census.described().map(|count| one("", count)));
    families.extend(streams(site));
    families.push(relays(site));
    families.extend(plugins(&site.operations.counters()));
    families.push(Family {
        name: format!("{PREFIX}_decision_seconds"),
        help: "From a question to its answer, by what became of it.".into(),
        kind: Kind::Histogram,
        series: decision_times(site),
    });
    families
}

fn process(started_unix_ms: u64) -> Vec<Family> {
    let seen = process::look();
    let gauge = |name: &str, help: &str, value: Option<f64>| {
        value.map(|value| Family::single(name, help, Kind::Gauge, value))
    };
    [
        seen.cpu_seconds.map(|value| {
            let help = "CPU time of the process in user and system mode.";
            Family::single("process_cpu_seconds", help, Kind::Counter, value)
        }),
        gauge(
            "process_resident_memory_bytes",
            "Memory of the process.",
            seen.resident_bytes,
        ),
        gauge(
            "process_open_fds",
            "Files and sockets that are open.",
            seen.open_files,
        ),
        gauge(
            "process_max_fds",
            "Files and sockets that may be open.",
            seen.max_files,
        ),
        gauge(
            "process_start_time_seconds",
            "Start of the process, Unix time.",
            Some(float(started_unix_ms) / 1000.0),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn connections(site: &Site) -> Vec<Family> {
    let counts = site.directory.counts();
    let mut families = vec![
        Family::single(
            "livehost_connections",
            "Connections of media clients now.",
            Kind::Gauge,
            float(counts.get("open")),
        ),
        Family::single(
            "livehost_connections_accepted",
            "Connections of media clients that there have been.",
            Kind::Counter,
            float(counts.get("accepted")),
        ),
    ];
    let labelled = |counts: Counts, label: &'static str| {
        let series = counts.iter();
        series
            .map(|(name, value)| (vec![(label, name.to_owned())], float(value).into()))
            .collect()
    };
    families.push(Family {
        name: "livehost_connections_refused".into(),
        help: "Connections above a limit, closed when they were accepted.".into(),
        kind: Kind::Counter,
        series: labelled(site.admission.counts(), "limit"),
    });
    families.push(Family {
        name: "livehost_sessions_ended".into(),
        help: "Sessions that ended, by reason.".into(),
        kind: Kind::Counter,
        series: labelled(site.directory.ends(), "reason"),
    });
    families
}

fn relays(site: &Site) -> Family {
    let mut counted: BTreeMap<(String, &'static str, bool), u64> = BTreeMap::new();
    for relay in site.broker.relays().list() {
        let direction = match relay.direction {
            Direction::Push => "push",
            Direction::Pull => "pull",
        };
        let key = (relay.stream.app.to_string(), direction, relay.is_attempting);
        let count = counted.entry(key).or_default();
        *count = count.saturating_add(1);
    }
    let series = counted
        .into_iter()
        .map(|((app, direction, attempting), count)| {
            let labels = vec![
                ("app", app),
                ("direction", direction.to_owned()),
                ("attempting", attempting.to_string()),
            ];
            (labels, float(count).into())
        });
    Family {
        name: format!("{PREFIX}_relays"),
        help: "Streams that go to other servers and come from them, now.".into(),
        kind: Kind::Gauge,
        series: series.collect(),
    }
}

/// Of as many streams as the configuration allows; the others as one.
fn streams(site: &Site) -> Vec<Family> {
    let most = site.metric_streams.load(Relaxed);
    if most == 0 {
        return Vec::new();
    }
    let hub = site.broker.hub();
    let (mut series, mut other, mut after) = (Vec::new(), [0_u64; 3], String::new());
    loop {
        let (found, more) = hub.page(None, &after, PAGE);
        for info in found {
            after = crate::api::streams::called(&info);
            let values = [info.players.into(), info.kbps.into(), info.bytes_in];
            if series.len() < most {
                series.push((after.clone(), values));
            } else {
                let both = other.iter_mut().zip(values);
                both.for_each(|(sum, value)| *sum = sum.saturating_add(value));
            }
        }
        if !more {
            break;
        }
    }
    series.push(("other".to_owned(), other));
    let family = |name: &str, help: &str, at: usize| Family {
        name: format!("{PREFIX}_stream_{name}"),
        help: help.to_owned(),
        kind: Kind::Gauge,
        series: series
            .iter()
            .map(|(stream, values)| {
                let value = values.get(at).copied().unwrap_or_default();
                (vec![("stream", stream.clone())], float(value).into())
            })
            .collect(),
    };
    vec![
        family("players", "Players of a stream now.", 0),
        family("kbps", "Kilobits a second that a publisher sends now.", 1),
        family(
            "received_bytes",
            "Bytes of media of the publish that runs.",
            2,
        ),
    ]
}

fn decision_times(site: &Site) -> Vec<(Vec<Label>, Value)> {
    let times = site.operations.decision_times().into_iter();
    let series = times.map(|time| {
        let labels = vec![
            ("app", time.app),
            ("function", time.function.to_owned()),
            ("outcome", time.outcome.to_owned()),
        ];
        (labels, Value::Latency(time.took))
    });
    series.collect()
}

/// Streams that are asked for at once.
const PAGE: usize = 1000;

fn plugins(counters: &[(String, Counts)]) -> Vec<Family> {
    let mut families: Vec<Family> = Vec::new();
    let decisions = DECISIONS.iter().flat_map(|(counter, function, outcome)| {
        counters.iter().map(|(app, counts)| {
            let labels: Vec<Label> = vec![
                ("app", app.clone()),
                ("function", (*function).to_owned()),
                ("outcome", (*outcome).to_owned()),
            ];
            (labels, float(counts.get(counter)).into())
        })
    });
    families.push(Family {
        name: format!("{PREFIX}_decisions"),
        help: "Questions to plugins, by what became of them.".into(),
        kind: Kind::Counter,
        series: decisions.collect(),
    });
    for (app, counts) in counters {
        for count in counts.described() {
            if DECISIONS.iter().any(|(name, ..)| *name == count.name) {
                continue;
            }
            let mut of_app = one("_plugin", count);
            of_app.series = vec![(vec![("app", app.clone())], float(count.value).into())];
            match families
                .iter_mut()
                .find(|family| family.name == of_app.name)
            {
                Some(family) => family.series.append(&mut of_app.series),
                None => families.push(of_app),
            }
        }
    }
    families
}

/// A count without labels, under its own name.
fn one(part: &str, count: Count) -> Family {
    let kind = match GAUGES.contains(&count.name) {
        true => Kind::Gauge,
        false => Kind::Counter,
    };
    let name = format!("{PREFIX}{part}_{}", count.name);
    Family::single(&name, count.help, kind, float(count.value))
}

/// Exact up to 2^53, as all of Prometheus is.
#[allow(clippy::cast_precision_loss, reason = "the format has floats alone")]
fn float(value: u64) -> f64 {
    value as f64
}
