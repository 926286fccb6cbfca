//! A stream is not relayed to where it comes from.

use super::{QUICK, SOON, forward_to, refused, relaying};
use crate::support::{
    App, Config, Host, Witness,
    log::START,
    nginx::{Nginx, free},
    together,
};

#[test]
fn a_stream_pushed_to_itself_is_noticed() {
    let _guard = together();
    let addr = free();
    // The push would take the name over.
    let app = App::open("replace").relays(&format!("relay: ({QUICK}), {}", forward_to(addr)));
    let host = Host::start(&Config::live(app).listen(&addr.to_string()));
    let witness = Witness::start(host.addr, "live", "cam");
    let failed = host.log.wait(START, "relay failed", &[], SOON);
    let reason = failed.field("reason").expect("a reason");
    assert!(reason.contains("a loop of relays"), "{reason}");
    // Not replaced, and no frame came twice.
    witness.finish();
    host.stop();
}

#[test]
fn a_loop_over_two_servers_is_noticed() {
    let _guard = together();
    let addr = free();
    let there = Host::start(&Config::live(
        App::open("replace").relays(&format!("relay: ({QUICK}), {}", forward_to(addr))),
    ));
    let app = format!("relay: ({QUICK}), {}", forward_to(there.addr));
    let here = Config::live(App::open("replace").relays(&app)).listen(&addr.to_string());
    let here = Host::start(&here);
    let witness = Witness::across((here.addr, "live"), (there.addr, "live"), "cam");
    // Refused again and again, each time after a longer wait.
    let mut mark = START;
    for bounds in [50..=100, 100..=200, 200..=400_u32] {
        let failed = there.log.wait(mark, "relay failed", &[], SOON);
        mark = there.log.mark();
        let reason = failed.field("reason").expect("a reason");
        assert!(reason.contains("a loop of relays"), "{reason}");
        let wait = failed.field("retry_ms").and_then(|ms| ms.parse().ok());
        assert!(bounds.contains(&wait.expect("the wait")), "{failed:?}");
    }
    let refused = here.log.wait(START, "publish refused", &[], SOON);
    let reason = refused.field("reason").expect("a reason");
    assert!(reason.contains("a loop of relays"), "{reason}");
    witness.finish();
    for host in [here, there] {
        host.stop();
    }
}

/// Each pulls from the other what somebody plays.
#[test]
fn players_are_told_of_a_loop_of_pulls() {
    let _guard = together();
    let addr = free();
    let pull = |from: &str| {
        let fields = format!("pull: [(name: \"cam\", from: \"{from}\", on_demand: true)]");
        Config::live(relaying(&fields))
    };
    let there = Host::start(&pull(&format!("rtmp://{addr}/live/cam")));
    let here = Host::start(&pull(&there.url("live/cam")).listen(&addr.to_string()));
    let (code, text) = refused(&here, "cam");
    assert_eq!(code, "NetStream.Play.Failed", "{text}");
    assert!(text.contains("a loop of relays"), "{text}");
    for host in [here, there] {
        host.stop();
    }
}

/// nginx says nothing of where a stream comes from.
#[test]
fn a_loop_through_another_server_ends_at_the_duplicate_rule() {
    let _guard = together();
    let addr = free();
    let back = format!("application live {{ live on; push rtmp://{addr}/live; }}");
    let Some(nginx) = Nginx::serving(&back) else {
        return;
    };
    let config = Config::live(relaying(&forward_to(nginx.addr))).listen(&addr.to_string());
    let host = Host::start(&config);
    let witness = Witness::across((addr, "live"), (nginx.addr, "live"), "cam");
    let refused = host.log.wait(START, "publish refused", &[], SOON);
    let reason = refused.field("reason").expect("a reason");
    assert!(reason.contains("already being published"), "{reason}");
    // Neither replaced nor doubled.
    let report = witness.finish();
    eprintln!("through nginx and refused: {report}");
    host.stop();
}
