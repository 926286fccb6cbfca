//! What the interface has and no host does yet is said where it is asked for.

use std::time::Duration;

use crate::state::run;
use crate::support::{App, Config, Host, log::START, rtmp::Client, together};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn recording_is_denied_or_ignored_and_the_log_says_so() {
    let _guard = together();
    let host = Host::start(&Config::live(App::probe("accept")));
    let publisher = Client::publish(host.addr, "live", "cam1?mode=record");
    let publisher = publisher.expect("it is let in all the same");
    let ignored = "not available yet: this part of the grant is ignored";
    host.log
        .wait(START, ignored, &[("grant", "record-to")], SOON);
    for order in ["start-record", "stop-record"] {
        let answer = run(&host, "live", order, "cam1");
        assert!(answer.contains("denied"), "{order}: {answer}");
        let refused = "not available yet: the plugin's order is refused";
        host.log.wait(START, refused, &[("order", order)], SOON);
    }
    publisher.leave();
    host.stop();
}
