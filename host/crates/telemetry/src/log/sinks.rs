//! What the queue's lines are written to: a file that is rotated, a socket of this
//! machine.
//!
//! When nothing can be written there, standard error is told, once until it works
//! again: the log itself can't.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::LogSettings;
use super::queue::{Batch, Sink};
use crate::rotation::{RotatingFile, RotationLimits};
use crate::terminal;

/// The log's file, and those that were full before it.
#[derive(Debug)]
pub(super) struct FileSink {
    file: RotatingFile,
    is_failing: bool,
}

impl FileSink {
    /// The file that `log` names, from the folder `base` on.
    ///
    /// # Errors
    /// When it can't be written. Its folder has to be there: one that is made for a
    /// slip would hide the log.
    pub(super) fn new(log: &LogSettings, base: &Path) -> anyhow::Result<Self> {
        let path = base.join(&log.file);
        let folder = path.parent().unwrap_or(base);
        anyhow::ensure!(
            folder.is_dir(),
            "log.file: expected a folder at {}; found none (make it, and let the server's \
             user write there)",
            folder.display()
        );
        let limits = RotationLimits {
            size: u64::try_from(log.file_size).unwrap_or(u64::MAX),
            files: log.files,
        };
        let mut file = RotatingFile::new(path, limits);
        file.try_open()
            .with_context(|| format!("log.file: {} can't be written", file.path().display()))?;
        Ok(Self {
            file,
            is_failing: false,
        })
    }
}

impl Sink for FileSink {
    fn write(&mut self, lines: &Batch) -> u64 {
        self.file.write_lines(lines.bytes());
        let was_failing = std::mem::replace(&mut self.is_failing, self.file.is_failing());
        if self.is_failing && !was_failing {
            terminal::complain(format_args!(
                "warning: the log's file {} can't be written: lines are lost until it can",
                self.file.path().display()
            ));
        }
        // The file says how many, when it is written again.
        0
    }
}

/// A socket that takes a datagram for each line.
#[derive(Debug)]
pub(super) struct SocketSink {
    socket: UnixDatagram,
    path: PathBuf,
    is_failing: bool,
}

impl SocketSink {
    /// # Errors
    /// When nobody listens at `path`.
    pub(super) fn new(path: &Path, whose: &str) -> anyhow::Result<Self> {
        let heard = UnixDatagram::unbound().and_then(|socket| socket.connect(path));
        heard.with_context(|| {
            format!(
                "log.to: expected {whose} at the socket {}; found nobody who listens",
                path.display()
            )
        })?;
        // Without a connection: who listens may be another one after a while.
        let socket = UnixDatagram::unbound().context("a socket for the log")?;
        Ok(Self {
            socket,
            path: path.to_owned(),
            is_failing: false,
        })
    }

    fn said(&mut self, outcome: &io::Result<usize>) {
        let was_failing = std::mem::replace(&mut self.is_failing, outcome.is_err());
        if let (false, Err(error)) = (was_failing, outcome) {
            terminal::complain(format_args!(
                "warning: the log's socket {} takes no line ({error}): lines are lost until it \
                 does",
                self.path.display()
            ));
        }
    }
}

impl Sink for SocketSink {
    /// It waits for a reader that is slow: who logs does not.
    fn write(&mut self, lines: &Batch) -> u64 {
        let mut failed = 0_u64;
        for line in lines.iter() {
            let sent = self.socket.send_to(line, &self.path);
            failed = failed.saturating_add(sent.is_err().into());
            self.said(&sent);
        }
        failed
    }
}
