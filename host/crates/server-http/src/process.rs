//! The process, as the system counts it (proc(5)).

use std::fs;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

/// What the system says; none where it says nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct ProcessReport {
    pub(crate) cpu_seconds: Option<f64>,
    pub(crate) resident_bytes: Option<f64>,
    pub(crate) open_files: Option<f64>,
    pub(crate) max_files: Option<f64>,
}

/// Looks.
pub(crate) fn look() -> ProcessReport {
    let mut report = ProcessReport {
        open_files: fs::read_dir("/proc/self/fd")
            .ok()
            .map(|open| float(open.count() as u64)),
        max_files: getrlimit(Resource::Nofile).current.map(float),
        ..ProcessReport::default()
    };
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the program's name, which may have any character.
    let fields: Vec<u64> = stat.rsplit_once(") ").map_or_else(Vec::new, |(_, rest)| {
        let fields = rest.split(' ').map(str::trim);
        fields
            .map(|field| field.parse().unwrap_or_default())
            .collect()
    });
    // Fields 14, 15 and 24, counted from 1; the state, field 3, is the first here.
    if let (Some(user), Some(system), Some(pages)) =
        (fields.get(11), fields.get(12), fields.get(21))
    {
        let ticks = float(clock_ticks_per_second()).max(1.0);
        report.cpu_seconds = Some(float(user.saturating_add(*system)) / ticks);
        report.resident_bytes = Some(float(pages.saturating_mul(page_size() as u64)));
    }
    report
}

#[allow(clippy::cast_precision_loss, reason = "the format has floats alone")]
fn float(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_says_all_of_it() {
        let report = look();
        assert!(report.cpu_seconds.is_some_and(|seconds| seconds >= 0.0));
        assert!(report.resident_bytes.is_some_and(|bytes| bytes > 1e6));
        assert!(report.open_files.is_some_and(|open| open >= 3.0));
        assert!(report.max_files.is_some_and(|most| most >= 3.0));
    }
}
