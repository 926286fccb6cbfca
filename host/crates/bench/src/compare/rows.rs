//! The rows of the comparison: which load on which servers.

use std::sync::Arc;

use crate::{
    media::{BitRate, Shape},
    peer::{Given, Kind, NGINX_CHUNK},
    process::raise_file_limit,
    scenario::{Churn, Fanout, Idle, Join, Scenario, metric},
};

/// A load, on whom, and what of it is shown.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: &'static str,
    pub(super) title: String,
    pub(super) scenario: Scenario,
    pub(super) kinds: Vec<Kind>,
    /// The figure that servers are compared by.
    pub(super) headline: &'static str,
    /// More figures.
    pub(super) columns: &'static [&'static str],
}

/// nginx as it comes, and with the chunk size of livehost.
const NGINX: Kind = Kind::Nginx(NGINX_CHUNK);
const NGINX_TUNED: Kind = Kind::Nginx(60_000);

const LIVEHOST: Kind = Kind::Livehost(0);

const SERVERS: &[Kind] = &[LIVEHOST, NGINX];
/// nginx has no keyframe for those who join.
const BY_JOIN: &[Kind] = &[LIVEHOST, Kind::LivehostNextKeyframe, NGINX];
const WITH_FLOOR: &[Kind] = &[LIVEHOST, NGINX, NGINX_TUNED, Kind::Floor(0)];
const WITH_FLOORS: &[Kind] = &[
    LIVEHOST,
    NGINX,
    NGINX_TUNED,
    Kind::Floor(0),
    Kind::Livehost(20),
    Kind::Floor(20),
    Kind::Livehost(350),
    Kind::Floor(350),
];
const BESIDE_FLOOR: &[Kind] = &[LIVEHOST, Kind::Floor(0)];
const BY_CORES: &[Kind] = &[LIVEHOST, Kind::LivehostOnAllCores];

/// Files of a server and of the load that are no connections, at most.
const OTHER_FILES: u64 = 100;

/// Rows of a quick run: one of each kind.
const QUICK: &[&str] = &[
    "fanout-500",
    "many",
    "cores",
    "unpaced",
    "slow",
    "join",
    "churn",
    "idle",
];

/// Whom a quick run is on.
const QUICK_KINDS: &[Kind] = &[
    LIVEHOST,
    Kind::Livehost(20),
    Kind::LivehostOnAllCores,
    NGINX,
    Kind::Floor(0),
];

const FANOUT_COLUMNS: &[&str] = &[
    metric::CPU_PERCENT,
    metric::CPU_WAIT,
    metric::LATENCY_P50,
    metric::LATENCY_P99,
    metric::DELIVERED,
    metric::GAPS,
    metric::WRONG,
    metric::LOST,
    metric::RSS,
    metric::RSS_PER_PLAYER,
    metric::CLIENT_CPU_PER_GB,
];

const STREAMS_COLUMNS: &[&str] = &[
    metric::CPU_PER_GB,
    metric::CPU_PERCENT,
    metric::CPU_WAIT,
    metric::LATENCY_P50,
    metric::LATENCY_P99,
    metric::DELIVERED,
    metric::GAPS,
    metric::WRONG,
    metric::LOST,
    metric::RSS,
    metric::CLIENT_CPU_PER_GB,
];

const CORES_COLUMNS: &[&str] = &[
    metric::SPREAD,
    metric::CPU_WAIT,
    metric::LATENCY_P50,
    metric::LATENCY_P99,
    metric::DELIVERED,
    metric::GAPS,
    metric::WRONG,
    metric::LOST,
];

/// All rows. `quick`: small and short. `seconds`: the measured time of paced
/// loads, if not as usual. `given`: servers that the user named, on every row
/// that nginx is on.
pub(super) fn rows(quick: bool, seconds: Option<u64>, given: &[Given]) -> Vec<Row> {
    let seconds = seconds.unwrap_or(if quick { 2 } else { 20 });
    let scale = |count: u32| if quick { count.div_ceil(20) } else { count };
    let fanout = |kilo: u64, streams: u32, players: u32| Fanout {
        streams: scale(streams),
        players: scale(players),
        rate: BitRate(kilo * 1000),
        shape: Shape::USUAL,
        unpaced: false,
        all_prompt: false,
        slow: 0,
        slow_rate: 10_000,
        seconds,
    };
    let paced = |id, load: Fanout, kinds: &[Kind]| {
        let players = if load.players == 1 {
            "player"
        } else {
            "players"
        };
        let streams = if load.streams == 1 {
            "stream"
        } else {
            "streams"
        };
        Row {
            id,
            title: format!(
                "{} {streams} of {} to {} {players} each",
                load.streams, load.rate, load.players
            ),
            scenario: Scenario::Fanout(load),
            kinds: kinds.to_vec(),
            headline: metric::CPU_PER_GB,
            columns: FANOUT_COLUMNS,
        }
    };
    let lean = |id, streams| {
        let load = Fanout {
            shape: Shape::LEAN,
            ..fanout(300, streams, 2)
        };
        Row {
            headline: metric::CPU_PER_STREAM,
            columns: STREAMS_COLUMNS,
            ..paced(id, load, BESIDE_FLOOR)
        }
    };
    let mut rows = vec![
        paced("fanout-200", fanout(2000, 1, 200), WITH_FLOOR),
        paced("fanout-500", fanout(2000, 1, 500), WITH_FLOORS),
        paced("fanout-1000", fanout(2000, 1, 1000), WITH_FLOOR),
        paced("fanout-2000", fanout(2000, 1, 2000), BESIDE_FLOOR),
        paced("fanout-10M", fanout(10_000, 1, 200), WITH_FLOOR),
        paced("fanout-20M", fanout(20_000, 1, 200), WITH_FLOOR),
        paced("many", fanout(2000, 100, 2), WITH_FLOOR),
        lean("streams-10", 10),
        lean("streams-100", 100),
        lean("streams-1000", 1000),
        Row {
            columns: CORES_COLUMNS,
            ..paced("cores", fanout(2000, 1, 400), BY_CORES)
        },
    ];
    rows.extend(others(quick, &fanout));
    if quick {
        rows.retain(|row| QUICK.contains(&row.id));
        for row in &mut rows {
            row.kinds.retain(|kind| QUICK_KINDS.contains(kind));
        }
    }
    for row in rows.iter_mut().filter(|row| row.kinds.contains(&NGINX)) {
        let given = given.iter().cloned().map(Arc::new).map(Kind::Given);
        row.kinds.extend(given);
    }
    rows
}

/// Connections that the limit of open files leaves room for.
fn most_connections() -> u32 {
    let files = raise_file_limit().saturating_sub(OTHER_FILES);
    u32::try_from(files).unwrap_or(u32::MAX)
}

fn others(quick: bool, fanout: &dyn Fn(u64, u32, u32) -> Fanout) -> [Row; 7] {
    let seconds = if quick { 2 } else { 10 };
    let connects = if quick { 20 } else { 100 };
    let connections = if quick { 50 } else { 2000 };
    let many_connections = most_connections().min(connections * 10);
    let unpaced = Fanout {
        unpaced: true,
        ..fanout(10_000, 1, 10)
    };
    let slow = Fanout {
        slow: 1,
        // Long enough for queues to fill, and for the server to close who does not
        // catch up.
        seconds: if quick { 2 } else { 60 },
        ..fanout(2000, 1, 200)
    };
    let churn = |id, connects| Row {
        id,
        title: format!("{connects} clients a second that connect, are let in, and leave"),
        scenario: Scenario::Churn(Churn { connects, seconds }),
        kinds: BY_JOIN.to_vec(),
        headline: metric::CPU_PER_1000,
        columns: &[
            metric::CPU_WAIT,
            metric::CYCLE_P50,
            metric::CYCLE_P99,
            metric::CYCLES,
            metric::LOST,
            metric::RSS,
            metric::RSS_GROWTH,
        ],
    };
    [
        Row {
            id: "unpaced",
            title: format!(
                "1 stream as fast as it is accepted, to {} players",
                unpaced.players
            ),
            scenario: Scenario::Fanout(unpaced),
            kinds: WITH_FLOOR.to_vec(),
            headline: metric::GOODPUT,
            columns: &[
                metric::CPU_PER_GB,
                metric::CPU_PERCENT,
                metric::CPU_WAIT,
                metric::DELIVERED,
                metric::GAPS,
                metric::WRONG,
                metric::LOST,
                metric::RSS,
                metric::CLIENT_CPU_PER_GB,
            ],
        },
        Row {
            id: "slow",
            title: format!(
                "1 stream of {} to {} players, {} of them reading 10 kB/s",
                slow.rate, slow.players, slow.slow
            ),
            scenario: Scenario::Fanout(slow),
            kinds: SERVERS.to_vec(),
            headline: metric::LATENCY_P99,
            columns: &[
                metric::LATENCY_P50,
                metric::LATENCY_MAX,
                metric::CPU_PER_GB,
                metric::CPU_WAIT,
                metric::DELIVERED,
                metric::GAPS,
                metric::LOST,
                metric::SLOW_LOST,
                metric::RSS,
            ],
        },
        Row {
            id: "join",
            title: format!("{connects} players a second that join a stream of 2 Mbit/s"),
            scenario: Scenario::Join(Join {
                connects,
                rate: BitRate(2_000_000),
                seconds,
            }),
            kinds: SERVERS.to_vec(),
            headline: metric::KEYFRAME_P50,
            columns: &[
                metric::KEYFRAME_P99,
                metric::CPU_WAIT,
                metric::CYCLES,
                metric::LOST,
            ],
        },
        churn("churn", connects * 2),
        churn("churn-1000", connects * 10),
        Row {
            id: "idle",
            title: format!("{connections} clients that are connected and do nothing"),
            scenario: Scenario::Idle(Idle {
                connections,
                seconds,
            }),
            kinds: SERVERS.to_vec(),
            headline: metric::RSS_PER_CONNECTION,
            columns: &[metric::CPU_PER_1000_IDLE, metric::RSS],
        },
        Row {
            id: "idle-20000",
            title: format!("{many_connections} clients that are connected and do nothing"),
            scenario: Scenario::Idle(Idle {
                connections: many_connections,
                seconds,
            }),
            kinds: vec![LIVEHOST],
            headline: metric::RSS_PER_CONNECTION,
            columns: &[metric::CPU_PER_1000_IDLE, metric::RSS],
        },
    ]
}
