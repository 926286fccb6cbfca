//! What the process is told from outside.

use std::convert::Infallible;

use anyhow::Context;
use futures_util::future::{join_all, pending, select_all};
use rustix::process::Signal as Number;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

/// Signals that mean something here, and those that would end the process
/// though they mean nothing.
pub(super) struct Signals {
    pub(super) hangup: Signal,
    pub(super) stop: Named,
    pub(super) ignored: Named,
}

/// Signals with their names.
pub(super) struct Named(Vec<(&'static str, Signal)>);

impl Signals {
    /// From now on none of them ends the process by itself.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
        let (user1, user2) = (SignalKind::user_defined1(), SignalKind::user_defined2());
        Ok(Self {
            hangup: listen("SIGHUP", SignalKind::hangup())?,
            stop: Named::listen(&[("SIGINT", interrupt), ("SIGTERM", terminate)])?,
            ignored: Named::listen(&[
                // Of tools that rotate logs.
                ("SIGUSR1", user1),
                ("SIGUSR2", user2),
                // A file, the log perhaps, is as long as the system allows: the
                // write that met the limit fails, and that is enough.
                ("SIGXFSZ", SignalKind::from_raw(Number::XFSZ.as_raw())),
            ])?,
        })
    }
}

fn listen(name: &str, kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).with_context(|| format!("{name} can't be caught"))
}

impl Named {
    fn listen(kinds: &[(&'static str, SignalKind)]) -> anyhow::Result<Self> {
        let kinds = kinds.iter();
        let signals = kinds.map(|(name, kind)| Ok((*name, listen(name, *kind)?)));
        signals.collect::<anyhow::Result<_>>().map(Self)
    }

    /// Waits for any of them.
    pub(super) async fn any(&mut self) -> &'static str {
        let signals = self.0.iter_mut().map(|(name, signal)| {
            Box::pin(async move {
                signal.recv().await;
                *name
            })
        });
        select_all(signals).await.0
    }

    /// Says of each, at its first time, that it does nothing.
    pub(super) async fn note(&mut self) -> Infallible {
        let signals = self.0.iter_mut().map(|(name, signal)| async move {
            signal.recv().await;
            info!(
                signal = *name,
                "signal ignored; SIGHUP reloads, SIGTERM ends the server"
            );
        });
        join_all(signals).await;
        pending().await
    }
}
