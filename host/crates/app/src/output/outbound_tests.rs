//! The way out over a socket that takes as much as a test wants.

use std::future::poll_fn;
use std::io::IoSlice;
use std::sync::atomic::AtomicU32;

use super::*;

/// Takes `room` bytes, then none; or fails once. Or it is a layer that takes all
/// as soon as it holds nothing.
#[derive(Debug, Default)]
struct Socket {
    held: Mutex<Option<Vec<u8>>>,
    room: Mutex<usize>,
    failure: Mutex<Option<io::ErrorKind>>,
    written: Mutex<Vec<u8>>,
    calls: AtomicU32,
}

impl Carrier for Socket {
    fn try_read(&self, _buffer: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        // As a socket's: told once, and after that it is only closed.
        if let Some(kind) = &mut *self.failure.lock() {
            return Err(std::mem::replace(kind, io::ErrorKind::BrokenPipe).into());
        }
        let send = |bytes: &[u8]| {
            let mut room = self.room.lock();
            let count = bytes.len().min(*room);
            self.written.lock().extend_from_slice(&bytes[..count]);
            *room -= count;
            count
        };
        if let Some(held) = &mut *self.held.lock() {
            held.drain(..send(held));
            if !held.is_empty() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            *held = slices.iter().flat_map(|slice| slice.to_vec()).collect();
            let taken = held.len();
            held.drain(..send(held));
            return Ok(taken);
        }
        match slices.iter().map(|slice| send(slice)).sum::<usize>() {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            written => Ok(written),
        }
    }

    fn pending(&self) -> bool {
        let held = self.held.lock();
        held.as_ref().is_some_and(|held| !held.is_empty())
    }

    fn poll_read_ready(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_write_ready(&self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if *self.room.lock() > 0 {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    fn shutdown_write(&self) -> io::Result<()> {
        Ok(())
    }

    fn abort(&self) {}
}

const PLAYER: PlayerId = PlayerId::new(7);

/// A way out, and the socket that it leads to.
struct Way {
    out: Arc<Outbound>,
    socket: Arc<Socket>,
}

impl std::ops::Deref for Way {
    type Target = Outbound;

    fn deref(&self) -> &Outbound {
        &self.out
    }
}

fn open(room: usize) -> Way {
    let socket = Arc::new(Socket::default());
    let out: Arc<Outbound> = Outbound::new(socket.clone());
    out.set_open(PLAYER, true);
    let way = Way { out, socket };
    give_room(&way, room);
    way
}

fn give_room(out: &Way, room: usize) {
    *out.socket.room.lock() = room;
}

fn pass(out: &Way, bytes: &'static [u8]) -> Offer {
    out.pass(PLAYER, &Bytes::from_static(bytes))
}

fn written(out: &Way) -> String {
    String::from_utf8(out.socket.written.lock().clone()).unwrap()
}

#[tokio::test]
async fn what_the_socket_did_not_take_is_kept_before_what_follows() {
    let out = open(5);
    assert_eq!(pass(&out, b"abc"), Offer::Written);
    assert_eq!(pass(&out, b"defg"), Offer::Taken);
    assert_eq!(out.lock().len(), 2);
    give_room(&out, 1);
    assert_eq!(
        pass(&out, b"hij"),
        Offer::Refused,
        "two bytes are before it"
    );
    out.push(Bytes::from_static(b"hij"));
    poll_fn(|cx| out.poll_write(cx)).await.unwrap();
    give_room(&out, 99);
    poll_fn(|cx| out.poll_write(cx)).await.unwrap();
    assert_eq!(written(&out), "abcdefghij");
    assert_eq!(pass(&out, b"kl"), Offer::Written);
    assert_eq!(out.lock().sent(), 12);
    assert_eq!(out.finish(), 9, "three bytes were the session's own");
}

#[tokio::test]
async fn what_a_layer_holds_for_the_socket_is_waited_for() {
    let out = open(2);
    *out.socket.held.lock() = Some(Vec::new());
    assert_eq!(pass(&out, b"ab"), Offer::Written);
    // One byte, and behind it nothing: still somebody comes back for it.
    assert_eq!(pass(&out, b"c"), Offer::Taken);
    assert!(!out.lock().is_empty() && out.lock().waiting_since().is_some());
    assert_eq!(pass(&out, b"d"), Offer::Refused, "a byte is before it");
    assert!(!out.flush().unwrap(), "there is no room");
    give_room(&out, 1);
    poll_fn(|cx| out.poll_write(cx)).await.unwrap();
    assert_eq!(written(&out), "abc");
    assert!(out.lock().is_empty() && out.lock().waiting_since().is_none());
    // What the session writes is held in the same way.
    out.push(Bytes::from_static(b"de"));
    give_room(&out, 1);
    assert!(!out.flush().unwrap(), "one is held");
    assert_eq!(out.lock().len(), 0);
    assert_eq!(out.lock().sent(), 5);
    give_room(&out, 1);
    assert!(out.flush().unwrap(), "that was the last");
    give_room(&out, 1);
    assert_eq!(pass(&out, b"f"), Offer::Written);
    assert_eq!((written(&out).as_str(), out.taken()), ("abcdef", 4));
}

#[test]
fn a_full_socket_takes_nothing_and_is_no_failure() {
    let out = open(0);
    assert_eq!(pass(&out, b"abc"), Offer::Refused);
    assert!(out.lock().is_empty());
    assert!(!out.flush().unwrap());
    assert_eq!(out.taken(), 0);
}

#[test]
fn only_the_one_that_it_is_open_for_passes() {
    let out = open(99);
    let other = PlayerId::new(8);
    assert_eq!(out.pass(other, &Bytes::from_static(b"abc")), Offer::Refused);
    out.set_open(other, true);
    assert!(!out.is_open(other), "the first has not left");
    out.set_open(other, false);
    assert!(out.is_open(PLAYER), "it was not the other's to close");
    out.set_open(PLAYER, false);
    assert_eq!(pass(&out, b"abc"), Offer::Refused);
    out.set_open(PLAYER, true);
    out.lock().close();
    assert_eq!(pass(&out, b"abc"), Offer::Refused, "last words are said");
    // While the session is about to send something itself.
    let out = open(99);
    let held = out.lock();
    assert_eq!(pass(&out, b"abc"), Offer::Refused);
    drop(held);
    assert_eq!(pass(&out, b"abc"), Offer::Written);
    assert_eq!(written(&out), "abc");
}

#[test]
fn why_a_write_of_the_hub_failed_is_told_to_the_session() {
    let out = open(99);
    *out.socket.failure.lock() = Some(io::ErrorKind::ConnectionReset);
    assert_eq!(pass(&out, b"abc"), Offer::Refused);
    assert_eq!(
        pass(&out, b"def"),
        Offer::Refused,
        "it fails again, otherwise"
    );
    let error = out.flush().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(out.lock().take_failure().is_none(), "told once");
}

#[test]
fn answers_go_out_in_one_write_as_far_as_there_is_room() {
    let out = open(4);
    for bytes in [&b"ab"[..], b"cd", b"ef"] {
        out.push(Bytes::from_static(bytes));
    }
    assert!(!out.flush().unwrap(), "some waits");
    assert_eq!(out.socket.calls.load(Ordering::Relaxed), 1);
    assert_eq!((written(&out).as_str(), out.lock().len()), ("abcd", 2));
    assert!(out.lock().waiting_since().is_some());
    give_room(&out, 9);
    assert!(out.flush().unwrap(), "that was the last");
    assert!(!out.flush().unwrap(), "nothing waited");
    assert!(out.lock().is_empty() && out.lock().waiting_since().is_none());
}
