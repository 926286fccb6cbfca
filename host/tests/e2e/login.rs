//! Users and passwords inside RTMP, as `rtmp://USER:PASSWORD@HOST/...` has them.

use std::time::Duration;

use crate::support::{
    App, Config, Encoder, Host, Tool, amf::Amf, clients, fixture, log::START, rtmp::Client,
    rtmp::Failure, together,
};

const SOON: Duration = Duration::from_secs(20);
/// A password that appears nowhere else, so that the log can be searched.
const PASSWORD: &str = "pw-ann-83a7";

fn start(challenge: &str) -> Host {
    let config = format!(
        r#"{{ "publish": "users", "users": {{ "ann": "{PASSWORD}" }}, "challenge": "{challenge}" }}"#
    );
    Host::start(&Config::live(App::keys(&config)))
}

fn url(host: &Host, user: &str, password: &str, path: &str) -> String {
    format!("rtmp://{user}:{password}@{}/{path}", host.addr)
}

fn encoders(challenge: &str) -> Vec<Tool> {
    // GStreamer knows Adobe's challenge only.
    let all: &[Tool] = match challenge {
        "adobe" => &[Tool::Ffmpeg5, Tool::Ffmpeg9, Tool::Gstreamer],
        _ => &[Tool::Ffmpeg5, Tool::Ffmpeg9],
    };
    clients::present(all)
}

fn assert_no_secret(host: &Host) {
    let log = host.process.stderr.text();
    assert!(!log.contains("83a7"), "the password is in the log:\n{log}");
    assert!(
        !log.contains("response="),
        "a response is in the log:\n{log}"
    );
}

#[test]
fn encoders_log_in_by_either_challenge_and_are_told_when_it_fails() {
    let _guard = together();
    if !clients::all(&[Tool::Ffmpeg9]) {
        return;
    }
    let film = fixture::film(6, 0);
    for challenge in ["adobe", "llnw"] {
        let host = start(challenge);
        for tool in encoders(challenge) {
            for path in ["live", "live/room", "live?x=1"] {
                // GStreamer cannot be given a query in the application's part.
                if tool == Tool::Gstreamer && path.contains('?') {
                    continue;
                }
                let mark = host.log.mark();
                let name = format!("cam{}{}", tool as u32, path.len());
                let url = url(&host, "ann", PASSWORD, &format!("{path}/{name}"));
                let _running = Encoder(tool).publish(&film, &url);
                // An application's instance is part of what it calls the stream.
                let stream = match path {
                    "live/room" => format!("room/{name}"),
                    _ => name,
                };
                host.log
                    .wait(mark, "publishing", &[("stream", &stream)], SOON);
                let logged_in = host.log.find(mark, "authenticated", &[("user", "ann")]);
                assert_eq!(logged_in.len(), 1, "{tool} by {challenge} to {path}");
            }
            for (user, password) in [("ann", "wrong"), ("bob", PASSWORD)] {
                let mark = host.log.mark();
                let url = url(&host, user, password, "live/cam");
                let exit = Encoder(tool).publish(&film, &url).wait(SOON);
                assert!(!exit.status.success(), "{tool} was let in as {user}");
                eprintln!(
                    "{tool} by {challenge}: {}",
                    exit.stderr.replace('\n', " / ")
                );
                host.log
                    .wait(mark, "authentication failed", &[("user", user)], SOON);
            }
        }
        assert_no_secret(&host);
        host.stop();
    }
}

#[test]
fn who_shows_no_user_is_asked_for_one_and_players_are_not() {
    let _guard = together();
    let host = start("adobe");
    // The scripted client says nonprivate, as encoders do.
    let refused = Client::publish(host.addr, "live", "cam").expect_err("no user");
    assert_eq!(refused.code(), "NetConnection.Connect.Rejected");
    assert_eq!(
        refused.description(),
        "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : "
    );
    let mut player = Client::open(host.addr).expect("shakes hands");
    let object = Amf::Object(vec![("app".into(), "live".into())]);
    player
        .command(0, "connect", 1.0, object, &[])
        .expect("sent");
    player
        .until(SOON, |command| command.name == "_result")
        .expect("players need no user here");
    // And can't publish.
    player.create_stream().expect("created");
    player.publish_command("cam").expect("sent");
    let refused = player.status(SOON, "NetStream.Publish.Start");
    let refused = refused.expect_err("no user, no publish");
    assert!(
        refused.description().contains("a user is required"),
        "{refused:?}"
    );
    host.stop();
}

#[test]
fn a_challenge_is_answered_once_and_by_its_user() {
    let _guard = together();
    let host = start("adobe");
    let ask = |query: &str| -> Failure {
        let app = format!("live?authmod=adobe&{query}");
        Client::connect(host.addr, &app).expect_err("a step of a challenge")
    };
    let challenged = ask("user=ann");
    let text = challenged.description().to_owned();
    let field = |name: &str| {
        let start = text.find(&format!("{name}=")).expect("a field") + name.len() + 1;
        let rest = &text[start..];
        rest[..rest.find('&').unwrap_or(rest.len())].to_owned()
    };
    assert!(text.contains("?reason=needauth&user=ann&salt="), "{text}");
    assert_eq!(field("challenge"), field("opaque"));
    assert_ne!(field("salt"), field("opaque"));
    // Users that there are and users that there aren't look alike.
    let nobody = ask("user=bob");
    let salt = |of: &Failure| {
        let (_, rest) = of.description().split_once("&salt=").expect("a salt");
        rest.split('&').next().unwrap_or_default().to_owned()
    };
    assert!(
        nobody
            .description()
            .contains("?reason=needauth&user=bob&salt=")
    );
    assert_eq!(salt(&nobody), salt(&ask("user=bob")));
    assert_eq!(salt(&challenged), salt(&ask("user=ann")));
    assert_eq!(salt(&challenged).len(), salt(&nobody).len());
    // A wrong response is one however often it comes.
    let response = format!(
        "user=ann&challenge=00000000&response=AAAAAAAAAAAAAAAAAAAAAA==&opaque={}",
        field("opaque")
    );
    for _ in 0..2 {
        let failed = ask(&response);
        assert_eq!(
            failed.description(),
            "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=authfailed"
        );
    }
    let again = ask("user=ann");
    assert!(!again.description().contains(&field("opaque")));
    assert_eq!(host.log.find(START, "authentication failed", &[]).len(), 2);
    host.stop();
}
