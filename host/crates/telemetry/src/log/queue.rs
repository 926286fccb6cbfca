//! Lines on their way to what may be slow: a file, a socket.
//!
//! Flows in: whole lines, from any thread; none waits for a disk. Flows out: the same,
//! in order, by a thread of their own, as soon as it is at leisure: a process that is
//! killed loses what came in the last instant. Lines for which there is no room are
//! lost and counted.
//!
//! Our own, since `tracing-appender`'s `NonBlocking` bounds lines and not their memory,
//! keeps silent about what can't be written, and tells nobody when it lost lines.

use std::io::{self, Write};
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use livehost_settings::MIB;
use parking_lot::{Condvar, Mutex};

/// What waits may take so much memory, bytes; what is being written as much again.
const ROOM: usize = 4 * MIB;
/// What a line takes beside its bytes.
const LINE: usize = size_of::<usize>();
/// A buffer that grew beyond this in a flood is given back, bytes.
const KEPT: usize = 64 << 10;

/// What lines are written to, by the queue's thread alone.
pub(super) trait Sink: Send + 'static {
    /// Writes the lines; those that can't be written are lost. How many, unless the
    /// sink itself tells of them.
    fn write(&mut self, lines: &Batch) -> u64;
}

/// Lines that came together.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// Where each line ends, in order.
    ends: Vec<usize>,
}

/// The way in. The last of its clones ends the thread, once it has written.
#[derive(Debug)]
pub(super) struct Queue {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// There is something for the thread.
    come: Condvar,
    /// The thread has written what it had.
    written: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    batch: Batch,
    /// For which there was no room, since it was last told.
    lost: u64,
    /// The thread is writing.
    is_busy: bool,
    is_closed: bool,
}

impl Batch {
    /// All lines, each with the end that it came with.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        let bounds = starts.zip(self.ends.iter().copied());
        bounds.filter_map(|(start, end)| self.bytes.get(start..end))
    }

    fn len(&self) -> u64 {
        u64::try_from(self.ends.len()).unwrap_or(u64::MAX)
    }

    /// False when there is no room for `line`.
    fn push(&mut self, line: &[u8]) -> bool {
        let ends = self.ends.len().saturating_mul(LINE);
        let cost = self.bytes.len().saturating_add(ends);
        if cost.saturating_add(line.len()).saturating_add(LINE) > ROOM {
            return false;
        }
        self.bytes.extend_from_slice(line);
        self.ends.push(self.bytes.len());
        true
    }

    /// Empty, in the same memory unless that is much.
    fn emptied(mut self) -> Self {
        if self.bytes.capacity() > KEPT {
            return Self::default();
        }
        self.bytes.clear();
        self.ends.clear();
        self
    }
}

impl Queue {
    /// Starts the thread that writes to `sink`; `tell` hears, there, how many lines
    /// were lost.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub(super) fn start(sink: impl Sink, tell: impl Fn(u64) + Send + 'static) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || thread.run(sink, tell))?;
        Ok(Self { shared })
    }

    /// Takes a line, or counts it.
    fn push(&self, line: &[u8]) {
        let mut waiting = self.shared.waiting.lock();
        if !waiting.batch.push(line) {
            waiting.lost = waiting.lost.saturating_add(1);
        }
        drop(waiting);
        self.shared.come.notify_one();
    }

    /// Waits until all is written that came before, no longer than `limit`. False
    /// when that was too short.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        let mut waiting = self.shared.waiting.lock();
        while waiting.is_busy || waiting.has_more() {
            let waited = self.shared.written.wait_until(&mut waiting, until);
            if waited.timed_out() {
                return false;
            }
        }
        true
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.shared.waiting.lock().is_closed = true;
        self.shared.come.notify_one();
    }
}

/// The formatter writes each line in one piece.
impl Write for &Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Waiting {
    fn has_more(&self) -> bool {
        self.batch.len() > 0 || self.lost > 0
    }
}

impl Shared {
    fn run(&self, mut sink: impl Sink, tell: impl Fn(u64)) {
        let mut spare = Batch::default();
        let mut untold = 0_u64;
        loop {
            let mut waiting = self.waiting.lock();
            waiting.is_busy = false;
            while !waiting.has_more() {
                self.written.notify_all();
                if waiting.is_closed {
                    return;
                }
                self.come.wait(&mut waiting);
            }
            waiting.is_busy = true;
            let batch = mem::replace(&mut waiting.batch, spare);
            let lost = mem::take(&mut waiting.lost);
            drop(waiting);
            let failed = sink.write(&batch);
            untold = untold.saturating_add(lost).saturating_add(failed);
            // While nothing can be written, a line about that would be one more to
            // tell of, for ever.
            if untold > 0 && failed < batch.len() {
                tell(mem::take(&mut untold));
            }
            spare = batch.emptied();
        }
    }
}

#[cfg(test)]
mod tests;
