//! Operators: what they see, what they order, and who is none.

mod access;
mod cli;
mod orders;
mod seen;
mod top;

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Host, operator::get};

const SOON: Duration = Duration::from_secs(10);

/// Asks until the answer is as it should be: what a client does takes a moment to be
/// seen.
fn until(host: &Host, path: &str, is_right: impl Fn(&Value) -> bool) -> Value {
    let begin = Instant::now();
    loop {
        let seen = get(host, path);
        if is_right(&seen) {
            return seen;
        }
        assert!(begin.elapsed() < SOON, "{path}: {seen:#}");
    }
}
