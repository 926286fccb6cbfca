//! The end: first the clients', then the plugins', and what a second signal
//! makes of it.

use std::pin::pin;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// What a plugin is given to end when nothing is waited for.
const HASTE: Duration = Duration::from_millis(500);

/// Waits for `clients`, then for `plugins`, but no longer for `clients` than
/// until `again` is there. `plugins` is never dropped: an `on-stop` that runs
/// would be cut short.
pub(super) async fn end(
    clients: impl Future<Output = ()>,
    plugins: impl Future<Output = ()>,
    again: impl Future<Output = ()>,
) {
    let mut plugins = pin!(plugins);
    tokio::select! {
        () = async { clients.await; plugins.as_mut().await } => return,
        () = again => {}
    }
    plugins.await;
}

/// Whether the end of a plugin is there in its own time, or within half a
/// second of `haste`.
pub(super) async fn is_over(stopping: impl Future<Output = ()>, haste: &CancellationToken) -> bool {
    tokio::select! {
        biased;
        () = stopping => true,
        () = async { haste.cancelled().await; tokio::time::sleep(HASTE).await } => false,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{pending, ready};
    use std::time::Instant;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn an_end_that_runs_goes_on_after_the_second_signal() {
        let haste = CancellationToken::new();
        let (begun, over) = (Cell::new(0), Cell::new(false));
        let (runs, hurried, finish) = (Notify::new(), Notify::new(), Notify::new());
        let plugins = async {
            let on_stop = async {
                begun.set(begun.get() + 1);
                runs.notify_one();
                finish.notified().await;
            };
            over.set(is_over(on_stop, &haste).await);
        };
        let again = async {
            runs.notified().await;
            haste.cancel();
            hurried.notify_one();
        };
        let finishing = async {
            hurried.notified().await;
            finish.notify_one();
        };
        tokio::join!(end(ready(()), plugins, again), finishing);
        assert_eq!((begun.get(), over.get()), (1, true));
    }

    #[tokio::test]
    async fn no_end_is_waited_for_longer_than_its_half_second() {
        let begin = Instant::now();
        let haste = CancellationToken::new();
        let over = Cell::new(None);
        let plugins = async { over.set(Some(is_over(pending(), &haste).await)) };
        // Clients that never leave.
        end(pending(), plugins, async { haste.cancel() }).await;
        assert_eq!(over.get(), Some(false));
        assert!(begin.elapsed() >= HASTE, "{:?}", begin.elapsed());
    }

    #[tokio::test]
    async fn without_a_second_signal_plugins_end_after_the_clients() {
        let gone = Cell::new(false);
        let over = Cell::new(false);
        let haste = CancellationToken::new();
        let clients = async {
            tokio::task::yield_now().await;
            gone.set(true);
        };
        let plugins = async {
            assert!(gone.get(), "the clients are first");
            over.set(is_over(tokio::task::yield_now(), &haste).await);
        };
        end(clients, plugins, pending()).await;
        assert!(over.get());
    }
}
