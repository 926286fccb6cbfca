//! What plugins are told of streams and clients, and what comes of their orders:
//! the words of `wit/0.1` against the running server.

use std::time::Duration;

use crate::state::run;
use crate::support::{
    App, Config, Host,
    amf::Amf,
    flv::{SCRIPT, VIDEO},
    log::START,
    marked,
    rtmp::{ANSWER, Client, Command},
    together,
};

const SOON: Duration = Duration::from_secs(10);

fn probe() -> Host {
    Host::start(&Config::live(App::probe("accept")))
}

/// The number of this name in the status object that a command ends with.
fn number(command: &Command, name: &str) -> Option<f64> {
    let Some(Amf::Object(properties)) = command.arguments.last() else {
        return None;
    };
    let found = properties.iter().find(|(key, _)| key == name);
    found.and_then(|(_, value)| value.number())
}

/// The next data message of a player, as AMF0 values.
fn data(player: &mut Client, part: &str) -> bool {
    let deadline = std::time::Instant::now() + SOON;
    loop {
        let message = player.next(deadline).expect("data comes");
        let is_access = message.payload.windows(9).any(|at| at == b"|RtmpSamp");
        if message.kind == SCRIPT && !is_access {
            let found = |at: &[u8]| at == part.as_bytes();
            return message.payload.windows(part.len()).any(found);
        }
    }
}

#[test]
fn a_stream_is_called_by_its_path_and_a_name_is_never_a_guess() {
    let _guard = together();
    let host = probe();
    let _first = Client::publish(host.addr, "live/room1", "cam").expect("may publish");
    // The only one of that name.
    assert_eq!(run(&host, "live", "registry-get", "cam"), "room1/cam");
    assert_eq!(run(&host, "live", "registry-get", "room1/cam"), "room1/cam");
    assert_eq!(run(&host, "live", "registry-get", "room2/cam"), "none");
    let second = Client::publish(host.addr, "live/room2", "cam").expect("may publish");
    assert_eq!(run(&host, "live", "registry-get", "cam"), "none");
    let refused = run(&host, "live", "stop-stream", "cam enough");
    assert!(refused.contains("not-found"), "{refused}");
    let line = host.log.wait_until(START, SOON, |entry| {
        entry
            .message()
            .ends_with("of several: room1/cam, room2/cam")
    });
    assert_eq!(line.expect("the log names them").level(), "WARN");
    assert_eq!(
        run(&host, "live", "registry-find", "room"),
        "room1/cam,room2/cam"
    );
    assert_eq!(run(&host, "live", "registry-count", "room2/"), "1");
    let bare = Client::publish(host.addr, "live", "cam").expect("may publish");
    assert_eq!(run(&host, "live", "registry-get", "cam"), "cam");
    let mark = host.log.mark();
    assert_eq!(
        run(&host, "live", "stop-stream", "room2/cam enough"),
        "queued"
    );
    host.log
        .wait(mark, "unpublished", &[("reason", "kicked")], SOON);
    assert_eq!(run(&host, "live", "registry-find", ""), "cam,room1/cam");
    drop((second, bare));
    host.stop();
}

#[test]
fn clients_are_those_that_were_accepted_and_are_there_the_oldest_first() {
    let _guard = together();
    let host = probe();
    let clients = || run(&host, "live", "registry-clients", "");
    assert_eq!(clients(), "");
    let first = Client::connect(host.addr, "live").expect("may connect");
    let second = Client::publish(host.addr, "live", "cam").expect("may publish");
    assert_eq!(clients(), format!("{},{}", first.local(), second.local()));
    let (mark, gone) = (host.log.mark(), first.local());
    drop(first);
    // Of those who asked some may end meanwhile.
    host.log
        .wait(mark, "session ended", &[("remote", &gone)], SOON);
    assert_eq!(clients(), second.local());
    host.stop();
}

#[test]
fn a_refusal_of_the_moment_tells_when_to_come_back() {
    let _guard = together();
    let host = probe();
    let mut client = Client::open(host.addr).expect("it is open");
    let connect = client.connect_command(host.addr, "live?mode=later");
    connect.expect("sent");
    let refused = client.until(ANSWER, |command| command.name == "_error");
    let refused = refused.expect("it is refused");
    assert_eq!(number(&refused, "retryAfterMs"), Some(1500.0));
    let told = [("retry_after_ms", "1500")];
    host.log.wait(START, "connect refused", &told, SOON);
    let mut client = Client::connect(host.addr, "live").expect("may connect");
    client.create_stream().expect("a stream");
    for (mode, expected) in [("later", Some(1500.0)), ("reject", None)] {
        client
            .publish_command(&format!("cam?mode={mode}"))
            .expect("sent");
        let refused = client.until(ANSWER, |command| command.name == "onStatus");
        assert_eq!(number(&refused.expect("refused"), "retryAfterMs"), expected);
    }
    host.log.wait(START, "publish refused", &told, SOON);
    client.start_play("cam?mode=later").expect("sent");
    let refused = client.until(ANSWER, |command| command.name == "onStatus");
    assert_eq!(
        number(&refused.expect("refused"), "retryAfterMs"),
        Some(1500.0)
    );
    host.stop();
}

#[test]
fn stopping_a_stream_leaves_the_others_of_its_connection() {
    let _guard = together();
    let host = probe();
    let mut client = Client::publish(host.addr, "live", "one").expect("may publish");
    client.start_publish("two").expect("may publish");
    let mark = host.log.mark();
    assert_eq!(run(&host, "live", "stop-stream", "one enough"), "queued");
    let over = client.until(ANSWER, |command| {
        command.code() == "NetStream.Publish.BadName"
    });
    over.expect("the publisher is told");
    let unpublished = [("stream", "one"), ("reason", "kicked")];
    host.log.wait(mark, "unpublished", &unpublished, SOON);
    assert_eq!(run(&host, "live", "registry-find", ""), "two");
    client
        .start_publish("three")
        .expect("the connection goes on");
    for name in ["two", "three"] {
        let order = run(&host, "live", "stop-stream", &format!("{name} enough"));
        assert_eq!(order, "queued");
    }
    // The last one: nothing else stops an encoder. One order has one reason.
    assert!(client.closed(SOON));
    let ended = [("reason", "kicked"), ("detail", "enough")];
    host.log.wait(mark, "session ended", &ended, SOON);
    let told = |entry: &crate::support::log::Entry| {
        let told = entry.message();
        told.starts_with("event disconnected") && told.ends_with(" kicked")
    };
    host.log
        .wait_until(mark, SOON, told)
        .expect("the plugin is told the same");
    host.stop();
}

#[test]
fn an_order_by_id_is_for_one_publish() {
    let _guard = together();
    let host = probe();
    let first = Client::publish(host.addr, "live", "cam").expect("may publish");
    let id = run(&host, "live", "registry-id", "cam");
    let mark = host.log.mark();
    first.leave();
    host.log.wait(mark, "unpublished", &[], SOON);
    let mut second = Client::publish(host.addr, "live", "cam").expect("may publish");
    let late = run(&host, "live", "stop-stream-id", &format!("{id} enough"));
    assert!(late.contains("not-found"), "{late}");
    let id = run(&host, "live", "registry-id", "cam");
    let order = run(&host, "live", "stop-stream-id", &format!("{id} enough"));
    assert_eq!(order, "queued");
    assert!(second.closed(SOON));
    host.stop();
}

#[test]
fn metadata_of_a_plugin_is_for_those_who_come_too() {
    let _guard = together();
    let host = probe();
    let mut publisher = Client::publish(host.addr, "live", "cam").expect("may publish");
    for tag in marked::video(1).iter().take(2) {
        publisher.media(VIDEO, tag.dts, &tag.payload).expect("sent");
    }
    let mut present = Client::playing(host.addr, "live", "cam").expect("may play");
    let sent = run(&host, "live", "send-text", "cam onMetaData concert");
    assert_eq!(sent, "sent");
    assert!(data(&mut present, "concert"));
    let mut late = Client::playing(host.addr, "live", "cam").expect("may play");
    assert!(data(&mut late, "concert"));
    let denied = run(&host, "live", "send-bytes", "cam onMetaData goal");
    assert!(denied.contains("denied"), "{denied}");
    let line = host.log.wait_until(START, SOON, |entry| {
        entry
            .message()
            .starts_with("data was not sent: expected AMF0 values")
    });
    line.expect("the log says why");
    let nobody = run(&host, "live", "send-text", "nobody onMetaData concert");
    assert!(nobody.contains("not-found"), "{nobody}");
    host.stop();
}

#[test]
fn players_that_wait_and_those_of_a_held_name_are_counted() {
    let _guard = together();
    let host = probe();
    let awaited = || run(&host, "live", "registry-awaited", "");
    assert_eq!(awaited(), "");
    let _player = Client::playing(host.addr, "live", "cam").expect("may play");
    assert_eq!(awaited(), "cam 1 false");
    let leaves = |client: Client, held: bool| {
        assert_eq!(awaited(), "");
        let mark = host.log.mark();
        match held {
            true => drop(client),
            false => client.leave(),
        }
        host.log.wait(mark, "unpublished", &[], SOON);
        let word = if held { "held" } else { "waiting" };
        let left = format!("left behind: {word}=1 path=cam");
        let is_told = |entry: &crate::support::log::Entry| entry.message() == left;
        host.log
            .wait_until(mark, SOON, is_told)
            .expect("the plugin is told");
        assert_eq!(awaited(), format!("cam 1 {held}"));
        assert_eq!(run(&host, "live", "registry-get", "cam"), "none");
    };
    let publish = |mode: &str| Client::publish(host.addr, "live", &format!("cam{mode}"));
    leaves(publish("").expect("may publish"), false);
    leaves(publish("?mode=hold").expect("may publish"), true);
    // It comes back from the address that was lost.
    leaves(publish("").expect("may publish"), false);
    host.stop();
}

#[test]
fn what_a_client_says_is_shown_as_values() {
    let _guard = together();
    let host = probe();
    let list = Amf::Array(vec![Amf::Boolean(true), Amf::Text("b".into())]);
    let mut client = Client::open(host.addr).expect("it is open");
    let connect = client.connect_command_with(host.addr, "live?mode=tell-props", &[("a", list)]);
    connect.expect("sent");
    let refused = client.until(ANSWER, |command| command.name == "_result");
    let refused = refused.expect_err("the probe tells by refusing");
    let told = refused.description();
    assert!(told.contains(r#"("a.0", Scalar::Boolean(true))"#), "{told}");
    assert!(told.contains(r#"("a.1", Scalar::Text("b"))"#), "{told}");
    let mut client = Client::connect(host.addr, "live").expect("may connect");
    client.create_stream().expect("a stream");
    for (said, told) in [
        ("append", "append"),
        ("LIVE", "live"),
        ("appendWithGap", r#"live [("mode", "appendwithgap"#),
    ] {
        let arguments = ["cam?mode=tell-mode".into(), said.into()];
        let publish = client.command(client.stream, "publish", 5.0, Amf::Null, &arguments);
        publish.expect("sent");
        let refused = client.status(ANSWER, "NetStream.Publish.Start");
        let refused = refused.expect_err("the probe tells by refusing");
        assert!(refused.description().starts_with(told), "{refused:?}");
    }
    host.stop();
}

#[test]
fn a_part_of_a_grant_that_is_out_of_range_is_a_line_in_the_log() {
    let _guard = together();
    let host = probe();
    let sizes = "live?mode=sizes&chunk=127&window=0";
    let _client = Client::connect(host.addr, sizes).expect("may connect");
    let ignored = "this part of the grant is out of range and ignored";
    for (grant, found, expected) in [
        ("chunk-size", "127", "128..=16777215"),
        ("window-ack", "0", "1..=4294967295"),
    ] {
        let fields = [("grant", grant), ("found", found), ("expected", expected)];
        host.log.wait(START, ignored, &fields, SOON);
    }
    host.stop();
}
