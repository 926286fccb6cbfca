//! The rows of the comparison: which load on which servers.

use crate::{
    media::BitRate,
    peer::{Kind, NGINX_CHUNK},
    scenario::{Churn, Fanout, Idle, Join, Scenario, metric},
};

/// A load, on whom, and what of it is shown.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: &'static str,
    pub(super) title: String,
    pub(super) scenario: Scenario,
    pub(super) kinds: &'static [Kind],
    /// The figure that servers are compared by.
    pub(super) headline: &'static str,
    /// More figures.
    pub(super) columns: &'static [&'static str],
}

/// nginx as it comes, and with the chunk size of livehost.
const NGINX: Kind = Kind::Nginx(NGINX_CHUNK);
const NGINX_TUNED: Kind = Kind::Nginx(60_000);

const SERVERS: &[Kind] = &[Kind::Livehost, NGINX];
const WITH_FLOOR: &[Kind] = &[Kind::Livehost, NGINX, NGINX_TUNED, Kind::Floor(0)];
const WITH_FLOORS: &[Kind] = &[
    Kind::Livehost,
    NGINX,
    NGINX_TUNED,
    Kind::Floor(0),
    Kind::Floor(20),
    Kind::Floor(350),
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

/// All rows. `quick`: small and short. `seconds`: the measured time of paced
/// loads, if not as usual.
pub(super) fn rows(quick: bool, seconds: Option<u64>) -> Vec<Row> {
    let seconds = seconds.unwrap_or(if quick { 2 } else { 20 });
    let scale = |count: u32| if quick { count.div_ceil(20) } else { count };
    let fanout = |mega: u64, streams: u32, players: u32| Fanout {
        streams: scale(streams),
        players: scale(players),
        rate: BitRate(mega * 1_000_000),
        unpaced: false,
        all_prompt: false,
        slow: 0,
        slow_rate: 10_000,
        seconds,
    };
    let paced = |id, load: Fanout, kinds| {
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
            kinds,
            headline: metric::CPU_PER_GB,
            columns: FANOUT_COLUMNS,
        }
    };
    let mut rows = vec![
        paced("fanout-2M", fanout(2, 1, 500), WITH_FLOORS),
        paced("fanout-10M", fanout(10, 1, 100), WITH_FLOOR),
        paced("fanout-20M", fanout(20, 1, 50), WITH_FLOOR),
        paced("many", fanout(2, 50, 5), WITH_FLOOR),
    ];
    rows.extend(others(quick, &fanout));
    rows
}

fn others(quick: bool, fanout: &dyn Fn(u64, u32, u32) -> Fanout) -> [Row; 5] {
    let seconds = if quick { 2 } else { 10 };
    let connects = if quick { 20 } else { 100 };
    let connections = if quick { 50 } else { 2000 };
    let unpaced = Fanout {
        unpaced: true,
        ..fanout(10, 1, 20)
    };
    let slow = Fanout {
        slow: 1,
        // Long enough for a queue to fill, and for the server to act on it.
        seconds: if quick { 2 } else { 40 },
        ..fanout(2, 1, 200)
    };
    [
        Row {
            id: "unpaced",
            title: format!(
                "1 stream as fast as it is accepted, to {} players",
                unpaced.players
            ),
            scenario: Scenario::Fanout(unpaced),
            kinds: WITH_FLOOR,
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
            kinds: SERVERS,
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
            kinds: SERVERS,
            headline: metric::KEYFRAME_P50,
            columns: &[
                metric::KEYFRAME_P99,
                metric::CPU_WAIT,
                metric::CYCLES,
                metric::LOST,
            ],
        },
        Row {
            id: "churn",
            title: format!(
                "{} clients a second that connect, are let in, and leave",
                connects * 2
            ),
            scenario: Scenario::Churn(Churn {
                connects: connects * 2,
                seconds,
            }),
            kinds: SERVERS,
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
        },
        Row {
            id: "idle",
            title: format!("{connections} clients that are connected and do nothing"),
            scenario: Scenario::Idle(Idle {
                connections,
                seconds,
            }),
            kinds: SERVERS,
            headline: metric::RSS_PER_CONNECTION,
            columns: &[metric::CPU_PER_1000_IDLE, metric::RSS],
        },
    ]
}
