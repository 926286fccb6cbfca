//! What players of one group received within the measured window.

use anyhow::{Result, anyhow};
use hdrhistogram::Histogram;

use super::skim::Skimmed;
use crate::media::Stamp;

/// Longest latency told apart, in microseconds.
const MAX_LATENCY_US: u64 = 120_000_000;

/// The time that counts, on this process's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) from_ns: u64,
    pub(crate) to_ns: u64,
}

/// Sums over a group of players.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Publish to receive, in microseconds, of what was sent in the window.
    pub(crate) latency: Histogram<u64>,
    pub(crate) messages: u64,
    /// Message bodies, in bytes.
    pub(crate) bytes: u64,
    /// Messages missing between two that arrived.
    pub(crate) gaps: u64,
    /// Messages that arrived after a later one.
    pub(crate) disorder: u64,
    /// Messages whose length or checksum is not what was sent.
    pub(crate) corrupt: u64,
    /// Messages whose checksum was computed.
    pub(crate) checked: u64,
}

impl Tally {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            latency: new_histogram()?,
            messages: 0,
            bytes: 0,
            gaps: 0,
            disorder: 0,
            corrupt: 0,
            checked: 0,
        })
    }

    /// Counts a message that a player got at `now`. `next` is the sequence
    /// number the player expects, if it has had any. `timely`: whether it reads
    /// at once, so that its latency means something.
    pub(crate) fn count(
        &mut self,
        window: Option<Window>,
        now: u64,
        message: &Skimmed<'_>,
        stamp: Stamp,
        next: Option<u64>,
        timely: bool,
    ) {
        let Some(window) = window.filter(|window| (window.from_ns..window.to_ns).contains(&now))
        else {
            return;
        };
        self.messages += 1;
        self.bytes += message.len as u64;
        if timely && stamp.sent_ns >= window.from_ns {
            let micros = now.saturating_sub(stamp.sent_ns) / 1000;
            self.latency.saturating_record(micros);
        }
        if let Some(next) = next {
            self.gaps += stamp.sequence.saturating_sub(next);
            self.disorder += u64::from(stamp.sequence < next);
        }
        let sound = message.crc.is_none_or(|crc| crc == stamp.crc);
        self.corrupt += u64::from(!sound || message.len as u64 != u64::from(stamp.len));
        self.checked += u64::from(message.crc.is_some());
    }
}

/// A histogram of microseconds, to three digits.
pub(crate) fn new_histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_max(MAX_LATENCY_US, 3).map_err(|error| anyhow!("histogram: {error}"))
}
