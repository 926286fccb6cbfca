//! Start, stop, and the errors that prevent a start.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::state::run;
use crate::support::{
    App, Config, Encoder, Host, Player, Tool,
    amf::Amf,
    clients, fixture,
    flv::VIDEO,
    guests, host,
    log::{Log, START},
    process::{Exit, Signal},
    rtmp::{Client, Failure},
    together,
};

const SOON: Duration = Duration::from_secs(10);

/// Stops a server that has clients; returns how long it took.
fn stopped_by(signal: Signal) -> Duration {
    // Longer than anybody here waits.
    let config = Config::live(App::open("reject")).limits("drain: \"1 min\"");
    let mut host = Host::start(&config);
    let mut publisher = Client::publish(host.addr, "live", "cam").expect("may publish");
    let mut player = Client::play(host.addr, "live", "cam").expect("may play");
    let mut idle = Client::connect(host.addr, "live").expect("may connect");
    player.status(SOON, "NetStream.Play.Start").expect("plays");
    let begin = Instant::now();
    host.process.signal(signal);
    for (who, client, told) in [
        ("publisher", &mut publisher, "NetStream.Unpublish.Success"),
        ("player", &mut player, "NetStream.Play.Stop"),
        ("idle", &mut idle, "NetConnection.Connect.AppShutdown"),
    ] {
        client
            .status(SOON, told)
            .unwrap_or_else(|failure| panic!("{who} is not told: {failure:?}"));
        assert!(client.closed(SOON), "{who} is closed");
    }
    drop((publisher, player, idle));
    let exit = host.process.wait(SOON);
    assert!(exit.status.success(), "{signal:?}: {}", exit.status);
    exit.at - begin
}

#[test]
fn sigterm_and_sigint_tell_clients_and_exit_0() {
    let _guard = together();
    for signal in [Signal::Terminate, Signal::Interrupt] {
        let took = stopped_by(signal);
        eprintln!("{signal:?}: exit 0 after {took:?} with three clients");
    }
}

#[test]
fn real_clients_end_when_the_server_stops() {
    let _guard = together();
    let tools = clients::present(&Tool::ALL);
    if !tools.contains(&Tool::Ffmpeg9) {
        return;
    }
    let film = fixture::film(20, 0);
    let host = Host::start(&Config::live(App::open("reject")));
    let url = host.url("live/film");
    let mut publisher = Encoder(Tool::Ffmpeg9).publish(&film, &url);
    host.log.wait(START, "publishing", &[], SOON);
    let mut players: Vec<_> = tools
        .into_iter()
        .enumerate()
        .map(|(i, tool)| {
            let mark = host.log.mark();
            let player = Player(tool).record(&url, host.file(&format!("played-{i}.flv")));
            host.log.wait(mark, "playing", &[], SOON);
            player
        })
        .collect();
    host.stop();
    publisher.wait(SOON);
    for player in &mut players {
        player.ended(SOON);
    }
}

#[test]
fn client_that_does_not_leave_is_closed_at_the_drain_limit() {
    let _guard = together();
    let config = Config::live(App::open("reject")).limits("drain: \"1 s\"");
    let mut host = Host::start(&config);
    // Never reads, never closes.
    let stubborn = Client::connect(host.addr, "live").expect("may connect");
    let begin = Instant::now();
    host.process.signal(Signal::Terminate);
    let exit = host.process.wait(SOON);
    assert!(exit.status.success(), "{}", exit.status);
    let took = exit.at - begin;
    eprintln!("drain limit 1 s: exit 0 after {took:?}");
    drop(stubborn);
}

#[test]
fn connections_are_refused_while_stopping() {
    let _guard = together();
    let config = Config::live(App::open("reject")).limits("drain: \"1 min\"");
    let mut host = Host::start(&config);
    let stubborn = Client::connect(host.addr, "live").expect("may connect");
    host.process.signal(Signal::Terminate);
    host.log.wait(START, "stopping", &[], SOON);
    // The listener closes within the same moment.
    let begin = Instant::now();
    while Client::connect(host.addr, "live").is_ok() {
        assert!(begin.elapsed() < SOON, "still accepting");
    }
    drop(stubborn);
    assert!(host.process.wait(SOON).status.success());
}

#[test]
fn a_second_signal_ends_the_drain_at_once() {
    let _guard = together();
    let config = Config::live(App::open("reject")).limits("drain: \"10 min\"");
    for (first, second) in [
        (Signal::Terminate, Signal::Terminate),
        (Signal::Interrupt, Signal::Terminate),
    ] {
        let mut host = Host::start(&config);
        // Asked to connect again, it need not.
        let stubborn = reconnecting(host.addr);
        host.process.signal(first);
        let stopping = host.log.wait(START, "stopping", &[], SOON);
        assert_eq!(stopping.field("again").as_deref(), Some("ends at once"));
        assert!(!host.process.has_ended(), "it waits for its client");
        host.process.signal(second);
        let exit = host.process.wait(SOON);
        assert!(exit.status.success(), "{}", exit.status);
        host.log
            .wait(START, "ending at once", &[("sessions", "1")], SOON);
        host.log.wait(START, "stopped", &[], SOON);
        drop(stubborn);
    }
}

#[test]
fn what_plugins_keep_survives_a_hurried_end() {
    let _guard = together();
    let folder = host::folder();
    let config = Config::live(App::probe("accept")).limits("drain: \"10 min\"");
    let config = config.state(&folder.path().join("state"));
    let mut hurried = Host::start(&config);
    let stubborn = reconnecting(hurried.addr);
    assert_eq!(run(&hurried, "live", "kv-incr", "count 41"), "41");
    hurried.process.signal(Signal::Terminate);
    hurried.log.wait(START, "stopping", &[], SOON);
    hurried.process.signal(Signal::Terminate);
    assert!(hurried.process.wait(SOON).status.success());
    drop(stubborn);

    let host = Host::start(&config);
    assert_eq!(run(&host, "live", "kv-incr", "count 1"), "42");
    host.stop();
}

#[test]
fn signals_that_mean_nothing_end_nothing_and_are_told_once() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")));
    let mut client = Client::publish(host.addr, "live", "cam").expect("may publish");
    for (signal, name) in [
        (Signal::User1, "SIGUSR1"),
        (Signal::User2, "SIGUSR2"),
        (Signal::FileSize, "SIGXFSZ"),
    ] {
        let ignored = "signal ignored; SIGHUP reloads, SIGTERM ends the server";
        host.process.signal(signal);
        host.log.wait(START, ignored, &[("signal", name)], SOON);
        host.process.signal(signal);
        client.create_stream().expect("it is served on");
    }
    client.leave();
    let log = host.log.clone();
    host.stop();
    let told = log.find(
        START,
        "signal ignored; SIGHUP reloads, SIGTERM ends the server",
        &[],
    );
    assert_eq!(told.len(), 3, "once each");
}

#[test]
fn a_full_disk_behind_the_output_stops_nobody() {
    let _guard = together();
    let folder = host::folder();
    let config = Config::live(App::open("reject")).text();
    let mut full = host::redirected("run", folder.path(), &config, "> /dev/full");
    let log = Log(full.stderr.clone());
    log.wait(START, "ready", &[], Duration::from_secs(30));
    full.signal(Signal::Terminate);
    let exit = full.wait(SOON);
    assert!(exit.status.success(), "{}\n{}", exit.status, exit.stderr);
    assert!(!exit.stderr.contains("panicked"), "{}", exit.stderr);

    // The verdict of a check is its status; that its words are lost is not its
    // fault, on neither output.
    for (config, status) in [(config.as_str(), 0), ("(", 1)] {
        for to in ["> /dev/full", "2> /dev/full", "> /dev/full 2>&1"] {
            let exit =
                host::redirected("check", folder.path(), config, to).wait(Duration::from_secs(60));
            assert_eq!(
                exit.status.code(),
                Some(status),
                "check {to}: {}",
                exit.stderr
            );
        }
    }
}

#[test]
fn a_log_in_a_file_is_whole_at_the_end() {
    let _guard = together();
    let folder = host::folder();
    let config = Config::live(App::open("reject")).text();
    let config = config.replacen("log: (", "log: (to: File, file: \"live.log\", ", 1);
    let mut server = host::launch(folder.path(), &config);
    // The banner comes when it is about to listen.
    let deadline = Instant::now() + Duration::from_secs(30);
    let banner = server.stdout.wait(0, deadline, |line| {
        line.text.contains("ffplay").then_some(())
    });
    banner.expect("it starts");
    server.signal(Signal::Terminate);
    let exit = server.wait(SOON);
    assert!(exit.status.success(), "{}\n{}", exit.status, exit.stderr);
    assert!(!exit.stderr.contains("\"message\""), "{}", exit.stderr);
    let log = fs::read_to_string(folder.path().join("live.log")).expect("the log");
    assert!(log.contains("\"message\":\"ready\""), "{log}");
    let last = log.lines().last().unwrap_or_default();
    assert!(last.contains("\"message\":\"stopped\""), "{log}");

    let config = config.replacen("live.log", "logs/live.log", 1);
    let exit = host::launch(folder.path(), &config).wait(SOON);
    assert_eq!(exit.status.code(), Some(1), "{}", exit.stderr);
    let why = "log.file: expected a file in a folder that is there";
    assert!(exit.stderr.contains(why), "{}", exit.stderr);
}

#[test]
fn a_full_log_stops_nobody() {
    let _guard = together();
    let addr = TcpListener::bind("127.0.0.1:0")
        .and_then(|free| free.local_addr())
        .expect("a free port");
    let folder = host::folder();
    let config = Config::live(App::open("reject")).listen(&addr.to_string());
    let mut mute = host::redirected("run", folder.path(), &config.text(), "2> /dev/full");
    // The banner comes when it is about to listen.
    let deadline = Instant::now() + Duration::from_secs(30);
    let banner = mute.stdout.wait(0, deadline, |line| {
        line.text.contains("ffplay").then_some(())
    });
    banner.expect("it starts");
    let publisher = Client::publish(addr, "live", "cam").expect("may publish");
    Client::connect(addr, "nobody").expect_err("is refused, which is a line");
    publisher.leave();
    mute.signal(Signal::Terminate);
    let status = mute.wait(SOON).status;
    assert!(status.success(), "{status}");
}

#[test]
fn tools_say_that_their_output_is_lost() {
    let _guard = together();
    let plugin = guests::guest("allow-all.wasm");
    let plugin = plugin.to_str().expect("UTF-8");
    let run = |arguments: &[&str], stdout: Stdio| {
        let mut host = Command::new(env!("CARGO_BIN_EXE_host"));
        let ended = host.args(arguments).stdout(stdout).output();
        let ended = ended.expect("it starts");
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        (ended.status.code(), told)
    };
    let full = || fs::File::create("/dev/full").expect("Linux").into();
    // Its reader has left.
    let unread = || std::io::pipe().expect("a pipe").1.into();
    for arguments in [
        &["plugin", "inspect", plugin][..],
        &["plugin", "inspect", plugin, "--json"],
    ] {
        let (status, told) = run(arguments, full());
        let error = "error: cannot write to standard output: No space left on device";
        assert!(told.starts_with(error), "{arguments:?}: {told}");
        assert_eq!(status, Some(1), "{arguments:?}");
        // Whoever closes the pipe has read enough.
        let enough = (Some(0), String::new());
        assert_eq!(run(arguments, unread()), enough, "{arguments:?}");
    }
    for arguments in [&["--help"][..], &["--version"], &["run", "--help"]] {
        for stdout in [full(), unread()] {
            let (status, told) = run(arguments, stdout);
            assert_eq!((status, told.as_str()), (Some(0), ""), "{arguments:?}");
        }
    }
}

/// A client that announces that it can reconnect (Enhanced RTMP v2).
fn reconnecting(addr: SocketAddr) -> Client {
    let mut client = Client::open(addr).expect("a handshake");
    client
        .connect_command_with(addr, "live", &[("capsEx", Amf::Number(1.0))])
        .expect("is sent");
    client
        .until(SOON, |command| command.name == "_result")
        .expect("may connect");
    client
}

const RECONNECT: &str = "NetConnection.Connect.ReconnectRequest";

#[test]
fn encoders_that_can_reconnect_move_to_the_next_server_without_an_error() {
    let _guard = together();
    let addr = TcpListener::bind("127.0.0.1:0")
        .and_then(|free| free.local_addr())
        .expect("a free port");
    let config = Config::live(App::open("reject"))
        .listen(&addr.to_string())
        .limits("drain: \"30 s\"");
    let mut old = Host::start(&config);
    let mut player = reconnecting(addr);
    player.start_play("cam").expect("may play");
    player.status(SOON, "NetStream.Play.Start").expect("plays");
    let mut encoder = reconnecting(addr);
    encoder.start_publish("cam").expect("may publish");
    encoder
        .media(VIDEO, 0, b"\x91hvc1\0\0\0key")
        .expect("is taken");
    let begin = Instant::now();
    old.process.signal(Signal::Terminate);
    for client in [&mut encoder, &mut player] {
        client.status(SOON, RECONNECT).expect("is asked");
    }
    // Served as before, until it leaves.
    let inter = b"\xa1hvc1\0\0\0inter";
    encoder.media(VIDEO, 40, inter).expect("is taken");
    loop {
        let message = player.next(begin + SOON).expect("media comes");
        if message.payload == inter {
            break;
        }
    }
    // The address is free for the next server.
    while TcpStream::connect(addr).is_ok() {
        assert!(begin.elapsed() < SOON, "still listening");
    }
    let next = Host::start(&config);
    let moved = Client::publish(addr, "live", "cam").expect("publishes there");
    encoder.leave();
    player.leave();
    let exit = old.process.wait(SOON);
    assert!(exit.status.success(), "{}", exit.status);
    for reason in ["shutdown", "protocol-error", "lost"] {
        let ended = old.log.find(START, "session ended", &[("reason", reason)]);
        assert!(ended.is_empty(), "{ended:?}");
    }
    moved.leave();
    next.stop();
}

#[test]
fn one_that_was_asked_to_reconnect_and_stays_is_closed_within_the_drain_limit() {
    let _guard = together();
    let config = Config::live(App::open("reject")).limits("drain: \"4 s\"");
    let mut host = Host::start(&config);
    let mut stubborn = reconnecting(host.addr);
    host.process.signal(Signal::Terminate);
    stubborn.status(SOON, RECONNECT).expect("is asked");
    stubborn
        .status(SOON, "NetConnection.Connect.AppShutdown")
        .expect("is told");
    assert!(stubborn.closed(SOON), "and closed");
    drop(stubborn);
    assert!(host.process.wait(SOON).status.success());
    let left = "the drain limit is over; closing what is left";
    assert!(host.log.find(START, left, &[]).is_empty(), "in time");
}

/// `host run` fails with one clear line, the only one that says "error".
fn fails(config: &Config) -> String {
    let folder = host::folder();
    let exit = host::launch(folder.path(), &config.text()).wait(Duration::from_secs(30));
    one_error(&exit)
}

fn one_error(exit: &Exit) -> String {
    assert_eq!(exit.status.code(), Some(1), "{}", exit.stderr);
    let mut errors = exit
        .stderr
        .lines()
        .filter(|line| line.starts_with("error: "));
    let error = errors.next().expect("an error is told").to_owned();
    assert_eq!(errors.next(), None, "one error line:\n{}", exit.stderr);
    eprintln!("{error}");
    error
}

#[test]
fn port_in_use() {
    let _guard = together();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = taken.local_addr().expect("bound").to_string();
    let error = fails(&Config::live(App::open("reject")).listen(&addr));
    assert!(error.contains(&addr) && error.contains("in use"), "{error}");
}

#[test]
fn too_little_address_space_is_named() {
    let _guard = together();
    let folder = host::folder();
    let config = Config::live(App::open("reject")).text();
    // Less than one instance of a plugin reserves.
    let space = 3 << 20;
    let exit = host::confined("run", folder.path(), &config, space).wait(SOON);
    let error = one_error(&exit);
    for word in ["address space", "ulimit -v", "LimitAS=", "limits.instances"] {
        assert!(error.contains(word), "{word}: {error}");
    }
    let warning = "the address space is limited to 3072 MiB";
    assert!(exit.stderr.contains(warning), "{}", exit.stderr);
    let mut check = host::confined("check", folder.path(), &config, space);
    let exit = check.wait(SOON);
    assert_eq!(exit.status.code(), Some(1), "{}", exit.stderr);
    let told = check.stdout.text();
    assert!(told.contains(&format!("warning: {warning}")), "{told}");
}

#[test]
fn unreadable_plugin() {
    let _guard = together();
    let error = fails(&Config::live(App::new("nowhere/plugin.wasm", "{}")));
    assert!(error.contains("nowhere/plugin.wasm"), "{error}");
    assert!(error.contains("found none"), "{error}");
}

/// Runs and checks with a plugin file of this content; returns run's error.
fn fails_with_plugin(content: &[u8]) -> String {
    let folder = host::folder();
    let plugin = folder.path().join("plugin.wasm");
    fs::write(plugin, content).expect("the plugin can be written");
    let config = Config::live(App::new("plugin.wasm", "{}")).text();
    let checked = host::check(folder.path(), &config).wait(Duration::from_secs(30));
    assert_eq!(checked.status.code(), Some(1), "check finds it too");
    let exit = host::launch(folder.path(), &config).wait(Duration::from_secs(30));
    let error = one_error(&exit);
    assert!(error.contains("plugin.wasm"), "{error}");
    error
}

#[test]
fn plugin_without_the_exports() {
    let _guard = together();
    let error = fails_with_plugin(b"\0asm\x0d\0\x01\0");
    assert!(
        error.contains("livehost:app/"),
        "the missing export: {error}"
    );
}

#[test]
fn plugin_that_is_no_component() {
    let _guard = together();
    let error = fails_with_plugin(b"\0asm\x01\0\0\0");
    assert!(error.contains("component"), "{error}");
    fails_with_plugin(b"#!/bin/sh\n");
}

#[test]
fn plugin_that_refuses_its_configuration() {
    let _guard = together();
    let app = App::new(guests::probe(), "{ \"mode\": \"refuse-configure\" }");
    let folder = host::folder();
    let exit = host::launch(folder.path(), &Config::live(app).text()).wait(SOON);
    let error = one_error(&exit);
    assert!(error.contains("refused its configuration"), "{error}");
    // With its place in the file.
    let said = "asked to refuse its configuration";
    let place = exit.stderr.lines().find(|line| line.contains(said));
    let place = place.expect("what the plugin said");
    assert!(place.contains("config.ron:"), "{place}");
    assert!(exit.stderr.contains("refuse-configure"), "{}", exit.stderr);
}

#[test]
fn plugin_that_hangs_while_it_is_configured() {
    let _guard = together();
    for mode in [
        "loop-on-configure",
        "sleep-on-configure",
        "panic-on-configure",
    ] {
        let app = App::probe(mode).limits("start: \"500 ms\", start_cpu: \"100 ms\"");
        let error = fails(&Config::live(app));
        assert!(error.contains("probe.wasm"), "{error}");
    }
}

#[test]
fn bad_configuration() {
    let _guard = together();
    let folder = host::folder();
    let good = Config::live(App::open("reject")).text();
    let bad = good.replace("chain:", "chian:");
    let exit = host::launch(folder.path(), &bad).wait(SOON);
    assert_eq!(exit.status.code(), Some(1));
    eprintln!("{}", exit.stderr);
    let line = 1 + bad.lines().position(|line| line.contains("chian")).unwrap();
    let place = format!("config.ron:{line}:");
    for part in [place.as_str(), "chian", "chain"] {
        assert!(exit.stderr.contains(part), "{part} in {}", exit.stderr);
    }
    let missing = folder.path().join("other");
    fs::create_dir(&missing).unwrap();
    let exit = host::check(&missing, "").wait(SOON);
    assert_eq!(exit.status.code(), Some(1), "an empty file is no config");
}

#[test]
fn check_accepts_what_run_would_serve() {
    let _guard = together();
    let folder = host::folder();
    let config = Config::live(App::open("reject"));
    let mut check = host::check(folder.path(), &config.text());
    let exit = check.wait(Duration::from_secs(30));
    assert!(exit.status.success(), "{}", exit.stderr);
    let said = check.stdout.text();
    assert!(said.contains("live") && said.contains("ok"), "{said}");
    assert!(!said.contains("warning"), "loopback is fine: {said}");
    assert!(!said.contains("undecided"), "nothing is: {said}");

    let open = App::open("reject").on_error("(publish: Allow, play: Allow)");
    let mut check = host::check(folder.path(), &Config::live(open).text());
    let exit = check.wait(Duration::from_secs(30));
    assert!(exit.status.success(), "{}", exit.stderr);
    let said = check.stdout.text();
    let note = "note: application live lets clients publish and play undecided while its plugin \
                waits for longer than 3 s (limits.decision)";
    assert!(said.contains(note), "what on_error leaves open: {said}");

    // The port isn't bound: one that is taken is no obstacle.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = taken.local_addr().expect("bound").to_string();
    let exit = host::check(folder.path(), &config.clone().listen(&addr).text())
        .wait(Duration::from_secs(30));
    assert!(exit.status.success(), "{}", exit.stderr);

    let mut check = host::check(folder.path(), &config.listen("0.0.0.0:0").text());
    let exit = check.wait(Duration::from_secs(30));
    assert!(exit.status.success(), "{}", exit.stderr);
    let said = check.stdout.text() + &exit.stderr;
    assert!(said.contains("warning"), "open to the world: {said}");
}

/// At its start and with each configuration, in the words of `host check`.
#[test]
fn run_warns_where_anybody_can_publish() {
    let _guard = together();
    let config = Config::live(App::open("reject")).listen("0.0.0.0:0");
    let folder = host::folder();
    let mut check = host::check(folder.path(), &config.text());
    check.wait(Duration::from_secs(30));
    let said = check.stdout.text();
    let warning = said.lines().find_map(|line| line.strip_prefix("warning: "));
    let warning = warning.expect("a warning of `host check`");

    let host = Host::start(&config);
    let limit = Duration::from_secs(30);
    assert_eq!(host.log.wait(START, warning, &[], limit).level(), "WARN");
    let mark = host.log.mark();
    let changed = config.limits("idle: \"2 min\"").text();
    fs::write(host.file("config.ron"), changed).unwrap();
    host.log.wait(mark, warning, &[], limit);
    host.stop();
}

#[test]
fn banner_says_how_to_publish_and_play() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")));
    let stdout = &host.process.stdout;
    let last = stdout.wait(0, Instant::now() + SOON, |line| {
        line.text.contains("ffplay").then_some(())
    });
    let banner = stdout.text();
    assert_eq!(last, Some(()), "a play line in {banner}");
    let url = host.url("live/");
    for part in ["ffmpeg", "allow-all.wasm", &host.addr.to_string(), &url] {
        assert!(banner.contains(part), "{part} in {banner}");
    }
    host.stop();
}

#[test]
fn unknown_application_is_refused_with_its_name() {
    let _guard = together();
    let host = Host::start(&Config::live(App::open("reject")));
    let refused = Client::connect(host.addr, "nope").expect_err("no such application");
    assert!(
        matches!(&refused, Failure::Refused { description, .. } if description.contains("nope")),
        "{refused:?}"
    );
    assert_eq!(refused.code(), "NetConnection.Connect.InvalidApp");
    host.log
        .wait(START, "connect refused", &[("code", refused.code())], SOON);
    host.stop();
}
