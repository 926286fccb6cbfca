//! How much memory there is for a compiler beside a server that runs.
//!
//! Flows in: what the kernel says of this process's cgroups (v1 and v2) and of
//! the machine. Flows out: how much the compiler may take of it.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};

/// Stays free for the server while the compiler runs: streams that begin,
/// queues of slow players.
const RESERVE: u64 = 32 << 20;
/// The machine code of a component has about as many times its bytes, and the
/// server has to load it.
const CODE: u64 = 3;

/// What a compiler may take, and of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CompilerMemory {
    pub(super) granted: u64,
    pub(super) free: u64,
    pub(super) place: Scarcity,
}

/// Where memory is scarcest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scarcity {
    /// A cgroup with this limit.
    Cgroup(u64),
    /// The whole machine.
    Machine,
    /// What each process of this one's may have (`ulimit -d`, `ulimit -v`).
    Process,
    /// Nothing could be found out.
    Unknown,
}

impl CompilerMemory {
    /// For a component of so many bytes.
    pub(super) fn for_component(bytes: usize) -> Self {
        let (free, place) = free(&Kernel::here());
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let loading = bytes.saturating_mul(CODE);
        // Where there is little, a part of it.
        let reserve = RESERVE.min(free / 4).saturating_add(loading);
        let room = Self {
            granted: free.saturating_sub(reserve),
            free,
            place,
        };
        let limits = [Resource::Data, Resource::As].map(|limit| getrlimit(limit).current);
        match limits.into_iter().flatten().min() {
            // The compiler has it too, for itself.
            Some(limit) if limit < room.granted => Self {
                granted: limit,
                free: limit,
                place: Scarcity::Process,
            },
            _ => room,
        }
    }

    /// What a component of so many bytes takes, about; more than there is here,
    /// which was too little.
    pub(super) fn needed(&self, bytes: usize) -> u64 {
        let more = match self.place {
            Scarcity::Unknown => 0,
            _ => self.granted.saturating_add(self.granted / 4),
        };
        estimate(bytes).max(more)
    }
}

impl fmt::Display for CompilerMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (granted, free) = (mib(self.granted), mib(self.free));
        match self.place {
            Scarcity::Cgroup(limit) => {
                let limit = mib(limit);
                write!(
                    f,
                    "{granted} of {free} that are free in its cgroup, of {limit}"
                )
            }
            Scarcity::Machine => write!(f, "{granted} of {free} that are free on this machine"),
            Scarcity::Process => write!(f, "{granted}, the limit of this process"),
            Scarcity::Unknown => write!(f, "any memory"),
        }
    }
}

/// What it takes to compile a component of so many bytes, about. Interpreters
/// are between 18 and 28 times of it, depending on how much of them is code.
fn estimate(bytes: usize) -> u64 {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    bytes.saturating_mul(22).saturating_add(10 << 20)
}

/// In whole MiB.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}

/// The kernel's files about memory.
struct Kernel {
    proc: PathBuf,
    cgroups: PathBuf,
}

impl Kernel {
    fn here() -> Self {
        Self {
            proc: "/proc".into(),
            cgroups: "/sys/fs/cgroup".into(),
        }
    }
}

/// The least that is free in any cgroup above this process, and on the machine.
fn free(kernel: &Kernel) -> (u64, Scarcity) {
    let groups = fs::read_to_string(kernel.proc.join("self/cgroup")).unwrap_or_default();
    let mut least = machine(kernel).map_or((u64::MAX, Scarcity::Unknown), |free| {
        (free, Scarcity::Machine)
    });
    for line in groups.lines() {
        // `0::/a/b` of v2; `4:memory:/a/b` of v1.
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else {
            continue;
        };
        let version = match controllers {
            "" => &V2,
            list if list.split(',').any(|name| name == "memory") => &V1,
            _ => continue,
        };
        let mount = kernel.cgroups.join(version.mount);
        // In a container the path may be that outside of it: what is not there
        // is passed over, up to the root, which is there.
        for part in Path::new(path).ancestors() {
            let folder = mount.join(part.strip_prefix("/").unwrap_or(part));
            if let Some((free, limit)) = version.free(&folder)
                && free < least.0
            {
                least = (free, Scarcity::Cgroup(limit));
            }
        }
    }
    least
}

/// The names that a version of cgroups has for the same.
struct Version {
    mount: &'static str,
    limit: &'static str,
    used: &'static str,
    /// File contents that are counted, but given back at once.
    cached: &'static str,
}

const V1: Version = Version {
    mount: "memory",
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cached: "total_inactive_file ",
};

const V2: Version = Version {
    mount: "",
    limit: "memory.max",
    used: "memory.current",
    cached: "inactive_file ",
};

impl Version {
    /// What is free in a cgroup, and its limit, if it has one.
    fn free(&self, folder: &Path) -> Option<(u64, u64)> {
        let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
        let number = |name: &str| read(name)?.trim().parse::<u64>().ok();
        let limit = number(self.limit)?;
        let used = number(self.used)?;
        let cached = read("memory.stat").and_then(|text| field(&text, self.cached));
        let used = used.saturating_sub(cached.unwrap_or(0));
        Some((limit.saturating_sub(used), limit))
    }
}

/// What the machine could give without swapping.
fn machine(kernel: &Kernel) -> Option<u64> {
    let text = fs::read_to_string(kernel.proc.join("meminfo")).ok()?;
    field(&text, "MemAvailable:")?.checked_mul(1024)
}

/// The number behind `name` at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kernel with these files, and 1,000 MiB that are available.
    fn kernel(files: &[(&str, &str)]) -> (tempfile::TempDir, Kernel) {
        let root = tempfile::tempdir().unwrap();
        let meminfo = (
            "proc/meminfo",
            "MemTotal: 2048000 kB\nMemAvailable: 1024000 kB\n",
        );
        for (name, content) in files.iter().chain([&meminfo]) {
            let file = root.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        }
        let kernel = Kernel {
            proc: root.path().join("proc"),
            cgroups: root.path().join("cgroup"),
        };
        (root, kernel)
    }

    const MIB: u64 = 1 << 20;

    #[test]
    fn without_limits_the_machine_counts() {
        let (_root, kernel) = kernel(&[
            ("proc/self/cgroup", "0::/user.slice\n"),
            ("cgroup/user.slice/memory.max", "max\n"),
            ("cgroup/user.slice/memory.current", "1000\n"),
        ]);
        assert_eq!(free(&kernel), (1000 * MIB, Scarcity::Machine));
    }

    #[test]
    fn the_narrowest_cgroup_counts_without_what_it_caches() {
        let (_root, kernel) = kernel(&[
            ("proc/self/cgroup", "0::/a/b\n"),
            ("cgroup/a/memory.max", "268435456\n"),
            ("cgroup/a/memory.current", "104857600\n"),
            ("cgroup/a/memory.stat", "anon 1\ninactive_file 52428800\n"),
            ("cgroup/a/b/memory.max", "max\n"),
            ("cgroup/a/b/memory.current", "104857600\n"),
        ]);
        assert_eq!(free(&kernel), (206 * MIB, Scarcity::Cgroup(256 * MIB)));
    }

    #[test]
    fn a_container_sees_its_own_cgroup_as_the_root() {
        let (_root, v2) = kernel(&[
            ("proc/self/cgroup", "0::/\n"),
            ("cgroup/memory.max", "134217728\n"),
            ("cgroup/memory.current", "33554432\n"),
        ]);
        assert_eq!(free(&v2), (96 * MIB, Scarcity::Cgroup(128 * MIB)));
        // With v1 the path is the one outside.
        let (_root, v1) = kernel(&[
            (
                "proc/self/cgroup",
                "5:devices:/d/1\n4:cpu,memory:/docker/1\n",
            ),
            ("cgroup/memory/memory.limit_in_bytes", "134217728\n"),
            ("cgroup/memory/memory.usage_in_bytes", "33554432\n"),
            (
                "cgroup/memory/memory.stat",
                "inactive_file 1\ntotal_inactive_file 1048576\n",
            ),
        ]);
        assert_eq!(free(&v1), (97 * MIB, Scarcity::Cgroup(128 * MIB)));
    }

    #[test]
    fn a_cgroup_that_is_full_has_nothing_free() {
        let (_root, kernel) = kernel(&[
            ("proc/self/cgroup", "0::/\n"),
            ("cgroup/memory.max", "1048576\n"),
            ("cgroup/memory.current", "2097152\n"),
        ]);
        assert_eq!(free(&kernel).0, 0);
    }

    #[test]
    fn a_kernel_that_says_nothing_sets_no_limit() {
        let kernel = Kernel {
            proc: "/nonexistent".into(),
            cgroups: "/nonexistent".into(),
        };
        assert_eq!(free(&kernel), (u64::MAX, Scarcity::Unknown));
    }
}
