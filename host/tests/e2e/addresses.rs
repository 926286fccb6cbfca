//! Who a client is: behind a proxy, over IPv4 and over IPv6.

use std::{
    io::Write as _,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use crate::support::{
    App, Config, Host,
    host::folder,
    log::START,
    rtmp::{Client, Failure},
    tls::{self, Certificate},
    together,
};

const SOON: Duration = Duration::from_secs(10);

/// Version 1 of a client that connects from `source`.
fn line(source: SocketAddr) -> Vec<u8> {
    let (family, target) = match source {
        SocketAddr::V4(_) => ("TCP4", "198.51.100.1"),
        SocketAddr::V6(_) => ("TCP6", "2001:db8::1"),
    };
    let (ip, port) = (source.ip(), source.port());
    format!("PROXY {family} {ip} {target} {port} 1935\r\n").into_bytes()
}

/// Version 2 of the same.
fn binary(source: SocketAddr) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    match source.ip() {
        std::net::IpAddr::V4(ip) => {
            header.extend([0x11, 0, 12]);
            header.extend(ip.octets());
            header.extend([198, 51, 100, 1]);
        }
        std::net::IpAddr::V6(ip) => {
            header.extend([0x21, 0, 36]);
            header.extend(ip.octets());
            header.extend("2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        }
    }
    header.extend(source.port().to_be_bytes());
    header.extend(1935_u16.to_be_bytes());
    header
}

fn behind(config: Config, proxies: &str) -> Config {
    config.chain("[Tcp, Rtmp]", &format!("proxy_protocol: [{proxies}],"))
}

/// What the policy is told of a client.
fn told(outcome: Result<Client, Failure>) -> String {
    let failure = outcome.expect_err("the policy tells by refusing");
    failure.description().to_owned()
}

#[test]
fn a_proxy_s_client_is_known_by_its_own_address() {
    let _guard = together();
    let config = behind(
        Config::live(App::probe("accept")),
        "\"127.0.0.0/8\", \"::1\"",
    );
    let host = Host::start(&config);
    for (source, client) in [
        ("203.0.113.7:51234", "203.0.113.7:51234"),
        ("[2001:db8::7]:51234", "[2001:db8::7]:51234"),
        // Of an IPv4 client that came to the proxy's IPv6 socket.
        ("[::ffff:203.0.113.9]:51234", "203.0.113.9:51234"),
    ] {
        let source: SocketAddr = source.parse().unwrap();
        for header in [line(source), binary(source)] {
            let asked = Client::connect_behind(host.addr, &header, "live?mode=tell-client");
            assert_eq!(told(asked), format!("rtmp - {client}"));
            let refused = [("remote", client)];
            host.log.wait(START, "connect refused", &refused, SOON);
        }
    }
    // A health check of the proxy itself.
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    let asked = Client::connect_behind(host.addr, local, "live?mode=tell-client");
    assert!(told(asked).starts_with("rtmp - 127.0.0.1:"));
    host.stop();
}

#[test]
fn limits_per_address_count_clients_and_not_their_proxy() {
    let _guard = together();
    let config = Config::live(App::open("reject")).limits("connections_per_address: 1");
    let host = Host::start(&behind(config, "\"127.0.0.1\""));
    let from = |source: &str| {
        let header = line(source.parse().unwrap());
        Client::connect_behind(host.addr, &header, "live")
    };
    let first = from("203.0.113.7:1").expect("the first");
    let second = from("203.0.113.8:1").expect("one of another address");
    let mark = host.log.mark();
    from("203.0.113.7:2").expect_err("the second of an address");
    let refused = [("remote", "203.0.113.7:2")];
    host.log.wait(mark, "connection refused", &refused, SOON);
    first.leave();
    let ended = [("remote", "203.0.113.7:1")];
    host.log.wait(mark, "session ended", &ended, SOON);
    from("203.0.113.7:3").expect("there is room again");
    second.leave();
    host.stop();
}

/// A client that the proxy says to be at `source`; none if it was refused.
fn from(host: &Host, source: &str) -> Option<Client> {
    let header = line(source.parse().expect("an address"));
    Client::connect_behind(host.addr, &header, "live").ok()
}

#[test]
fn an_address_has_few_connections_without_a_grant_and_any_number_with_one() {
    let _guard = together();
    let config = Config::live(App::open("reject")).limits("ungranted_per_address: 2");
    let host = Host::start(&behind(config, "\"127.0.0.1\""));
    let mut player = from(&host, "203.0.113.7:1").expect("the first");
    let mut publisher = from(&host, "203.0.113.7:2").expect("the second");
    assert!(from(&host, "203.0.113.7:3").is_none());
    let refused = [("remote", "203.0.113.7:3")];
    let refused = host.log.wait(START, "connection refused", &refused, SOON);
    let reason = refused.field("reason").expect("why");
    assert!(
        reason.contains("without a grant to publish or play"),
        "{reason}"
    );
    let other = from(&host, "203.0.113.8:1").expect("one of another address");

    player.start_play("cam").expect("sent");
    player
        .status(SOON, "NetStream.Play.Start")
        .expect("it may play");
    publisher.start_publish("cam").expect("it may publish");
    let third = from(&host, "203.0.113.7:4").expect("there is room");
    let fourth = from(&host, "203.0.113.7:5").expect("and more");
    assert!(from(&host, "203.0.113.7:6").is_none());
    // A grant is for good, and takes no room with it.
    publisher.leave();
    let gone = [("remote", "203.0.113.7:2")];
    host.log.wait(START, "session ended", &gone, SOON);
    assert!(from(&host, "203.0.113.7:7").is_none());
    third.leave();
    let gone = [("remote", "203.0.113.7:4")];
    host.log.wait(START, "session ended", &gone, SOON);
    let again = (8..1000).find_map(|port| from(&host, &format!("203.0.113.7:{port}")));
    again.expect("there is room again");
    drop((player, other, fourth));
    host.stop();
}

#[test]
fn an_ipv6_network_is_one_address() {
    let _guard = together();
    let config = Config::live(App::open("reject")).limits("ungranted_per_address: 2");
    let host = Host::start(&behind(config, "\"127.0.0.1\""));
    let _first = from(&host, "[2001:db8:0:7::1]:1").expect("the first");
    let _second = from(&host, "[2001:db8:0:7:8::2]:1").expect("the second");
    assert!(from(&host, "[2001:db8:0:7:ffff::3]:1").is_none());
    let _other = from(&host, "[2001:db8:0:8::3]:1").expect("of another network");
    host.stop();
}

#[test]
fn a_proxy_that_sends_no_header_is_refused() {
    let _guard = together();
    let config = Config::live(App::open("reject")).limits("handshake: \"1 s\"");
    let host = Host::start(&behind(config, "\"127.0.0.1\""));
    let refused = "PROXY header refused";
    for (sent, expected) in [
        (
            &b"\x03 and what else RTMP has"[..],
            "expected a PROXY header",
        ),
        (b"PROXY TCP4 one two 3 4\r\n", "two addresses"),
        (b"PROXY TCP4 ", "none within 1 s"),
        (b"", "none within 1 s"),
    ] {
        let mark = host.log.mark();
        let mut socket = TcpStream::connect(host.addr).expect("it listens");
        socket.write_all(sent).expect("it reads");
        let reason = host.log.wait(mark, refused, &[], SOON).field("reason");
        let reason = reason.expect("why");
        assert!(reason.contains(expected), "{expected}: {reason}");
    }
    host.stop();
}

#[test]
fn a_header_from_elsewhere_is_refused() {
    let _guard = together();
    let listed = behind(Config::live(App::open("reject")), "\"192.0.2.0/24\"");
    for config in [listed, Config::live(App::open("reject"))] {
        let host = Host::start(&config);
        let source = "203.0.113.7:51234".parse().unwrap();
        for header in [line(source), binary(source)] {
            let mark = host.log.mark();
            Client::connect_behind(host.addr, &header, "live").expect_err("nobody trusts it");
            let ended = host.log.wait(mark, "session ended", &[], SOON);
            let detail = ended.field("detail").expect("why");
            let looks = "a PROXY header from an address that none is expected from";
            assert!(detail.contains(looks), "{detail}");
            let remote = ended.field("remote").expect("whose");
            assert!(remote.starts_with("127.0.0.1:"), "{remote}");
        }
        Client::connect(host.addr, "live").expect("others need none");
        host.stop();
    }
}

#[test]
fn a_header_comes_before_tls() {
    let _guard = together();
    let folder = folder();
    let certificate = Certificate::new("localhost").write(folder.path(), "own");
    let fields = format!("tls: {certificate}, proxy_protocol: [\"127.0.0.1\"],");
    let config = Config::live(App::probe("accept")).chain("[Tcp, Tls, Rtmp]", &fields);
    let host = Host::start_in(folder, &config);
    let source = "203.0.113.7:51234".parse().unwrap();
    let through = tls::tunnel_behind(host.addr, "localhost", &binary(source));
    let asked = Client::connect(through, "live?mode=tell-client");
    assert_eq!(told(asked), format!("rtmps localhost {source}"));
    host.stop();
}

fn at(host: &Host, ip: impl Into<std::net::IpAddr>) -> SocketAddr {
    SocketAddr::new(ip.into(), host.addr.port())
}

#[test]
fn ipv6_alone_is_what_an_ipv6_address_serves() {
    let _guard = together();
    for listen in ["[::1]:0", "[::]:0"] {
        let host = Host::start(&Config::live(App::probe("accept")).listen(listen));
        let asked = Client::connect(at(&host, Ipv6Addr::LOCALHOST), "live?mode=tell-client");
        let told = told(asked);
        assert!(told.starts_with("rtmp - [::1]:"), "{listen}: {told}");
        let refused = TcpStream::connect(at(&host, Ipv4Addr::LOCALHOST));
        refused.expect_err("nobody listens on IPv4");
        host.stop();
    }
}

#[test]
fn dual_stack_serves_both_and_shows_ipv4_clients_as_such() {
    let _guard = together();
    let config = Config::live(App::probe("accept")).listen("[::]:0");
    let host = Host::start(&config.chain("[Tcp, Rtmp]", "dual_stack: true,"));
    for (ip, expected) in [
        (Ipv6Addr::LOCALHOST.into(), "rtmp - [::1]:"),
        (
            std::net::IpAddr::from(Ipv4Addr::LOCALHOST),
            "rtmp - 127.0.0.1:",
        ),
    ] {
        let told = told(Client::connect(at(&host, ip), "live?mode=tell-client"));
        assert!(told.starts_with(expected), "{told}");
    }
    host.stop();
}
