//! What came of a run, and what its numbers say. The table is in `table.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use lab::{Refused, Stats};
use serde_json::{Value, json};

use super::cancels::Cancelled;
use super::check::Check;
use super::checker::{Facts, Finding};
use super::faults::Incident;
use super::limited;
use super::memory::MemoryReport;
use super::reads::Reads;
use super::takeovers::{Takeover, Wiped, quantile};

/// A takeover that nothing else disturbed takes no longer.
pub(super) const TAKEOVER_MAX: Duration = Duration::from_secs(10);
/// Of all takeovers, whatever else was broken, 99 in 100 take no longer: that, and a page.
const TAKEOVER_P99_MAX: Duration = Duration::from_secs(11);
/// Fewer say nothing about the hundredth.
const TAKEOVERS_MIN: usize = 100;
/// A job that waits when the JetStream store is deleted is picked up so soon after the server is back.
const PICKUP_AFTER_WIPE_MAX: Duration = Duration::from_secs(5);
/// A running job that is to be cancelled runs for no longer, if nothing is broken: 2 s, and a page. Of a build that is
/// not optimised this says nothing: it keeps two cores busy, and then a heartbeat waits for Postgres.
const CANCEL_MAX: Duration = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 3 });
/// From so long a run on it has to be seen that there was enough to prove something.
const PROVES_FROM: Duration = Duration::from_secs(30 * 60);
const KILLS_MIN: usize = 200;

/// What came of a run.
#[derive(Default)]
pub(super) struct Report {
    pub seed: u64,
    pub duration: Duration,
    /// With starting, draining and checking.
    pub took: Duration,
    pub incidents: Vec<Incident>,
    pub takeovers: Vec<Takeover>,
    pub wipes: Vec<Wiped>,
    pub cancels: Vec<Cancelled>,
    pub reads: Vec<Reads>,
    pub vendor: Stats,
    /// Requests that the vendor's limits refused: nobody asked for that.
    pub refused: Vec<Refused>,
    pub memory: MemoryReport,
    /// Syncs that were asked for when nothing was broken any more.
    pub closing: usize,
    /// Workspaces that were compared with the source, and what each has.
    pub compared: usize,
    pub records_each: usize,
    pub facts: Facts,
    pub findings: Vec<Finding>,
}

impl Report {
    /// Adds what the numbers say.
    pub(super) fn judged(mut self) -> Self {
        let mut found = Vec::new();
        let mut find = |check, what| found.push(Finding { check, what });
        self.judge_takeovers(&mut find);
        self.judge_wipes(&mut find);
        self.judge_cancels(&mut find);
        self.judge_reads(&mut find);
        self.judge_limits(&mut find);
        self.judge_proof(&mut find);
        self.findings.append(&mut found);
        self.findings.sort_by_key(|finding| finding.check);
        self
    }

    fn judge_takeovers(&self, find: &mut impl FnMut(Check, String)) {
        let p99 = self.takeover_times(true)[1].filter(|_| self.takeovers.len() >= TAKEOVERS_MIN);
        if let Some(p99) = p99.filter(|p99| *p99 > TAKEOVER_P99_MAX) {
            find(Check::TakenOver, format!("p99 of all takeovers is {:.1} s", p99.as_secs_f64()));
        }
        let late = self.takeovers.iter().filter(|one| !one.disturbed && one.took > TAKEOVER_MAX);
        for Takeover { job, took, .. } in late {
            find(Check::TakenOver, format!("job {job} was taken over after {:.1} s", took.as_secs_f64()));
        }
    }

    fn judge_wipes(&self, find: &mut impl FnMut(Check, String)) {
        for wipe in self.wipes.iter().filter(|wipe| !wipe.disturbed && wipe.last > PICKUP_AFTER_WIPE_MAX) {
            let (waiting, last) = (wipe.waiting, wipe.last.as_secs_f64());
            let what = format!("{waiting} jobs waited, and the last was picked up after {last:.1} s");
            find(Check::Wiped, what);
        }
    }

    fn judge_cancels(&self, find: &mut impl FnMut(Check, String)) {
        for Cancelled { job, took, .. } in
            self.cancels.iter().filter(|one| !one.disturbed && one.took > CANCEL_MAX)
        {
            let took = took.as_secs_f64();
            find(Check::Cancelled, format!("job {job} ran for {took:.1} s after it was to be cancelled"));
        }
    }

    fn judge_reads(&self, find: &mut impl FnMut(Check, String)) {
        for Reads { down, unanswered, .. } in &self.reads {
            for read in unanswered {
                let (slot, job, took) = (read.slot, read.job, (read.until - read.at).as_seconds_f64());
                let what = format!(
                    "{slot} knew job {job} and did not answer in {took:.1} s while only {down:?} was down, at {}",
                    read.at
                );
                find(Check::Reads, what);
            }
        }
    }

    fn judge_limits(&self, find: &mut impl FnMut(Check, String)) {
        let (avoidable, allowed) = (self.avoidable_429(), limited::allowed(self.vendor.requests));
        if avoidable > allowed {
            let what = format!("{avoidable} answers of 429 outside of storms; {allowed} are allowed");
            find(Check::Limited, what);
        }
    }

    /// Whether it is too short to have to prove anything.
    pub(super) fn is_short(&self) -> bool {
        self.duration < PROVES_FROM
    }

    /// A long run in which little happened proves little.
    fn judge_proof(&self, find: &mut impl FnMut(Check, String)) {
        let (kills, takeovers) = (self.kills(), self.takeovers.len());
        if !self.is_short() && (kills < KILLS_MIN || takeovers < TAKEOVERS_MIN) {
            find(Check::Proved, format!("{kills} kills and {takeovers} takeovers say too little"));
        }
    }

    pub(super) fn is_well(&self) -> bool {
        self.findings.is_empty()
    }

    pub(super) fn avoidable_429(&self) -> u64 {
        self.vendor.answers429.saturating_sub(self.vendor.answers429_by_fault)
    }

    pub(super) fn ended(&self, status: &str) -> usize {
        self.facts.jobs.iter().filter(|job| job.status == status).count()
    }

    pub(super) fn incidents_by_kind(&self) -> BTreeMap<&'static str, usize> {
        let mut by_kind = BTreeMap::new();
        for incident in &self.incidents {
            *by_kind.entry(incident.kind()).or_default() += 1;
        }
        by_kind
    }

    pub(super) fn kills(&self) -> usize {
        self.incidents.iter().filter(|incident| incident.is_kill()).count()
    }

    pub(super) fn of(&self, check: Check) -> Vec<&str> {
        let of = self.findings.iter().filter(|finding| finding.check == check);
        of.map(|finding| finding.what.as_str()).collect()
    }

    /// p50, p99 and maximum, of all or of those that nothing else disturbed.
    pub(super) fn takeover_times(&self, all: bool) -> [Option<Duration>; 3] {
        let of = self.takeovers.iter().filter(|one| all || !one.disturbed);
        quantiles(of.map(|one| one.took))
    }

    /// The same of all, without the time that Postgres was down: what is ours of it.
    pub(super) fn takeover_times_with_postgres(&self) -> [Option<Duration>; 3] {
        quantiles(self.takeovers.iter().map(|one| one.took.saturating_sub(one.postgres_away)))
    }

    /// The same of cancellations.
    pub(super) fn cancel_times(&self, all: bool) -> [Option<Duration>; 3] {
        quantiles(self.cancels.iter().filter(|one| all || !one.disturbed).map(|one| one.took))
    }

    pub(super) fn json(&self) -> Value {
        let seconds = |times: [Option<Duration>; 3]| times.map(|time| time.map(|time| time.as_secs_f64()));
        json!({
            "seed": self.seed, "minutes": self.duration.as_secs_f64() / 60.0, "well": self.is_well(),
            "incidents": self.incidents_by_kind(), "kills": self.kills(),
            "accepted": self.facts.notes.accepted.len(), "completed": self.ended("completed"),
            "failed": self.ended("failed"), "cancelled": self.ended("cancelled"),
            "keys": self.facts.notes.keys.len(), "answersReplayed": self.facts.notes.answers_replayed,
            "retries": self.facts.notes.retries.len(),
            "takeovers": self.takeovers.len(), "takeoverSeconds": seconds(self.takeover_times(true)),
            "compared": self.compared, "answers429ByStorm": self.vendor.answers429_by_fault,
            "answers429Avoidable": self.avoidable_429(),
            "cancelledRunning": self.cancels.len(), "cancelSeconds": seconds(self.cancel_times(true)),
            "pollsWithTag": self.facts.notes.polls_tagged, "pollsUnchanged": self.facts.notes.polls_unchanged,
            "pollsWhileDown": self.reads.iter().map(|of| (format!("{:?}", of.down), of.polls)).collect::<BTreeMap<_, _>>(),
            "findings": self.findings.iter().map(|finding| &finding.what).collect::<Vec<_>>(),
        })
    }
}

/// p50, p99 and the maximum.
fn quantiles(times: impl Iterator<Item = Duration>) -> [Option<Duration>; 3] {
    let mut sorted: Vec<_> = times.collect();
    sorted.sort_unstable();
    [500, 990, 1_000].map(|per_mille| quantile(&sorted, per_mille))
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
