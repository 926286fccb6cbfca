//! The floor: the least that a fan-out can cost.
//!
//! The same messages from the same publisher, written to the same number of
//! sockets, with no protocol, no queues and no poll: a thread per publisher
//! that reads a message and writes it to each player. What a server costs
//! beyond this is its own.
//!
//! A connection begins with five bytes: `P` or `S`, and the number of its
//! stream. A publisher then sends messages as single chunks with a format 0
//! header of 12 bytes; its players get the same bytes.

use std::{
    collections::HashMap,
    io::{BufReader, ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Length of a format 0 chunk header with a short chunk stream id.
const HEADER: usize = 12;
/// Read from a publisher at once, in bytes.
const READ: usize = 64 << 10;
/// How long a player's socket may take nothing before it is let go.
const STUCK: Duration = Duration::from_secs(10);

/// Players of each stream.
#[derive(Debug, Default, Clone)]
struct Streams(Arc<Mutex<HashMap<u32, Vec<TcpStream>>>>);

impl Streams {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Vec<TcpStream>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves until the process is ended. `coalesce`: how long messages are
/// gathered before they are written as one; zero writes each by itself.
///
/// # Errors
/// If the address can't be bound.
pub(crate) fn serve(listen: SocketAddr, coalesce: Duration) -> Result<()> {
    let listener = TcpListener::bind(listen).with_context(|| format!("cannot bind {listen}"))?;
    let streams = Streams::default();
    for socket in listener.incoming() {
        // A client that left before it was accepted.
        let Ok(mut socket) = socket else { continue };
        let mut hello = [0; 5];
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(STUCK))?;
        if socket.read_exact(&mut hello).is_err() {
            continue;
        }
        let [role, a, b, c, d] = hello;
        let stream = u32::from_be_bytes([a, b, c, d]);
        if role == b'P' {
            let streams = streams.clone();
            thread::spawn(move || fan_out(socket, stream, &streams, coalesce));
        } else {
            socket.set_write_timeout(Some(STUCK))?;
            streams.lock().entry(stream).or_default().push(socket);
        }
    }
    Ok(())
}

/// Until the publisher leaves.
fn fan_out(socket: TcpStream, stream: u32, streams: &Streams, coalesce: Duration) {
    let mut reader = BufReader::with_capacity(READ, socket);
    let mut pending = Vec::new();
    let mut flush_at = None;
    loop {
        if let Some(at) = flush_at
            && wait_until(&mut reader, at)
        {
            write_all(streams, stream, &mut pending);
            flush_at = None;
        }
        if read_message(&mut reader, &mut pending).is_err() {
            return;
        }
        if coalesce.is_zero() {
            write_all(streams, stream, &mut pending);
        } else if flush_at.is_none() {
            flush_at = Some(Instant::now() + coalesce);
        }
    }
}

/// Waits for the next message; true once it is time to write what was gathered.
fn wait_until(reader: &mut BufReader<TcpStream>, at: Instant) -> bool {
    let left = at.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return true;
    }
    if !reader.buffer().is_empty() {
        return false;
    }
    // A socket's own timeout is counted in steps of 4 ms and more.
    let timeout = Timespec::try_from(left).ok();
    let mut watched = [PollFd::new(reader.get_ref(), PollFlags::IN)];
    matches!(poll(&mut watched, timeout.as_ref()), Ok(0))
}

/// Appends the publisher's next message to `out`.
fn read_message(reader: &mut BufReader<TcpStream>, out: &mut Vec<u8>) -> std::io::Result<()> {
    let mut header = [0; HEADER];
    reader.read_exact(&mut header)?;
    let [_, _, _, _, a, b, c, ..] = header;
    let len = u32::from_be_bytes([0, a, b, c]);
    out.extend(header);
    let read = reader.take(u64::from(len)).read_to_end(out)?;
    match read == len as usize {
        true => Ok(()),
        false => Err(ErrorKind::UnexpectedEof.into()),
    }
}

/// One write per player. One that is gone or stuck is let go.
fn write_all(streams: &Streams, stream: u32, bytes: &mut Vec<u8>) {
    if let Some(players) = streams.lock().get_mut(&stream) {
        players.retain_mut(|player| player.write_all(bytes).is_ok());
    }
    bytes.clear();
}
