//! What the system grants the process, where that is too little for what the
//! configuration may ask for.
//!
//! Flows in: a configuration, the process's limits and those of its control
//! groups. Flows out: a sentence for each that is too small: what there is, what
//! is needed, and what to do. Files are raised, in `files.rs`.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};

use crate::config::Config;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// What an instance of a plugin reserves of the address space, and does not use:
/// wasmtime leaves room for the largest memory, with a margin on both sides.
const INSTANCE: u64 = 4 * GIB + 64 * MIB;
/// What everything else may reserve: threads, the compiler, the allocator.
const ELSEWHERE: u64 = 2 * GIB;
/// Memory of a server that serves little, and of an application's plugin.
const SERVER: u64 = 48 * MIB;
const APPLICATION: u64 = 16 * MIB;
/// Threads beside those that carry media: signals, state, the plugins' clock,
/// files, names that are looked up.
const THREADS: u64 = 32;

/// What is granted; none where there is no limit.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct ProcessLimits {
    address_space: Option<u64>,
    memory: Option<u64>,
    threads: Option<u64>,
}

/// What is too small for `config`, in words.
pub(super) fn complaints(config: &Config) -> Vec<String> {
    let granted = ProcessLimits {
        address_space: getrlimit(Resource::As).current,
        memory: grouped("memory.max"),
        threads: grouped("pids.max"),
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    granted.complaints(config, cores.try_into().unwrap_or(u64::MAX))
}

impl ProcessLimits {
    fn complaints(self, config: &Config, cores: u64) -> Vec<String> {
        let applications = config.applications.values();
        let instances = applications
            .map(|application| u64::try_from(application.limits.max_instances).unwrap_or(u64::MAX))
            .fold(0, u64::saturating_add);
        let plugins = u64::try_from(config.applications.len()).unwrap_or(u64::MAX);
        let mut complaints = Vec::new();
        let needed = INSTANCE.saturating_mul(instances).saturating_add(ELSEWHERE);
        if let Some(there) = self.address_space.filter(|there| *there < needed) {
            complaints.push(format!(
                "the address space is limited to {} MiB, and {instances} instances of plugins \
                 (limits.instances) reserve, without using it, {} MiB: take the limit away \
                 (`ulimit -v unlimited`, LimitAS=infinity of a systemd unit), or allow fewer \
                 instances",
                there / MIB,
                needed / MIB
            ));
        }
        let needed = APPLICATION.saturating_mul(plugins).saturating_add(SERVER);
        if let Some(there) = self.memory.filter(|there| *there < needed) {
            complaints.push(format!(
                "the control group is limited to {} MiB of memory, and a server with {plugins} \
                 applications needs {} MiB before it has clients: raise memory.max (MemoryMax= of \
                 a systemd unit, the memory limit of a container)",
                there / MIB,
                needed / MIB
            ));
        }
        let needed = cores.saturating_add(THREADS);
        if let Some(there) = self.threads.filter(|there| *there < needed) {
            complaints.push(format!(
                "the control group is limited to {there} threads, and {needed} may be needed: \
                 raise pids.max (TasksMax= of a systemd unit)"
            ));
        }
        complaints
    }
}

/// The smallest limit of this name among the process's control groups
/// (version 2), from its own up.
fn grouped(file: &str) -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    smallest(Path::new("/sys/fs/cgroup"), own, file)
}

fn smallest(root: &Path, own: &str, file: &str) -> Option<u64> {
    let own: PathBuf = root.join(own);
    let groups = own.ancestors().take_while(|group| group.starts_with(root));
    let limits = groups.filter_map(|group| fs::read_to_string(group.join(file)).ok());
    // "max" is none.
    limits.filter_map(|limit| limit.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let text = r#"(
            applications: {
                "a": (plugin: "Cargo.toml", limits: (instances: 2)),
                "b": (plugin: "Cargo.toml", limits: (instances: 1)),
            },
            acceptors: [(listen: "127.0.0.1:1935")],
        )"#;
        let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        Config::parse(&base, text).unwrap()
    }

    #[test]
    fn what_is_too_small_is_named_with_what_is_needed_and_what_to_do() {
        let enough = ProcessLimits {
            address_space: Some(3 * INSTANCE + ELSEWHERE),
            memory: Some(80 * MIB),
            threads: Some(36),
        };
        for granted in [enough, ProcessLimits::default()] {
            assert_eq!(granted.complaints(&config(), 4), [""; 0]);
        }
        let small = ProcessLimits {
            address_space: Some(8 * GIB),
            memory: Some(79 * MIB),
            threads: Some(35),
        };
        let complaints = small.complaints(&config(), 4);
        let words = [
            ["8192 MiB", "3 instances", "LimitAS=infinity"],
            ["79 MiB", "80 MiB", "MemoryMax="],
            ["35 threads", "36 may be needed", "TasksMax="],
        ];
        assert_eq!(complaints.len(), words.len(), "{complaints:?}");
        for (complaint, words) in complaints.iter().zip(words) {
            for word in words {
                assert!(complaint.contains(word), "{word}: {complaint}");
            }
        }
    }

    #[test]
    fn the_smallest_limit_on_the_way_up_counts() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("memory.max"), "max\n").unwrap();
        fs::write(root.path().join("a/memory.max"), "4096\n").unwrap();
        assert_eq!(smallest(root.path(), "a/b", "memory.max"), Some(4096));
        assert_eq!(smallest(root.path(), "", "memory.max"), None);
    }
}
