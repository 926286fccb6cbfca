//! Pulls whose server is lost for a moment, or that are cut off by an order.

use std::{net::SocketAddr, time::Instant};

use super::{QUICK, SOON, first_frame, open};
use crate::state::run;
use crate::support::{
    App, Config, Host, Witness,
    flv::{Role, VIDEO},
    log::START,
    nginx::free,
    rtmp::{self, Client},
    together, witness,
};

/// An application that pulls `cam` from `addr`; `more` are fields of `relay`.
fn pulling(addr: SocketAddr, on_demand: bool, more: &str) -> App {
    App::probe("accept").relays(&format!(
        "relay: ({QUICK}, {more}), \
         pull: [(name: \"cam\", from: \"rtmp://{addr}/live/cam\", on_demand: {on_demand})]"
    ))
}

/// Publishes keyframes whose bodies have this number.
fn numbered(addr: SocketAddr, number: u8) -> Client {
    let mut client = Client::publish(addr, "live", "cam").expect("may publish");
    let (round, _) = witness::round();
    let mut tags = round.iter().filter(|tag| tag.kind == VIDEO);
    let header = tags.find(|tag| tag.packet_role() == Role::Header);
    let header = header.expect("a header").payload.clone();
    client.media(VIDEO, 0, &header).expect("sent");
    for at in [0, 40] {
        let frame = [&[0x17, 1, 0, 0, 0][..], &[number; 64]].concat();
        client.media(VIDEO, at, &frame).expect("sent");
    }
    client
}

/// Waits for a frame with this number; the stream must not end before it.
fn sees(player: &mut Client, number: u8) {
    let deadline = Instant::now() + SOON;
    loop {
        let message = player.next(deadline).expect("the frame comes");
        assert!(!rtmp::is_end(&message), "the player was told of an end");
        if message.kind == VIDEO && message.payload.last() == Some(&number) {
            return;
        }
    }
}

#[test]
fn players_stay_while_the_server_of_a_pull_is_lost_for_a_moment() {
    let _guard = together();
    let addr = free();
    let here = |config: Config| Host::start(&config.listen(&addr.to_string()));
    let mut origin = here(open());
    let host = Host::start(&Config::live(pulling(addr, true, "hold: \"20 s\"")));
    let first = numbered(addr, 1);
    let mut player = Client::play(host.addr, "live", "cam").expect("may play");
    sees(&mut player, 1);
    origin.process.kill();
    drop(first);
    host.log.wait(START, "relay lost", &[], SOON);
    // It is away for longer than one attempt.
    host.log.wait(START, "relay failed", &[], SOON);
    let again = here(open());
    let second = numbered(addr, 2);
    sees(&mut player, 2);
    let pulls = host.log.find(START, "relay up", &[]);
    assert_eq!(pulls.len(), 2, "lost once");
    assert_eq!(pulls[0].field("conn"), pulls[1].field("conn"), "one relay");
    second.leave();
    // The origin says that it is over: nothing is held for that.
    player
        .status(SOON, "NetStream.Play.UnpublishNotify")
        .expect("the player is told");
    for host in [host, again] {
        host.stop();
    }
}

#[test]
fn players_are_told_when_the_server_of_a_pull_stays_away() {
    let _guard = together();
    let mut origin = Host::start(&open());
    let app = pulling(origin.addr, false, "hold: \"500 ms\"");
    let host = Host::start(&Config::live(app));
    let publisher = numbered(origin.addr, 1);
    let mut player = Client::play(host.addr, "live", "cam").expect("may play");
    sees(&mut player, 1);
    origin.process.kill();
    drop(publisher);
    player
        .status(SOON, "NetStream.Play.UnpublishNotify")
        .expect("the player is told");
    host.stop();
}

/// Else the next player would wait for a return that nobody works for.
#[test]
fn a_name_is_not_held_for_a_pull_that_nobody_wants_any_more() {
    let _guard = together();
    let addr = free();
    let here = |config: Config| Host::start(&config.listen(&addr.to_string()));
    let mut origin = here(open());
    let app = pulling(addr, true, "hold: \"1 h\"");
    let host = Host::start(&Config::live(app));
    let publisher = numbered(addr, 1);
    let mut player = Client::play(host.addr, "live", "cam").expect("may play");
    sees(&mut player, 1);
    origin.process.kill();
    drop(publisher);
    host.log.wait(START, "relay lost", &[], SOON);
    drop(player);
    host.log.wait(START, "relay ended", &[], SOON);
    let again = here(open());
    let publisher = numbered(addr, 2);
    let mut player = Client::play(host.addr, "live", "cam").expect("may play");
    sees(&mut player, 2);
    publisher.leave();
    for host in [host, again] {
        host.stop();
    }
}

#[test]
fn an_order_to_disconnect_a_relay_makes_it_connect_anew() {
    let _guard = together();
    let origin = Host::start(&open());
    let host = Host::start(&Config::live(pulling(origin.addr, false, "")));
    let witness = Witness::start(origin.addr, "live", "cam");
    let up = host.log.wait(START, "relay up", &[], SOON);
    let conn = up.field("conn").expect("its number");
    let mut player = Client::play(host.addr, "live", "cam").expect("may play");
    first_frame(&mut player);
    let mark = host.log.mark();
    let order = |conn: &str| run(&host, "live", "disconnect", &format!("{conn} enough"));
    assert_eq!(order(&conn), "queued");
    let lost = host.log.wait(mark, "relay lost", &[("conn", &conn)], SOON);
    let reason = lost.field("reason").expect("why");
    assert!(reason.contains("enough"), "{reason}");
    let ended = [("stream", "cam"), ("reason", "kicked")];
    host.log.wait(mark, "unpublished", &ended, SOON);
    host.log.wait(mark, "relay up", &[("conn", &conn)], SOON);
    first_frame(&mut player);
    let nobody = order("999999");
    assert!(
        nobody.contains("not-found") || nobody.contains("NotFound"),
        "{nobody}"
    );
    witness.finish();
    for host in [host, origin] {
        host.stop();
    }
}
