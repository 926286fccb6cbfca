//! Plugins that ask a back end over HTTP, against a real one.

use std::{
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

use tokio_rustls::rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use crate::support::{
    App, Config, Host, Witness, alone, guests,
    host::TRUSTED,
    http_server::{HttpServer, Reply, Seen},
    log::START,
    rtmp::{Client, Failure},
    together,
};

const SOON: Duration = Duration::from_secs(20);
/// For a crowd on a machine that is busy with other things.
const LATE: Duration = Duration::from_secs(120);

const RS256: &str = include_str!("../../../plugins/jwt/testdata/rs256.jwt");
const JWKS: &str = include_str!("../../../plugins/jwt/testdata/jwks.json");

fn http_auth(url: &str, timeout: &str) -> App {
    let config = format!(
        r#"(shape: "nginx-rtmp", hooks: {{"on_publish": {url:?}, "on_publish_done": {url:?}}}, timeout: {timeout:?})"#
    );
    App::new(guests::guest("http-auth.wasm"), config).limits(r#"decision: "1 min""#)
}

fn jwt(url: &str) -> App {
    let config =
        format!(r#"(jwks: (url: {url:?}, cooldown: "1 s"), issuer: "https://id.example")"#);
    App::new(guests::guest("jwt.wasm"), config)
}

/// The value of a form's field.
fn field(seen: &Seen, name: &str) -> String {
    let form = seen.text();
    let found = form.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then(|| value.to_owned())
    });
    found.unwrap_or_default()
}

#[test]
fn a_back_end_decides() {
    let _guard = together();
    let server = HttpServer::start(|seen| match field(seen, "call").as_str() {
        "publish" if field(seen, "key") != "k-83a7" => Reply::status(403),
        "publish" if field(seen, "name") == "old" => Reply::redirect(302, "new"),
        _ => Reply::status(200),
    });
    let allow = format!("allow: [{:?}]", server.url("/hooks/*"));
    let app = http_auth(&server.url("/hooks/live"), "20 s").http(&allow);
    let host = Host::start(&Config::live(app));
    let publish = |name: &str| Client::publish(host.addr, "live", name);
    let encoder = publish("cam?key=k-83a7").expect("the back end allows it");
    let refused = publish("cam2?key=wrong").expect_err("the back end refuses it");
    assert!(matches!(refused, Failure::Refused { .. }), "{refused:?}");
    publish("old?key=k-83a7").expect("under another name");
    host.log
        .wait(START, "publishing", &[("renamed", "new")], SOON);
    let address = encoder.local();
    encoder.leave();
    let deadline = Instant::now() + SOON;
    let done = |seen: &Seen| field(seen, "call") == "publish_done" && field(seen, "name") == "cam";
    while !server.seen().iter().any(done) {
        assert!(
            Instant::now() < deadline,
            "told of the end: {:?}",
            server.seen()
        );
        thread::yield_now();
    }
    let seen = server.seen();
    assert_eq!(
        (seen[0].method.as_str(), seen[0].path.as_str()),
        ("POST", "/hooks/live")
    );
    assert_eq!(field(&seen[0], "app"), "live");
    assert!(
        address.starts_with(&field(&seen[0], "addr")),
        "{}",
        seen[0].text()
    );
    let log = host.process.stderr.text();
    assert!(!log.contains("k-83a7"), "a key is in the log:\n{log}");
    host.stop();
}

#[test]
fn what_is_allowed_can_change_while_it_serves() {
    let _guard = together();
    let server = HttpServer::start(|_| Reply::status(200));
    let app = http_auth(&server.url("/hooks/live"), "20 s");
    let host = Host::start(&Config::live(app.clone()));
    let publish = |name: &str| Client::publish(host.addr, "live", name);
    publish("cam?key=k-83a7").expect_err("nowhere is allowed");
    let denied = host.log.wait_until(START, SOON, |entry| {
        entry.message().starts_with("HTTP request denied")
    });
    let denied = denied.expect("an operator is told");
    let entry = format!("\"{}\" would permit it", server.url("/*"));
    assert!(denied.message().contains(&entry), "{denied:?}");
    assert_eq!(denied.field("app").as_deref(), Some("live"));
    assert_eq!(server.connections(), 0);

    let mark = host.log.mark();
    let allow = format!("allow: [{:?}]", server.url("/hooks/*"));
    let new = Config::live(app.http(&allow));
    guests::replace(&host.file("config.ron"), new.text().as_bytes());
    host.log.wait(mark, "configuration in force", &[], SOON);
    publish("cam?key=k-83a7").expect("now it is");
    let log = host.process.stderr.text();
    assert!(!log.contains("k-83a7"), "a key is in the log:\n{log}");
    host.stop();
}

#[test]
fn a_back_end_that_is_down_or_slow_refuses() {
    let _guard = together();
    let server = HttpServer::start(|_| Reply::status(200).held());
    let gone = HttpServer::start(|_| Reply::status(200));
    let gone_url = gone.url("/hooks/live");
    let allow = format!("allow: [{:?}, {:?}]", server.url("/*"), gone.url("/*"));
    drop(gone);
    let slow = http_auth(&server.url("/hooks/live"), "500 ms").limits(r#"decision: "20 s""#);
    let config =
        Config::live(slow.http(&allow)).and("gone", http_auth(&gone_url, "20 s").http(&allow));
    let host = Host::start(&config);
    for app in ["live", "gone"] {
        let refused = Client::publish(host.addr, app, "cam").expect_err("no answer");
        assert!(
            matches!(refused, Failure::Refused { .. }),
            "{app}: {refused:?}"
        );
        let told = host.log.wait_until(START, SOON, |entry| {
            entry.message().starts_with("HTTP request failed")
                && entry.field("app").as_deref() == Some(app)
        });
        eprintln!("{}", told.expect("an operator is told").message());
    }
    // The plugin answered in time, so nothing counts as its failure.
    let late = host.log.wait_until(START, Duration::ZERO, |entry| {
        entry.message().contains("wall deadline")
    });
    assert!(late.is_none(), "{late:?}");
    server.release();
    Client::publish(host.addr, "live", "cam").expect("the back end is well again");
    host.stop();
}

#[test]
fn jwt_fetches_its_keys() {
    let _guard = together();
    let server = HttpServer::start(|_| Reply::ok(JWKS));
    let allow = format!("allow: [{:?}]", server.url("/keys.json"));
    let app = jwt(&server.url("/keys.json")).http(&allow);
    let host = Host::start(&Config::live(app));
    let publish = |name: String| Client::publish(host.addr, "live", &name);
    publish(format!("cam1?token={RS256}")).expect("signed with a key of the set");
    publish(format!("mic?token={RS256}")).expect_err("the token is for cam*");
    for number in 2..20 {
        publish(format!("cam{number}?token={RS256}")).expect("signed with a key of the set");
    }
    assert_eq!(server.seen().len(), 1, "fetched once, for all instances");
    host.stop();
}

#[test]
fn https_trusts_what_the_machine_trusts() {
    let _guard = together();
    let names = vec!["localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], PrivateKeyDer::from(key))
        .expect("a server's settings");
    let server = HttpServer::start_tls(tls, |_| Reply::ok(JWKS));
    let url = format!("https://localhost:{}/keys.json", server.port());
    let config = Config::live(jwt(&url).http(&format!("allow: [{url:?}]")));
    let publish = |host: &Host| Client::publish(host.addr, "live", &format!("cam1?token={RS256}"));

    let folder = crate::support::host::folder();
    std::fs::write(folder.path().join(TRUSTED), made.cert.pem()).expect("trusted.pem");
    let host = Host::start_in(folder, &config);
    publish(&host).expect("keys of a server with a trusted certificate");
    host.stop();
    let fetched = server.seen().len();

    let host = Host::start(&config);
    publish(&host).expect_err("nobody vouches for the server");
    let told = host.log.wait_until(START, SOON, |entry| {
        entry
            .message()
            .contains("HTTP request failed: can't connect")
    });
    eprintln!("{}", told.expect("an operator is told").message());
    assert_eq!(server.seen().len(), fetched, "no request went out");
    host.stop();
}

/// After a restart of the server a thousand encoders return at once, and the
/// back end takes its time.
#[test]
fn a_thousand_slow_decisions_touch_no_running_stream() {
    const CLIENTS: usize = 1000;
    const AT_ONCE: usize = 50;
    let _guard = alone();
    let server = HttpServer::start(|seen| match field(seen, "name").as_str() {
        "witness" => Reply::status(200),
        _ => Reply::status(200).after(Duration::from_millis(300)),
    });
    let http = format!("allow: [{:?}], requests: {AT_ONCE}", server.url("/*"));
    let app = http_auth(&server.url("/hooks"), "20 s")
        .limits(r#"decision: "1 min", instances: 100"#)
        .http(&http);
    let config = Config::live(app)
        .and("free", App::open("reject"))
        .limits(r#"idle: "10 min", ungranted_per_address: 0"#);
    let host = Host::start(&config);
    let quiet = Witness::start(host.addr, "free", "quiet").finish();
    eprintln!("before, a running stream: {quiet}");
    let connected = Arc::new(Barrier::new(CLIENTS + 1));
    let publishing = Arc::new(Barrier::new(CLIENTS + 1));
    let crowd: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (connected, publishing) = (Arc::clone(&connected), Arc::clone(&publishing));
            let addr = host.addr;
            let publish = move || {
                let client = Client::connect(addr, "live").and_then(|mut client| {
                    client.create_stream()?;
                    Ok(client)
                });
                connected.wait();
                publishing.wait();
                let mut client = client?;
                client.publish_command(&format!("cam{number}"))?;
                client.status(LATE, "NetStream.Publish.Start")?;
                Ok::<_, Failure>(client)
            };
            let small = thread::Builder::new().stack_size(256 << 10);
            small.spawn(publish).expect("a thread")
        })
        .collect();
    connected.wait();
    let witness = Witness::start(host.addr, "live", "witness");
    publishing.wait();
    let begin = Instant::now();
    // Another application decides as if nothing were the matter.
    let mut meanwhile = 0;
    let mut slowest = Duration::ZERO;
    while !crowd.iter().all(thread::JoinHandle::is_finished) {
        let asked = Instant::now();
        let other = Client::publish(host.addr, "free", &format!("other{meanwhile}"));
        other.expect("another application is not held up").leave();
        slowest = slowest.max(asked.elapsed());
        meanwhile += 1;
        thread::sleep(Duration::from_millis(100));
    }
    let took = begin.elapsed();
    for client in crowd {
        client
            .join()
            .expect("a client")
            .expect("every decision was made");
    }
    let report = witness.finish();
    eprintln!(
        "{CLIENTS} decisions of a back end that takes 300 ms, {AT_ONCE} at once, took {:.1} s \
         (floor {:.1} s); {meanwhile} publishers of another application meanwhile, the slowest \
         in {:.0} ms; the running stream: {report}",
        took.as_secs_f64(),
        (CLIENTS / AT_ONCE) as f64 * 0.3,
        slowest.as_secs_f64() * 1e3,
    );
    assert_eq!(server.most_at_once(), AT_ONCE, "as the configuration says");
    assert!(meanwhile > 0, "it was not over at once");
    let limit = Duration::from_secs(1) + 10 * report.machine;
    assert!(report.latency_p99 < limit, "{report}");
    host.stop();
}
