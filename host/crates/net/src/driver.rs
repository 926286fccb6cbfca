//! The loop of a connection, the same for every protocol: it reads, feeds the
//! session, flushes, keeps deadlines, notices a peer that takes nothing, and
//! waits at the end until the last bytes are taken.
//!
//! Flows in: a [`Session`], which is a machine: bytes, events and time are
//! arguments of its functions, so that it can be tested in memory. Flows out: why
//! it has ended.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until, timeout};

use crate::carrier::Carrier;

/// The most that one read takes, bytes.
pub const READ_SIZE: usize = 64 * 1024;
/// Bytes that are held while an answer is awaited; then reading stops.
const MAX_HELD: usize = 64 * 1024;
/// After so much was written at once, bytes, other connections have their turn.
const MUCH: usize = 64 * 1024;
/// For the last bytes, and for the peer to close its side.
const LINGER: Duration = Duration::from_secs(2);
/// A session without deadlines is looked at again.
const FAR: Duration = Duration::from_secs(3600);

thread_local! {
    /// Where reads go before the session takes them: one for all connections of a
    /// worker thread, so that an idle one holds none.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_SIZE].into());
}

/// One connection's protocol, as its driver sees it.
pub trait Session {
    /// Why it is over.
    type End;

    /// The reason of an end that the connection itself brings.
    fn lost(&self, lost: Lost) -> Self::End;

    /// Acts on what others have for it, and queues what it has to say. Called
    /// before each wait.
    ///
    /// # Errors
    /// Its end, once it is over.
    fn advance(&mut self, now: Instant) -> Result<(), Self::End>;

    /// Bytes have come: the peer is there. They are given to it next.
    fn heard(&mut self, _now: Instant) {}

    /// Takes bytes that have come, and returns how many. The others are given
    /// again with those that follow. It may take fewer only while it
    /// [awaits an answer](Session::awaits_answer), or when it has ended.
    ///
    /// # Errors
    /// Its end.
    fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> Result<usize, Self::End>;

    /// When [`Session::handle_timeout`] has something to do, if nothing changes.
    fn next_deadline(&self) -> Option<Instant>;

    /// Does what is due. It may be called before anything is.
    ///
    /// # Errors
    /// Its end.
    fn handle_timeout(&mut self, now: Instant) -> Result<(), Self::End>;

    /// Whether to read, with so many bytes waiting to go out.
    fn may_read(&mut self, waiting: usize) -> bool;

    /// Nothing is read for now: the peer can't be called silent.
    fn excuse(&mut self, _now: Instant) {}

    /// Whether input is held back until an answer has come.
    fn awaits_answer(&self) -> bool {
        false
    }

    /// Whether the answer that it awaits matters when the peer has gone.
    fn answer_outlives_peer(&self) -> bool {
        false
    }

    /// Somebody asks whether the peer has left: what it has sent by now is read,
    /// whether or not the runtime has heard of it.
    fn is_asked(&mut self) -> bool {
        false
    }

    /// It was all read, and the peer has not left. False when it has sent a part
    /// of a message, so that more must come.
    fn answer(&mut self) -> bool {
        true
    }

    /// The last byte that waited was written.
    fn caught_up(&mut self) {}
}

/// The way out of a connection: its carrier, and the bytes that wait for it.
pub trait Egress {
    /// What bytes are written to, and read from.
    fn carrier(&self) -> &dyn Carrier;

    /// What waits.
    fn waiting(&self) -> Waiting;

    /// Writes a little at once, if the carrier takes it. True when this was the
    /// last that waited.
    ///
    /// # Errors
    /// Those of the carrier, and of a write that failed before.
    fn flush(&self) -> io::Result<bool>;

    /// Ready when the carrier has taken some.
    fn poll_write(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Why a write failed, if nobody was told yet.
    fn take_failure(&self) -> Option<io::Error>;
}

/// What waits to go out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Waiting {
    /// Bytes; those that the carrier holds are not among them.
    pub bytes: usize,
    /// Since when nothing was taken; none when nothing waits.
    pub since: Option<Instant>,
}

/// What a connection comes to.
#[derive(Debug)]
pub enum Lost {
    /// The peer has closed it.
    Closed,
    /// It has failed.
    Failed(io::Error),
    /// The peer took no byte for so long.
    Stalled(Duration),
}

/// Runs one connection.
#[derive(Debug)]
pub struct Driver<'o, O: ?Sized> {
    out: &'o O,
    stall: Duration,
    /// What the session did not take.
    held: BytesMut,
    read: u64,
}

impl<'o, O: Egress + ?Sized> Driver<'o, O> {
    /// Of the connection behind `out`. Its peer is gone when it takes no byte for
    /// `stall`.
    pub fn new(out: &'o O, stall: Duration) -> Self {
        Self {
            out,
            stall,
            held: BytesMut::new(),
            read: 0,
        }
    }

    /// Bytes that were read so far.
    pub fn read(&self) -> u64 {
        self.read
    }

    /// Whether nothing is held back for the session.
    pub fn is_all_taken(&self) -> bool {
        self.held.is_empty()
    }

    /// Runs `session` until it ends. `events` is ready when something else than
    /// bytes and time has happened, and tells the session of it.
    ///
    /// It may be dropped and called again.
    pub async fn run<S: Session>(
        &mut self,
        session: &mut S,
        mut events: impl FnMut(&mut S, &mut Context<'_>) -> Poll<Result<(), S::End>>,
    ) -> S::End {
        let out = self.out;
        let mut alarm = pin!(sleep_until(Instant::now() + FAR));
        // The last look at the socket ended in the middle of a message.
        let mut more_must_come = false;
        loop {
            let now = Instant::now();
            if let Err(end) = session.advance(now) {
                return end;
            }
            // Answers nearly always fit: they need not wait for their turn below.
            match out.flush() {
                Ok(true) => session.caught_up(),
                Ok(false) => {}
                Err(error) => return session.lost(Lost::Failed(error)),
            }
            let waiting = out.waiting();
            let stalled = waiting.since.map(|since| since + self.stall);
            // Later ones are found when the alarm goes off.
            let due = session.next_deadline().into_iter().chain(stalled).min();
            if let Some(due) = due.filter(|due| *due < alarm.deadline()) {
                alarm.as_mut().reset(due);
            }
            let awaits = session.awaits_answer();
            let may_read =
                (!awaits || self.held.len() < MAX_HELD) && session.may_read(waiting.bytes);
            if !may_read {
                session.excuse(now);
            }
            let look = session.is_asked() && !more_must_come;
            tokio::select! {
                ready = poll_fn(|cx| match look {
                    true => Poll::Ready(Ok(())),
                    false => out.carrier().poll_read_ready(cx),
                }), if may_read => {
                    match ready.and_then(|()| self.read_once(session, look)) {
                        Ok(Ok(count)) => {
                            more_must_come = false;
                            // More waits: the other sessions of the thread have
                            // their turn first.
                            if look || count == READ_SIZE {
                                yield_now().await;
                            }
                        }
                        Ok(Err(end)) => return end,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            if look {
                                more_must_come = !session.answer();
                            }
                        }
                        Err(error) => return session.lost(Lost::Failed(error)),
                    }
                },
                written = poll_fn(|cx| out.poll_write(cx)), if waiting.since.is_some() => {
                    match written {
                        // All at once, and perhaps more waits to follow: others have
                        // their turn first, and this peer is listened to.
                        Ok(()) if waiting.bytes >= MUCH && out.waiting().since.is_none() => {
                            yield_now().await;
                        }
                        Ok(()) => {}
                        Err(error) => return session.lost(Lost::Failed(error)),
                    }
                },
                happened = poll_fn(|cx| events(session, cx)) => {
                    if let Err(end) = happened {
                        return end;
                    }
                    if awaits && !session.awaits_answer()
                        && let Err(end) = self.feed_held(session, Instant::now())
                    {
                        return end;
                    }
                }
                () = &mut alarm => {
                    if let Err(end) = self.handle_timeout(session, may_read) {
                        return end;
                    }
                    // The next turn sets it to what comes first.
                    alarm.as_mut().reset(Instant::now() + FAR);
                }
            }
        }
    }

    fn handle_timeout<S: Session>(
        &mut self,
        session: &mut S,
        may_read: bool,
    ) -> Result<(), S::End> {
        // What waits unread is a sign of life, too: when the machine itself was
        // held up, every peer seems to have been silent.
        if may_read {
            match self.read_once(session, true) {
                Ok(Ok(_)) => {}
                Ok(Err(end)) => return Err(end),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(session.lost(Lost::Failed(error))),
            }
        }
        let now = Instant::now();
        if !may_read {
            session.excuse(now);
        }
        let since = self.out.waiting().since;
        if since.is_some_and(|since| now >= since + self.stall) {
            return Err(session.lost(Lost::Stalled(self.stall)));
        }
        // What was read just now, or is excused, is not overdue.
        session.advance(now)?;
        session.handle_timeout(now)
    }

    /// What the peer said before it closed still counts: what waits for an answer,
    /// and, when a write was first to meet the close, what the carrier still has.
    /// It takes no longer than a short while. Returns the end that this has brought,
    /// if it has.
    pub async fn hear_out<S: Session>(
        &mut self,
        session: &mut S,
        mut events: impl FnMut(&mut S, &mut Context<'_>) -> Poll<Result<(), S::End>>,
    ) -> Option<S::End> {
        let carrier = self.out.carrier();
        let heard = async {
            loop {
                if let Err(end) = session.advance(Instant::now()) {
                    return Some(end);
                }
                if session.awaits_answer() {
                    if !session.answer_outlives_peer() {
                        return None;
                    }
                    if let Err(end) = poll_fn(|cx| events(session, cx)).await {
                        return Some(end);
                    }
                    if !session.awaits_answer()
                        && let Err(end) = self.feed_held(session, Instant::now())
                    {
                        return Some(end);
                    }
                    continue;
                }
                let ready = poll_fn(|cx| carrier.poll_read_ready(cx)).await;
                match ready.and_then(|()| self.read_once(session, false)) {
                    Ok(Ok(_)) => {}
                    Ok(Err(end)) => return Some(end),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => return None,
                }
            }
        };
        let heard = timeout(LINGER, heard).await;
        heard.unwrap_or_else(|_| {
            tracing::debug!("the peer's last words were too long");
            None
        })
    }

    /// Sends what waits, and waits for the peer to close its side: closing with
    /// unread input would reset the connection and lose the last bytes. False when
    /// the peer did not take them in time.
    pub async fn linger(&self) -> bool {
        let carrier = self.out.carrier();
        let last = async {
            while self.out.waiting().since.is_some() {
                poll_fn(|cx| self.out.poll_write(cx)).await?;
            }
            carrier.shutdown_write()?;
            loop {
                poll_fn(|cx| carrier.poll_read_ready(cx)).await?;
                match SCRATCH.with_borrow_mut(|scratch| carrier.try_read(scratch)) {
                    Ok(0) => return Ok(()),
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                    _ => {}
                }
            }
        };
        // A connection that has failed has nothing to wait for.
        timeout(LINGER, last).await.is_ok()
    }

    /// One read, and what the session makes of it. Returns its bytes. `now`: of all
    /// that the peer has sent, whether or not the socket was said to be ready.
    fn read_once<S: Session>(
        &mut self,
        session: &mut S,
        now: bool,
    ) -> io::Result<Result<usize, S::End>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let carrier = self.out.carrier();
            let count = match now {
                true => carrier.read_now(scratch)?,
                false => carrier.try_read(scratch)?,
            };
            if count == 0 {
                // After a reset, too, if a write of the hub was first to meet it.
                let failure = self.out.take_failure();
                return failure.map_or_else(|| Ok(Err(session.lost(Lost::Closed))), Err);
            }
            self.read = self.read.saturating_add(count as u64);
            let (fresh, now) = (scratch.get(..count).unwrap_or_default(), Instant::now());
            session.heard(now);
            Ok(self.feed(session, now, fresh).map(|()| count))
        })
    }

    /// Bytes that came now; what the session does not take is held.
    fn feed<S: Session>(
        &mut self,
        session: &mut S,
        now: Instant,
        fresh: &[u8],
    ) -> Result<(), S::End> {
        if !self.held.is_empty() {
            self.held.extend_from_slice(fresh);
            return self.feed_held(session, now);
        }
        let used = session.handle_input(now, fresh)?;
        self.held
            .extend_from_slice(fresh.get(used..).unwrap_or_default());
        Ok(())
    }

    /// At least once after an answer: the session may hold the start of what it
    /// stopped before.
    fn feed_held<S: Session>(&mut self, session: &mut S, now: Instant) -> Result<(), S::End> {
        let used = session.handle_input(now, &self.held)?;
        self.held.advance(used.min(self.held.len()));
        if self.held.is_empty() {
            self.held = BytesMut::new();
        }
        Ok(())
    }
}
