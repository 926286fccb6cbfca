//! Attempts of a guest to get out, one after the other. Whatever the guest
//! tries, it gets an error of the interface, and nobody outside hears of it.

use livehost_net::outbound::HttpSettings;

use super::http::server::{HttpServer, Reply};
use super::http::{allow, patient};
use super::*;

/// The probe may call `entries` and this machine's names.
async fn probe_that_may_call(entries: &[&str]) -> Fixture {
    Fixture::with_http(allow(entries), patient()).await
}

async fn denied(fixture: &Fixture, url: &str) {
    let error = fixture
        .ask(&format!("http GET {url} 0 5 0"))
        .await
        .unwrap_err();
    assert!(
        error == "HttpError::Denied" || error.contains("HttpError::Protocol"),
        "{url}: {error}"
    );
    let error = fixture
        .ask(&format!("wasi-http {url} 0"))
        .await
        .unwrap_err();
    let refusals = [
        "HttpRequestDenied",
        "DestinationIpProhibited",
        "InternalError",
        "the host refuses",
        "HttpProtocolError",
        "HttpRequestUriInvalid",
    ];
    assert!(
        refusals.iter().any(|refusal| error.contains(refusal)),
        "{url}: {error}"
    );
}

#[tokio::test]
async fn files() {
    let fixture = Fixture::probe("accept").await;
    for path in [
        "/etc/hostname",
        "/etc/passwd",
        "../../../../etc/hostname",
        ".",
        "/proc/self/environ",
        "probe.wasm",
    ] {
        let read = fixture.ask(&format!("read-file {path}")).await;
        assert!(read.is_err(), "{path}: {read:?}");
    }
    let target = fixture.folder.path().join("written");
    let written = fixture
        .ask(&format!("write-file {}", target.display()))
        .await;
    assert!(written.is_err(), "{written:?}");
    assert!(!target.exists());
}

#[tokio::test]
async fn environment_and_arguments() {
    let fixture = Fixture::probe("accept").await;
    assert_eq!(fixture.ask("env ").await.unwrap(), "0");
    assert_eq!(fixture.ask("args ").await.unwrap(), "0");
}

#[tokio::test]
async fn sockets_and_names() {
    let server = HttpServer::start(|_| Reply::ok("reached"));
    // Not even where HTTP may go.
    let fixture = probe_that_may_call(&[&server.url("/*")]).await;
    for line in [
        format!("tcp {}", server.address),
        "udp 127.0.0.1:0".into(),
        "listen 127.0.0.1:0".into(),
        "resolve localhost:80".into(),
        "resolve example.com:80".into(),
    ] {
        let answer = fixture.ask(&line).await;
        assert!(answer.is_err(), "{line}: {answer:?}");
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn http_without_a_list() {
    let server = HttpServer::start(|_| Reply::ok("reached"));
    let fixture = Fixture::probe("accept").await;
    denied(&fixture, &server.url("/")).await;
    denied(&fixture, "http://example.com/").await;
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn http_to_other_places_than_the_list_has() {
    let server = HttpServer::start(|_| Reply::ok("reached"));
    let fixture = probe_that_may_call(&["http://127.0.0.1:1/*", "http://allowed.example/*"]).await;
    let port = server.port();
    for url in [
        server.url("/"),
        format!("http://localhost:{port}/"),
        format!("http://2130706433:{port}/"),
        format!("http://0x7f.1:{port}/"),
        format!("http://0:{port}/"),
        format!("http://[::1]:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://127-0-0-1.test:{port}/"),
        format!("http://allowed.example@127.0.0.1:{port}/"),
        format!("http://allowed.example:80@127.0.0.1:{port}/"),
        format!("http://127.0.0.1:{port}#@allowed.example/"),
        format!("http://127.0.0.1:{port}\\@allowed.example/"),
        "http://169.254.169.254/latest/meta-data/".into(),
        "file:///etc/passwd".into(),
    ] {
        denied(&fixture, &url).await;
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn http_out_of_the_path_that_the_list_has() {
    let server = HttpServer::start(|_| Reply::ok("reached"));
    let fixture = probe_that_may_call(&[&server.url("/hooks/*")]).await;
    for path in [
        "/",
        "/hooks",
        "/hooks/../admin",
        "/hooks/%2e%2e/admin",
        "/hooks/..%2fadmin",
        "/hooks/..%252fadmin",
        "/hooks/..%5cadmin",
        "/hooks/..;/admin",
        "//hooks/x",
    ] {
        denied(&fixture, &server.url(path)).await;
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn names_that_lead_back_in() {
    let server = HttpServer::start(|_| Reply::ok("reached"));
    let port = server.port();
    let names = [
        "127-0-0-1",
        "127-9-9-9",
        "10-1-2-3",
        "192-168-0-1",
        "100-64-0-1",
        "169-254-169-254",
        "100-100-100-200",
        "0-0-0-0",
        "224-0-0-1",
        "255-255-255-255",
        "--1",
        "fe80--1",
        "fd00-ec2--254",
        "--ffff-7f00-1",
        "64-ff9b--7f00-1",
        "64-ff9b--a9fe-a9fe",
        "2002-7f00-1--",
        "127-0-0-1.and.10-0-0-1",
    ];
    let entries: Vec<_> = names
        .iter()
        .map(|name| format!("http://{name}.test:{port}/*"))
        .collect();
    let entries: Vec<_> = entries.iter().map(String::as_str).collect();
    let fixture = probe_that_may_call(&entries).await;
    for name in names {
        denied(&fixture, &format!("http://{name}.test:{port}/")).await;
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn names_in_local_networks_when_the_configuration_permits_them() {
    let server = HttpServer::start(|_| Reply::ok("reached"));
    let port = server.port();
    let names = [
        "127-0-0-1",
        "169-254-169-254.and.127-0-0-1",
        "--ffff-7f00-1",
    ];
    let never = [
        "169-254-169-254",
        "fd00-ec2--254",
        "100-100-100-200",
        "0-0-0-0",
        "--ffff-a9fe-a9fe",
    ];
    let entries: Vec<_> = names
        .iter()
        .chain(&never)
        .map(|name| format!("http://{name}.test:{port}/*"))
        .collect();
    let entries: Vec<_> = entries.iter().map(String::as_str).collect();
    let settings = HttpSettings {
        private: true,
        ..allow(&entries)
    };
    let fixture = Fixture::with_http(settings, patient()).await;
    for name in names {
        let url = format!("http://{name}.test:{port}/");
        let answer = fixture.ask(&format!("http GET {url} 0 0 0")).await;
        assert_eq!(answer.unwrap(), "200 reached", "{name}");
    }
    for name in never {
        denied(&fixture, &format!("http://{name}.test:{port}/")).await;
    }
}

#[tokio::test]
async fn redirects_that_lead_back_in() {
    let inside = HttpServer::start(|_| Reply::ok("reached"));
    let port = inside.port();
    let server = HttpServer::start(move |seen| {
        let to = seen.path.trim_start_matches("/to/");
        Reply::redirect(302, format!("http://{to}:{port}/"))
    });
    let name = format!("http://127-0-0-1.test:{port}/*");
    let fixture = probe_that_may_call(&[&server.url("/*"), &name]).await;
    for to in [
        "127.0.0.1",
        "127-0-0-1.test",
        "localhost",
        "169.254.169.254",
        "[::1]",
        "0x7f.1",
    ] {
        let url = server.url(&format!("/to/{to}"));
        let answer = fixture.ask(&format!("http GET {url} 0 5 0")).await;
        assert_eq!(answer.unwrap_err(), "HttpError::Denied", "{to}");
    }
    assert_eq!(inside.connections(), 0);
}

#[tokio::test]
async fn the_state_of_other_applications() {
    let one = Fixture::probe("accept").await;
    let other = Fixture::probe("accept").await;
    one.ask("kv-set key secret").await.unwrap();
    for key in ["key", "live/key", "../live/key", "live:key", ""] {
        assert_eq!(
            other.ask(&format!("kv-get {key}")).await.unwrap(),
            "none",
            "{key}"
        );
    }
    other.ask("kv-set key other").await.unwrap();
    other.ask("kv-delete key").await.unwrap();
    let kept = one.ask("kv-get key").await.unwrap();
    assert!(kept.ends_with(" secret"), "{kept}");
}
