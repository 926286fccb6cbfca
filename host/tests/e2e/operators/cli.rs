//! The command line of operators, against servers that run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;

use super::SOON;
use crate::support::{
    App, Config, Host,
    host::folder,
    log::START,
    operator::{EVERYTHING, READ, address, socket, with_api},
    process::Process,
    rtmp::Client,
    tls, together,
};

/// What a command came to.
#[derive(Debug)]
struct Ran {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ran {
    /// What it printed when nothing was wrong.
    fn ok(self) -> String {
        assert_eq!(self.status, Some(0), "{self:?}");
        self.stdout
    }

    fn json(self) -> Value {
        serde_json::from_str(&self.ok()).expect("JSON")
    }

    /// Why it came to nothing, with this exit status.
    fn refused(self, status: i32) -> String {
        assert_eq!(self.status, Some(status), "{self:?}");
        self.stderr
    }
}

/// `host` with these arguments, for which control sockets are below `folder`.
pub(super) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_host"));
    command
        .args(arguments)
        .env("XDG_RUNTIME_DIR", folder)
        .env_remove("RUNTIME_DIRECTORY")
        .env_remove("RUST_LOG");
    command
}

fn run(folder: &Path, arguments: &[&str]) -> Ran {
    let name = format!("host {}", arguments.join(" "));
    let mut process = Process::spawn(name, &mut command(folder, arguments));
    let exit = process.wait(Duration::from_secs(30));
    Ran {
        status: exit.status.code(),
        stdout: process.stdout.text(),
        stderr: exit.stderr,
    }
}

/// Beside a server, which has opened its socket.
fn beside(host: &Host, arguments: &[&str]) -> Ran {
    socket(host);
    run(host.folder.path(), arguments)
}

fn open() -> Config {
    Config::live(App::open("reject"))
}

#[test]
fn status_finds_the_only_server_and_shows_what_it_does() {
    let _guard = together();
    let host = Host::start(&open());
    let pid = host.process.id().to_string();
    let path = socket(&host);
    let idle = beside(&host, &["status"]).ok();
    for expected in [
        "livehost ",
        &pid,
        "config.ron",
        "rtmp://127.0.0.1",
        "allow-all.wasm",
        "streams: 0",
    ] {
        assert!(idle.contains(expected), "{expected}: {idle}");
    }
    let publisher = Client::publish(host.addr, "live", "cam").expect("may publish");
    let player = Client::playing(host.addr, "live", "cam").expect("may play");
    for choice in [
        &[][..],
        &["--server", &pid],
        &["--server", path.to_str().unwrap()],
    ] {
        let arguments = [&["status"][..], choice].concat();
        let text = beside(&host, &arguments).ok();
        let cam = text.lines().find(|line| line.starts_with("live/cam "));
        let cam = cam.unwrap_or_else(|| panic!("{text}"));
        assert!(cam.contains(&publisher.local()), "{text}");
        assert!(
            text.contains("streams: 1, players: 1, clients: 2"),
            "{text}"
        );
    }
    let json = beside(&host, &["status", "--json"]).json();
    assert_eq!(json["server"]["pid"].to_string(), pid);
    assert_eq!(json["applications"][0]["name"], "live");
    assert_eq!(json["streams"][0]["stream"], "live/cam");
    let streams = beside(&host, &["streams", "--app", "live", "--json"]).json();
    assert_eq!(streams["items"][0]["players"], 1);
    let none = beside(&host, &["streams", "--app", "other", "--json"]).json();
    assert_eq!(none["items"].as_array().map(Vec::len), Some(0));
    let clients = beside(&host, &["clients"]).ok();
    assert!(clients.contains(&player.local()), "{clients}");
    let nobody = beside(&host, &["status", "--server", "999999999"]).refused(3);
    assert!(nobody.contains("999999999"), "{nobody}");
}

#[test]
fn without_a_server_the_exit_status_is_3() {
    let _guard = together();
    let empty = folder();
    let none = run(empty.path(), &["status"]).refused(3);
    let looked = empty.path().join("livehost");
    assert!(none.contains(&looked.display().to_string()), "{none}");
    assert!(none.contains("--server"), "{none}");

    // What a server leaves that is killed, and only that.
    let mut host = Host::start(&open());
    let path = socket(&host);
    host.process.kill();
    assert!(path.exists(), "it was killed");
    beside(&host, &["status"]).refused(3);
    let path = path.to_str().unwrap();
    let stale = beside(&host, &["drain", "--server", path]).refused(3);
    assert!(stale.contains(path), "{stale}");
}

#[test]
fn of_several_servers_one_is_chosen() {
    let _guard = together();
    let first = Host::start(&open());
    let other = socket(&first).with_file_name("other.sock");
    let second = Host::start(&open().sections(&format!("api: (socket: {other:?}),")));
    assert_eq!(socket(&second), other);
    for order in [&["status"][..], &["drain"]] {
        let several = beside(&first, order).refused(1);
        for id in [first.process.id(), second.process.id()] {
            assert!(several.contains(&id.to_string()), "{several}");
        }
        assert!(several.contains("--server"), "{several}");
    }
    let chosen = beside(
        &first,
        &["status", "--json", "--server", other.to_str().unwrap()],
    )
    .json();
    assert_eq!(chosen["server"]["pid"], second.process.id());
    // An orderly end takes its socket along.
    second.stop();
    assert!(!other.exists());
    beside(&first, &["status"]).ok();
}

#[test]
fn orders_are_carried_out_or_say_why_not() {
    let _guard = together();
    let mut host = Host::start(&open().limits("drain: \"1 s\""));
    let publisher = Client::publish(host.addr, "live", "cam").expect("may publish");
    let mut player = Client::playing(host.addr, "live", "cam").expect("may play");
    let clients = beside(&host, &["clients", "--json"]).json();
    let id = clients["items"][1]["id"].as_str().unwrap().to_owned();
    beside(&host, &["kick", &id, "--reason", "tidying up"]).ok();
    assert!(player.closed(SOON), "the player is closed");
    let told = [("order", "kick"), ("target", id.as_str())];
    host.log.wait(START, "order carried out", &told, SOON);
    let gone = beside(&host, &["kick", "987654321"]).refused(1);
    assert!(gone.contains("987654321"), "{gone}");

    let missing = beside(&host, &["stop", "live/none"]).refused(1);
    assert!(
        missing.contains("live/none") && missing.contains("host streams"),
        "{missing}"
    );
    beside(&host, &["stop", "live/cam"]).ok();
    let stopped = [("order", "stop a stream")];
    host.log.wait(START, "order carried out", &stopped, SOON);
    drop(publisher);

    let level = beside(&host, &["log-level", "info,livehost_hub=debug"]).ok();
    assert_eq!(level.trim(), "info,livehost_hub=debug");
    let wrong = beside(&host, &["log-level", "livehost_hub=loud"]).refused(1);
    assert!(wrong.contains("loud"), "{wrong}");
    let level = beside(&host, &["log-level"]).ok();
    assert!(level.contains("livehost_hub=debug"), "{level}");

    let plugin = beside(&host, &["reload", "--plugin", "live"]).ok();
    assert!(plugin.contains("unchanged, generation 1"), "{plugin}");
    beside(&host, &["reload", "--plugin", "none"]).refused(1);
    beside(&host, &["roll-back", "live"]).refused(1);
    beside(&host, &["reload"]).ok();
    fs::write(host.file("config.ron"), "(nonsense: 1)").unwrap();
    let wrong = beside(&host, &["reload"]).refused(1);
    assert!(wrong.contains("config.ron:1:1"), "{wrong}");

    beside(&host, &["drain"]).ok();
    let exit = host.process.wait(SOON);
    assert!(exit.status.success(), "{}", exit.status);
}

#[test]
fn a_token_opens_the_api_over_tcp_as_far_as_its_scopes_go() {
    let _guard = together();
    let folder = folder();
    let made = run(
        folder.path(),
        &["token", "ci", "--scope", "Read", "--scope", "media"],
    );
    assert_eq!(made.status, Some(0), "{made:?}");
    let line = made.stderr.lines().find(|line| line.contains("api:"));
    let line = line.unwrap_or_else(|| panic!("{made:?}")).trim().to_owned();
    assert!(
        !made.stderr.contains(made.stdout.trim()),
        "the token is shown once"
    );
    let any = "127.0.0.1:0".parse().unwrap();
    let config = open()
        .also(any, "[Tcp, Http]", "serve: [Api]")
        .sections(&line);
    let host = Host::start(&config);
    let url = format!("http://{}", address(&host));
    let file = |name: &str, token: &str| -> String {
        let file: PathBuf = folder.path().join(name);
        fs::write(&file, token).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (right, wrong) = (file("right", &made.stdout), file("wrong", "livehost_0"));
    let at = |token: &str, order: &[&str]| {
        let arguments = [order, &["--url", &url, "--token-file", token]].concat();
        run(folder.path(), &arguments)
    };
    let json = at(&right, &["status", "--json"]).json();
    assert_eq!(json["server"]["pid"], host.process.id());
    let nobody = at(&right, &["kick", "987654321"]).refused(1);
    assert!(nobody.contains("987654321"), "{nobody}");
    let denied = at(&right, &["drain"]).refused(1);
    assert!(denied.contains("Admin"), "{denied}");
    at(&wrong, &["status"]).refused(1);
    // Usage: a URL wants a token.
    run(folder.path(), &["status", "--url", &url]).refused(2);
    drop(host);
    at(&right, &["status"]).refused(3);
}

#[test]
fn the_api_is_asked_over_tls_when_its_certificate_is_trusted() {
    let _guard = together();
    let folder = folder();
    let certificate = tls::localhost().write(folder.path(), "api");
    let made = run(folder.path(), &["token", "ci", "--json"]).json();
    let sections = format!(
        "api: (tokens: {{\"ci\": (sha256: {}, scopes: [Read])}}),",
        made["sha256"]
    );
    let token = folder.path().join("token");
    fs::write(&token, made["token"].as_str().unwrap()).unwrap();
    let any = "127.0.0.1:0".parse().unwrap();
    let fields = format!("serve: [Api], tls: [{certificate}]");
    let config = open().also(any, "[Tcp, Tls, Http]", &fields);
    let host = Host::start_in(folder, &config.sections(&sections));
    let chain = [("chain", "[Tcp, Tls, Http]")];
    let listening = host.log.wait(START, "listening", &chain, SOON);
    let addr = listening.field("addr").unwrap();
    let port = addr.rsplit(':').next().unwrap();
    let url = format!("https://localhost:{port}");
    for (trusted, expected) in [(tls::trusted_file(), 0), (Path::new("/dev/null"), 3)] {
        let token = token.to_str().unwrap();
        let arguments = ["status", "--url", &url, "--token-file", token];
        let mut asked = command(host.folder.path(), &arguments);
        asked.env("SSL_CERT_FILE", trusted).env("SSL_CERT_DIR", "");
        let mut asked = Process::spawn("host status", &mut asked);
        let exit = asked.wait(Duration::from_secs(30));
        assert_eq!(exit.status.code(), Some(expected), "{}", exit.stderr);
    }
}

#[test]
fn a_reader_sees_and_orders_nothing() {
    let _guard = together();
    let host = Host::start(&with_api(open()));
    let url = format!("http://{}", address(&host));
    for (token, expected) in [(READ, 1), (EVERYTHING, 0)] {
        let file = host.file("token");
        fs::write(&file, token).unwrap();
        let at = ["--url", &url, "--token-file", file.to_str().unwrap()];
        beside(&host, &[&["clients"][..], &at].concat()).ok();
        let reload = beside(&host, &[&["reload"][..], &at].concat());
        assert_eq!(reload.status, Some(expected), "{reload:?}");
        assert!(!reload.stderr.contains(token), "{reload:?}");
    }
}

#[test]
fn names_hide_nothing_at_a_terminal() {
    let _guard = together();
    let host = Host::start(&open());
    let name = "cam\u{202e}\u{200b}gpj";
    let publisher = Client::publish(host.addr, "live", name).expect("may publish");
    for arguments in [
        &["status"][..],
        &["streams"],
        &["streams", "--json"],
        &["top", "--count", "1"],
    ] {
        let text = beside(&host, arguments).ok();
        assert!(
            !text.contains(['\u{202e}', '\u{200b}']),
            "{arguments:?}: {text:?}"
        );
        assert!(text.contains("202e"), "{arguments:?}: {text:?}");
    }
    let json = beside(&host, &["streams", "--json"]).json();
    assert_eq!(json["items"][0]["name"], name);
    drop(publisher);
}

#[test]
fn top_without_a_terminal_prints_table_after_table() {
    let _guard = together();
    let host = Host::start(&open());
    let publisher = Client::publish(host.addr, "live", "cam").expect("may publish");
    let text = beside(&host, &["top", "--count", "2"]).ok();
    let rows = text.lines().filter(|line| line.starts_with("live/cam "));
    assert_eq!(rows.count(), 2, "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
    drop(publisher);
}

#[test]
fn shells_and_man_are_told_of_every_command() {
    let folder = folder();
    let bash = run(folder.path(), &["completions", "bash"]).ok();
    let page = run(folder.path(), &["man"]).ok();
    for word in ["status", "roll"] {
        assert!(bash.contains(word), "{word}");
        assert!(page.contains(word), "{word}");
    }
    assert!(!page.contains("compile"), "a hidden command");
}
