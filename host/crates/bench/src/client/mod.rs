//! The load: any number of connections on one thread.
//!
//! Flows in: what to open and what to publish. Flows out: [`Event`]s, and
//! tallies of what players received. One `epoll`, one receive buffer for all
//! connections, one read for each that is ready: a player must cost less here
//! than at the server.

mod conn;
mod skim;
mod talk;
mod tally;

use std::{cmp::Reverse, collections::BinaryHeap, os::fd::AsFd as _, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, EventData, EventFlags},
    fd::OwnedFd,
    io::Errno,
    time::Timespec,
};

use crate::{
    clock::{MILLI, SECOND, now_ns},
    media::{AUDIO, Cursor, Model, Stamp, VIDEO, aac_header, avc_header},
};
use conn::{Conn, Events};

pub(crate) use conn::{Happened, Plan, Reading, Target};
pub(crate) use talk::Purpose;
pub(crate) use tally::{Tally, Window, new_histogram};

/// One read takes at most this, in bytes.
const READ: usize = 256 << 10;
/// Readiness taken from the kernel at once.
const BATCH: usize = 256;
/// What may wait for a publisher's socket before messages are left out.
const MAX_BACKLOG: usize = 16 << 20;
/// Messages of an unpaced publisher in one turn.
const BURST: usize = 32;
/// How often connections that read by the clock do.
const CLOCK: u64 = 40 * MILLI;

/// A connection of a [`Client`]; never used again once closed.
pub(crate) type ConnId = usize;

/// Something happened on a connection.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) conn: ConnId,
    pub(crate) group: usize,
    pub(crate) what: Happened,
    /// Since it was opened, in nanoseconds.
    pub(crate) after_ns: u64,
}

/// How a publisher sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As its timestamps say.
    RealTime,
    /// As fast as it is accepted.
    Unpaced,
}

/// A publisher at work.
#[derive(Debug)]
struct Feed {
    conn: ConnId,
    stream: u32,
    model: Arc<Model>,
    pace: Pace,
    start_ns: u64,
    cursor: Cursor,
    sequence: u64,
}

/// All connections of a load.
pub(crate) struct Client {
    target: Target,
    epoll: OwnedFd,
    conns: Vec<Option<Conn>>,
    feeds: Vec<Feed>,
    /// Who reads by the clock, and when next.
    by_clock: BinaryHeap<Reverse<(u64, ConnId)>>,
    buffer: Vec<u8>,
    ready: Vec<epoll::Event>,
    events: Vec<Event>,
    pub(crate) tallies: Vec<Tally>,
    window: Option<Window>,
    /// Media sent in the window: bodies, in bytes.
    pub(crate) published_bytes: u64,
    /// Messages left out since the server did not take them.
    pub(crate) withheld: u64,
}

impl Client {
    /// A client without connections, with so many groups of players.
    pub(crate) fn new(target: Target, groups: usize) -> Result<Self> {
        Ok(Self {
            target,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).context("epoll")?,
            conns: Vec::new(),
            feeds: Vec::new(),
            by_clock: BinaryHeap::new(),
            buffer: vec![0; READ],
            ready: Vec::with_capacity(BATCH),
            events: Vec::new(),
            tallies: (0..groups).map(|_| Tally::new()).collect::<Result<_>>()?,
            window: None,
            published_bytes: 0,
            withheld: 0,
        })
    }

    /// Opens a connection; `stream` is the number of its stream, of which only
    /// the floor takes notice.
    pub(crate) fn open(&mut self, plan: Plan, stream: u32) -> Result<ConnId> {
        let now = now_ns();
        let id = self.conns.len();
        let conn = Conn::open(&self.target, plan, stream, now)?;
        let interest = interest(&conn);
        epoll::add(
            &self.epoll,
            &conn.fd,
            EventData::new_u64(id as u64),
            interest,
        )?;
        if conn.reads_by_clock() {
            self.by_clock.push(Reverse((now, id)));
        }
        if self.target.raw {
            self.events.push(Event {
                conn: id,
                group: conn.plan.group,
                what: Happened::Started,
                after_ns: 0,
            });
        }
        self.conns.push(Some(conn));
        Ok(id)
    }

    /// Starts to publish on a connection that has started: codec headers, then
    /// media from `start_ns` on.
    pub(crate) fn feed(
        &mut self,
        id: ConnId,
        stream: u32,
        model: &Arc<Model>,
        pace: Pace,
        start_ns: u64,
    ) -> Result<()> {
        let conn = self.conn(id)?;
        conn.publish(VIDEO, &avc_header(), 0, None);
        if model.has_audio() {
            conn.publish(AUDIO, &aac_header(), 0, None);
        }
        self.flush(id);
        self.feeds.push(Feed {
            conn: id,
            stream,
            model: Arc::clone(model),
            pace,
            start_ns,
            cursor: Cursor::default(),
            sequence: 0,
        });
        Ok(())
    }

    /// Leaves: says so, and closes the socket.
    pub(crate) fn leave(&mut self, id: ConnId) {
        if let Ok(conn) = self.conn(id) {
            conn.goodbye();
            // What doesn't go at once is lost, as with any client that leaves.
            let _ = conn.flush();
        }
        self.drop_conn(id);
    }

    /// Leaves without a word: closes the socket.
    pub(crate) fn abort(&mut self, id: ConnId) {
        self.drop_conn(id);
    }

    /// Publishes nothing more, and stays.
    pub(crate) fn mute(&mut self, id: ConnId) {
        self.feeds.retain(|feed| feed.conn != id);
    }

    /// What a connection is for, while it is open.
    pub(crate) fn purpose(&self, id: ConnId) -> Option<&Purpose> {
        let conn = self.conns.get(id)?.as_ref()?;
        Some(&conn.plan.purpose)
    }

    /// From now on this window is measured, from zero.
    pub(crate) fn measure(&mut self, window: Window) -> Result<()> {
        for tally in &mut self.tallies {
            *tally = Tally::new()?;
        }
        (self.published_bytes, self.withheld) = (0, 0);
        self.window = Some(window);
        Ok(())
    }

    /// Connections that are open.
    pub(crate) fn open_count(&self) -> usize {
        self.conns.iter().flatten().count()
    }

    /// Does what is due until `until_ns`, or until something happened: what
    /// happened.
    pub(crate) fn turn(&mut self, until_ns: u64) -> Result<Vec<Event>> {
        while self.events.is_empty() {
            let now = now_ns();
            if now >= until_ns {
                break;
            }
            let due = self.run_feeds(now).min(self.read_by_clock(now));
            self.wait(due.min(until_ns))?;
        }
        Ok(std::mem::take(&mut self.events))
    }

    /// [`Client::turn`] until `until_ns`, whatever happens.
    ///
    /// # Errors
    /// If a connection is lost.
    pub(crate) fn run(&mut self, until_ns: u64) -> Result<()> {
        while now_ns() < until_ns {
            for event in self.turn(until_ns)? {
                if let Happened::Closed(why) = event.what {
                    return Err(why).context(format!("connection {} closed", event.conn));
                }
            }
        }
        Ok(())
    }

    fn conn(&mut self, id: ConnId) -> Result<&mut Conn> {
        self.conns
            .get_mut(id)
            .and_then(Option::as_mut)
            .context("expected an open connection")
    }

    /// Sends what is due; when the next message is.
    fn run_feeds(&mut self, now: u64) -> u64 {
        let mut next = u64::MAX;
        let mut blocked = Vec::new();
        for feed in &mut self.feeds {
            let Some(conn) = self.conns.get_mut(feed.conn).and_then(Option::as_mut) else {
                continue;
            };
            let mut burst = BURST;
            loop {
                let due = feed.due();
                match feed.pace {
                    Pace::RealTime if due > now => {
                        next = next.min(due);
                        break;
                    }
                    Pace::Unpaced if conn.backlog() > 0 || burst == 0 => {
                        // Room in the socket wakes us; a burst goes on at once.
                        next = next.min(if conn.backlog() > 0 { u64::MAX } else { now });
                        break;
                    }
                    Pace::RealTime | Pace::Unpaced => {}
                }
                burst = burst.saturating_sub(1);
                let counts = self
                    .window
                    .is_some_and(|window| (window.from_ns..window.to_ns).contains(&now));
                match feed.send(conn) {
                    Some(bytes) if counts => self.published_bytes += bytes,
                    None if counts => self.withheld += 1,
                    _ => {}
                }
                if !matches!(conn.flush(), Ok(true)) {
                    blocked.push(feed.conn);
                }
            }
        }
        for id in blocked {
            self.flush(id);
        }
        next
    }

    /// Reads for those who read by the clock; when the next one is due.
    fn read_by_clock(&mut self, now: u64) -> u64 {
        while let Some(&Reverse((next, id))) = self.by_clock.peek() {
            if next > now {
                return next;
            }
            self.by_clock.pop();
            // One that is closed is forgotten here.
            if let Ok(conn) = self.conn(id) {
                let most = match conn.plan.reading {
                    Reading::Slow(rate) => u64::from(rate) * CLOCK / SECOND,
                    Reading::Prompt | Reading::Batched => READ as u64,
                };
                self.by_clock.push(Reverse((now + CLOCK, id)));
                self.read(id, usize::try_from(most).unwrap_or(READ).clamp(1, READ));
            }
        }
        u64::MAX
    }

    fn wait(&mut self, until_ns: u64) -> Result<()> {
        let left = Duration::from_nanos(until_ns.saturating_sub(now_ns()));
        let timeout = Timespec::try_from(left.min(Duration::from_secs(1)))?;
        self.ready.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.ready), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error).context("epoll"),
        }
        let ready = std::mem::take(&mut self.ready);
        for event in &ready {
            let (data, flags) = (event.data, event.flags);
            let id = usize::try_from(data.u64())?;
            if flags.contains(EventFlags::OUT) {
                self.flush(id);
            }
            if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                self.read(id, READ);
            }
        }
        self.ready = ready;
        Ok(())
    }

    /// One read of a connection.
    fn read(&mut self, id: ConnId, most: usize) {
        let Some(conn) = self.conns.get_mut(id).and_then(Option::as_mut) else {
            return;
        };
        let Some(buffer) = self.buffer.get_mut(..most) else {
            return;
        };
        let count = match rustix::io::read(&conn.fd, buffer) {
            Ok(0) => return self.close(id, anyhow!("closed by the server")),
            Ok(count) => count,
            Err(Errno::AGAIN | Errno::INTR) => return,
            Err(error) => return self.close(id, anyhow::Error::new(error).context("read")),
        };
        let now = now_ns();
        let mut events = Events::new();
        let group = conn.plan.group;
        let Some(tally) = self.tallies.get_mut(group) else {
            return;
        };
        let input = self.buffer.get(..count).unwrap_or_default();
        let by_clock = conn.reads_by_clock();
        let outcome = conn.handle(input, &self.target, now, self.window, tally, &mut events);
        if conn.reads_by_clock() && !by_clock {
            self.by_clock.push(Reverse((now + CLOCK, id)));
            let data = EventData::new_u64(id as u64);
            // What fails here fails at the next read.
            let _ = epoll::modify(&self.epoll, &conn.fd, data, interest(conn));
        }
        let after_ns = now.saturating_sub(conn.opened_ns);
        let writes = conn.backlog() > 0;
        self.events.extend(events.into_iter().map(|what| Event {
            conn: id,
            group,
            what,
            after_ns,
        }));
        match outcome {
            Err(error) => self.close(id, error),
            Ok(()) if writes => self.flush(id),
            Ok(()) => {}
        }
    }

    /// Writes what a connection has to say, and watches for room if it must.
    fn flush(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id).and_then(Option::as_mut) else {
            return;
        };
        match conn.flush() {
            Ok(done) if conn.wants_write == done => {
                conn.wants_write = !done;
                let data = EventData::new_u64(id as u64);
                if let Err(error) = epoll::modify(&self.epoll, &conn.fd, data, interest(conn)) {
                    self.close(id, error.into());
                }
            }
            Ok(_) => {}
            Err(error) => self.close(id, error),
        }
    }

    fn close(&mut self, id: ConnId, why: anyhow::Error) {
        if let Ok(conn) = self.conn(id) {
            let event = Event {
                conn: id,
                group: conn.plan.group,
                what: Happened::Closed(why),
                after_ns: now_ns().saturating_sub(conn.opened_ns),
            };
            self.events.push(event);
        }
        self.drop_conn(id);
    }

    fn drop_conn(&mut self, id: ConnId) {
        if let Some(slot) = self.conns.get_mut(id)
            && let Some(conn) = slot.take()
        {
            // Closing the socket would do; an error has nobody to tell.
            let _ = epoll::delete(&self.epoll, conn.fd.as_fd());
            self.feeds.retain(|feed| feed.conn != id);
        }
    }
}

impl Feed {
    fn due(&self) -> u64 {
        let offset = u64::try_from(self.model.due(self.cursor).as_nanos()).unwrap_or(u64::MAX);
        self.start_ns.saturating_add(offset)
    }

    /// Queues the next message; its length, or `None` if it had to be left out.
    fn send(&mut self, conn: &mut Conn) -> Option<u64> {
        let (body, millis) = self.model.next(&mut self.cursor)?;
        let stamp = Stamp {
            stream: self.stream,
            sequence: self.sequence,
            sent_ns: now_ns(),
            crc: 0,
            len: 0,
        };
        self.sequence += 1;
        if conn.backlog() > MAX_BACKLOG {
            return None;
        }
        conn.publish_body(body, millis, stamp);
        Some(body.bytes.len() as u64)
    }
}

/// What epoll watches for on a connection.
fn interest(conn: &Conn) -> EventFlags {
    let mut flags = EventFlags::empty();
    if !conn.reads_by_clock() {
        flags |= EventFlags::IN;
    }
    if conn.wants_write {
        flags |= EventFlags::OUT;
    }
    flags
}
