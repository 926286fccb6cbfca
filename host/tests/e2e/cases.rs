//! `host plugin test`: cases for what policies do beside deciding.

use std::process::Command;

use crate::support::{guests, together};

/// What `host plugin test` says about the probe, and whether all passed.
fn test(cases: &str) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cases.ron");
    std::fs::write(&file, cases).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_host"))
        .args(["plugin", "test"])
        .args([guests::probe(), file])
        .output()
        .expect("the host starts");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    (output.status.success(), text)
}

#[test]
fn what_follows_from_steps_is_seen_by_later_steps() {
    let _guard = together();
    let (passed, text) = test(
        r#"(
    config: {"mode": "accept"},
    cases: [
        (
            name: "a granted publish is live until its end, and the plugin hears of it",
            on_start: (log: [Info(message: "start StartReason::Boot 000000")], control: [SendData(name: "probe")]),
            steps: [
                Connect(expect: Accept),
                Connect(query: {"mode": "do", "do": "registry-clients"}, expect: Reject(description: "203.0.113.7:51234")),
                Publish(name: "cam1", query: {"mode": "reject"}, expect: Reject, control: []),
                Connect(query: {"mode": "do", "do": "registry-count"}, expect: Reject(description: "0")),
                Publish(name: "cam1", query: {"mode": "rename"}, expect: Accept, log: [Info(message: "event published renamed-cam1")]),
                Connect(query: {"mode": "do", "do": "registry-find"}, expect: Reject(description: "renamed-cam1")),
                Ready(stream: (name: "renamed-cam1", video: "avc"), log: [Info(message: "event ready renamed-cam1")]),
                // The name is taken: in a server this one is refused, and is no stream.
                Publish(name: "cam1", query: {"mode": "rename"}, client: (conn: 8), expect: Accept, control: []),
                Publish(name: "cam2", expect: Accept),
                Connect(query: {"mode": "do", "do": "registry-count"}, expect: Reject(description: "2")),
                Unpublished(stream: (name: "cam2"), end: (reason: "eof"), log: [Info(message: "event unpublished cam2 eof")]),
                Disconnected(end: (reason: "lost"), log: [
                    Info(message: "event unpublished renamed-cam1 lost"),
                    Info(message: "event disconnected 7 lost"),
                ]),
                Connect(query: {"mode": "do", "do": "registry-count"}, expect: Reject(description: "0")),
                Connect(query: {"mode": "do", "do": "registry-clients"}, expect: Reject(description: "")),
            ],
        ),
        (
            name: "a timer asks over HTTP and waits for the answer",
            steps: [
                Connect(query: {"mode": "do", "do": "timer-set", "args": "do:http~GET~http://a/b~0~0~0 1000 5000"}),
                Wait("999 ms"),
                // Due after 1 s; the answer is there after 2 s.
                Wait(time: "1500 ms", http: [(url: "http://a/b", answer: (status: 204), after: "1 s")],
                    log: [Info(message: "http~GET~http://a/b~0~0~0 = 204 ")]),
                Wait(time: "3 s"),
                // Longer than a call may take.
                Timer(key: "do:http~GET~http://a/b~0~0~0", http: [(url: "http://a/b", after: "1 min")],
                    log: [Info(message: Contains("Timeout"))]),
            ],
            timers_after: ["do:http~GET~http://a/b~0~0~0"],
        ),
        (
            name: "an order can fail",
            steps: [
                Connect(query: {"mode": "do", "do": "disconnect", "args": "99 spam"},
                    control: [NotFound(Disconnect(conn: 99))], expect: Reject(description: Contains("not-found"))),
                Connect(query: {"mode": "do", "do": "timer-set", "args": "do:start-forward~cam1~rtmp://b/c/d 10"}),
                Wait(time: "1 s", control: [
                    Denied(StartForward(name: "cam1", url: "rtmp://b/c/d")), SendData(name: "probe"), SendData(name: "probe"),
                ], log: [Info(message: Contains("denied"))]),
            ],
            timers_after: [],
        ),
    ],
)"#,
    );
    assert!(passed, "{text}");
}

#[test]
fn what_a_server_would_not_do_fails_its_case() {
    let _guard = together();
    let (passed, text) = test(
        r#"(cases: [
    (name: "a timer that is not set", steps: [
        Connect(query: {"mode": "do", "do": "timer-set", "args": "sweep 1000"}),
        Timer(key: "swep"),
    ]),
    (name: "a stream published twice", steps: [Publish(name: "cam1"), Published(stream: (name: "cam1"))]),
    (name: "a request that the start does not make", config: {"mode": "accept"},
        on_start: (http: [(url: "http://a/b")])),
])"#,
    );
    assert!(!passed, "{text}");
    for expected in [
        "- expected a timer \"swep\"",
        "+ got      [\"sweep\"]",
        "\"cam1\" is live, and the plugin was told so when it was granted",
        "its start",
        "3 of 3 cases failed",
    ] {
        assert!(text.contains(expected), "{expected} is not in:\n{text}");
    }
}
