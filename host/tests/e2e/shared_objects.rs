//! Shared objects between clients of the real server.

use std::time::{Duration, Instant};

use crate::{
    support::{
        App, Config, Host, chunks::SHARED_OBJECT, guests, host, log::START, rtmp::Client, together,
    },
    transcript::shared_object,
};

const SOON: Duration = Duration::from_secs(20);

/// A client that uses shared objects.
struct Guest {
    client: Client,
}

impl Guest {
    fn new(host: &Host, app: &str) -> Self {
        let client = Client::connect(host.addr, app).expect("connects");
        Self { client }
    }

    /// Sends a message, in words.
    fn say(&mut self, text: &str) {
        self.client
            .shared_object(&shared_object::encode(text))
            .expect("sent");
    }

    /// The events of the next message, in words.
    fn hear(&mut self) -> String {
        let deadline = Instant::now() + SOON;
        loop {
            let message = self.client.next(deadline).expect("a message");
            if message.kind == SHARED_OBJECT {
                let (name, events) = shared_object::decode(&message.payload);
                return format!("{name}: {}", events.join("; "));
            }
        }
    }

    /// Says something, and hears the answer.
    fn ask(&mut self, text: &str) -> String {
        self.say(text);
        self.hear()
    }

    fn joins(&mut self, object: &str) -> String {
        self.ask(&format!("{object} use"))
    }
}

fn open(fields: &str) -> App {
    App::open("reject").shared_objects(&format!("access: Allow, {fields}"))
}

#[test]
fn two_clients_share_an_object_and_a_third_finds_it_as_it_is() {
    let _guard = together();
    let host = Host::start(&Config::live(open("")));
    let mut ann = Guest::new(&host, "live");
    let mut bob = Guest::new(&host, "live");
    assert_eq!(ann.joins("so 0"), "so: use-success; clear");
    assert_eq!(bob.joins("so 0"), "so: use-success; clear");
    assert_eq!(ann.ask("so 0 set x 1; set y \"two\""), "so: done x; done y");
    assert_eq!(bob.hear(), "so: change x 1; change y \"two\"");
    assert_eq!(bob.ask("so 0 remove x"), "so: gone x");
    assert_eq!(ann.hear(), "so: gone x");
    let sent = "so: send \"onChat\" \"hello\"";
    assert_eq!(ann.ask("so 0 send \"onChat\" \"hello\""), sent);
    assert_eq!(bob.hear(), sent);
    let mut late = Guest::new(&host, "live");
    assert_eq!(
        late.joins("so 0"),
        "so: use-success; clear; change y \"two\""
    );
    assert_eq!(late.ask("so 0 clear"), "so: clear");
    assert_eq!(ann.hear(), "so: clear");
    assert_eq!(bob.hear(), "so: clear");
    // One that is thrown out of the net is gone from the object, too.
    assert_eq!(late.ask("so 0 set z 3"), "so: done z");
    ann.client.reset();
    bob.client.reset();
    late.client.reset();
    let deadline = Instant::now() + SOON;
    loop {
        let mut next = Guest::new(&host, "live");
        if next.joins("so 0") == "so: use-success; clear" {
            break;
        }
        assert!(Instant::now() < deadline, "the object outlives its clients");
    }
    host.stop();
}

#[test]
fn persistent_objects_survive_a_restart_and_a_crash() {
    let _guard = together();
    let folder = host::folder();
    let state = folder.path().join("state");
    let config = Config::live(open(""))
        .state(&state)
        .level("info,livehost_plugin=debug");
    let host = Host::start(&config);
    let mut ann = Guest::new(&host, "live/room");
    ann.joins("so 0 persistent");
    assert_eq!(ann.ask("so 0 persistent set x 1"), "so: done x");
    assert_eq!(ann.ask("so 0 persistent set y 2"), "so: done y");
    host.stop();

    let host = Host::start(&config);
    let mut ann = Guest::new(&host, "live/room");
    assert_eq!(
        ann.joins("so 0 persistent"),
        "so: use-success; clear; change x 1; change y 2"
    );
    // The one that is not persistent, and that of another instance.
    assert_eq!(ann.joins("so 0"), "so: use-success; clear");
    let mut elsewhere = Guest::new(&host, "live");
    let empty = elsewhere.joins("so 0 persistent");
    assert_eq!(empty, "so: use-success; clear");
    let mark = host.log.mark();
    assert_eq!(
        ann.ask("so 0 persistent remove x; set y 3"),
        "so: gone x; done y"
    );
    host.log.wait(mark, "plugin state saved", &[], SOON);
    drop(host);

    let host = Host::start(&config);
    let mut ann = Guest::new(&host, "live/room");
    let state = ann.joins("so 0 persistent");
    assert_eq!(state, "so: use-success; clear; change y 3");
    host.stop();
}

#[test]
fn objects_are_closed_unless_opened_and_have_limits() {
    let _guard = together();
    let limits = "objects: 2, per_connection: 1, clients: 2, properties: 1, bytes: \"1 KiB\"";
    let config = Config::live(App::open("reject")).and("free", open(limits));
    let host = Host::start(&config);
    let mut guest = Guest::new(&host, "live");
    let denied = "so: status SharedObject.NoReadAccess error";
    assert_eq!(guest.joins("so 0"), denied);
    let mut guests: Vec<_> = (0..3).map(|_| Guest::new(&host, "free")).collect();
    let joined = "so: use-success; clear";
    assert_eq!(guests[0].joins("so 0"), joined);
    let failed = "status SharedObject.ObjectCreationFailed error";
    assert_eq!(guests[0].joins("more 0"), format!("more: {failed}"));
    assert_eq!(guests[1].joins("so 0"), joined);
    assert_eq!(guests[2].joins("so 0"), denied);
    assert_eq!(guests[2].joins("b 0"), "b: use-success; clear");
    let refused = "so: status SharedObject.NoWriteAccess error";
    assert_eq!(guests[0].ask("so 0 set x 1"), "so: done x");
    assert_eq!(guests[0].ask("so 0 set y 1"), format!("{refused}; gone y"));
    let long = format!("so 0 set x \"{}\"", "v".repeat(1024));
    assert_eq!(guests[0].ask(&long), format!("{refused}; change x 1"));
    assert_eq!(guests[0].ask(&long.replace("set x", "send")), refused);
    // It heard of what was done and of nothing else.
    assert_eq!(guests[1].hear(), "so: change x 1");
    assert_eq!(guests[1].ask("so 0 clear"), "so: clear");
    host.stop();
}

#[test]
fn who_does_not_read_costs_little_and_holds_nobody_up() {
    const TOTAL: usize = 128 << 20;
    const VALUE: usize = 64 << 10;
    /// The client's socket, its queue, its way out, and what others do.
    const MEMORY: u64 = 32 << 20;
    let _guard = together();
    let host = Host::start(&Config::live(open("")));
    let mut ann = Guest::new(&host, "live");
    let mut bob = Guest::new(&host, "live");
    let mut deaf = Guest::new(&host, "live");
    for guest in [&mut ann, &mut bob, &mut deaf] {
        guest.joins("so 0");
    }
    let before = host.memory();
    let value = "v".repeat(VALUE - 100);
    for n in 0..TOTAL / VALUE {
        ann.say(&format!("so 0 set n {n}; set value \"{value}\""));
        assert_eq!(ann.hear(), "so: done n; done value");
        let heard = bob.hear();
        assert!(heard.starts_with(&format!("so: change n {n}; ")), "{n}");
    }
    let grown = host.peak_memory().saturating_sub(before);
    eprintln!("{TOTAL} bytes of changes beside one that reads none: {grown} bytes more");
    assert!(grown < MEMORY, "memory grew by {grown} bytes");
    // It reads on, and soon has what the others have.
    let last = format!("change n {}", TOTAL / VALUE - 1);
    let mut messages = 0;
    loop {
        messages += 1;
        let heard = deaf.hear();
        if heard.contains(&last) {
            assert!(heard.starts_with("so: clear; "), "{}", &heard[..40]);
            break;
        }
    }
    assert!(messages < TOTAL / VALUE, "it was spared {messages} of them");
    host.log.wait(
        START,
        "behind with a shared object: told its whole state",
        &[("object", "so")],
        SOON,
    );
    assert_eq!(ann.ask("so 0 remove value"), "so: gone value");
    assert_eq!(deaf.hear(), "so: gone value");
    host.stop();
}

#[test]
fn who_asks_and_does_not_read_is_read_no_more() {
    /// Of requests, more than sockets hold; their answers are 5,000 times as long.
    const TOTAL: usize = 64 << 20;
    const MEMORY: u64 = 64 << 20;
    let _guard = together();
    let host = Host::start(&Config::live(open("")));
    let mut ann = Guest::new(&host, "live");
    ann.joins("so 0");
    let value = "v".repeat(60_000);
    for n in 0..4 {
        let answer = ann.ask(&format!("so 0 set value{n} \"{value}\""));
        assert_eq!(answer, format!("so: done value{n}"));
    }
    let before = host.memory();
    let greedy = Client::connect(host.addr, "live").expect("connects");
    let body = shared_object::encode("so 0 use");
    let request = crate::support::chunks::encode(3, SHARED_OBJECT, 0, 0, &body, 4096);
    let (sent, _greedy) = greedy.flood(&request, TOTAL, Duration::from_secs(3));
    let grown = host.peak_memory().saturating_sub(before);
    eprintln!("{sent} of {TOTAL} bytes of requests were taken, memory grew by {grown} bytes");
    assert!(sent < TOTAL, "all of them were taken");
    assert!(grown < MEMORY, "memory grew by {grown} bytes");
    assert_eq!(ann.ask("so 0 set x 1"), "so: done x");
    host.stop();
}

#[test]
fn a_client_that_only_shares_is_not_idle() {
    let _guard = together();
    let config = Config::live(open("")).limits("idle: \"1 s\"");
    let host = Host::start(&config);
    let mut ann = Guest::new(&host, "live");
    let mut idle = Guest::new(&host, "live");
    ann.joins("so 0");
    assert!(idle.client.closed(SOON));
    assert_eq!(ann.ask("so 0 set x 1"), "so: done x");
    ann.say("so 0 release");
    assert!(ann.client.closed(SOON), "it shares no more");
    host.stop();
}

#[test]
fn settings_change_while_clients_are_there() {
    let _guard = together();
    let live = |fields: &str| Config::live(App::open("reject").shared_objects(fields));
    let host = Host::start(&live("access: Allow"));
    let mut ann = Guest::new(&host, "live");
    ann.joins("so 0");
    let mut change = |fields: &str| {
        let mark = host.log.mark();
        let text = live(fields).text();
        guests::replace(&host.file("config.ron"), text.as_bytes());
        host.log.wait(mark, "configuration in force", &[], SOON);
        ann.ask("so 0 set x 1")
    };
    let refused = "so: status SharedObject.NoWriteAccess error; gone x";
    assert_eq!(change("access: Deny"), refused);
    assert_eq!(change("access: Allow"), "so: done x");
    assert_eq!(ann.ask("so 0 remove x"), "so: gone x");
    host.stop();
}

#[test]
fn the_plugin_decides_each_event_in_its_order() {
    let _guard = together();
    // What the setting says does not count.
    let host = Host::start(&Config::live(App::probe("accept")));
    let mut ann = Guest::new(&host, "live");
    let mut bob = Guest::new(&host, "live");
    assert_eq!(
        ann.joins("closed 0"),
        "closed: status SharedObject.NoReadAccess error"
    );
    for guest in [&mut ann, &mut bob] {
        assert_eq!(guest.joins("so 0"), "so: use-success; clear");
    }
    // All at once, the first being decided last.
    let events = [
        ("set doze 1", "done doze"),
        ("set x 2; set lower \"HI\"", "done x; change lower \"hi\""),
        (
            "set locked 3",
            "status SharedObject.NoWriteAccess error; gone locked",
        ),
        (
            "set broken 4",
            "status SharedObject.NoWriteAccess error; gone broken",
        ),
        (
            "set panic 5",
            "status SharedObject.NoWriteAccess error; gone panic",
        ),
        ("send \"shout\" 1", "send \"say\" \"quietly\""),
        ("send \"spam\"", "status SharedObject.NoWriteAccess error"),
        ("remove x", "gone x"),
        (
            "clear",
            "status SharedObject.NoWriteAccess error; clear; change doze 1; change lower \"hi\"",
        ),
    ];
    for (said, _) in events {
        ann.say(&format!("so 0 {said}"));
    }
    for (_, answer) in events {
        assert_eq!(ann.hear(), format!("so: {answer}"));
    }
    for heard in [
        "change doze 1",
        "change x 2; change lower \"hi\"",
        "send \"say\" \"quietly\"",
        "gone x",
    ] {
        assert_eq!(bob.hear(), format!("so: {heard}"));
    }
    host.log.wait(
        START,
        "the plugin's rewrite of a shared object's event can't be used: it is denied",
        &[],
        SOON,
    );
    host.stop();
}

#[test]
fn what_a_failing_plugin_would_decide_is_a_setting() {
    let _guard = together();
    let app = App::probe("accept").on_error("(shared_object: Allow)");
    let host = Host::start(&Config::live(app.limits("decision: \"1 s\"")));
    let mut ann = Guest::new(&host, "live");
    ann.joins("so 0");
    assert_eq!(ann.ask("so 0 set sleep 1"), "so: done sleep");
    let refused = "so: status SharedObject.NoWriteAccess error; gone panic";
    assert_eq!(ann.ask("so 0 set panic 1"), refused);
    host.stop();
}
