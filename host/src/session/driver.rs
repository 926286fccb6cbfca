//! The input and output of one session: one task, one loop.

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep_until, timeout};
use tracing::debug;

use super::client::ClientSession;
use super::end::SessionEnd;
use crate::output::SendQueue;

/// Room made for one read, bytes.
const READ_SIZE: usize = 16 * 1024;
/// Unprocessed bytes held while a decision is awaited; then reading stops.
const MAX_HELD: usize = 64 * 1024;
/// Bytes a client has not taken; then nothing more is read from it. One that
/// asks and never reads the answers would fill the memory.
const MAX_UNTAKEN: usize = 1024 * 1024;
/// A client that was silent for so long is asked for a sign of life.
const PING_AFTER: Duration = Duration::from_secs(20);
/// A client that was silent for so long is gone.
const SILENT_AFTER: Duration = Duration::from_secs(60);
/// A client that took no byte for so long is gone.
const STALLED_AFTER: Duration = Duration::from_secs(30);
/// For the last bytes, and for the client to close its side.
const LINGER: Duration = Duration::from_secs(2);

/// When bytes last moved.
struct Activity {
    received: Instant,
    /// The last write that made progress, or when the queue became non-empty.
    sent: Instant,
    pinged: bool,
    bytes_in: u64,
}

/// Runs a session to its end.
pub(super) async fn run<S>(mut session: ClientSession, carrier: S)
where
    S: AsyncRead + AsyncWrite + Send,
{
    let (mut reader, mut writer) = tokio::io::split(carrier);
    let mut out = SendQueue::default();
    let mut activity = Activity {
        received: Instant::now(),
        sent: Instant::now(),
        pinged: false,
        bytes_in: 0,
    };
    let end = converse(
        &mut session,
        &mut reader,
        &mut writer,
        &mut out,
        &mut activity,
    )
    .await;
    let gone = matches!(end, SessionEnd::Closed | SessionEnd::Lost(_));
    if !gone {
        if !matches!(end, SessionEnd::Refused) {
            session.say_goodbye(&end);
        }
        session.drain(&mut out);
    }
    // Names are free before the client is waited for.
    session.finish(&end, activity.bytes_in, out.sent());
    if !gone
        && timeout(LINGER, linger(&mut reader, &mut writer, &mut out))
            .await
            .is_err()
    {
        debug!("the client did not take the last bytes in time");
    }
}

async fn converse<R, W>(
    session: &mut ClientSession,
    reader: &mut R,
    writer: &mut W,
    out: &mut SendQueue,
    activity: &mut Activity,
) -> SessionEnd
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut input = BytesMut::new();
    let shutdown = session.shared.shutdown.clone();
    let wake = session.wake.clone();
    let mut alarm = pin!(sleep_until(Instant::now().into()));
    loop {
        if let Err(end) = process(session, &mut input, out) {
            return end;
        }
        let was_empty = out.is_empty();
        session.collect(out);
        session.drain(out);
        if was_empty && !out.is_empty() {
            activity.sent = Instant::now();
        }
        if let Some(end) = session.end.take() {
            return end;
        }
        if std::mem::take(&mut session.deadlines_changed) {
            let next = next_alarm(session, activity, out);
            alarm.as_mut().reset(next.into());
        }
        let deciding = session.decision.is_some();
        let may_read = (!deciding || input.len() < MAX_HELD) && out.len() < MAX_UNTAKEN;
        let decision = async {
            match &mut session.decision {
                Some(decision) => decision.await,
                None => std::future::pending().await,
            }
        };
        input.reserve(READ_SIZE);
        tokio::select! {
            read = reader.read_buf(&mut input), if may_read => match read {
                Ok(0) => return SessionEnd::Closed,
                Ok(count) => {
                    activity.bytes_in = activity.bytes_in.saturating_add(count as u64);
                    activity.received = Instant::now();
                    activity.pinged = false;
                }
                Err(error) => return SessionEnd::Lost(error),
            },
            written = out.write_to(writer), if !out.is_empty() => match written {
                Ok(()) => activity.sent = Instant::now(),
                Err(error) => return SessionEnd::Lost(error),
            },
            answer = decision => {
                session.decision = None;
                session.handle_answer(answer);
            }
            () = wake.notified() => {}
            () = &mut alarm => {
                let now = Instant::now();
                if let Some(end) = check_activity(session, activity, out, now) {
                    return end;
                }
                session.check_deadlines(now);
                session.deadlines_changed = true;
            }
            reason = &mut session.registration.leave => {
                return SessionEnd::Ordered(reason.unwrap_or_default());
            }
            () = shutdown.cancelled() => return SessionEnd::Shutdown,
        }
    }
}

/// Feeds the machine until it needs more bytes or an answer.
fn process(
    session: &mut ClientSession,
    input: &mut BytesMut,
    out: &mut SendQueue,
) -> Result<(), SessionEnd> {
    // At least once: the machine may hold the start of what it stopped before.
    while session.decision.is_none() && session.end.is_none() {
        let result = session.handle_input(input);
        // What came before an error still counts: replies, media, questions.
        session.drain(out);
        let used = result?;
        input.advance(used);
        if used == 0 {
            break;
        }
    }
    Ok(())
}

/// The earliest of everything that can become due.
fn next_alarm(session: &ClientSession, activity: &Activity, out: &SendQueue) -> Instant {
    let silent = if activity.pinged {
        activity.received + SILENT_AFTER
    } else {
        activity.received + PING_AFTER
    };
    let stalled = (!out.is_empty()).then(|| activity.sent + STALLED_AFTER);
    let latest = stalled.map_or(silent, |stalled| stalled.min(silent));
    session
        .next_deadline()
        .map_or(latest, |deadline| deadline.min(latest))
}

fn check_activity(
    session: &mut ClientSession,
    activity: &mut Activity,
    out: &SendQueue,
    now: Instant,
) -> Option<SessionEnd> {
    if !out.is_empty() && now >= activity.sent + STALLED_AFTER {
        return Some(SessionEnd::WriteStalled(STALLED_AFTER.as_secs()));
    }
    let silent = now.saturating_duration_since(activity.received);
    if silent >= SILENT_AFTER {
        return Some(SessionEnd::Silent(SILENT_AFTER.as_secs()));
    }
    if silent >= PING_AFTER && !activity.pinged {
        activity.pinged = true;
        session.machine.send_ping(0);
    }
    None
}

/// Sends what is left, then waits for the client to close: closing with
/// unread input would reset the connection and lose the last status.
async fn linger<R, W>(reader: &mut R, writer: &mut W, out: &mut SendQueue)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    while !out.is_empty() {
        if out.write_to(writer).await.is_err() {
            return;
        }
    }
    if writer.shutdown().await.is_err() {
        return;
    }
    let mut ignored = BytesMut::with_capacity(READ_SIZE);
    while let Ok(1..) = reader.read_buf(&mut ignored).await {
        ignored.clear();
    }
}
