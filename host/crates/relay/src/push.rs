//! One attempt to push a stream: a player of the hub whose frames go to another
//! server.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use livehost_app::output::chunks::{self, Chunks, SHARED_MESSAGE_STREAM, chunks_for};
use livehost_hub::{Format, Frame, Hub, Item, MediaSettings, StreamKey};
use livehost_hub::{Subscriber, Subscription, Wake};
use livehost_media::{Packet, Role};
use livehost_net::driver::{Driver, Lost, Session};
use livehost_rtmp::chunk;
use livehost_wire::amf0;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::error::RelayError;
use super::peer::{Peer, PeerTerms, Purpose, woken};
use super::report::Report;
use super::url::RelayUrl;

/// Why a push is over without having failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// Nobody publishes the stream.
    Unpublished,
    /// It was told to stop.
    Stopped,
}

/// Pushes `key` to `url` until the stream is unpublished, the server is lost,
/// or `stop`. `report` learns when an attempt begins, and when the server has
/// accepted it.
pub(super) async fn push(
    hub: &Arc<Hub>,
    key: &StreamKey,
    url: &RelayUrl,
    terms: &PeerTerms,
    media: MediaSettings,
    stop: &CancellationToken,
    report: &mut Report,
) -> Result<Over, RelayError> {
    let wake: Wake = Arc::new(Notify::new());
    // Before the connection: what comes meanwhile waits in the queue.
    let chunks = Chunks(terms.chunk_size);
    let subscriber = Subscriber {
        settings: media,
        wake: wake.clone(),
        format: Some(Arc::new(chunks)),
        outlet: None,
    };
    let subscription = hub.play(key, subscriber);
    if !subscription.is_live() {
        return Ok(Over::Unpublished);
    }
    report.connecting();
    let peer = tokio::select! {
        peer = Peer::open(url, Purpose::Publish, terms) => peer?,
        () = stop.cancelled() => return Ok(Over::Stopped),
    };
    report.up(peer.remote);
    let mut push = Push {
        peer,
        subscription,
        chunks,
    };
    let out = push.peer.out.clone();
    let mut driver = Driver::new(&*out, terms.stall);
    let mut over = tokio::select! {
        over = driver.run(&mut push, woken(&wake)) => over,
        () = stop.cancelled() => Ok(Over::Stopped),
    };
    // A write was first to meet the close: the server has said why.
    if let Err(RelayError::Lost(_)) = over
        && let Some(Err(said @ RelayError::Ended { .. })) =
            driver.hear_out(&mut push, woken(&wake)).await
    {
        over = Err(said);
    }
    let over = over?;
    let Push {
        peer, subscription, ..
    } = push;
    report.closing(subscription.leave().dropped);
    peer.close().await;
    Ok(over)
}

/// A push whose server has accepted it.
pub(super) struct Push {
    pub(super) peer: Peer,
    pub(super) subscription: Subscription,
    pub(super) chunks: Chunks,
}

impl Session for Push {
    type End = Result<Over, RelayError>;

    fn lost(&self, lost: Lost) -> Self::End {
        Err(lost.into())
    }

    fn advance(&mut self, _: Instant) -> Result<(), Self::End> {
        let unpublished = self.fill();
        while let Some(event) = self.peer.poll() {
            self.peer.check(&event).map_err(Err)?;
        }
        if unpublished {
            return Err(Ok(Over::Unpublished));
        }
        match self.subscription.end() {
            Some(end) => Err(Err(RelayError::Behind(end))),
            None => Ok(()),
        }
    }

    fn handle_input(&mut self, _: Instant, bytes: &[u8]) -> Result<usize, Self::End> {
        self.peer.feed(bytes).map_err(Err)
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn handle_timeout(&mut self, _: Instant) -> Result<(), Self::End> {
        Ok(())
    }

    fn may_read(&mut self, _: usize) -> bool {
        true
    }

    fn caught_up(&mut self) {
        self.subscription.caught_up();
    }
}

impl Push {
    /// Moves frames to the socket's queue while there is room. True when the
    /// stream is unpublished.
    fn fill(&mut self) -> bool {
        loop {
            {
                let out = self.peer.out.lock();
                if !out.has_room() {
                    return false;
                }
            }
            match self.subscription.next() {
                Some(Item::Frame(frame)) => {
                    let chunks = self.chunks_of(&frame);
                    self.peer.push(chunks);
                }
                Some(Item::Published) => {}
                Some(Item::Unpublished) => return true,
                None => {
                    let caught_up = self.peer.out.lock().is_empty();
                    self.subscription.rest(false, caught_up);
                    return false;
                }
            }
        }
    }

    /// Media as RTMP players get it; the chunk streams are those of the client's
    /// state machine, which sends none itself.
    fn chunks_of(&self, frame: &Frame) -> Bytes {
        let (packet, stream) = (frame.packet(), self.peer.stream);
        if packet.role() == Role::Metadata {
            return metadata(packet, stream, self.chunks);
        }
        let is_shared = stream == SHARED_MESSAGE_STREAM;
        let shared = frame.rendering(self.chunks.variant());
        shared
            .filter(|_| is_shared)
            .cloned()
            .unwrap_or_else(|| chunks_for(packet, stream, self.chunks.0))
    }
}

/// Servers keep metadata for players only behind `@setDataFrame`.
fn metadata(packet: &Packet, message_stream_id: u32, chunks: Chunks) -> Bytes {
    let mut payload = BytesMut::new();
    amf0::encode_string("@setDataFrame", &mut payload);
    payload.extend_from_slice(&packet.flv_bytes());
    let header = chunks::header(packet, message_stream_id);
    chunk::encode_payload(&header, &payload, chunks.0).bytes
}

#[cfg(test)]
mod tests {
    use livehost_media::Kind;

    use super::*;

    #[test]
    fn metadata_goes_out_as_publishers_send_it() {
        let body = Bytes::from_static(b"\x02\0\x0aonMetaData\x05");
        let packet = Packet::from_flv(Kind::Data, 0, body).unwrap();
        let expected = b"\x05\0\0\0\0\0\x1e\x12\x07\0\0\0\
            \x02\0\x0d@setDataFrame\x02\0\x0aonMetaData\x05";
        assert_eq!(metadata(&packet, 7, Chunks(60_000)), &expected[..]);
    }
}
