//! What operators order, with real clients to see what comes of it.

use std::fs;

use super::{SOON, until};
use crate::support::{
    App, Config, Host, guests,
    log::START,
    operator::{address, ask, get, with_api},
    rtmp::Client,
    together,
};

fn done(host: &Host, method: &str, path: &str, body: Option<&str>, expected: u16) {
    let answer = ask(host, method, path, body);
    assert_eq!(answer.status, expected, "{method} {path}: {answer:?}");
}

/// The order left its line, with who gave it.
fn is_logged(host: &Host, order: &str) {
    let fields = [("order", order), ("operator", "all")];
    host.log.wait(START, "order carried out", &fields, SOON);
}

#[test]
fn a_client_is_kicked_and_a_stream_is_stopped() {
    let _guard = together();
    let host = Host::start(&with_api(Config::live(App::open("reject"))));
    let mut publisher = Client::publish(host.addr, "live", "cam").expect("may publish");
    let mut player = Client::playing(host.addr, "live", "cam").expect("may play");
    let clients = until(&host, "/api/v1/clients", |seen| {
        seen["items"].as_array().unwrap().len() == 2
    });
    let id = clients["items"][1]["id"].as_str().unwrap();
    let reason = Some("{\"reason\": \"tidying up\"}");
    done(
        &host,
        "POST",
        &format!("/api/v1/clients/{id}/kick"),
        reason,
        204,
    );
    assert!(player.closed(SOON), "the player is closed");
    is_logged(&host, "kick");
    // An order twice is no order.
    until(&host, "/api/v1/clients", |seen| {
        seen["items"].as_array().unwrap().len() == 1
    });
    done(
        &host,
        "POST",
        &format!("/api/v1/clients/{id}/kick"),
        reason,
        404,
    );

    let streams = get(&host, "/api/v1/streams");
    let id = streams["items"][0]["id"].as_str().unwrap();
    done(
        &host,
        "POST",
        &format!("/api/v1/streams/{id}/stop"),
        reason,
        204,
    );
    let told = publisher.status(SOON, "NetStream.Unpublish.Success");
    assert!(told.is_ok() || publisher.closed(SOON), "{told:?}");
    until(&host, "/api/v1/streams", |seen| {
        seen["items"].as_array().unwrap().is_empty()
    });
    is_logged(&host, "stop a stream");
    done(
        &host,
        "POST",
        &format!("/api/v1/streams/{id}/stop"),
        reason,
        404,
    );
}

#[test]
fn a_stream_is_forwarded_while_somebody_wants_it() {
    let _guard = together();
    let target = Host::start(&Config::live(App::open("reject")));
    let to = target.addr;
    let app = App::open("reject").relays(&format!("relay: (allow: [\"rtmp://{to}/live/*\"])"));
    let host = Host::start(&with_api(Config::live(app)));
    let publisher = Client::publish(host.addr, "live", "cam").expect("may publish");
    let streams = get(&host, "/api/v1/streams");
    let id = streams["items"][0]["id"].as_str().unwrap();
    let path = format!("/api/v1/streams/{id}/forwards");
    let body = format!("{{\"url\": \"rtmp://{to}/live/copy\"}}");
    done(&host, "DELETE", &path, Some(&body), 404);
    done(&host, "POST", &path, Some(&body), 202);
    target.log.wait(START, "publishing", &[], SOON);
    let elsewhere = "{\"url\": \"rtmp://192.0.2.1/live/copy\"}";
    done(&host, "POST", &path, Some(elsewhere), 409);
    let mark = target.log.mark();
    done(&host, "DELETE", &path, Some(&body), 204);
    target.log.wait(mark, "session ended", &[], SOON);
    drop(publisher);
}

#[test]
fn configuration_and_plugins_are_reloaded() {
    let _guard = together();
    let folder = crate::support::host::folder();
    let plugin = folder.path().join("app.wasm");
    fs::copy(guests::probe(), &plugin).unwrap();
    let config = with_api(Config::live(App::probe_at(&plugin, "")));
    let host = Host::start_in(folder, &config);
    let path = "/api/v1/applications/live/plugin/reload";
    let same = ask(&host, "POST", path, None);
    assert_eq!(same.status, 200, "{same:?}");
    assert_eq!(same.json()["outcome"], "unchanged");
    done(
        &host,
        "POST",
        "/api/v1/applications/none/plugin/reload",
        None,
        404,
    );
    let back = "/api/v1/applications/live/plugin/roll-back";
    done(&host, "POST", back, None, 409);
    guests::replace(&plugin, &guests::probe_version(2));
    // The watcher may have been first.
    let fresh = ask(&host, "POST", path, None);
    assert_eq!(fresh.json()["generation"], 2, "{fresh:?}");
    let old = ask(&host, "POST", back, None);
    assert_eq!(old.json()["generation"], 3, "{old:?}");
    let kept = ask(&host, "POST", path, None);
    assert_eq!(kept.json()["outcome"], "known-bad", "{kept:?}");

    done(&host, "POST", "/api/v1/config/reload", None, 204);
    is_logged(&host, "reload the configuration");
    fs::write(host.file("config.ron"), "(nonsense: 1)").unwrap();
    let wrong = ask(&host, "POST", "/api/v1/config/reload", None);
    assert_eq!(wrong.status, 409, "{wrong:?}");
    let detail = wrong.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("config.ron"), "{detail}");
    assert_eq!(get(&host, "/api/v1/server")["state"], "serving");
}

#[test]
fn the_logs_level_changes_while_the_server_runs() {
    let _guard = together();
    let host = Host::start(&with_api(Config::live(App::open("reject"))));
    let mark = host.log.mark();
    done(
        &host,
        "PUT",
        "/api/v1/log-level",
        Some("{\"level\": \"error\"}"),
        200,
    );
    assert_eq!(get(&host, "/api/v1/log-level")["level"], "error");
    let quiet = Client::publish(host.addr, "live", "quiet").expect("may publish");
    done(
        &host,
        "PUT",
        "/api/v1/log-level",
        Some("{\"level\": \"info\"}"),
        200,
    );
    let loud = Client::publish(host.addr, "live", "loud").expect("may publish");
    let said = host.log.wait(mark, "publishing", &[], SOON);
    assert!(format!("{said:?}").contains("loud"), "{said:?}");
    drop((quiet, loud));
}

#[test]
fn an_operator_drains_the_server() {
    let _guard = together();
    let config = Config::live(App::open("reject")).limits("drain: \"1 min\"");
    let mut host = Host::start(&with_api(config));
    let addr = address(&host);
    let mut publisher = Client::publish(host.addr, "live", "cam").expect("may publish");
    done(&host, "POST", "/api/v1/drain", None, 202);
    let told = publisher.status(SOON, "NetStream.Unpublish.Success");
    assert!(told.is_ok(), "{told:?}");
    drop(publisher);
    let exit = host.process.wait(SOON);
    assert!(exit.status.success(), "{}", exit.status);
    assert!(std::net::TcpStream::connect(addr).is_err());
}
