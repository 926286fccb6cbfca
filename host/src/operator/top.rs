//! `host top`.

use std::io::{self, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use livehost_server_http::api::streams::StreamReport;
use livehost_server_http::operations::ServerReport;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::client::ApiClient;
use super::screen::Screen;
use super::{status, streams};
use crate::cli::Sort;

/// The line that stands out: the head of the table.
const HEAD: usize = 3;
/// What Ctrl-C sends.
const CTRL_C: u8 = 3;

/// What a server does at one moment.
#[derive(Debug)]
struct Sample {
    server: ServerReport,
    streams: Vec<StreamReport>,
}

impl Sample {
    async fn take(api: &ApiClient) -> anyhow::Result<Self> {
        Ok(Self {
            server: api.get("server").await?,
            streams: api.list("streams", None).await?,
        })
    }

    fn lines(&mut self, sort: Sort) -> Vec<String> {
        streams::sort(&mut self.streams, sort);
        let (players, kbps) = streams::sums(&self.streams);
        let count = self.streams.len();
        let by = match sort {
            Sort::Kbps => "kbit/s",
            Sort::Players => "players",
            Sort::Name => "name",
        };
        let mut lines = vec![
            status::head(&self.server),
            format!("streams: {count}, players: {players}, in: {kbps} kbit/s; sorted by {by}"),
            String::new(),
        ];
        lines.extend(streams::table(&self.streams).lines());
        lines
    }
}

/// Shows the streams every `seconds`, at most `count` times.
pub(super) async fn run(
    api: &ApiClient,
    sort: Sort,
    seconds: u64,
    count: Option<u64>,
) -> anyhow::Result<()> {
    let mut ticks = interval(Duration::from_secs(seconds));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // What the terminal is told is worth nothing if nobody restores it.
    let mut ending = Ending::listen().context("signals")?;
    match Screen::open().context("the terminal")? {
        Some(screen) => on_screen(api, screen, sort, ticks, count, &mut ending).await,
        None => in_lines(api, sort, ticks, count, &mut ending).await,
    }
}

async fn on_screen(
    api: &ApiClient,
    mut screen: Screen,
    mut sort: Sort,
    mut ticks: Interval,
    count: Option<u64>,
    ending: &mut Ending,
) -> anyhow::Result<()> {
    let mut resized = signal(SignalKind::window_change())?;
    let mut latest: Option<Sample> = None;
    let mut left = count.unwrap_or(u64::MAX);
    while left > 0 {
        tokio::select! {
            key = screen.key() => match key {
                None | Some(b'q' | b'Q' | CTRL_C) => return Ok(()),
                Some(b'k') => sort = Sort::Kbps,
                Some(b'p') => sort = Sort::Players,
                Some(b'n') => sort = Sort::Name,
                _ => continue,
            },
            () = ending.any() => return Ok(()),
            _ = resized.recv() => {}
            sample = next(api, &mut ticks) => {
                latest = Some(sample?);
                left = left.saturating_sub(1);
            }
        }
        if let Some(sample) = &mut latest {
            screen.show(&sample.lines(sort), HEAD)?;
        }
    }
    Ok(())
}

async fn in_lines(
    api: &ApiClient,
    sort: Sort,
    mut ticks: Interval,
    count: Option<u64>,
    ending: &mut Ending,
) -> anyhow::Result<()> {
    let mut left = count.unwrap_or(u64::MAX);
    while left > 0 {
        let mut sample = tokio::select! {
            sample = next(api, &mut ticks) => sample?,
            () = ending.any() => return Ok(()),
        };
        left = left.saturating_sub(1);
        let text = format!("{}\n\n", sample.lines(sort).join("\n"));
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            // Whoever closed the pipe has read enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.context("cannot write to standard output")?,
        }
    }
    Ok(())
}

async fn next(api: &ApiClient, ticks: &mut Interval) -> anyhow::Result<Sample> {
    ticks.tick().await;
    Sample::take(api).await
}

/// The signals that end a program, heard so that the terminal can be restored.
struct Ending {
    hangup: Signal,
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
}

impl Ending {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Resolves with the first of them.
    async fn any(&mut self) {
        tokio::select! {
            _ = self.hangup.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.quit.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
