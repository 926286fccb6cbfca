//! Streams that go to other servers and come from them.

mod events;
mod loops;
mod lost;
mod nginx;
mod pull;
mod push;
mod redirects;
mod rules;
mod secrets;
mod tls;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::support::{
    App, Config, Host,
    flv::{self, AUDIO, Role, VIDEO},
    rtmp::{self, Client},
};

const SOON: Duration = Duration::from_secs(10);

/// Failures are repeated quickly.
const QUICK: &str = "retry: \"100 ms\", retry_limit: \"400 ms\"";

/// Everybody may; `fields` are `forward` and `pull`.
fn relaying(fields: &str) -> App {
    App::open("reject").relays(&format!("relay: ({QUICK}), {fields}"))
}

fn open() -> Config {
    Config::live(App::open("reject"))
}

/// A forward of every stream to `live` of another server.
fn forward_to(addr: SocketAddr) -> String {
    format!("forward: [(to: \"rtmp://{addr}/live/{{name}}\")]")
}

/// What is played until the end of the stream.
fn packets(mut player: Client) -> Vec<flv::Packet> {
    let mut packets = Vec::new();
    while let Ok(message) = player.next(Instant::now() + SOON) {
        if rtmp::is_end(&message) {
            break;
        }
        if matches!(message.kind, AUDIO | VIDEO) && !message.payload.is_empty() {
            let packet = flv::Packet::new(message.kind, message.timestamp, &message.payload);
            packets.push(packet);
        }
    }
    packets
}

fn first_frame(player: &mut Client) -> flv::Packet {
    let deadline = Instant::now() + SOON;
    loop {
        let message = player.next(deadline).expect("media comes");
        if message.kind == VIDEO && !message.payload.is_empty() {
            let packet = flv::Packet::new(VIDEO, message.timestamp, &message.payload);
            if packet.role == Role::Frame {
                return packet;
            }
        }
    }
}

/// Plays `name`, whose pull can't begin: what the player is told.
fn refused(host: &Host, name: &str) -> (String, String) {
    let mut player = Client::play(host.addr, "live", name).expect("the play is taken");
    let told = player
        .until(SOON, |_| false)
        .expect_err("there is no such stream");
    (told.code().to_owned(), told.description().to_owned())
}
