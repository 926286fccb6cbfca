//! Handshakes below a protocol: in time, or not at all.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use livehost_telemetry::limited;
use livehost_telemetry::log::STRANGERS;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Until when a handshake has to be done.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    /// The moment.
    pub at: Instant,
    /// How long that is from accept on, for the log.
    pub limit: Duration,
}

/// What comes of a handshake within the limit; one that fails is logged, with `what`
/// it was.
pub async fn in_time<T>(
    what: &str,
    handshake: impl Future<Output = io::Result<T>>,
    remote: SocketAddr,
    deadline: Deadline,
    shutdown: &CancellationToken,
) -> Option<T> {
    let accepted = tokio::select! {
        accepted = timeout_at(deadline.at, handshake) => accepted,
        () = shutdown.cancelled() => return None,
    };
    let reason = match accepted {
        Ok(Ok(accepted)) => return Some(accepted),
        // A port scan, or a probe of a load balancer.
        Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
            debug!(%remote, %error, "{what} handshake failed");
            return None;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("it took longer than {} s", deadline.limit.as_secs_f32()),
    };
    limited!(WARN, STRANGERS.admits(), %remote, reason, "{what} handshake failed");
    None
}
