//! What operators see.

use super::{SOON, until};
use crate::support::{
    App, Config, Host,
    log::START,
    operator::{READ, address, ask, asked_with, at_socket, get, request, socket, with_api},
    rtmp::Client,
    together,
};

const NO_SOCKET: &str = "no control socket: `host status` will not find this server";

fn open() -> Config {
    with_api(Config::live(App::open("reject")))
}

#[test]
fn who_publishes_and_plays_is_listed() {
    let _guard = together();
    let host = Host::start(&open());
    let publisher = Client::publish(host.addr, "live", "cam").expect("may publish");
    let player = Client::playing(host.addr, "live", "cam").expect("may play");

    let streams = until(&host, "/api/v1/streams", |seen| {
        seen["items"][0]["players"] == 1
    });
    assert_eq!(
        streams["items"].as_array().map(Vec::len),
        Some(1),
        "{streams:#}"
    );
    let stream = &streams["items"][0];
    assert_eq!(stream["stream"], "live/cam");
    assert_eq!(stream["publisher"]["remote"], publisher.local());
    assert_eq!(stream["publisher"]["protocol"], "rtmp");
    let one = get(
        &host,
        &format!("/api/v1/streams/{}", stream["id"].as_str().unwrap()),
    );
    assert_eq!(one["name"], "cam");

    let clients = get(&host, "/api/v1/clients?app=live");
    let remotes: Vec<_> = clients["items"].as_array().unwrap().iter().collect();
    assert_eq!(remotes.len(), 2, "{clients:#}");
    assert_eq!(remotes[0]["remote"], publisher.local());
    assert_eq!(remotes[1]["remote"], player.local());
    assert!(
        get(&host, "/api/v1/clients?app=other")["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );

    let applications = get(&host, "/api/v1/applications");
    let live = &applications["items"][0];
    assert_eq!(live["name"], "live");
    assert_eq!(live["plugin"]["generation"], 1);
    assert_eq!(live["plugin"]["counters"]["publishes_accepted"], 1);

    let server = get(&host, "/api/v1/server");
    assert_eq!(server["pid"], host.process.id());
    assert_eq!(server["state"], "serving");
    assert_eq!(server["acceptors"][0]["listen"], host.addr.to_string());

    drop((publisher, player));
    until(&host, "/api/v1/streams", |seen| {
        seen["items"].as_array().unwrap().is_empty()
    });
}

#[test]
fn pages_go_on_behind_a_name_whatever_comes_and_goes() {
    let _guard = together();
    let host = Host::start(&open());
    let publish = |name: &str| Client::publish(host.addr, "live", name).expect("may publish");
    let mut publishers: Vec<_> = ["a", "b", "c", "d", "e"].map(publish).into();
    let names = |page: &serde_json::Value| {
        let items = page["items"].as_array().unwrap().iter();
        items
            .map(|stream| stream["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let first = get(&host, "/api/v1/streams?limit=2");
    assert_eq!(names(&first), ["a", "b"]);
    let after = first["next"].as_str().unwrap();
    // The first page's last is gone, and another came in front of it.
    publishers.remove(1).leave();
    let newcomer = publish("aa");
    until(&host, "/api/v1/streams", |seen| {
        names(seen) == ["a", "aa", "c", "d", "e"]
    });
    let second = get(&host, &format!("/api/v1/streams?limit=2&after={after}"));
    assert_eq!(names(&second), ["c", "d"]);
    let after = second["next"].as_str().unwrap();
    let third = get(&host, &format!("/api/v1/streams?limit=2&after={after}"));
    assert_eq!(names(&third), ["e"]);
    assert!(third["next"].is_null());

    let mut clients = Vec::new();
    let mut path = "/api/v1/clients?limit=2".to_owned();
    loop {
        let page = get(&host, &path);
        clients.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["id"].clone()),
        );
        let Some(after) = page["next"].as_str() else {
            break;
        };
        path = format!("/api/v1/clients?limit=2&after={after}");
    }
    assert_eq!(clients.len(), 5, "{clients:?}");
    drop(newcomer);
}

#[test]
fn metrics_count_and_gauges_go_with_their_stream() {
    let _guard = together();
    let config = open().sections("metrics: (streams: 1),");
    let host = Host::start(&config);
    let addr = address(&host);
    let scrape = || request(addr, "GET", "/metrics", &[], None).body;
    let value = |text: &str, series: &str| -> Option<f64> {
        let mut lines = text.lines();
        let found = lines.find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        found.map(|value| value.parse().unwrap())
    };
    let text = scrape();
    assert_eq!(value(&text, "livehost_publishers"), Some(0.0), "{text}");
    let first = Client::publish(host.addr, "live", "a\"b").expect("may publish");
    let second = Client::publish(host.addr, "live", "c").expect("may publish");
    until(&host, "/api/v1/streams", |seen| {
        seen["items"].as_array().unwrap().len() == 2
    });
    let text = scrape();
    assert_eq!(value(&text, "livehost_publishers"), Some(2.0));
    let decisions =
        "livehost_decisions_total{app=\"live\",function=\"publish\",outcome=\"accepted\"}";
    assert_eq!(value(&text, decisions), Some(2.0), "{text}");
    let named = "livehost_stream_players{stream=\"live/a\\\"b\"}";
    assert_eq!(value(&text, named), Some(0.0), "{text}");
    assert!(value(&text, "livehost_stream_players{stream=\"other\"}").is_some());
    assert!(!text.contains("live/c"), "one stream has a series: {text}");
    assert!(value(&text, "process_resident_memory_bytes").is_some_and(|bytes| bytes > 1e6));

    drop((first, second));
    until(&host, "/api/v1/streams", |seen| {
        seen["items"].as_array().unwrap().is_empty()
    });
    let text = scrape();
    assert_eq!(value(&text, named), None, "a gauge goes with its stream");
    assert_eq!(value(&text, decisions), Some(2.0), "a counter stays");

    let open = request(
        addr,
        "GET",
        "/metrics",
        &["accept: application/openmetrics-text"],
        None,
    );
    assert!(open.body.ends_with("# EOF\n"), "{}", open.body);
    assert!(
        open.head.contains("application/openmetrics-text"),
        "{}",
        open.head
    );
}

#[test]
fn health_says_whether_clients_are_taken_in() {
    let _guard = together();
    let config = Config::live(App::open("reject"));
    let any = ([127, 0, 0, 1], 0).into();
    let host = Host::start(&config.also(any, "[Tcp, Http]", "serve: [Metrics]"));
    let addr = address(&host);
    for path in ["/health/live", "/health/ready", "/metrics"] {
        assert_eq!(request(addr, "GET", path, &[], None).status, 200, "{path}");
    }
    // The API is only where it is named.
    for path in ["/api/v1/server", "/api/v1/openapi.json", "/", "/live/cam"] {
        let answer = request(addr, "GET", path, &[], None);
        assert_eq!(answer.status, 404, "{path}");
        assert!(
            answer.head.contains("application/problem+json"),
            "{}",
            answer.head
        );
    }
}

#[test]
fn the_control_socket_is_its_owners_and_asks_for_no_token() {
    use std::os::unix::fs::PermissionsExt as _;
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")));
    let path = socket(&host);
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let server = at_socket(&host, "GET", "/api/v1/server", None);
    assert_eq!(server.json()["pid"], host.process.id());
    let kicked = at_socket(&host, "POST", "/api/v1/clients/99/kick", Some("{}"));
    assert_eq!(kicked.status, 404, "{kicked:?}");
    host.stop();
    assert!(!path.exists(), "it goes with the server");
}

#[test]
fn what_a_crashed_server_left_is_replaced_and_a_running_ones_is_not() {
    let _guard = together();
    let fixed = || Config::live(App::open("reject")).sections("api: (socket: \"control.sock\"),");
    let mut host = Host::start(&fixed());
    let path = socket(&host);
    host.process.kill();
    assert!(path.exists(), "a crash removes nothing");
    let again = Host::start_in(host.folder, &fixed());
    assert_eq!(socket(&again), path);
    assert_eq!(at_socket(&again, "GET", "/api/v1/server", None).status, 200);
    // Somebody else's server with the same path serves without one.
    let other = fixed()
        .sections("")
        .text()
        .replace("control.sock", path.to_str().unwrap());
    let folder = crate::support::host::folder();
    let process = crate::support::host::launch(folder.path(), &other);
    let log = crate::support::log::Log(process.stderr.clone());
    let said = log.wait(START, NO_SOCKET, &[], SOON);
    assert!(
        said.field("error").unwrap().contains("another server"),
        "{said:?}"
    );
    log.wait(START, "ready", &[], SOON);
    assert_eq!(at_socket(&again, "GET", "/api/v1/server", None).status, 200);
}

#[test]
fn the_document_describes_the_api() {
    let _guard = together();
    let host = Host::start(&open());
    let document = get(&host, "/api/v1/openapi.json");
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() > 10, "{paths:?}");
    for (path, methods) in paths {
        // A feed has no end.
        if methods.get("get").is_none() || path.contains('{') || path.ends_with("/feed") {
            continue;
        }
        assert_eq!(
            asked_with(&host, READ, "GET", path, None).status,
            200,
            "{path}"
        );
    }
    let wrong = ask(&host, "DELETE", "/api/v1/server", None);
    assert_eq!(wrong.status, 405, "{wrong:?}");
    assert!(wrong.head.contains("allow: get"), "{}", wrong.head);
}

#[test]
fn decisions_are_listed_and_followed() {
    use std::io::{BufRead as _, BufReader, Write as _};
    let _guard = together();
    let host = Host::start(&open().sections("decisions: (ring: 100),"));
    let first = Client::publish(host.addr, "live", "first?key=hidden").expect("may publish");
    let seen = until(&host, "/api/v1/decisions?hook=on-publish", |seen| {
        seen["items"]
            .as_array()
            .is_some_and(|items| items.len() == 1)
    });
    let record = &seen["items"][0];
    assert_eq!(record["outcome"], "accepted", "{record:#}");
    assert!(!seen.to_string().contains("hidden"), "{seen:#}");

    let mut stream = std::net::TcpStream::connect(address(&host)).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let last = record["id"].as_u64().unwrap();
    let request = format!(
        "GET /api/v1/decisions/feed?hook=on-publish HTTP/1.1\r\nhost: 127.0.0.1\r\n\
         authorization: Bearer {READ}\r\nlast-event-id: {}\r\n\r\n",
        last - 1
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut lines = BufReader::new(stream)
        .lines()
        .map(|line| line.expect("the feed goes on"));
    let mut about = |name: &str| loop {
        let line = lines.next().expect("the feed goes on");
        if line.starts_with("data: ") && line.contains(name) {
            return line;
        }
    };
    // What was missed, then what comes.
    about("first");
    let second = Client::publish(host.addr, "live", "second").expect("may publish");
    about("second");
    drop((first, second));
}
