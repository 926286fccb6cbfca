//! A session from its first byte to its last: the driver over it, and what
//! follows its end.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use livehost_net::driver::{Driver, Egress};
use tokio::time::Instant;
use tracing::debug;

use super::client::RtmpSession;
use super::end::EndReason;

/// A client that took no byte for so long is gone.
const STALLED_AFTER: Duration = Duration::from_secs(30);

/// Runs a session to its end.
pub(super) async fn run(mut session: Box<RtmpSession>) {
    let out = session.out.clone();
    let mut driver = Driver::new(&*out, STALLED_AFTER);
    let end = converse(&mut driver, &mut session).await;
    let gone = matches!(end, EndReason::Closed | EndReason::Lost(_));
    out.lock().close();
    // After the last byte only what is held can follow.
    let all_heard = matches!(end, EndReason::Closed) && driver.is_all_taken();
    if gone && !all_heard && session.has_streams() {
        let answers = |session: &mut RtmpSession, cx: &mut Context<'_>| {
            session.poll_decision(cx).map(|()| Ok(()))
        };
        driver.hear_out(&mut *session, answers).await;
    }
    if !gone {
        if !matches!(end, EndReason::Refused | EndReason::Unauthenticated) {
            session.say_goodbye(&end);
        }
        session.drain();
    }
    // Names are free before the client is waited for.
    let sent = out.lock().sent();
    session.finish(&end, driver.read(), sent);
    if gone {
        return;
    }
    if !driver.linger().await {
        debug!("the client did not take the last bytes in time");
        if end.is_stuck() || !out.lock().is_empty() {
            out.carrier().abort();
        }
    }
}

async fn converse<O: Egress + ?Sized>(
    driver: &mut Driver<'_, O>,
    session: &mut RtmpSession,
) -> EndReason {
    let (wake, shutdown) = (session.wake.clone(), session.shared.shutdown.clone());
    // Kept, not made anew in each turn: they stand in lists that have locks.
    let mut woken = pin!(wake.notified());
    let mut stopping = pin!(shutdown.cancelled());
    let events = |session: &mut RtmpSession, cx: &mut Context<'_>| {
        // Orders first: a client that asks without pause would be ready each time.
        if let Poll::Ready(reason) = pin!(&mut session.registration.leave).poll(cx) {
            return Poll::Ready(Err(EndReason::Ordered(reason.unwrap_or_default())));
        }
        if session.leave_by.is_none() && stopping.as_mut().poll(cx).is_ready() {
            return Poll::Ready(match session.ask_to_leave(Instant::now()) {
                true => Ok(()),
                false => Err(EndReason::Shutdown),
            });
        }
        if session.poll_decision(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        if woken.as_mut().poll(cx).is_ready() {
            woken.set(wake.notified());
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    };
    driver.run(session, events).await
}
