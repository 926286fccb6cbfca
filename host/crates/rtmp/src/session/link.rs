//! The chunk stream of a session, with its bookkeeping.
//!
//! Received bytes go in, messages come out, and what the protocol owes the
//! peer for them is queued: acknowledgements (RTMP 1.0 sections 5.4.3 and
//! 5.4.4), ping responses (7.1.7) and the answer to Set Peer Bandwidth (5.4.5).

use bytes::{Bytes, BytesMut};

use super::SessionError;
use crate::{
    chunk::{Reader, ReaderLimits, Writer},
    control::{LimitType, ProtocolControl, UserControl},
    handshake::HANDSHAKE_LEN,
    message::{Message, type_id},
};

/// Shortest distance between two acknowledgements, in bytes: an absurdly small
/// window must not make us answer every message.
const MIN_ACK_INTERVAL: u64 = 256;

/// Room for most answers to one command, in bytes.
const USUAL_OUTPUT: usize = 512;

/// Both directions of a connection after the handshake.
#[derive(Debug)]
pub(crate) struct Link {
    reader: Reader,
    writer: Writer,
    out: BytesMut,
    /// Bytes of the handshake: part of what is acknowledged.
    handshake_bytes: u64,
    /// The window that the peer announced, in bytes.
    peer_window: Option<u32>,
    /// Bytes received when the last acknowledgement was sent.
    acknowledged: u64,
    /// The window that we announced last, in bytes.
    own_window: Option<u32>,
    /// What the peer may send ahead of an acknowledgement, as far as we said,
    /// in bytes.
    peer_bandwidth: Option<u32>,
    /// Whether the last Set Peer Bandwidth in force was a hard one.
    hard_limit: bool,
}

impl Link {
    /// A link that begins where the handshake ended.
    pub(crate) fn new(limits: ReaderLimits) -> Self {
        Self {
            reader: Reader::new(limits),
            writer: Writer::new(),
            out: BytesMut::new(),
            handshake_bytes: HANDSHAKE_LEN as u64,
            peer_window: None,
            acknowledged: 0,
            own_window: None,
            peer_bandwidth: None,
            hard_limit: false,
        }
    }

    /// Other limits on what is read, from the next message on.
    pub(crate) fn set_limits(&mut self, limits: ReaderLimits) {
        self.reader.set_limits(limits);
    }

    /// The message streams of media that isn't complete, and of which something
    /// came since this was asked last.
    pub(crate) fn media_in_progress(&mut self) -> impl Iterator<Item = u32> + '_ {
        let progress = self.reader.progress();
        progress.filter_map(|(type_id, stream)| type_id::is_media(type_id).then_some(stream))
    }

    /// Reads up to the end of the next message, answers it if it is protocol
    /// control, and returns it in every case; `None` when `input` is used up.
    /// Call until `None`.
    ///
    /// A malformed control message is returned and otherwise ignored, unless
    /// the chunk stream can't be read without it.
    ///
    /// # Errors
    /// When the chunk stream can't be read.
    pub(crate) fn handle_input(
        &mut self,
        input: &mut &[u8],
    ) -> Result<Option<Message>, SessionError> {
        let message = self.reader.read(input)?;
        if let Some(message) = &message
            && let Ok(control) = ProtocolControl::decode(message.type_id, &message.payload)
        {
            self.handle_control(&control);
        }
        self.acknowledge();
        Ok(message)
    }

    /// Queues `message`. For a chunk size use [`Link::set_out_chunk_size`].
    pub(crate) fn send(&mut self, message: &Message) {
        if self.out.is_empty() {
            self.out.reserve(USUAL_OUTPUT);
        }
        self.writer.write(message, &mut self.out);
    }

    /// Queues a control message. A window size is remembered, to tell whether
    /// the peer asks for another, and a bandwidth, to acknowledge by it.
    pub(crate) fn send_control(&mut self, control: &ProtocolControl) {
        match *control {
            ProtocolControl::WindowAckSize(size) => self.own_window = Some(size),
            ProtocolControl::SetPeerBandwidth { size, .. } => self.acknowledge_within(size),
            _ => {}
        }
        self.send(&control.to_message());
    }

    /// Acknowledges often enough for a peer that sends at most so many bytes
    /// ahead, whatever window it announces.
    pub(crate) fn acknowledge_within(&mut self, bytes: u32) {
        self.peer_bandwidth = Some(bytes);
    }

    /// Tells the peer the chunk size of what follows, and uses it.
    pub(crate) fn set_out_chunk_size(&mut self, bytes: u32) {
        self.send_control(&ProtocolControl::SetChunkSize(bytes));
        self.writer.set_chunk_size(bytes);
    }

    /// Queues a ping request that carries `millis`; the peer returns it in a
    /// [`UserControl::PingResponse`].
    pub(crate) fn send_ping(&mut self, millis: u32) {
        self.send(&UserControl::PingRequest(millis).to_message());
    }

    /// What is queued, or `None` if nothing is.
    pub(crate) fn take_output(&mut self) -> Option<Bytes> {
        (!self.out.is_empty()).then(|| std::mem::take(&mut self.out).freeze())
    }

    /// Bytes of messages in the making.
    pub(crate) fn partial_bytes(&self) -> usize {
        self.reader.held_bytes()
    }

    /// Bytes held: messages in the making, and what waits to be taken.
    pub(crate) fn buffered_bytes(&self) -> usize {
        self.reader.held_bytes().saturating_add(self.out.len())
    }

    /// Bytes received, handshake included.
    fn bytes_received(&self) -> u64 {
        self.handshake_bytes
            .saturating_add(self.reader.bytes_received())
    }

    fn handle_control(&mut self, control: &ProtocolControl) {
        match *control {
            ProtocolControl::WindowAckSize(size) => self.peer_window = Some(size),
            ProtocolControl::SetPeerBandwidth { size, limit } => self.limit_window(size, limit),
            ProtocolControl::UserControl(UserControl::PingRequest(millis)) => {
                self.send(&UserControl::PingResponse(millis).to_message());
            }
            _ => {}
        }
    }

    /// Answers Set Peer Bandwidth with our window, if that changes it.
    fn limit_window(&mut self, size: u32, limit: LimitType) {
        let size = match limit {
            LimitType::Hard => size,
            LimitType::Soft => self.own_window.map_or(size, |own| own.min(size)),
            LimitType::Dynamic if self.hard_limit => size,
            LimitType::Dynamic => return,
        };
        self.hard_limit = limit != LimitType::Soft;
        if self.own_window != Some(size) {
            self.send_control(&ProtocolControl::WindowAckSize(size));
        }
    }

    /// Acknowledges once half the peer's window was received since the last
    /// time: a peer that stops at a full window never has to, however it
    /// counts.
    ///
    /// The window is the one that it announced; but a peer that was given a
    /// bandwidth stops there (section 5.4.5), and some never announce a window.
    fn acknowledge(&mut self) {
        let windows = [self.peer_window, self.peer_bandwidth];
        let windows = windows.into_iter().flatten().filter(|size| *size > 0);
        let Some(window) = windows.min() else {
            return;
        };
        let received = self.bytes_received();
        let interval = u64::from(window / 2).max(MIN_ACK_INTERVAL);
        if received.saturating_sub(self.acknowledged) >= interval {
            self.acknowledged = received;
            // Modulo 2^32 by definition of the field.
            let [_, _, _, _, sequence @ ..] = received.to_be_bytes();
            self.send_control(&ProtocolControl::Acknowledgement(u32::from_be_bytes(
                sequence,
            )));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `link` has queued, as messages.
    fn sent(link: &mut Link, reader: &mut Reader) -> Vec<Message> {
        let bytes = link.take_output().unwrap_or_default();
        let mut input = &bytes[..];
        let mut messages = Vec::new();
        while let Some(message) = reader.read(&mut input).unwrap() {
            messages.push(message);
        }
        messages
    }

    fn controls(link: &mut Link, reader: &mut Reader) -> Vec<ProtocolControl> {
        sent(link, reader)
            .iter()
            .map(|message| ProtocolControl::decode(message.type_id, &message.payload).unwrap())
            .collect()
    }

    struct Pair {
        writer: Writer,
        link: Link,
        reader: Reader,
    }

    impl Pair {
        fn new() -> Self {
            Self {
                writer: Writer::new(),
                link: Link::new(ReaderLimits::default()),
                reader: Reader::new(ReaderLimits::default()),
            }
        }

        /// Delivers one message and returns what is answered.
        fn deliver(&mut self, message: &Message) -> Vec<ProtocolControl> {
            let mut bytes = BytesMut::new();
            self.writer.write(message, &mut bytes);
            let mut input = &bytes[..];
            assert_eq!(
                self.link.handle_input(&mut input).unwrap().as_ref(),
                Some(message)
            );
            assert_eq!(self.link.handle_input(&mut input).unwrap(), None);
            controls(&mut self.link, &mut self.reader)
        }

        fn control(&mut self, control: &ProtocolControl) -> Vec<ProtocolControl> {
            self.deliver(&control.to_message())
        }
    }

    #[test]
    fn ping_requests_are_answered_and_responses_are_not() {
        let mut pair = Pair::new();
        let ping = |event| ProtocolControl::UserControl(event);
        assert_eq!(
            pair.control(&ping(UserControl::PingRequest(77))),
            [ping(UserControl::PingResponse(77))]
        );
        assert_eq!(pair.control(&ping(UserControl::PingResponse(77))), []);
        pair.link.send_ping(5);
        assert_eq!(
            controls(&mut pair.link, &mut pair.reader),
            [ping(UserControl::PingRequest(5))]
        );
    }

    #[test]
    fn acknowledges_twice_a_window_and_counts_the_handshake() {
        let mut pair = Pair::new();
        let media = Message {
            chunk_stream_id: 4,
            timestamp: 0,
            type_id: type_id::VIDEO,
            message_stream_id: 1,
            payload: Bytes::from(vec![0; 100]),
        };
        // No window, and none that we set: no acknowledgement.
        for _ in 0..100 {
            assert_eq!(pair.deliver(&media), []);
        }
        let answer = pair.control(&ProtocolControl::WindowAckSize(2000));
        let received = pair.link.bytes_received();
        assert!(received > 3073 + 100 * 100);
        let mut last = u32::try_from(received).unwrap();
        assert_eq!(answer, [ProtocolControl::Acknowledgement(last)]);
        let mut count = 0;
        for _ in 0..100 {
            for answer in pair.deliver(&media) {
                let ProtocolControl::Acknowledgement(sequence) = answer else {
                    panic!("{answer:?}");
                };
                assert_eq!(u64::from(sequence), pair.link.bytes_received());
                assert!((1000..1200).contains(&(sequence - last)));
                last = sequence;
                count += 1;
            }
        }
        assert_eq!(count, 10);
    }

    #[test]
    fn acknowledges_by_the_bandwidth_that_the_peer_was_given() {
        let mut pair = Pair::new();
        let media = Message {
            chunk_stream_id: 4,
            timestamp: 0,
            type_id: type_id::VIDEO,
            message_stream_id: 1,
            payload: Bytes::from(vec![0; 100]),
        };
        pair.link.send_control(&ProtocolControl::SetPeerBandwidth {
            size: 10_000,
            limit: LimitType::Dynamic,
        });
        controls(&mut pair.link, &mut pair.reader);
        let count = |pair: &mut Pair| (0..180).map(|_| pair.deliver(&media).len()).sum();
        // 180 messages of about 103 bytes.
        let counted: usize = count(&mut pair);
        assert!((3..=4).contains(&counted), "{counted}");
        // A larger window is no reason to let it stand still; a smaller one is
        // what the peer wants.
        assert_eq!(pair.control(&ProtocolControl::WindowAckSize(50_000)), []);
        let counted: usize = count(&mut pair);
        assert!((3..=4).contains(&counted), "{counted}");
        pair.control(&ProtocolControl::WindowAckSize(5000));
        let counted: usize = count(&mut pair);
        assert!((7..=8).contains(&counted), "{counted}");
    }

    #[test]
    fn a_tiny_window_does_not_get_an_answer_to_every_message() {
        let mut pair = Pair::new();
        pair.control(&ProtocolControl::WindowAckSize(1));
        let mut answers = 0;
        for _ in 0..256 {
            answers += pair
                .control(&ProtocolControl::UserControl(UserControl::StreamDry(1)))
                .len();
        }
        // 256 messages of 6 bytes with headers of 1 to 8.
        assert!((5..=8).contains(&answers), "{answers}");
    }

    #[test]
    fn acknowledgements_wrap_at_32_bits() {
        let mut pair = Pair::new();
        pair.link.handshake_bytes = u64::from(u32::MAX);
        let answer = pair.control(&ProtocolControl::WindowAckSize(1000));
        assert_eq!(answer, [ProtocolControl::Acknowledgement(15)]);
    }

    #[test]
    fn peer_bandwidth_is_answered_when_it_changes_our_window() {
        let mut pair = Pair::new();
        let mut ask =
            |size, limit| pair.control(&ProtocolControl::SetPeerBandwidth { size, limit });
        let window = |size| vec![ProtocolControl::WindowAckSize(size)];
        assert_eq!(ask(9000, LimitType::Dynamic), []);
        assert_eq!(ask(5000, LimitType::Soft), window(5000));
        assert_eq!(ask(6000, LimitType::Soft), []);
        assert_eq!(ask(6000, LimitType::Hard), window(6000));
        assert_eq!(ask(6000, LimitType::Hard), []);
        assert_eq!(ask(7000, LimitType::Dynamic), window(7000));
        assert_eq!(ask(4000, LimitType::Soft), window(4000));
        assert_eq!(ask(7000, LimitType::Dynamic), []);
    }

    #[test]
    fn a_window_we_announced_is_not_announced_again() {
        let mut pair = Pair::new();
        pair.link
            .send_control(&ProtocolControl::WindowAckSize(5000));
        controls(&mut pair.link, &mut pair.reader);
        let limit = LimitType::Hard;
        let mut ask = |size| pair.control(&ProtocolControl::SetPeerBandwidth { size, limit });
        assert_eq!(ask(5000), []);
        assert_eq!(ask(4000), [ProtocolControl::WindowAckSize(4000)]);
    }

    #[test]
    fn out_chunk_size_applies_to_what_follows() {
        let mut pair = Pair::new();
        pair.link.set_out_chunk_size(1000);
        let media = Message {
            chunk_stream_id: 4,
            timestamp: 0,
            type_id: type_id::VIDEO,
            message_stream_id: 1,
            payload: Bytes::from(vec![7; 1000]),
        };
        pair.link.send(&media);
        let bytes = pair.link.take_output().unwrap();
        assert_eq!(bytes.len(), 16 + 12 + 1000);
        assert_eq!(pair.link.take_output(), None);
    }

    #[test]
    fn malformed_control_is_returned_and_ignored() {
        let mut pair = Pair::new();
        let short = Message {
            payload: Bytes::from_static(&[0, 6, 0]),
            ..UserControl::PingRequest(0).to_message()
        };
        assert_eq!(pair.deliver(&short), []);
    }
}
