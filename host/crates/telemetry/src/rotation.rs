//! A file of lines that begins anew when it is full.
//!
//! Flows in: whole lines. Flows out: they, at the end of `FILE`; when it is full it
//! becomes `FILE.1`, that before it `FILE.2`, and so on.
//!
//! Writing blocks: whoever has a [`RotatingFile`] gives it a thread, and a bounded
//! queue before it. Our own, since each library that was looked at lacks what a
//! server needs: file-rotate 0.8 cuts lines in two, panics when a folder can't be
//! made, and drops silently what it can't write; logroller 0.1 writes to standard error
//! and brings chrono, flate2 and regex; tracing-appender 0.2 knows no sizes;
//! rolling-file 0.2 is not kept any more.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tracing::{error, info};

/// Of the file: the server's user writes it, his group may read it.
const FILE_MODE: u32 = 0o640;
/// Of folders that are missing.
const FOLDER_MODE: u32 = 0o700;

/// How much of a [`RotatingFile`] is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RotationLimits {
    /// Bytes that make a file full. Only a line that is longer makes it larger.
    pub size: u64,
    /// Full files that are kept beside it; 0 begins anew in place.
    pub files: usize,
}

/// The lines of one writer. Opened, and its folder made, when there is a line. Who
/// moves or removes the file makes it begin anew.
#[derive(Debug)]
pub struct RotatingFile {
    path: PathBuf,
    limits: RotationLimits,
    file: Option<File>,
    /// Lines that could not be written since the last that was.
    lost: u64,
}

impl RotatingFile {
    /// A file at `path`, which is not looked at before there is a line.
    #[must_use]
    pub fn new(path: PathBuf, limits: RotationLimits) -> Self {
        Self {
            path,
            limits,
            file: None,
            lost: 0,
        }
    }

    /// What is kept from the next line on.
    pub fn set_limits(&mut self, limits: RotationLimits) {
        self.limits = limits;
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Finds out whether lines can be written, before there is one.
    ///
    /// # Errors
    /// When they can't.
    pub fn try_open(&mut self) -> io::Result<()> {
        self.open().map(drop)
    }

    /// Whether the last lines could not be written.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.lost > 0
    }

    /// Writes whole lines, each with its end. Those that can't be written are lost: the
    /// first of them is an error in the log, and the next write tries again.
    pub fn write_lines(&mut self, mut lines: &[u8]) {
        let outcome = self.write_all_of(&mut lines);
        let left = lines.iter().filter(|byte| **byte == b'\n').count();
        let left = u64::try_from(left).unwrap_or(u64::MAX);
        match outcome {
            Ok(()) => {
                let lost = std::mem::take(&mut self.lost);
                if lost > 0 {
                    info!(file = %self.path.display(), lost, "lines are written again");
                }
            }
            Err(error) => {
                self.file = None;
                if self.lost == 0 {
                    error!(file = %self.path.display(), %error,
                        "lines can't be written; they are lost until they can");
                }
                self.lost = self.lost.saturating_add(left.max(1));
            }
        }
    }

    /// Takes from `lines` what was written.
    fn write_all_of(&mut self, lines: &mut &[u8]) -> io::Result<()> {
        while !lines.is_empty() {
            let size = self.limits.size;
            let (mut file, len) = self.open()?;
            let room = size.saturating_sub(len);
            let end = fitting(lines, usize::try_from(room).unwrap_or(usize::MAX), len == 0);
            let (part, rest) = lines.split_at_checked(end).unwrap_or((lines, &[]));
            if part.is_empty() {
                self.rotate()?;
                continue;
            }
            if let Err(error) = file.write_all(part) {
                // Half a line would spoil the next one.
                let _ = file.set_len(len);
                return Err(error);
            }
            *lines = rest;
        }
        Ok(())
    }

    /// The file at the path, and its length.
    fn open(&mut self) -> io::Result<(&File, u64)> {
        let there = match fs::metadata(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            there => there.ok(),
        };
        // A pipe might never open.
        if there.as_ref().is_some_and(|there| !there.is_file()) {
            return Err(io::Error::other("expected a file; found what is none"));
        }
        if let (Some(file), Some(there)) = (&self.file, &there) {
            let own = file.metadata()?;
            if (own.dev(), own.ino()) != (there.dev(), there.ino()) {
                self.file = None;
            }
        } else {
            self.file = None;
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => self.create()?,
        };
        let len = file.metadata()?.len();
        Ok((self.file.insert(file), len))
    }

    fn create(&self) -> io::Result<File> {
        if let Some(folder) = self.path.parent() {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(FOLDER_MODE).create(folder)?;
        }
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(FILE_MODE);
        options.open(&self.path)
    }

    /// Makes room at the path.
    fn rotate(&mut self) -> io::Result<()> {
        self.file = None;
        // Those beyond the limit, which may have been higher.
        for number in self.limits.files.max(1).. {
            if !is_done(fs::remove_file(self.full(number)))? {
                break;
            }
        }
        for number in (1..self.limits.files).rev() {
            is_done(fs::rename(self.full(number), self.full(number + 1)))?;
        }
        is_done(match self.limits.files {
            0 => fs::remove_file(&self.path),
            _ => fs::rename(&self.path, self.full(1)),
        })?;
        Ok(())
    }

    /// The file that was full so many files ago.
    fn full(&self, number: usize) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }
}

/// For whoever writes with this trait: each call has whole lines, and what can't be
/// written is told as in [`RotatingFile::write_lines`], never here.
impl Write for RotatingFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.write_lines(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How much of `lines` has its end within `room` bytes. A file `is_new` takes one line
/// in any case.
fn fitting(lines: &[u8], room: usize, is_new: bool) -> usize {
    let is_end = |byte: &u8| *byte == b'\n';
    let Some(within) = lines
        .get(..room)
        .filter(|within| within.len() < lines.len())
    else {
        return lines.len();
    };
    let last = within.iter().rposition(is_end);
    let first = || {
        lines
            .iter()
            .position(is_end)
            .map_or(lines.len(), |end| end + 1)
    };
    match last {
        Some(end) => end + 1,
        None if is_new => first(),
        None => 0,
    }
}

/// False when there was nothing to do it with.
fn is_done(outcome: io::Result<()>) -> io::Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
