//! What a server costs, from `/proc`: a process and all its descendants.

use std::{collections::BTreeMap, fs, time::Duration};

use anyhow::{Context as _, Result};
use rustix::{
    process::{Pid, Resource, getrlimit, setrlimit},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
    time::{ClockId, clock_gettime},
};

/// Ticks a second of the times in `/proc/PID/stat`, on every Linux.
const TICKS: u64 = 100;
/// Descendants looked at; more than any server has.
const MAX_PROCESSES: usize = 1024;

/// Raises this process's limit of open files, and that of those it starts, as far
/// as the system allows. Returns the limit.
pub(crate) fn raise_file_limit() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // What can't be raised shows when the files run out.
    let _ = setrlimit(Resource::Nofile, limit);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// CPU time used so far by a process tree.
#[derive(Debug, Clone, Default)]
pub(crate) struct CpuTime {
    /// Nanoseconds by thread: exact, but without threads that ended.
    threads: BTreeMap<u32, Ran>,
    /// With threads that ended, in steps of 10 ms.
    ticks: u64,
}

/// What `/proc/PID/task/TID/schedstat` says of a thread, in nanoseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Ran {
    on_cpu: u64,
    /// Ready to run, with no core free.
    waited: u64,
}

impl Ran {
    fn read(text: &str) -> Option<Self> {
        let mut fields = text.split_whitespace().map(number);
        Some(Self {
            on_cpu: fields.next()??,
            waited: fields.next()??,
        })
    }
}

impl CpuTime {
    /// Of this process and its descendants, now.
    ///
    /// # Errors
    /// If the process is gone.
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let mut time = Self::default();
        for pid in tree(pid) {
            time.ticks += ticks(pid).with_context(|| format!("process {pid}"))?;
            for thread in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
                let Some(id) = number(&thread.file_name().to_string_lossy()) else {
                    continue;
                };
                // A thread may end meanwhile.
                let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else {
                    continue;
                };
                time.threads
                    .insert(id, Ran::read(&text).unwrap_or_default());
            }
        }
        Ok(time)
    }

    /// What was used since `before`.
    pub(crate) fn since(&self, before: &Self) -> Duration {
        let exact = self.sum(before, |ran| ran.on_cpu);
        let ticks = self.ticks.saturating_sub(before.ticks);
        let coarse = Duration::from_millis(ticks * 1000 / TICKS);
        // More than rounding: threads came and went.
        if coarse > exact + Duration::from_millis(30) {
            coarse
        } else {
            exact
        }
    }

    /// How long its threads were kept waiting for a core since `before`: what
    /// other work on the machine took from it.
    pub(crate) fn waited_since(&self, before: &Self) -> Duration {
        self.sum(before, |ran| ran.waited)
    }

    /// What was used since `before` to what its busiest thread used: how many
    /// cores the work could have had, as it was shared out.
    pub(crate) fn spread_since(&self, before: &Self) -> f64 {
        let used = |(id, now): (&u32, &Ran)| {
            let before = before.threads.get(id).map_or(0, |ran| ran.on_cpu);
            now.on_cpu.saturating_sub(before)
        };
        let busiest = self.threads.iter().map(used).max().unwrap_or_default();
        self.threads.iter().map(used).sum::<u64>() as f64 / busiest as f64
    }

    fn sum(&self, before: &Self, of: impl Fn(&Ran) -> u64) -> Duration {
        let threads = self.threads.iter().map(|(id, now)| {
            let before = before.threads.get(id).map_or(0, &of);
            of(now).saturating_sub(before)
        });
        Duration::from_nanos(threads.sum())
    }
}

/// Resident memory of a process and its descendants, in bytes.
///
/// # Errors
/// If the process is gone.
pub(crate) fn resident(pid: u32) -> Result<u64> {
    let mut bytes = 0;
    for pid in tree(pid) {
        let text = fs::read_to_string(format!("/proc/{pid}/status"))
            .with_context(|| format!("process {pid}"))?;
        let kib: u64 = text
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|line| line.split_whitespace().next())
            .and_then(number)
            .unwrap_or_default();
        bytes += kib * 1024;
    }
    Ok(bytes)
}

/// CPU time of this process.
pub(crate) fn own_cpu() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

/// Which cores are there for the server, and which for the load.
#[derive(Debug, Clone)]
pub(crate) struct Cores {
    pub(crate) all: CpuSet,
    pub(crate) server: CpuSet,
    pub(crate) client: CpuSet,
}

impl Cores {
    /// One core each; with `shared`, or where there is only one, all for both.
    pub(crate) fn split(shared: bool) -> Result<Self> {
        let all = sched_getaffinity(None).context("sched_getaffinity")?;
        let mut ids = (0..CpuSet::MAX_CPU).filter(|id| all.is_set(*id));
        match (ids.next(), ids.next()) {
            (Some(first), Some(second)) if !shared => Ok(Self {
                all,
                server: one(first),
                client: one(second),
            }),
            _ => Ok(Self {
                all,
                server: all,
                client: all,
            }),
        }
    }
}

fn one(id: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(id);
    set
}

/// Keeps this thread, and what it starts from now on, on these cores.
pub(crate) fn pin(cores: &CpuSet) -> Result<()> {
    sched_setaffinity(None, cores).context("sched_setaffinity")
}

/// Gives this thread's session, and what it starts from now on, a priority from
/// -20 (first) to 19 (last).
///
/// # Errors
/// If this user may not.
pub(crate) fn prioritise(nice: i32) -> Result<()> {
    if nice == 0 {
        return Ok(());
    }
    rustix::process::setpriority_process(None, nice)
        .with_context(|| format!("priority {nice} (below 0 only root may)"))?;
    // Where sessions are scheduled as groups, the group's priority is what
    // counts (sched(7), "The autogroup feature"); elsewhere there is no such file.
    let _ = fs::write("/proc/self/autogroup", nice.to_string());
    Ok(())
}

/// Asks a process to end.
pub(crate) fn terminate(pid: u32) -> Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.context("expected a process id")?;
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).context("kill")
}

/// A process and its descendants.
fn tree(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut at = 0;
    while let Some(pid) = found.get(at).copied() {
        at += 1;
        let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
            continue;
        };
        for task in tasks.flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(number::<u32>));
        }
        if found.len() > MAX_PROCESSES {
            break;
        }
    }
    found
}

/// User and system time of a process, in ticks; `proc_pid_stat(5)`.
fn ticks(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold anything.
    let (_, fields) = text.rsplit_once(')').context("expected a name")?;
    // Fields 14 and 15; the first after the name is 3.
    let times = fields.split_whitespace().skip(11).take(2);
    Ok(times.filter_map(number::<u64>).sum())
}

fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_as_cpu_time_and_memory() {
        let pid = std::process::id();
        let before = CpuTime::of(pid).expect("this process");
        let own = own_cpu();
        while own_cpu().saturating_sub(own) < Duration::from_millis(100) {}
        let used = CpuTime::of(pid).expect("this process").since(&before);
        assert!(used >= Duration::from_millis(50), "{used:?}");
        assert!(resident(pid).expect("this process") > 1 << 20);
    }
}
