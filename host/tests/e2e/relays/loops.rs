//! A stream is not relayed to where it comes from.

use super::{QUICK, SOON, forward_to};
use crate::support::{App, Config, Host, Witness, log::START, nginx::free, together};

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
    let failed = there.log.wait(START, "relay failed", &[], SOON);
    let reason = failed.field("reason").expect("a reason");
    assert!(reason.contains("a loop of relays"), "{reason}");
    witness.finish();
    for host in [here, there] {
        host.stop();
    }
}
