//! Who is an operator, and who is none.

use crate::support::{
    App, Config, Host,
    log::START,
    operator::{NOTHING, READ, address, ask, asked_with, get, request, with_api},
    rtmp::Client,
    together,
};

/// Every operation of the document, with a path that names something.
fn operations(host: &Host) -> Vec<(String, String)> {
    let document = get(host, "/api/v1/openapi.json");
    let paths = document["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, methods)| {
        let path = path.replace("{name}", "live").replace("{id}", "1");
        let methods = methods.as_object().unwrap().keys();
        methods.map(move |method| (method.to_ascii_uppercase(), path.clone()))
    });
    operations.collect()
}

#[test]
fn a_token_without_a_scope_can_do_nothing() {
    let _guard = together();
    let host = Host::start(&with_api(Config::live(App::open("reject"))));
    let addr = address(&host);
    let publisher = Client::publish(host.addr, "live", "cam").expect("may publish");
    let operations = operations(&host);
    assert!(operations.len() > 12, "{operations:?}");
    let body = r#"{"reason": "x", "url": "rtmp://h/a/b", "level": "off"}"#;
    for (method, path) in &operations {
        for (head, expected) in [
            (None, 401),
            (Some("authorization: Bearer wrong"), 401),
            (Some("authorization: Basic bGl2ZTpob3N0"), 401),
            (Some(&*format!("authorization: Bearer {NOTHING}")), 403),
        ] {
            let head: Vec<&str> = head.into_iter().collect();
            let answer = request(addr, method, path, &head, Some(body));
            assert_eq!(
                answer.status, expected,
                "{method} {path} {head:?}: {answer:?}"
            );
            assert!(
                answer.head.contains("application/problem+json"),
                "{answer:?}"
            );
        }
        // A feed has no end.
        if path.ends_with("/feed") {
            continue;
        }
        let answer = asked_with(&host, READ, method, path, Some(body));
        match method.as_str() {
            "GET" => assert_ne!(answer.status, 403, "{path}"),
            _ => assert_eq!(answer.status, 403, "{method} {path}: {answer:?}"),
        }
    }
    // Nothing was done.
    assert_eq!(get(&host, "/api/v1/log-level")["level"], "info");
    assert_eq!(get(&host, "/api/v1/streams")["items"][0]["name"], "cam");
    assert!(host.log.find(START, "order carried out", &[]).is_empty());
    drop(publisher);
}

#[test]
fn pages_of_other_sites_are_refused() {
    let _guard = together();
    let config = with_api(Config::live(App::open("reject")));
    let host = Host::start(&config.sections(""));
    let addr = address(&host);
    let token = format!("authorization: Bearer {READ}");
    for (path, head, expected) in [
        ("/api/v1/server", "host: evil.example", 403),
        ("/api/v1/openapi.json", "host: evil.example", 403),
        ("/metrics", "host: evil.example", 403),
        ("/api/v1/server", "origin: http://evil.example", 403),
        ("/metrics", "origin: null", 403),
        ("/api/v1/server", &*format!("origin: http://{addr}"), 200),
        ("/api/v1/server", "host: localhost", 200),
        // It says nothing that anybody could not see.
        ("/health/live", "host: evil.example", 200),
    ] {
        let answer = request(addr, "GET", path, &[&token, head], None);
        assert_eq!(answer.status, expected, "{path} {head}: {answer:?}");
    }
    // No cookie, no answer that another site's page may read.
    let answer = ask(&host, "GET", "/api/v1/server", None);
    assert!(!answer.head.contains("set-cookie"), "{}", answer.head);
    assert!(
        !answer.head.contains("access-control-allow"),
        "{}",
        answer.head
    );
}

#[test]
fn what_makes_no_sense_is_a_problem_that_says_what_was_expected() {
    let _guard = together();
    let host = Host::start(&with_api(Config::live(App::open("reject"))));
    let long = format!("{{\"reason\": \"{}\"}}", "x".repeat(100_000));
    for (method, path, body, expected, part) in [
        ("GET", "/api/v1/streams?limit=0", None, 400, "1 to 1000"),
        ("GET", "/api/v1/streams?limit=1001", None, 400, "1 to 1000"),
        ("GET", "/api/v1/streams?limit=x", None, 400, "limit"),
        ("GET", "/api/v1/streams?what=x", None, 400, "what"),
        ("GET", "/api/v1/clients?after=x", None, 400, "after"),
        ("GET", "/api/v1/streams/x", None, 404, "x"),
        ("GET", "/api/v1/applications/none", None, 404, "none"),
        ("GET", "/api/v2/server", None, 404, "nothing"),
        ("POST", "/api/v1/clients/7/kick", Some("{}"), 404, "7"),
        ("POST", "/api/v1/clients/7/kick", Some("{"), 400, ""),
        (
            "POST",
            "/api/v1/clients/7/kick",
            Some("{\"a\": 1}"),
            422,
            "a",
        ),
        ("POST", "/api/v1/clients/7/kick", None, 415, ""),
        ("POST", "/api/v1/clients/7/kick", Some(&long), 413, ""),
        (
            "PUT",
            "/api/v1/log-level",
            Some("{\"level\": \"loud\"}"),
            400,
            "loud",
        ),
    ] {
        let answer = ask(&host, method, path, body);
        assert_eq!(answer.status, expected, "{method} {path}: {answer:?}");
        let problem = answer.json();
        assert_eq!(problem["status"], expected, "{problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(part), "{method} {path}: {detail}");
    }
}

#[test]
fn no_secret_comes_out() {
    const SECRET: &str = "pl4nted-s3cret";
    let _guard = together();
    let app = App::new(
        crate::support::guests::guest("static-keys.wasm"),
        format!("{{ \"publish\": {{ \"keys\": [\"{SECRET}\"] }}, \"play\": \"open\" }}"),
    );
    let app = app.relays(&format!(
        "relay: (allow: [\"rtmp://127.0.0.1:1/*\"]), \
         forward: [(to: \"rtmp://127.0.0.1:1/live/{{name}}?key={SECRET}\")], \
         pull: [(name: \"far\", from: \"rtmp://127.0.0.1:1/a/b?key={SECRET}\", on_demand: true)]"
    ));
    let config = Config::live(app)
        .level("debug")
        .sections("decisions: (ring: 100),");
    let host = Host::start(&with_api(config));
    let addr = address(&host);
    let named = format!("cam?key={SECRET}");
    let publisher = Client::publish(host.addr, "live", &named).expect("may publish");
    let refused = Client::publish(host.addr, "live", &format!("cam?key=x{SECRET}"));
    assert!(refused.is_err());
    let id = get(&host, "/api/v1/streams")["items"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let mut seen = String::new();
    let url = format!("{{\"url\": \"rtmp://127.0.0.1:1/live/x?key={SECRET}\"}}");
    for (method, path) in operations(&host) {
        if ["/drain", "/stop", "/feed"]
            .iter()
            .any(|end| path.ends_with(end))
        {
            continue;
        }
        let path = path.replace("/streams/1", &format!("/streams/{id}"));
        let body = (method != "GET").then_some(match path.ends_with("forwards") {
            true => &*url,
            false => "{}",
        });
        let answer = ask(&host, &method, &path, body);
        seen += &format!(
            "{method} {path}: {} {}\n{}\n",
            answer.status, answer.head, answer.body
        );
    }
    let wrong = format!("authorization: Bearer {SECRET}");
    let answer = request(addr, "GET", "/api/v1/server", &[&wrong], None);
    seen += &answer.body;
    seen += &request(addr, "GET", "/metrics", &[], None).body;
    drop(publisher);
    let exit = host.stop();
    seen += &exit.stderr;
    let told: Vec<_> = seen.lines().filter(|line| line.contains(SECRET)).collect();
    assert!(told.is_empty(), "{told:#?}");
    assert!(seen.contains("\"live\""), "something came out");
}
