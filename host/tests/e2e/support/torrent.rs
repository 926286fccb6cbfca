//! A stream that fills every buffer, and what a player got of it.

use std::{
    net::SocketAddr,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    flv::{self, Role, VIDEO},
    rtmp::{self, Client},
    witness,
};

/// How long a player waits for what comes next.
const SOON: Duration = Duration::from_secs(20);

/// Bytes of a frame of [`torrent`]: 10 MB/s, which no socket buffers for long.
pub(crate) const LARGE: usize = 100_000;
pub(crate) const FRAMES: u32 = 500;

/// Publishes large numbered frames, a keyframe each 20, one each 10 ms.
pub(crate) fn torrent(addr: SocketAddr, name: &str) -> JoinHandle<()> {
    let mut client = Client::publish(addr, "live", name).expect("may publish");
    let (round, _) = witness::round();
    let is_header = |tag: &&flv::Tag| tag.kind == VIDEO && tag.packet_role() == Role::Header;
    let header = round.iter().find(is_header).expect("a header").clone();
    thread::spawn(move || {
        client.media(VIDEO, 0, &header.payload).expect("sent");
        let begin = Instant::now();
        for number in 0..FRAMES {
            let due = begin + Duration::from_millis((10 * number).into());
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let first = if number % 20 == 0 { 0x17 } else { 0x27 };
            let mut payload = vec![first, 1, 0, 0, 0];
            payload.extend(number.to_be_bytes());
            payload.resize(LARGE, 0x55);
            client.media(VIDEO, 10 * number, &payload).expect("sent");
        }
        client.leave();
    })
}

/// The numbers of the frames that come, until the stream's end.
pub(crate) fn numbers(mut player: Client) -> Vec<u32> {
    std::iter::from_fn(|| next_number(&mut player)).collect()
}

/// The number of the next frame; none at the stream's end.
pub(crate) fn next_number(player: &mut Client) -> Option<u32> {
    while let Ok(message) = player.next(Instant::now() + SOON) {
        if rtmp::is_end(&message) {
            break;
        }
        if let (VIDEO, [_, 1, _, _, _, a, b, c, d, ..]) = (message.kind, &*message.payload) {
            return Some(u32::from_be_bytes([*a, *b, *c, *d]));
        }
    }
    None
}
