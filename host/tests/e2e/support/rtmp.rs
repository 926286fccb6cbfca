//! A scripted RTMP client: blocking, precise about time, free to misbehave.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::{
    amf::{self, Amf},
    chunks::{
        self, ACKNOWLEDGEMENT, COMMAND, Message, Reader, SET_CHUNK_SIZE, SHARED_OBJECT,
        USER_CONTROL, WINDOW_ACK_SIZE,
    },
};

/// How long the server may take to answer a command, unless a test says
/// otherwise.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);

const CHUNK: usize = 4096;

/// Why a client didn't get what it waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server said no.
    Refused { code: String, description: String },
    /// The connection ended.
    Closed(String),
    /// Nothing came in time.
    TimedOut,
}

impl Failure {
    /// The status code of a refusal.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } => code,
            _ => "",
        }
    }

    pub(crate) fn description(&self) -> &str {
        match self {
            Self::Refused { description, .. } => description,
            _ => "",
        }
    }
}

/// A command that the server sent.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) name: String,
    pub(crate) arguments: Vec<Amf>,
}

impl Command {
    fn parse(message: &Message) -> Option<Self> {
        if message.kind != COMMAND {
            return None;
        }
        let mut values = amf::decode(&message.payload).into_iter();
        let name = values.next()?.text()?.to_owned();
        Some(Self {
            name,
            arguments: values.collect(),
        })
    }

    /// The status code of an `onStatus`, empty for other commands.
    pub(crate) fn code(&self) -> String {
        match self.name.as_str() {
            "onStatus" => self.info("code"),
            _ => String::new(),
        }
    }

    fn info(&self, name: &str) -> String {
        let last = self.arguments.last();
        last.map(|info| info.property(name)).unwrap_or_default()
    }

    fn refusal(&self) -> Option<Failure> {
        let refused = self.name == "_error" || self.info("level") == "error";
        refused.then(|| Failure::Refused {
            code: self.info("code"),
            description: self.info("description"),
        })
    }
}

/// A connection after its handshake.
#[derive(Debug)]
pub(crate) struct Client {
    socket: TcpStream,
    reader: Reader,
    window: Option<u32>,
    acknowledged: u32,
    /// The message stream of the last `createStream`.
    pub(crate) stream: u32,
}

impl Client {
    /// Connects, and exchanges the simple handshake (RTMP 1.0 section 5.2).
    pub(crate) fn open(addr: SocketAddr) -> Result<Self, Failure> {
        Self::open_behind(addr, &[])
    }

    /// The same, with bytes in front of the handshake.
    fn open_behind(addr: SocketAddr, header: &[u8]) -> Result<Self, Failure> {
        let closed = |error: std::io::Error| Failure::Closed(error.to_string());
        let mut socket = TcpStream::connect(addr).map_err(closed)?;
        socket.set_nodelay(true).map_err(closed)?;
        socket.set_read_timeout(Some(ANSWER)).map_err(closed)?;
        socket
            .write_all(&[header, &hello()].concat())
            .map_err(closed)?;
        // S0, S1 and S2.
        let mut answer = vec![0; 1 + 2 * 1536];
        socket.read_exact(&mut answer).map_err(closed)?;
        let s1 = answer.get(1..1537).unwrap_or_default();
        socket.write_all(s1).map_err(closed)?;
        let mut client = Self {
            socket,
            reader: Reader::new(),
            window: None,
            acknowledged: 0,
            stream: 0,
        };
        let size = u32::try_from(CHUNK).expect("fits").to_be_bytes();
        client.raw(&chunks::encode(2, SET_CHUNK_SIZE, 0, 0, &size, 128))?;
        Ok(client)
    }

    /// Opens a connection and joins `app`, which may carry a query.
    pub(crate) fn connect(addr: SocketAddr, app: &str) -> Result<Self, Failure> {
        Self::connect_behind(addr, &[], app)
    }

    /// The same, with bytes in front of the handshake.
    pub(crate) fn connect_behind(
        addr: SocketAddr,
        header: &[u8],
        app: &str,
    ) -> Result<Self, Failure> {
        let mut client = Self::open_behind(addr, header)?;
        client.connect_command(addr, app)?;
        client.until(ANSWER, |command| command.name == "_result")?;
        Ok(client)
    }

    pub(crate) fn connect_command(&mut self, addr: SocketAddr, app: &str) -> Result<(), Failure> {
        self.connect_command_with(addr, app, &[])
    }

    /// A connect that says more than the usual.
    pub(crate) fn connect_command_with(
        &mut self,
        addr: SocketAddr,
        app: &str,
        more: &[(&str, Amf)],
    ) -> Result<(), Failure> {
        let properties = [
            ("app", Amf::from(app)),
            ("type", "nonprivate".into()),
            ("flashVer", "FMLE/3.0 (compatible; livehost test)".into()),
            ("tcUrl", format!("rtmp://{addr}/{app}").as_str().into()),
        ];
        let object = properties.iter().chain(more);
        let object = object.map(|(key, value)| ((*key).to_owned(), value.clone()));
        self.command(0, "connect", 1.0, Amf::Object(object.collect()), &[])
    }

    /// Connects and publishes `name`, up to `NetStream.Publish.Start`.
    pub(crate) fn publish(addr: SocketAddr, app: &str, name: &str) -> Result<Self, Failure> {
        let mut client = Self::connect(addr, app)?;
        client.start_publish(name)?;
        Ok(client)
    }

    /// Publishes `name` on this connection.
    pub(crate) fn start_publish(&mut self, name: &str) -> Result<(), Failure> {
        self.command(0, "releaseStream", 2.0, Amf::Null, &[name.into()])?;
        self.command(0, "FCPublish", 3.0, Amf::Null, &[name.into()])?;
        self.create_stream()?;
        self.publish_command(name)?;
        self.status(ANSWER, "NetStream.Publish.Start")
    }

    pub(crate) fn publish_command(&mut self, name: &str) -> Result<(), Failure> {
        let arguments = [name.into(), "live".into()];
        self.command(self.stream, "publish", 5.0, Amf::Null, &arguments)
    }

    /// Connects and plays `name`; what comes is read with [`Client::next`].
    pub(crate) fn play(addr: SocketAddr, app: &str, name: &str) -> Result<Self, Failure> {
        let mut client = Self::connect(addr, app)?;
        client.start_play(name)?;
        Ok(client)
    }

    /// Connects and plays `name`, up to `NetStream.Play.Start`: who publishes
    /// after that is played from the first frame on.
    pub(crate) fn playing(addr: SocketAddr, app: &str, name: &str) -> Result<Self, Failure> {
        let mut client = Self::play(addr, app, name)?;
        client.status(ANSWER, "NetStream.Play.Start")?;
        Ok(client)
    }

    /// Plays `name` on this connection, without waiting for an answer.
    pub(crate) fn start_play(&mut self, name: &str) -> Result<(), Failure> {
        self.create_stream()?;
        let arguments = [name.into(), Amf::Number(-2000.0)];
        self.command(self.stream, "play", 0.0, Amf::Null, &arguments)
    }

    pub(crate) fn create_stream(&mut self) -> Result<(), Failure> {
        self.command(0, "createStream", 4.0, Amf::Null, &[])?;
        let created = self.until(ANSWER, |command| {
            command.name == "_result" && command.arguments.first() == Some(&Amf::Number(4.0))
        })?;
        let id = created.arguments.last().and_then(Amf::number);
        let id = id.expect("createStream's result is a number");
        assert!(id >= 1.0, "a created stream's id is at least 1, not {id}");
        self.stream = id as u32;
        Ok(())
    }

    /// Sends a command on message stream `stream`.
    pub(crate) fn command(
        &mut self,
        stream: u32,
        name: &str,
        transaction: f64,
        object: Amf,
        arguments: &[Amf],
    ) -> Result<(), Failure> {
        let mut values = vec![name.into(), transaction.into(), object];
        values.extend_from_slice(arguments);
        self.send(3, COMMAND, 0, stream, &amf::encode(&values))
    }

    /// Sends a message of the created stream: audio, video or data.
    pub(crate) fn media(
        &mut self,
        kind: u8,
        timestamp: u32,
        payload: &[u8],
    ) -> Result<(), Failure> {
        self.send(6, kind, timestamp, self.stream, payload)
    }

    /// Sends a message about a shared object.
    pub(crate) fn shared_object(&mut self, body: &[u8]) -> Result<(), Failure> {
        self.send(3, SHARED_OBJECT, 0, 0, body)
    }

    fn send(
        &mut self,
        chunk_stream: u8,
        kind: u8,
        timestamp: u32,
        stream: u32,
        payload: &[u8],
    ) -> Result<(), Failure> {
        let bytes = chunks::encode(chunk_stream, kind, timestamp, stream, payload, CHUNK);
        self.raw(&bytes)
    }

    /// Sends bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.socket
            .write_all(bytes)
            .map_err(|error| Failure::Closed(error.to_string()))
    }

    /// The next message. Acknowledges what was received and answers pings.
    pub(crate) fn next(&mut self, deadline: Instant) -> Result<Message, Failure> {
        loop {
            if let Some(message) = self.reader.next(Instant::now()) {
                self.serve(&message)?;
                return Ok(message);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Failure::TimedOut);
            }
            self.socket
                .set_read_timeout(Some(left))
                .map_err(|error| Failure::Closed(error.to_string()))?;
            let mut buffer = [0; 65_536];
            match self.socket.read(&mut buffer) {
                Ok(0) => return Err(Failure::Closed("end of stream".into())),
                Ok(count) => self.reader.push(buffer.get(..count).unwrap_or_default()),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => return Err(Failure::Closed(error.to_string())),
            }
        }
    }

    fn serve(&mut self, message: &Message) -> Result<(), Failure> {
        match (message.kind, message.payload.as_slice()) {
            (WINDOW_ACK_SIZE, [a, b, c, d]) => {
                self.window = Some(u32::from_be_bytes([*a, *b, *c, *d]));
            }
            // Ping request 6, answered with ping response 7.
            (USER_CONTROL, [0, 6, time @ ..]) => {
                let pong: Vec<u8> = [0, 7].iter().chain(time).copied().collect();
                self.send(2, USER_CONTROL, 0, 0, &pong)?;
            }
            _ => {}
        }
        let received = self.reader.received;
        if self
            .window
            .is_some_and(|window| received.wrapping_sub(self.acknowledged) >= window / 2)
        {
            self.acknowledged = received;
            self.send(2, ACKNOWLEDGEMENT, 0, 0, &received.to_be_bytes())?;
        }
        Ok(())
    }

    /// Reads until a command that `wanted` accepts; a refusal ends the wait.
    pub(crate) fn until(
        &mut self,
        limit: Duration,
        mut wanted: impl FnMut(&Command) -> bool,
    ) -> Result<Command, Failure> {
        let deadline = Instant::now() + limit;
        loop {
            let message = self.next(deadline)?;
            let Some(command) = Command::parse(&message) else {
                continue;
            };
            if wanted(&command) {
                return Ok(command);
            }
            if let Some(refusal) = command.refusal() {
                return Err(refusal);
            }
        }
    }

    /// Waits for an `onStatus` with this code.
    pub(crate) fn status(&mut self, limit: Duration, code: &str) -> Result<(), Failure> {
        self.until(limit, |command| command.code() == code)?;
        Ok(())
    }

    /// Writes `bytes` over and over, reading nothing, until `total` are out or
    /// the server has taken none for `patience`. Returns how many it took.
    pub(crate) fn flood(mut self, bytes: &[u8], total: usize, patience: Duration) -> (usize, Self) {
        let socket = &mut self.socket;
        socket.set_write_timeout(Some(patience)).expect("a timeout");
        let mut sent = 0;
        while sent < total {
            // Goes on inside a repetition where the last write stopped.
            let rest = bytes.get(sent % bytes.len()..).unwrap_or_default();
            match socket.write(rest) {
                Ok(count) => sent += count,
                Err(_) => break,
            }
        }
        (sent, self)
    }

    /// Reads and drops everything until the server closes the connection.
    pub(crate) fn closed(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            match self.next(deadline) {
                Ok(_) => {}
                Err(Failure::Closed(_)) => return true,
                Err(_) => return false,
            }
        }
    }

    /// Ends as an encoder does: deletes its stream, says that it is done, and
    /// reads what is left, since closing with unread input would be a reset.
    pub(crate) fn leave(mut self) {
        let id = f64::from(self.stream);
        let _ = self.command(0, "deleteStream", 0.0, Amf::Null, &[id.into()]);
        let _ = self.socket.shutdown(Shutdown::Write);
        self.closed(ANSWER);
    }

    /// Waits until the other end's kernel has all that was sent.
    pub(crate) fn delivered(&self) {
        let port = self.socket.local_addr().expect("it is connected").port();
        let local = format!("0100007F:{port:04X}");
        let deadline = Instant::now() + ANSWER;
        let waits = || {
            let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
            table.lines().any(|line| {
                let mut fields = line.split_whitespace().skip(1);
                let (address, queues) = (fields.next(), fields.nth(2));
                address == Some(&local) && queues.is_some_and(|q| !q.starts_with("00000000:"))
            })
        };
        while waits() {
            assert!(Instant::now() < deadline, "the server takes no bytes");
            std::thread::yield_now();
        }
    }

    /// Closes with RST instead of FIN.
    pub(crate) fn reset(self) {
        let socket = socket2::SockRef::from(&self.socket);
        socket.set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
    }

    /// Lets this end's kernel hold about so many bytes that were not read.
    pub(crate) fn hold_little(&self, bytes: usize) {
        let socket = socket2::SockRef::from(&self.socket);
        socket.set_recv_buffer_size(bytes).expect("SO_RCVBUF");
    }

    /// This end's address: how the server's log calls the connection.
    pub(crate) fn local(&self) -> String {
        let addr = self.socket.local_addr().expect("a connected socket");
        addr.to_string()
    }
}

/// C0 and C1 of the simple handshake.
pub(crate) fn hello() -> Vec<u8> {
    let mut hello = vec![3];
    hello.extend([0; 8]);
    // Any bytes will do; these are no digest.
    hello.extend((0..1528_u32).map(|i| (i.wrapping_mul(31) >> 3) as u8));
    hello
}

/// What a message of a playing client says about the end of its stream.
pub(crate) fn is_end(message: &Message) -> bool {
    // User control 1: stream EOF.
    let eof = message.kind == USER_CONTROL && message.payload.starts_with(&[0, 1]);
    let code = Command::parse(message).map(|command| command.code());
    eof || code.as_deref() == Some("NetStream.Play.UnpublishNotify")
}
