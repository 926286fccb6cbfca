//! The input and output of one session: one task, one loop.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use livehost_app::output::HIGH_WATER;
use livehost_net::carrier::Carrier;
use tokio::task::yield_now;
use tokio::time::{sleep_until, timeout};
use tracing::debug;

use super::activity::{Activity, Look, SILENT_AFTER};
use super::client::RtmpSession;
use super::end::EndReason;

/// The most that one read takes, bytes.
const READ_SIZE: usize = 64 * 1024;
/// Unprocessed bytes held while a decision is awaited; then reading stops.
const MAX_HELD: usize = 64 * 1024;
/// Bytes a client has not taken; then nothing more is read from it. One that
/// asks and never reads the answers would fill the memory.
const MAX_UNTAKEN: usize = 1024 * 1024;
/// The same of a client that was not let in yet.
const MAX_UNTAKEN_BEFORE_CONNECT: usize = 64 * 1024;
/// A client that took no byte for so long is gone.
const STALLED_AFTER: Duration = Duration::from_secs(30);
/// For the last bytes, and for the client to close its side.
const LINGER: Duration = Duration::from_secs(2);

thread_local! {
    /// Where reads go before the state machine takes them: one for all
    /// sessions of a worker thread, so that an idle one holds none.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_SIZE].into());
}

/// What the client sent, and when.
struct Input {
    /// What the machine did not take: a decision is awaited.
    held: BytesMut,
    activity: Activity,
    bytes: u64,
}

/// Runs a session to its end.
pub(super) async fn run(mut session: Box<RtmpSession>) {
    let mut input = Input {
        held: BytesMut::new(),
        activity: Activity::new(Instant::now()),
        bytes: 0,
    };
    let out = session.out.clone();
    let carrier = out.carrier();
    let end = converse(&mut session, carrier, &mut input).await;
    let gone = matches!(end, EndReason::Closed | EndReason::Lost(_));
    out.lock().close();
    // After the last byte only what is held can follow.
    let all_heard = matches!(end, EndReason::Closed) && input.held.is_empty();
    if gone && !all_heard && session.has_streams() {
        let heard = hear_out(&mut session, carrier, &mut input);
        if timeout(LINGER, heard).await.is_err() {
            debug!("the client's last words were too long");
        }
    }
    if !gone {
        if !matches!(end, EndReason::Refused | EndReason::Unauthenticated) {
            session.say_goodbye(&end);
        }
        session.drain();
    }
    // Names are free before the client is waited for.
    let sent = out.lock().sent();
    session.finish(&end, input.bytes, sent);
    if gone {
        return;
    }
    let linger = async {
        while !out.lock().is_empty() {
            out.write().await?;
        }
        linger(carrier).await
    };
    if timeout(LINGER, linger).await.is_err() {
        debug!("the client did not take the last bytes in time");
        if end.is_stuck() || !out.lock().is_empty() {
            carrier.abort();
        }
    }
}

async fn converse(
    session: &mut RtmpSession,
    carrier: &dyn Carrier,
    input: &mut Input,
) -> EndReason {
    let shutdown = session.shared.shutdown.clone();
    let wake = session.wake.clone();
    let out = session.out.clone();
    let mut alarm = pin!(sleep_until(Instant::now().into()));
    // Kept, not made anew in each turn: they stand in lists that have locks.
    let mut woken = pin!(wake.notified());
    let mut stopping = pin!(shutdown.cancelled());
    // The last look at the socket ended in the middle of a message.
    let mut more_must_come = false;
    loop {
        session.collect();
        session.drain();
        if let Some(end) = session.end.take() {
            return end;
        }
        if std::mem::take(&mut session.deadlines_changed) {
            let next = next_alarm(session, input);
            alarm.as_mut().reset(next.into());
        }
        // Answers nearly always fit: they need not wait for their turn below.
        match out.flush() {
            Ok(true) => session.caught_up(),
            Ok(false) => {}
            Err(error) => return error.into(),
        }
        let deciding = session.decision.is_some();
        let (untaken, waiting) = {
            let out = out.lock();
            (out.len(), out.waiting_since())
        };
        if let Some(stalled) = waiting.map(|since| since + STALLED_AFTER)
            && stalled < alarm.deadline().into_std()
        {
            alarm.as_mut().reset(stalled.into());
        }
        let max_untaken = match session.application {
            Some(_) => MAX_UNTAKEN,
            None => MAX_UNTAKEN_BEFORE_CONNECT,
        };
        let may_read = (!deciding || input.held.len() < MAX_HELD)
            && untaken < max_untaken
            && !session.is_held_up();
        // Somebody wants the name of a stream: has this client left?
        let look = session.hear_question() && !more_must_come;
        if !may_read {
            input.activity.excuse(Instant::now());
        }
        // Nor is what a publisher has sent by now listened to.
        if deciding || !may_read {
            session.excuse_publishers(Instant::now());
        }
        let decision = async {
            match &mut session.decision {
                Some(decision) => (&mut decision.answer).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ready = poll_fn(|cx| match look {
                true => Poll::Ready(Ok(())),
                false => carrier.poll_read_ready(cx),
            }), if may_read => {
                match ready.and_then(|()| read(session, carrier, input, look)) {
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
                            more_must_come = session.machine.partial_bytes() > 0;
                            if !more_must_come {
                                session.answer_question();
                            }
                        }
                    }
                    Err(error) => return error.into(),
                }
            },
            written = out.write(), if waiting.is_some() => match written {
                // All at once, and perhaps more waits to follow: others have
                // their turn first, and this client is listened to.
                Ok(()) if untaken >= HIGH_WATER && out.lock().is_empty() => yield_now().await,
                Ok(()) => {}
                Err(error) => return error.into(),
            },
            answer = decision => {
                session.decision = None;
                session.handle_answer(answer);
                if let Err(end) = input.feed_held(session) {
                    return end;
                }
            }
            () = &mut woken => woken.set(wake.notified()),
            () = &mut alarm => {
                // What waits unread is a sign of life, too: when the server
                // itself was held up, everybody seems to have been silent.
                if may_read {
                    match read(session, carrier, input, true) {
                        Ok(Ok(_)) => {}
                        Ok(Err(end)) => return end,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return error.into(),
                    }
                }
                let now = Instant::now();
                if !may_read {
                    input.activity.excuse(now);
                }
                if let Some(end) = check_activity(session, input, now) {
                    return end;
                }
                session.check_deadlines(now);
                session.deadlines_changed = true;
            }
            reason = &mut session.registration.leave => {
                return EndReason::Ordered(reason.unwrap_or_default());
            }
            () = &mut stopping, if session.leave_by.is_none() => {
                if !session.ask_to_leave(Instant::now()) {
                    return EndReason::Shutdown;
                }
            }
        }
    }
}

/// What a client said before it closed still counts, above all that its streams
/// are over: what waits for a decision, and, when a write was first to meet the
/// close, what the socket still has.
async fn hear_out(session: &mut RtmpSession, carrier: &dyn Carrier, input: &mut Input) {
    while session.end.is_none() {
        if let Some(decision) = session.decision.take() {
            if !decision.outlives_client {
                return;
            }
            let answer = decision.answer.await;
            session.handle_answer(answer);
            if input.feed_held(session).is_err() {
                return;
            }
            continue;
        }
        let ready = poll_fn(|cx| carrier.poll_read_ready(cx)).await;
        match ready.and_then(|()| read(session, carrier, input, false)) {
            Ok(Ok(_)) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

/// One read, and what the machine makes of it. Returns its bytes. `now`: of all
/// that the client has sent, whether or not the socket was said to be ready.
fn read(
    session: &mut RtmpSession,
    carrier: &dyn Carrier,
    input: &mut Input,
    now: bool,
) -> io::Result<Result<usize, EndReason>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let count = match now {
            true => carrier.read_now(scratch)?,
            false => carrier.try_read(scratch)?,
        };
        if count == 0 {
            // After a reset, too, if a write of the hub was first to meet it.
            let failure = session.out.lock().take_failure();
            return failure.map_or(Ok(Err(EndReason::Closed)), Err);
        }
        input.bytes = input.bytes.saturating_add(count as u64);
        let now = Instant::now();
        input.activity.hear(now);
        let fed = input.feed(session, scratch.get(..count).unwrap_or_default());
        session.hear_publishers(now);
        Ok(fed.map(|()| count))
    })
}

impl Input {
    /// Bytes that came now; what the machine does not take is held.
    fn feed(&mut self, session: &mut RtmpSession, fresh: &[u8]) -> Result<(), EndReason> {
        if !self.held.is_empty() {
            self.held.extend_from_slice(fresh);
            return self.feed_held(session);
        }
        let used = feed(session, fresh)?;
        self.held
            .extend_from_slice(fresh.get(used..).unwrap_or_default());
        Ok(())
    }

    /// At least once after an answer: the machine may hold the start of what
    /// it stopped before.
    fn feed_held(&mut self, session: &mut RtmpSession) -> Result<(), EndReason> {
        let used = feed(session, &self.held)?;
        self.held.advance(used);
        if self.held.is_empty() {
            self.held = BytesMut::new();
        }
        Ok(())
    }
}

/// Feeds the machine until it needs more bytes or an answer.
fn feed(session: &mut RtmpSession, bytes: &[u8]) -> Result<usize, EndReason> {
    let mut rest = bytes;
    while session.decision.is_none() && session.end.is_none() {
        let before = rest.len();
        let result = session.machine.handle_input(&mut rest);
        // What came before an error still counts: replies, media, questions.
        session.drain();
        result?;
        if rest.len() == before {
            break;
        }
    }
    Ok(bytes.len().saturating_sub(rest.len()))
}

/// The earliest of everything that can become due.
fn next_alarm(session: &RtmpSession, input: &Input) -> Instant {
    let stalled = session.out.lock().waiting_since();
    stalled
        .map(|since| since + STALLED_AFTER)
        .into_iter()
        .chain(session.next_deadline())
        .fold(input.activity.next_look(), Instant::min)
}

fn check_activity(session: &mut RtmpSession, input: &mut Input, now: Instant) -> Option<EndReason> {
    let (stalled, sent) = {
        let out = session.out.lock();
        (out.waiting_since(), out.sent())
    };
    if stalled.is_some_and(|since| now >= since + STALLED_AFTER) {
        return Some(EndReason::WriteStalled(STALLED_AFTER.as_secs()));
    }
    match input.activity.look(now, sent) {
        Look::Alive => {}
        Look::Ask => {
            session.drain();
            let queued = |session: &RtmpSession| {
                let out = session.out.lock();
                out.sent().saturating_add(out.len() as u64)
            };
            let begin = queued(session);
            session.machine.send_ping(0);
            session.drain();
            input.activity.asked(begin, queued(session));
        }
        Look::Gone => return Some(EndReason::Silent(SILENT_AFTER.as_secs())),
    }
    None
}

/// Waits for the client to close its side: closing with unread input would
/// reset the connection and lose the last status.
async fn linger(carrier: &dyn Carrier) -> io::Result<()> {
    carrier.shutdown_write()?;
    loop {
        poll_fn(|cx| carrier.poll_read_ready(cx)).await?;
        match SCRATCH.with_borrow_mut(|scratch| carrier.try_read(scratch)) {
            Ok(0) => return Ok(()),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
}
