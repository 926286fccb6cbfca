//! Guests' requests against a real server, by `http-client` and by `wasi:http`.

use std::time::Instant;

use livehost_net::outbound::{HttpSettings, HttpTotals, UrlPattern};

use super::logs::Captured;
use super::*;

#[allow(unreachable_pub, dead_code, reason = "end-to-end tests have it, too")]
#[path = "../../../../tests/common/http_server.rs"]
pub(super) mod server;

use server::{HttpServer, Reply};

/// Settings that allow `entries`.
pub(super) fn allow(entries: &[&str]) -> HttpSettings {
    let entries = entries
        .iter()
        .map(|entry| UrlPattern::parse(entry).unwrap());
    HttpSettings {
        allow: entries.collect(),
        // Machines that run tests are busy.
        connect: SOON,
        ..HttpSettings::default()
    }
}

/// Time enough, however busy the machine is.
pub(super) fn patient() -> PluginLimits {
    PluginLimits {
        cpu: SOON,
        wall: SOON,
        ..PluginLimits::default()
    }
}

/// A server, and the probe that may call it under `/ok/`.
async fn pair(
    answer: impl Fn(&server::Seen) -> Reply + Send + Sync + 'static,
) -> (HttpServer, Fixture) {
    let server = HttpServer::start(answer);
    let settings = allow(&[&server.url("/ok/*")]);
    (server, Fixture::with_http(settings, patient()).await)
}

impl Fixture {
    /// Command and arguments in one line: the answer, or the error.
    pub(super) async fn ask(&self, line: &str) -> Result<String, String> {
        let (method, args) = line.split_once(' ').unwrap();
        match self.call(method, args).await {
            Ok(answer) => Ok(answer),
            Err(NoResult::Said(CallError::Refused(reason))) => Err(reason),
            Err(other) => panic!("{line}: {other:?}"),
        }
    }

    fn totals(&self) -> HttpTotals {
        self.plugin.http_totals()
    }
}

#[tokio::test]
async fn an_allowed_request_is_answered() {
    let (server, fixture) = pair(|_| Reply::status(201).with_body("hello")).await;
    let url = server.url("/ok/a?b=c%20d");
    let line = format!(
        "http PUT {url} 0 0 3 X-Own:1 Host:evil.example Connection:x-own,close \
         Content-Length:7 Transfer-Encoding:chunked Proxy-Authorization:x Authorization:mine"
    );
    assert_eq!(fixture.ask(&line).await.unwrap(), "201 hello");
    let seen = &server.seen()[0];
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str()),
        ("PUT", "/ok/a?b=c%20d")
    );
    assert_eq!(seen.text(), "xxx");
    assert_eq!(seen.header("x-own"), Some("1"));
    assert_eq!(seen.header("authorization"), Some("mine"));
    assert_eq!(
        seen.header("host"),
        Some(server.address.to_string().as_str())
    );
    assert_eq!(seen.header("content-length"), Some("3"));
    assert!(seen.header("user-agent").unwrap().starts_with("livehost/"));
    for name in ["connection", "transfer-encoding", "proxy-authorization"] {
        assert_eq!(seen.header(name), None, "{name}");
    }

    let answer = fixture.ask(&format!("wasi-http {url} 0")).await;
    assert_eq!(answer.unwrap(), "201 hello");
    let answer = fixture.ask(&format!("wasi-http {url} 100000")).await;
    assert_eq!(answer.unwrap(), "201 hello");
    let seen = server.seen();
    assert_eq!(
        (seen[1].method.as_str(), seen[2].method.as_str()),
        ("GET", "POST")
    );
    assert_eq!(seen[2].body.len(), 100_000);
    assert_eq!(
        server.connections(),
        1,
        "a connection serves one request after the other"
    );
    let all = HttpTotals {
        requests: 3,
        ..HttpTotals::default()
    };
    assert_eq!(fixture.totals(), all);
}

#[tokio::test]
async fn redirects_are_checked_hop_by_hop() {
    let elsewhere = HttpServer::start(|_| Reply::ok("elsewhere"));
    let forbidden = elsewhere.url("/x");
    let server = HttpServer::start(move |seen| match seen.path.as_str() {
        "/ok/1" => Reply::redirect(302, "/ok/2"),
        "/ok/2" => Reply::redirect(307, "3?q"),
        "/ok/3?q" => Reply::ok("there"),
        "/ok/out" => Reply::redirect(302, "/admin"),
        "/ok/up" => Reply::redirect(302, "/ok/..%2fadmin"),
        "/ok/elsewhere" => Reply::redirect(302, forbidden.clone()),
        "/ok/metadata" => Reply::redirect(302, "http://169.254.169.254/latest/meta-data/"),
        "/ok/file" => Reply::redirect(302, "file:///etc/passwd"),
        "/ok/loop" => Reply::redirect(302, "/ok/loop"),
        _ => Reply::status(404),
    });
    let settings = allow(&[&server.url("/ok/*")]);
    let fixture = Fixture::with_http(settings, patient()).await;
    let get = async |path: &str, hops: u8| {
        let url = server.url(path);
        fixture.ask(&format!("http GET {url} 0 {hops} 0")).await
    };
    assert_eq!(get("/ok/1", 2).await.unwrap(), "200 there");
    assert_eq!(
        get("/ok/1", 1).await.unwrap(),
        "307 ",
        "no more than asked for"
    );
    assert_eq!(
        get("/ok/1", 0).await.unwrap(),
        "302 ",
        "the redirect is the response"
    );
    assert_eq!(
        get("/ok/loop", 255).await.unwrap(),
        "302 ",
        "and no more than ten"
    );
    for path in ["/ok/out", "/ok/up", "/ok/elsewhere", "/ok/metadata"] {
        assert_eq!(
            get(path, 5).await.unwrap_err(),
            "HttpError::Denied",
            "{path}"
        );
    }
    let error = get("/ok/file", 5).await.unwrap_err();
    assert!(error.contains("expected http:// or https://"), "{error}");
    assert_eq!(elsewhere.connections(), 0);
    assert!(
        server
            .seen()
            .iter()
            .all(|seen| seen.path.starts_with("/ok/"))
    );
}

#[tokio::test]
async fn credentials_do_not_follow_to_another_origin() {
    let server = HttpServer::start(|seen| {
        let port = seen.header("host").and_then(|host| host.rsplit(':').next());
        let port = port.unwrap_or_default().to_owned();
        match seen.path.as_str() {
            "/first" => Reply::redirect(307, format!("http://localhost:{port}/second")),
            _ => Reply::ok("done"),
        }
    });
    let local = format!("http://localhost:{}/*", server.port());
    let settings = allow(&[&server.url("/*"), &local]);
    let fixture = Fixture::with_http(settings, patient()).await;
    let url = server.url("/first");
    let line = format!("http POST {url} 0 1 2 Authorization:secret Cookie:secret X-Own:1");
    assert_eq!(fixture.ask(&line).await.unwrap(), "200 done");
    let seen = server.seen();
    assert_eq!(seen[0].header("authorization"), Some("secret"));
    assert_eq!(
        seen[1].header("host"),
        Some(format!("localhost:{}", server.port()).as_str())
    );
    assert_eq!(seen[1].header("authorization"), None);
    assert_eq!(seen[1].header("cookie"), None);
    assert_eq!(seen[1].header("x-own"), Some("1"));
    assert_eq!(seen[1].text(), "xx");
}

#[tokio::test]
async fn too_much_is_refused() {
    let (server, fixture) = pair(|seen| match seen.path.as_str() {
        "/ok/fits" => Reply::ok(vec![b'y'; 1 << 20]),
        "/ok/body" => Reply::ok(vec![b'y'; (1 << 20) + 1]),
        "/ok/header" => Reply::ok("").with_header("x-long", "y".repeat(100_000)),
        _ => Reply::ok(""),
    })
    .await;
    let fits = server.url("/ok/fits");
    let answer = fixture
        .ask(&format!("http GET {fits} 0 0 0"))
        .await
        .unwrap();
    assert_eq!(answer.len(), "200 ".len() + (1 << 20));
    let answer = fixture.ask(&format!("wasi-http {fits} 0")).await.unwrap();
    assert_eq!(answer.len(), "200 ".len() + (1 << 20));
    for path in ["/ok/body", "/ok/header"] {
        let url = server.url(path);
        let error = fixture.ask(&format!("http GET {url} 0 0 0")).await;
        assert_eq!(error.unwrap_err(), "HttpError::TooLarge", "{path}");
        let error = fixture
            .ask(&format!("wasi-http {url} 0"))
            .await
            .unwrap_err();
        assert!(error.contains("HttpResponseBodySize"), "{path}: {error}");
    }
    let before = server.seen().len();
    let url = server.url("/ok/");
    let header = format!("http GET {url} 0 0 0 X-Long:{}", "y".repeat(100_000));
    assert_eq!(
        fixture.ask(&header).await.unwrap_err(),
        "HttpError::TooLarge"
    );
    let body = fixture.ask(&format!("wasi-http {url} 5000000")).await;
    assert!(body.unwrap_err().contains("HttpResponseBodySize"));
    assert_eq!(server.seen().len(), before, "nothing was sent");
    assert_eq!(fixture.totals().over_limit, 6);
}

#[tokio::test]
async fn waiting_has_an_end_and_takes_no_cpu() {
    let server = HttpServer::start(|_| Reply::ok("late").held());
    let limits = PluginLimits {
        // A tenth of the wait; that much is left to the guest to answer.
        cpu: Duration::from_millis(400),
        wall: Duration::from_secs(4),
        ..PluginLimits::default()
    };
    let settings = allow(&[&server.url("/*")]);
    let fixture = Fixture::with_http(settings, limits).await;
    let url = server.url("/");
    let timed_out = async |line: String, at_least: u64| {
        let asked = Instant::now();
        let error = fixture.ask(&line).await.unwrap_err();
        assert!(error.contains("Timeout"), "{line}: {error}");
        assert!(asked.elapsed() >= Duration::from_millis(at_least), "{line}");
    };
    tokio::join!(
        timed_out(format!("http GET {url} 300 0 0"), 300),
        timed_out(format!("http GET {url} 0 0 0"), 3600),
        timed_out(format!("http GET {url} 4000000000 0 0"), 3600),
        timed_out(format!("wasi-http {url} 0"), 3600),
    );
    assert_eq!(fixture.totals().timed_out, 4);
}

#[tokio::test]
async fn no_server_and_no_http_are_told_apart() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let here = format!("http://{address}/*");
    let settings = allow(&[&here, "http://nonsense.test/*"]);
    let fixture = Fixture::with_http(settings, patient()).await;
    let refused = fixture
        .ask(&format!("http GET http://{address}/ 0 0 0"))
        .await;
    let refused = refused.unwrap_err();
    assert!(refused.contains("HttpError::Connect"), "{refused}");
    assert!(refused.contains(&address.to_string()), "{refused}");
    let unknown = fixture
        .ask("http GET http://nonsense.test/ 0 0 0")
        .await
        .unwrap_err();
    assert!(unknown.contains("Connect"), "{unknown}");
    for line in [
        format!("http GÉT http://{address}/ 0 0 0"),
        format!("http CONNECT http://{address}/ 0 0 0"),
        format!("http TRACE http://{address}/ 0 0 0"),
        format!("http GET http://{address}/ 0 0 0 bad\u{1}name:1"),
        format!("http GET http://{address}/ 0 0 0 name:bad\u{1}value"),
        "http GET example.com/ 0 0 0".into(),
        format!("http GET http://user:secret@{address}/ 0 0 0"),
    ] {
        let error = fixture.ask(&line).await.unwrap_err();
        assert!(error.contains("HttpError::Protocol"), "{line}: {error}");
    }
}

/// A thousand decisions that each wait for a slow back end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_slow_calls_are_bounded_by_the_configuration() {
    const CALLS: usize = 1000;
    const AT_ONCE: usize = 50;
    let server = HttpServer::start(|_| Reply::ok("slow").after(Duration::from_millis(50)));
    let settings = HttpSettings {
        requests: AT_ONCE,
        ..allow(&[&server.url("/*")])
    };
    let limits = PluginLimits {
        max_instances: 2 * AT_ONCE,
        wall: 6 * SOON,
        ..PluginLimits::default()
    };
    let fixture = Arc::new(Fixture::with_http(settings, limits).await);
    let line = format!("http GET {} 0 0 0", server.url("/"));
    let calls: Vec<_> = (0..CALLS)
        .map(|_| {
            let (fixture, line) = (Arc::clone(&fixture), line.clone());
            tokio::spawn(async move { fixture.ask(&line).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), "200 slow");
    }
    assert_eq!(server.seen().len(), CALLS);
    assert_eq!(server.most_at_once(), AT_ONCE);
}

#[tokio::test]
async fn one_guest_s_own_crowd_is_bounded_too() {
    let server = HttpServer::start(|_| Reply::ok("slow").after(Duration::from_millis(20)));
    let settings = HttpSettings {
        requests: 5,
        ..allow(&[&server.url("/*")])
    };
    let fixture = Fixture::with_http(settings, patient()).await;
    let line = format!("wasi-http-flood {} 100", server.url("/"));
    assert_eq!(fixture.ask(&line).await.unwrap(), "100");
    assert_eq!(server.most_at_once(), 5);
}

#[tokio::test]
async fn what_nobody_reads_is_bounded() {
    let server = HttpServer::start(|_| Reply::ok(vec![b'y'; 1 << 20]));
    let settings = allow(&[&server.url("/*")]);
    let fixture = Fixture::with_http(settings, patient()).await;
    // All are on their way before the first is read; eight fit.
    let line = format!("wasi-http-hoard {} 12", server.url("/"));
    assert_eq!(fixture.ask(&line).await.unwrap(), "8");
    assert_eq!(
        fixture.ask(&line).await.unwrap(),
        "8",
        "what was read is free again"
    );
}

#[tokio::test]
async fn a_call_that_ends_takes_its_requests_along() {
    let server = HttpServer::start(|_| Reply::ok("late").held());
    let limits = PluginLimits {
        max_instances: 1,
        ..patient()
    };
    let settings = HttpSettings {
        requests: 1,
        ..allow(&[&server.url("/*")])
    };
    let fixture = Arc::new(Fixture::with_http(settings, limits).await);
    let line = format!("http GET {} 0 0 0", server.url("/"));
    let call = tokio::spawn({
        let fixture = Arc::clone(&fixture);
        let line = line.clone();
        async move { fixture.ask(&line).await }
    });
    while server.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    // The client left.
    call.abort();
    server.release();
    assert_eq!(fixture.ask(&line).await.unwrap(), "200 late");
}

#[tokio::test]
async fn other_settings_hold_from_the_next_call_on() {
    let server = HttpServer::start(|_| Reply::ok("hello"));
    let fixture = Fixture::with_http(allow(&[&server.url("/a/*")]), patient()).await;
    let (a, b) = (server.url("/a/"), server.url("/b/"));
    let get = async |url: &str| fixture.ask(&format!("http GET {url} 0 0 0")).await;
    assert!(get(&a).await.is_ok());
    assert!(get(&b).await.is_err());
    let http = allow(&[&server.url("/b/*")]);
    let spec = PluginSpec {
        http,
        ..fixture.spec()
    };
    let swapped = fixture.plugin.respec(spec).await.unwrap();
    assert!(matches!(swapped, Reload::Swapped { .. }), "{swapped:?}");
    assert!(get(&a).await.is_err());
    assert!(get(&b).await.is_ok());
    assert_eq!(fixture.totals().requests, 4, "counted over generations");
}

#[tokio::test]
async fn an_operator_sees_what_failed_and_no_secret() {
    let (log, _guard) = Captured::start();
    let server = HttpServer::start(|_| Reply::ok("long enough"));
    let settings = allow(&["http://10-0-0-1.test/*", &server.url("/ok/*")]);
    let fixture = Fixture::with_http(settings, patient()).await;
    let secret = "Authorization:s3cret";
    for url in [
        "https://evil.example:8443/s3cret?key=s3cret".to_owned(),
        server.url("/s3cret"),
        "http://10-0-0-1.test/s3cret".to_owned(),
    ] {
        let denied = fixture.ask(&format!("http GET {url} 0 0 0 {secret}")).await;
        assert_eq!(denied.unwrap_err(), "HttpError::Denied");
    }
    let entry = "\"https://evil.example:8443/*\" would permit it";
    log.one(
        entry,
        &[
            "WARN",
            "app=\"live\"",
            "plugin=\"probe\"",
            "HTTP request denied",
        ],
    );
    let path = format!(
        "{} is in the application's http.allow, but not",
        server.url("")
    );
    log.one(&path, &["HTTP request denied"]);
    log.one(
        "10.0.0.1, a private address",
        &["10-0-0-1.test", "private: true"],
    );
    assert_eq!(log.lines("HTTP request").len(), 3);
    assert!(log.lines("s3cret").is_empty(), "{:?}", log.lines("s3cret"));
    assert_eq!(fixture.totals().denied, 3);
}
