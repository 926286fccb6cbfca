//! Who takes part in a scene: a publisher, players with the session's side of an
//! outlet, and sockets whose peers take a little at a time.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use livehost_app::output::Outbound;
use livehost_hub::sync::shuttle::future;
use livehost_hub::{
    Claim, Format, Hub, Item, Join, MediaSettings, Outlet, Publication, Renderer, Rendering,
    StreamKey, Subscriber, Subscription, Totals, Variant, Wake,
};
use livehost_media::{Kind, Packet};
use livehost_net::carrier::Carrier;
use livehost_net::driver::Egress;
use livehost_policy::{Client, DuplicateRule};
use tokio::sync::Notify;

/// Bytes that a peer takes at a time.
const SIP: usize = 2;

pub(crate) fn publish(hub: &Arc<Hub>, gather: Duration) -> (Publication, Wake) {
    let wake = Wake::default();
    let claim = Claim {
        key: StreamKey::called("live", "cam"),
        on_duplicate: DuplicateRule::Reject,
        hold: Duration::ZERO,
        client: Client::default(),
        settings: MediaSettings {
            gather,
            ..settings()
        },
        wake: wake.clone(),
    };
    (hub.publish(claim).unwrap(), wake)
}

fn settings() -> MediaSettings {
    MediaSettings {
        keyframe_cache: 1 << 20,
        join: Join::Keyframe,
        queue_bytes: 1 << 20,
        queue_time: Duration::from_secs(1_000),
        slow_close: Duration::from_secs(1_000),
        gather: Duration::ZERO,
    }
}

/// Video, and a keyframe if it is the first: its number is all that players get
/// of it.
pub(crate) fn frame(number: u8) -> Packet {
    let first = if number == 1 { 0x17 } else { 0x27 };
    let body = Bytes::copy_from_slice(&[first, 1, 0, 0, 0, number]);
    Packet::from_flv(Kind::Video, i64::from(number), body).unwrap()
}

#[derive(Debug, Clone, Copy)]
struct Numbers;

impl Format for Numbers {
    fn variant(&self) -> Variant {
        Variant {
            format: *b"numb",
            parameter: 0,
        }
    }

    fn renderer(&self) -> Box<dyn Renderer> {
        Box::new(Self)
    }

    fn repeat(&self, packet: &Packet) -> Rendering {
        let body = packet.flv_body();
        Rendering {
            bytes: body.slice(body.len() - 1..),
            body: None,
        }
    }
}

impl Renderer for Numbers {
    fn render(&mut self, packet: &Packet) -> Rendering {
        self.repeat(packet)
    }
}

/// A socket. What it has is looked at in one step, as a system call is.
#[derive(Debug)]
pub(crate) struct Socket {
    state: Mutex<State>,
    /// It has taken something.
    progress: Notify,
    /// It had no room.
    full: Notify,
}

#[derive(Debug)]
struct State {
    room: usize,
    written: Vec<u8>,
    writable: Option<Waker>,
}

impl Socket {
    fn new() -> Self {
        Self {
            state: Mutex::new(State {
                room: SIP,
                written: Vec::new(),
                writable: None,
            }),
            progress: Notify::new(),
            full: Notify::new(),
        }
    }

    pub(crate) fn written(&self) -> Vec<u8> {
        self.state.lock().unwrap().written.clone()
    }

    async fn has_taken(&self, bytes: usize) {
        while self.written().len() < bytes {
            self.progress.notified().await;
        }
    }

    /// The peer, who takes more once the socket is full.
    async fn read(socket: Arc<Self>) {
        loop {
            socket.full.notified().await;
            let writable = {
                let mut state = socket.state.lock().unwrap();
                state.room += SIP;
                state.writable.take()
            };
            if let Some(waker) = writable {
                waker.wake();
            }
        }
    }
}

impl Carrier for Socket {
    fn try_read(&self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.state.lock().unwrap();
        let mut count = 0;
        for byte in slices.iter().flat_map(|slice| slice.iter()) {
            if state.room == 0 {
                self.full.notify_one();
                break;
            }
            state.room -= 1;
            state.written.push(*byte);
            count += 1;
        }
        drop(state);
        if count == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.progress.notify_one();
        Ok(count)
    }

    fn poll_read_ready(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state.lock().unwrap();
        if state.room > 0 {
            return Poll::Ready(Ok(()));
        }
        state.writable = Some(cx.waker().clone());
        Poll::Pending
    }

    fn shutdown_write(&self) -> io::Result<()> {
        Ok(())
    }

    fn abort(&self) {}
}

/// A connection that plays: what a session does for it.
pub(crate) struct Player {
    hub: Arc<Hub>,
    wake: Wake,
    out: Arc<Outbound>,
    /// The same, as the hub sees it.
    outlet: Arc<dyn Outlet>,
    socket: Arc<Socket>,
    subscription: Option<Subscription>,
    peer: future::JoinHandle<()>,
}

impl Player {
    pub(crate) fn new(hub: &Arc<Hub>) -> Self {
        let socket = Arc::new(Socket::new());
        let out = Outbound::new(socket.clone());
        Self {
            hub: hub.clone(),
            wake: Wake::default(),
            peer: future::spawn(Socket::read(socket.clone())),
            outlet: out.clone(),
            out,
            socket,
            subscription: None,
        }
    }

    pub(crate) fn joined(hub: &Arc<Hub>) -> Self {
        let mut player = Self::new(hub);
        player.join();
        player
    }

    pub(crate) fn join(&mut self) {
        let subscriber = Subscriber {
            settings: settings(),
            wake: self.wake.clone(),
            format: Some(Arc::new(Numbers)),
            outlet: Some(self.outlet.clone()),
        };
        let key = StreamKey::called("live", "cam");
        self.subscription = Some(self.hub.play(&key, subscriber));
    }

    /// What the socket has taken once it has so much.
    pub(crate) fn take(&mut self, bytes: usize) -> Vec<u8> {
        let socket = self.socket.clone();
        future::block_on(async {
            tokio::select! {
                biased;
                () = socket.has_taken(bytes) => {}
                () = self.serve() => {}
            }
        });
        socket.written()
    }

    async fn serve(&mut self) {
        loop {
            self.fill();
            if self.out.flush().unwrap() {
                self.subscription.as_ref().unwrap().caught_up();
            }
            let is_waiting = self.out.lock().waiting_since().is_some();
            tokio::select! {
                biased;
                written = poll_fn(|cx| self.out.poll_write(cx)), if is_waiting => written.unwrap(),
                () = self.wake.notified() => {}
            }
        }
    }

    fn fill(&mut self) {
        let subscription = self.subscription.as_mut().unwrap();
        let mut out = self.out.lock();
        while out.has_room() {
            match subscription.next() {
                Some(Item::Frame(frame)) => {
                    out.push(frame.rendering(Numbers.variant()).unwrap().clone());
                }
                Some(Item::Published | Item::Unpublished) => {}
                None => return subscription.rest(true, out.is_empty()),
            }
        }
    }

    /// Leaves, and returns what the hub says that it wrote.
    pub(crate) fn leave(&mut self) -> Totals {
        self.subscription.take().unwrap().leave()
    }

    /// Bytes that the socket has, those that wait for it, and those that came past
    /// the session.
    pub(crate) fn account(&self) -> (Vec<u8>, usize, u64) {
        let waiting = self.out.lock().len();
        (self.socket.written(), waiting, self.out.taken())
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.peer.abort();
    }
}
