//! How much memory each process has, from `/proc`, all the time.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::fleet::{Fleet, Life};
use super::schedule::Slot;
use crate::roles::Role;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// A process that lived less long says nothing about growth: it starts with nothing in memory.
const LOOKS_MIN: usize = 60;
/// Looks after the start that are left out, and how many the early and the late median are of.
const WARM_UP_LOOKS: usize = 15;
const MEDIAN_LOOKS: usize = 15;
/// So much growth is none: allocators keep what they had at a peak.
const GROWTH_MAX: f64 = 1.5;
const GROWTH_MAX_MB: f64 = 24.0;

/// Megabytes of every process, look by look.
#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<BTreeMap<(Slot, u32), Vec<f64>>>);

/// What came of it.
#[derive(Debug, Clone, Default)]
pub(super) struct MemoryReport {
    /// The most that any process of a role had.
    pub peaks: BTreeMap<Role, f64>,
    /// Early and late median of those that lived long enough.
    pub long_lived: Vec<(Slot, u32, f64, f64)>,
}

impl Memory {
    /// Looks until it is told to stop.
    pub(super) async fn watch(&self, fleet: &Fleet, stop: &CancellationToken) {
        let look = async {
            loop {
                for slot in fleet.slots() {
                    if let Some(pid) = fleet.pid(slot)
                        && let Some(megabytes) = resident(pid)
                    {
                        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                        looks.entry((slot, pid)).or_default().push(megabytes);
                    }
                }
                tokio::time::sleep(INTERVAL).await;
            }
        };
        stop.run_until_cancelled(look).await;
    }

    pub(super) fn report(&self) -> MemoryReport {
        let mut report = MemoryReport::default();
        for ((slot, pid), looks) in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            let peak = looks.iter().copied().fold(0.0, f64::max);
            let most = report.peaks.entry(slot.role).or_default();
            *most = most.max(peak);
            if looks.len() >= LOOKS_MIN {
                let early = median(&looks[WARM_UP_LOOKS..WARM_UP_LOOKS + MEDIAN_LOOKS]);
                let late = median(&looks[looks.len() - MEDIAN_LOOKS..]);
                report.long_lived.push((*slot, *pid, early, late));
            }
        }
        report
    }
}

impl MemoryReport {
    /// Who grew.
    pub(super) fn grown(&self) -> Vec<String> {
        let grown = |(_, _, early, late): &&(Slot, u32, f64, f64)| *late > early * GROWTH_MAX + GROWTH_MAX_MB;
        let say = |(slot, pid, early, late): &(Slot, u32, f64, f64)| {
            format!("{slot} (process {pid}) grew from {early:.0} MB to {late:.0} MB")
        };
        self.long_lived.iter().filter(grown).map(say).collect()
    }
}

/// Processes that still run although nobody needs them.
pub(super) fn leaked(lives: &[Life]) -> Vec<String> {
    let runs = |life: &&Life| {
        let line = fs::read(format!("/proc/{}/cmdline", life.pid)).unwrap_or_default();
        // The number may be another program's by now; ended and not yet collected has no command line.
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.contains(&format!("{}.toml", life.slot))
    };
    lives.iter().filter(runs).map(|life| format!("{} (process {}) still runs", life.slot, life.pid)).collect()
}

fn median(looks: &[f64]) -> f64 {
    let mut sorted = looks.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

fn resident(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kilobytes / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(looks: Vec<f64>) -> Vec<String> {
        let slot = Slot { role: Role::Worker, number: 0 };
        Memory(Mutex::new(BTreeMap::from([((slot, 1), looks)]))).report().grown()
    }

    #[test]
    fn a_process_that_grows_is_named_and_one_that_has_a_peak_is_not() {
        let steady = |n: usize| if n == 50 { 400.0 } else { 60.0 };
        assert_eq!(of((0..200).map(steady).collect()), Vec::<String>::new());
        let growing = |n: usize| 40.0 + n as f64;
        assert_eq!(of((0..200).map(growing).collect()).len(), 1);
        assert_eq!(of((0..50).map(growing).collect()), Vec::<String>::new(), "too short to say");
    }

    #[test]
    fn our_own_memory_is_found() {
        assert!(resident(std::process::id()) > Some(1.0));
    }
}
