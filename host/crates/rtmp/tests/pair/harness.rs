//! Both ends, and the bytes between them.

use bytes::Bytes;
use livehost_rtmp::{
    handshake::{HandshakeKind, RANDOM_LEN},
    session::{
        Output, SessionError,
        client::{ClientConfig, ClientEvent, ClientSession},
        server::{ServerConfig, ServerEvent, ServerSession},
    },
};
use livehost_wire::amf0::Properties;

const RANDOM: [u8; RANDOM_LEN] = [0x42; RANDOM_LEN];

/// A client and a server with a wire of bytes between them.
pub(crate) struct Pair {
    pub(crate) client: ClientSession,
    pub(crate) server: ServerSession,
    pub(crate) client_events: Vec<ClientEvent>,
    pub(crate) server_events: Vec<ServerEvent>,
    /// Bytes on their way.
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    /// Largest piece that arrives at once.
    piece: usize,
}

impl Pair {
    pub(crate) fn new(handshake: HandshakeKind, piece: usize) -> Self {
        let config = ClientConfig {
            handshake,
            ..ClientConfig::new("live", "rtmp://localhost/live")
        };
        Self::of(config, piece)
    }

    /// A pair whose client says more in its `connect`.
    pub(crate) fn with(properties: Properties) -> Self {
        let config = ClientConfig {
            properties,
            ..ClientConfig::new("live", "rtmp://localhost/live")
        };
        Self::of(config, usize::MAX)
    }

    fn of(config: ClientConfig, piece: usize) -> Self {
        Self {
            client: ClientSession::new(config, &RANDOM, 0),
            server: ServerSession::new(ServerConfig::default(), RANDOM, 0),
            client_events: Vec::new(),
            server_events: Vec::new(),
            to_server: Vec::new(),
            to_client: Vec::new(),
            piece,
        }
    }

    /// A pair whose client is connected, all events seen.
    pub(crate) fn connected() -> Self {
        let mut pair = Self::new(HandshakeKind::Digest, usize::MAX);
        pair.run().unwrap();
        pair.server.accept_connect(None, None);
        pair.run().unwrap();
        pair.take_events();
        pair
    }

    /// Moves bytes until none are left that an end would take.
    pub(crate) fn run(&mut self) -> Result<(), SessionError> {
        loop {
            let mut moved = false;
            while let Some(output) = self.client.poll_output() {
                match output {
                    Output::Send(bytes) => self.to_server.extend(bytes),
                    Output::Event(event) => self.client_events.push(event),
                }
            }
            while let Some(output) = self.server.poll_output() {
                match output {
                    Output::Send(bytes) => self.to_client.extend(bytes),
                    Output::Event(event) => self.server_events.push(event),
                }
            }
            let piece = self.to_server.len().min(self.piece);
            let mut input = &self.to_server[..piece];
            self.server.handle_input(&mut input)?;
            let taken = piece - input.len();
            moved |= taken > 0;
            self.to_server.drain(..taken);
            let piece = self.to_client.len().min(self.piece);
            let mut input = &self.to_client[..piece];
            self.client.handle_input(&mut input)?;
            let taken = piece - input.len();
            moved |= taken > 0;
            self.to_client.drain(..taken);
            if !moved {
                return Ok(());
            }
        }
    }

    /// Bytes that a test took from the server, for the client.
    pub(crate) fn deliver(&mut self, bytes: &[u8]) {
        self.to_client.extend(bytes);
    }

    /// The events since the last time.
    pub(crate) fn take_events(&mut self) -> (Vec<ClientEvent>, Vec<ServerEvent>) {
        (
            std::mem::take(&mut self.client_events),
            std::mem::take(&mut self.server_events),
        )
    }
}

pub(crate) fn frame(byte: u8, len: usize) -> Bytes {
    Bytes::from(vec![byte; len])
}
