//! Child processes: their output is kept as lines with arrival times, their
//! end is awaited with a deadline, and none outlives its test.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    mem,
    os::fd::OwnedFd,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::{Errno, ioctl_fionread},
};

/// One line of output.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) at: Instant,
}

#[derive(Debug)]
struct Captured {
    source: File,
    /// The beginning of a line whose end has not come.
    unfinished: Vec<u8>,
    lines: Vec<Line>,
    /// When the pipe was closed: the process has ended.
    closed: Option<Instant>,
}

impl Captured {
    /// Takes what is in the pipe. `ended`: nobody can write any more.
    fn take(&mut self, ended: bool) -> io::Result<()> {
        while self.closed.is_none() {
            let ready = ioctl_fionread(&self.source)?;
            if ready == 0 {
                if ended {
                    self.end_line();
                    self.closed = Some(Instant::now());
                }
                break;
            }
            let mut raw = vec![0; ready.min(64 << 10) as usize];
            let count = self.source.read(&mut raw)?;
            for part in raw[..count].split_inclusive(|byte| *byte == b'\n') {
                self.unfinished.extend_from_slice(part);
                if part.ends_with(b"\n") {
                    self.end_line();
                }
            }
        }
        Ok(())
    }

    fn end_line(&mut self) {
        let raw = mem::take(&mut self.unfinished);
        if !raw.is_empty() {
            let text = String::from_utf8_lossy(&raw).trim_end().to_owned();
            let at = Instant::now();
            self.lines.push(Line { text, at });
        }
    }
}

/// A pipe of a child, read by its own thread and by whoever looks: who looks
/// sees all that the child had written by then.
#[derive(Debug, Clone)]
pub(crate) struct Pipe(Arc<(Mutex<Captured>, Condvar)>);

impl Pipe {
    fn read(source: impl Into<OwnedFd>) -> Self {
        let source = File::from(source.into());
        let waited = source.try_clone().expect("a descriptor for its thread");
        let captured = Captured {
            source,
            unfinished: Vec::new(),
            lines: Vec::new(),
            closed: None,
        };
        let pipe = Self(Arc::new((Mutex::new(captured), Condvar::new())));
        let reader = pipe.clone();
        thread::spawn(move || {
            // It only waits here. Bytes leave the pipe under the lock, so none
            // is on its way to the lines when somebody looks at them.
            loop {
                let mut fds = [PollFd::new(&waited, PollFlags::IN)];
                let polled = poll(&mut fds, None);
                let ended = fds[0].revents().contains(PollFlags::HUP);
                let mut captured = reader.lock();
                let taken = captured.take(ended);
                if taken.is_err() || polled.is_err_and(|error| error != Errno::INTR) {
                    captured.closed = Some(Instant::now());
                }
                let closed = captured.closed.is_some();
                drop(captured);
                reader.0.1.notify_all();
                if closed {
                    break;
                }
            }
        });
        pipe
    }

    fn lock(&self) -> MutexGuard<'_, Captured> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock, with all that has been written so far.
    fn caught_up(&self) -> MutexGuard<'_, Captured> {
        let mut captured = self.lock();
        // An error reaches the thread as well, which ends the pipe.
        let _ = captured.take(false);
        // Its thread sees nothing of what was taken here.
        self.0.1.notify_all();
        captured
    }

    /// Waits for the first thing that `find` makes of a line at or behind
    /// index `from`; none at the deadline or once the pipe is closed.
    pub(crate) fn wait<T>(
        &self,
        mut from: usize,
        deadline: Instant,
        mut find: impl FnMut(&Line) -> Option<T>,
    ) -> Option<T> {
        let mut captured = self.caught_up();
        loop {
            while let Some(line) = captured.lines.get(from) {
                from += 1;
                if let Some(found) = find(line) {
                    return Some(found);
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || captured.closed.is_some() {
                return None;
            }
            captured = self
                .0
                .1
                .wait_timeout(captured, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits for the end of the process; none when it runs past `deadline`.
    fn wait_closed(&self, deadline: Instant) -> Option<Instant> {
        let mut captured = self.lock();
        while captured.closed.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            captured = self
                .0
                .1
                .wait_timeout(captured, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        captured.closed
    }

    /// Every line so far.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.caught_up().lines.clone()
    }

    /// How many lines there are so far.
    pub(crate) fn len(&self) -> usize {
        self.caught_up().lines.len()
    }

    /// Everything so far.
    pub(crate) fn text(&self) -> String {
        let lines: Vec<String> = self.lines().into_iter().map(|line| line.text).collect();
        lines.join("\n")
    }
}

/// A signal, by the name that `kill` knows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    Hangup,
    Interrupt,
    Terminate,
    Kill,
    Stop,
    Continue,
    User1,
    User2,
    FileSize,
}

/// How a process ended.
#[derive(Debug, Clone)]
pub(crate) struct Exit {
    pub(crate) status: ExitStatus,
    pub(crate) at: Instant,
    pub(crate) stderr: String,
}

/// A running child; killed and reaped when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    pub(crate) stdout: Pipe,
    pub(crate) stderr: Pipe,
}

impl Process {
    pub(crate) fn spawn(name: impl Into<String>, command: &mut Command) -> Self {
        let name = name.into();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let stdout = Pipe::read(child.stdout.take().expect("stdout is piped"));
        let stderr = Pipe::read(child.stderr.take().expect("stderr is piped"));
        Self {
            name,
            child,
            stdout,
            stderr,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let name = match signal {
            Signal::Hangup => "HUP",
            Signal::Interrupt => "INT",
            Signal::Terminate => "TERM",
            Signal::Kill => "KILL",
            Signal::Stop => "STOP",
            Signal::Continue => "CONT",
            Signal::User1 => "USR1",
            Signal::User2 => "USR2",
            Signal::FileSize => "XFSZ",
        };
        let sent = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -{name} {}", self.child.id()))
            .status();
        assert!(sent.is_ok_and(|status| status.success()), "kill -{name}");
    }

    /// Stops it until it is sent [`Signal::Continue`]: what happens meanwhile it
    /// finds all at once.
    pub(crate) fn pause(&self) {
        self.signal(Signal::Stop);
        let threads = format!("/proc/{}/task", self.id());
        let stands = |thread: io::Result<fs::DirEntry>| {
            let stat = thread.and_then(|thread| fs::read_to_string(thread.path().join("stat")));
            // The state follows the name, which is in brackets.
            stat.is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|s| s.starts_with('T')))
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while !fs::read_dir(&threads).is_ok_and(|mut threads| threads.all(stands)) {
            assert!(Instant::now() < deadline, "{} does not stop", self.name);
            thread::yield_now();
        }
    }

    /// Waits until the process has ended.
    ///
    /// # Panics
    /// If it still runs after `limit`.
    pub(crate) fn wait(&mut self, limit: Duration) -> Exit {
        let Some(exit) = self.ends(limit) else {
            panic!("{} still runs after {limit:?}\n{}", self.name, self.tail());
        };
        exit
    }

    /// Waits until the process has ended; none if it still runs after `limit`.
    pub(crate) fn ends(&mut self, limit: Duration) -> Option<Exit> {
        let at = self.stderr.wait_closed(Instant::now() + limit)?;
        let status = self.child.wait().expect("the child can be waited for");
        // Its last line may still be on the way from the pipe.
        let _ = self.stdout.wait_closed(Instant::now() + limit);
        Some(Exit {
            status,
            at,
            stderr: self.stderr.text(),
        })
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.stderr.wait_closed(Instant::now()).is_some()
    }

    /// Ends it at once, as `kill -9` does, and reaps it.
    pub(crate) fn kill(&mut self) {
        // Fails when it has ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The last lines of its output, for the message of a failed test.
    pub(crate) fn tail(&self) -> String {
        let lines = self.stderr.lines();
        let from = lines.len().saturating_sub(60);
        let tail: Vec<&str> = lines.iter().skip(from).map(|l| l.text.as_str()).collect();
        format!("---- stderr of {}\n{}", self.name, tail.join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("{}", self.tail());
        }
    }
}
