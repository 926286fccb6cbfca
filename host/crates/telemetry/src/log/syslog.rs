//! What stands before a line for syslog: its priority and who wrote it.
//!
//! `<28>livehost[4711]: WARN session{conn=7}: connection refused ...`, the form of
//! `syslog(3)` (RFC 3164, section 4.1) without time and host. Those who listen at
//! `/dev/log` add both, and what they are told there is at best ignored: the time
//! would be local, and has no zone. RFC 5424 is the form between machines: systemd's
//! journal takes its header for text when it comes there.

use std::fmt::{self, Write};

use tracing::Level;

/// What the server is called there.
pub(super) const NAME: &str = "livehost";
/// Those of system daemons: RFC 5424, section 6.2.1.
const FACILITY: u8 = 3;

pub(super) fn head(writer: &mut impl Write, level: Level) -> fmt::Result {
    let priority = FACILITY * 8 + severity(level);
    write!(writer, "<{priority}>{NAME}[{}]: ", std::process::id())
}

/// How bad it is: RFC 5424, section 6.2.1.
pub(super) const fn severity(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}
