//! What a part costs: CPU time and memory of our process and of the servers it started, from `/proc`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

/// `USER_HZ`: the unit of CPU times in `/proc`, the same on every Linux.
const TICKS_PER_SECOND: u64 = 100;

/// What one part of the benchmark cost. Absent where there is no `/proc`.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Resources {
    /// CPU seconds of our process: the services, the lab and the benchmark itself.
    pub syncline_cpu_s: Option<f64>,
    /// The most memory that our process had during the part.
    pub syncline_peak_rss_mb: Option<f64>,
    pub nats_cpu_s: Option<f64>,
    pub nats_peak_rss_mb: Option<f64>,
    /// Of a worker in a process of its own.
    pub worker_cpu_s: Option<f64>,
    /// In the worker's whole life.
    pub worker_peak_rss_mb: Option<f64>,
    /// All its processes.
    pub postgres_cpu_s: Option<f64>,
    /// At the end of the part; what its processes share is counted once.
    pub postgres_pss_mb: Option<f64>,
}

/// Measures from its making to [`Meter::end`].
pub(super) struct Meter {
    nats: Option<u32>,
    postgres: Option<u32>,
    /// A worker in a process of its own.
    worker: Option<u32>,
    /// Ours, of NATS, of Postgres, of the worker.
    before: [Option<Duration>; 4],
}

impl Meter {
    /// Finds the servers among our children, and forgets our peak so far. `worker` is the process of a worker, if
    /// it has one of its own.
    pub(super) fn begin(worker: Option<u32>) -> Self {
        let children = children(std::process::id());
        let named = |name: &str| children.iter().find(|child| comm(**child).starts_with(name)).copied();
        let (nats, postgres) = (named("nats-server"), named("postgres"));
        // "5" resets the peak. Where that is not allowed, the peak is that of the process so far.
        if let Err(error) = fs::write("/proc/self/clear_refs", "5") {
            tracing::debug!(error = %error, "the peak is not reset");
        }
        Self { nats, postgres, worker, before: Self::cpu(nats, postgres, worker) }
    }

    pub(super) fn end(&self) -> Resources {
        let after = Self::cpu(self.nats, self.postgres, self.worker);
        let cpu = |i: usize| {
            after[i].zip(self.before[i]).map(|(after, before)| after.saturating_sub(before).as_secs_f64())
        };
        let peak = |pid: Option<u32>| megabytes(&format!("/proc/{}/status", pid?), "VmHWM:");
        let all_of_postgres = self.postgres.map(|pid| children(pid).into_iter().chain([pid]));
        Resources {
            syncline_cpu_s: cpu(0),
            syncline_peak_rss_mb: megabytes("/proc/self/status", "VmHWM:"),
            nats_cpu_s: cpu(1),
            nats_peak_rss_mb: peak(self.nats),
            worker_cpu_s: cpu(3),
            worker_peak_rss_mb: peak(self.worker),
            postgres_cpu_s: cpu(2),
            postgres_pss_mb: all_of_postgres.and_then(|pids| {
                pids.map(|pid| megabytes(&format!("/proc/{pid}/smaps_rollup"), "Pss:")).sum()
            }),
        }
    }

    fn cpu(nats: Option<u32>, postgres: Option<u32>, worker: Option<u32>) -> [Option<Duration>; 4] {
        let of = |pid: u32| cpu(Path::new(&format!("/proc/{pid}/stat")));
        let own = |pid: u32| of(pid).map(|cpu| cpu.own);
        let postgres = postgres.map(|pid| {
            let running = children(pid).into_iter().filter_map(of).map(|cpu| cpu.own).sum::<Duration>();
            let main = of(pid).unwrap_or_default();
            running + main.own + main.of_ended_children
        });
        [own(std::process::id()), nats.and_then(own), postgres, worker.and_then(own)]
    }
}

/// CPU time of the calling thread.
pub(super) fn thread_cpu() -> Option<Duration> {
    cpu(Path::new("/proc/thread-self/stat")).map(|cpu| cpu.own)
}

/// Whether a process runs. Where there is no `/proc`, it is taken to.
pub(super) fn lives(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return !Path::new("/proc/self/stat").exists();
    };
    // Ended, and not waited for yet.
    !matches!(fields(&stat).and_then(|mut fields| fields.next()), Some("Z" | "X"))
}

/// Of the last minute: what ran on this machine before.
pub(super) fn load_average() -> Option<String> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next().map(str::to_owned)
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Cpu {
    own: Duration,
    of_ended_children: Duration,
}

fn cpu(stat: &Path) -> Option<Cpu> {
    let stat = fs::read_to_string(stat).ok()?;
    // utime, stime, cutime and cstime: fields 14 to 17 of proc(5).
    let ticks: Vec<u64> = fields(&stat)?.skip(11).take(4).filter_map(|field| field.parse().ok()).collect();
    let [user, system, children_user, children_system] = ticks[..] else { return None };
    let time = |ticks: u64| Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND);
    Some(Cpu { own: time(user + system), of_ended_children: time(children_user + children_system) })
}

/// The fields of a `stat` file from the third on: the second, the name, may have spaces in it.
fn fields(stat: &str) -> Option<std::str::SplitAsciiWhitespace<'_>> {
    Some(stat.rsplit_once(')')?.1.split_ascii_whitespace())
}

fn comm(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default()
}

fn children(parent: u32) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_child = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        fields(&stat).and_then(|mut fields| fields.nth(1)?.parse::<u32>().ok()) == Some(parent)
    };
    pids.filter(is_child).collect()
}

/// A line such as `VmHWM:   1234 kB`.
fn megabytes(file: &str, name: &str) -> Option<f64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kilobytes: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_memory_and_cpu_time_are_found() {
        let meter = Meter::begin(None);
        let resources = meter.end();
        assert!(resources.syncline_cpu_s.is_some() && resources.syncline_peak_rss_mb > Some(1.0));
    }

    #[test]
    fn a_process_that_ended_does_not_live() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(lives(std::process::id()) && !lives(child.id()));
    }
}
