//! What came of a run, as a table.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use lab::Stats;
use serde_json::{Value, json};

use super::check::Check;
use super::checker::{Facts, Finding};
use super::faults::Incident;
use super::memory::MemoryReport;
use super::takeovers::{Takeover, Wiped, beside, quantile};

/// A takeover that nothing else disturbed takes no longer.
const TAKEOVER_MAX: Duration = Duration::from_secs(10);
/// Of all takeovers, whatever else was broken, 99 in 100 take no longer: that, and a page.
const TAKEOVER_P99_MAX: Duration = Duration::from_secs(11);
/// Fewer say nothing about the hundredth.
const TAKEOVERS_MIN: usize = 100;
/// A job that waits when the JetStream store is deleted is picked up so soon after the server is back.
const PICKUP_AFTER_WIPE_MAX: Duration = Duration::from_secs(5);
/// Findings of a check that are told.
const TOLD_MAX: usize = 10;
/// The slowest takeovers that are told with what was broken meanwhile.
const SLOWEST: usize = 5;

/// What came of a run.
pub(super) struct Report {
    pub seed: u64,
    pub duration: Duration,
    /// With starting, draining and checking.
    pub took: Duration,
    pub incidents: Vec<Incident>,
    pub takeovers: Vec<Takeover>,
    pub wipes: Vec<Wiped>,
    pub vendor: Stats,
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
        let (avoidable, allowed) = (self.avoidable_429(), self.allowed_429());
        let p99 = self.takeover_times(true)[1].filter(|_| self.takeovers.len() >= TAKEOVERS_MIN);
        let mut find = |check, what| self.findings.push(Finding { check, what });
        if let Some(p99) = p99.filter(|p99| *p99 > TAKEOVER_P99_MAX) {
            find(Check::TakenOver, format!("p99 of all takeovers is {:.1} s", p99.as_secs_f64()));
        }
        let late = self.takeovers.iter().filter(|one| !one.disturbed && one.took > TAKEOVER_MAX);
        for Takeover { job, took, .. } in late {
            find(Check::TakenOver, format!("job {job} was taken over after {:.1} s", took.as_secs_f64()));
        }
        for wipe in self.wipes.iter().filter(|wipe| !wipe.disturbed && wipe.last > PICKUP_AFTER_WIPE_MAX) {
            let (waiting, last) = (wipe.waiting, wipe.last.as_secs_f64());
            find(
                Check::Wiped,
                format!("{waiting} jobs waited, and the last was picked up after {last:.1} s"),
            );
        }
        if avoidable > allowed {
            find(
                Check::Limited,
                format!("{avoidable} answers of 429 outside of storms; {allowed} are allowed"),
            );
        }
        self.findings.sort_by_key(|finding| finding.check);
        self
    }

    pub(super) fn is_well(&self) -> bool {
        self.findings.is_empty()
    }

    fn avoidable_429(&self) -> u64 {
        self.vendor.answers429.saturating_sub(self.vendor.answers429_by_fault)
    }

    /// Three in ten thousand requests.
    fn allowed_429(&self) -> u64 {
        (self.vendor.requests * 3).div_ceil(10_000)
    }

    fn ended(&self, status: &str) -> usize {
        self.facts.jobs.iter().filter(|job| job.status == status).count()
    }

    fn incidents_by_kind(&self) -> BTreeMap<&'static str, usize> {
        let mut by_kind = BTreeMap::new();
        for incident in &self.incidents {
            *by_kind.entry(incident.kind()).or_default() += 1;
        }
        by_kind
    }

    fn kills(&self) -> usize {
        self.incidents.iter().filter(|incident| incident.is_kill()).count()
    }

    fn of(&self, check: Check) -> Vec<&str> {
        let of = self.findings.iter().filter(|finding| finding.check == check);
        of.map(|finding| finding.what.as_str()).collect()
    }

    /// p50, p99 and maximum, of all or of those that nothing else disturbed.
    fn takeover_times(&self, all: bool) -> [Option<Duration>; 3] {
        let of = self.takeovers.iter().filter(|one| all || !one.disturbed);
        let mut times: Vec<Duration> = of.map(|one| one.took).collect();
        times.sort_unstable();
        [500, 990, 1_000].map(|per_mille| quantile(&times, per_mille))
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
            "findings": self.findings.iter().map(|finding| &finding.what).collect::<Vec<_>>(),
        })
    }

    /// The table, and what is wrong.
    pub(super) fn print(&self, command: &str, kept: Option<&Path>) {
        let row = |name: &str, value: String| println!("  {name:<26}{value}");
        println!();
        row("broken for", format!("{} s ({} s in all)", self.duration.as_secs(), self.took.as_secs()));
        row("seed", self.seed.to_string());
        row("processes killed", self.kills().to_string());
        for (kind, count) in self.incidents_by_kind() {
            row(&format!("  {kind}"), count.to_string());
        }
        self.print_jobs(row);
        self.print_times(row);
        let storm = self.vendor.answers429_by_fault;
        row("requests to the vendor", self.vendor.requests.to_string());
        row("429", format!("{storm} in storms, {} avoidable", self.avoidable_429()));
        let peaks = self.memory.peaks.iter().map(|(role, peak)| format!("{role} {peak:.0} MB"));
        row("memory at most", peaks.collect::<Vec<_>>().join(", "));
        let grown = self.memory.long_lived.iter().map(|(_, _, early, late)| late - early).fold(0.0, f64::max);
        row(
            "memory grew at most",
            format!("{grown:.0} MB, of {} long-lived processes", self.memory.long_lived.len()),
        );
        println!();
        for check in Check::ALL {
            let found = self.of(check);
            println!("{} {}", if found.is_empty() { '✓' } else { '✗' }, check.promise());
            found.iter().take(TOLD_MAX).for_each(|what| println!("    {what}"));
            if found.len() > TOLD_MAX {
                println!("    and {} more", found.len() - TOLD_MAX);
            }
        }
        println!("\nTo repeat: {command}");
        if let Some(dir) = kept {
            println!("Logs: {}", dir.display());
        }
    }

    fn print_jobs(&self, row: impl Fn(&str, String)) {
        let notes = &self.facts.notes;
        row(
            "posts",
            format!(
                "{}, {} refused, {} unanswered",
                notes.posts, notes.posts_refused, notes.posts_unanswered
            ),
        );
        let keyed = format!(
            "{} for {} keys, {} answered as before, {} when the job was over",
            notes.posts_keyed,
            notes.keys.len(),
            notes.answers_replayed,
            notes.keys_sent_late
        );
        row("  with a key", keyed);
        row(
            "polls",
            format!(
                "{}, {} unanswered, {} behind another process",
                notes.polls, notes.polls_unanswered, notes.older_elsewhere
            ),
        );
        let ended =
            ["completed", "failed", "cancelled"].map(|status| format!("{} {status}", self.ended(status)));
        row("jobs accepted", format!("{}: {}", notes.accepted.len(), ended.join(", ")));
        let answers = notes.accepted.values().map(|accepted| u64::from(accepted.answers)).sum::<u64>();
        row("  answers that named them", answers.to_string());
        row(
            "  cancels asked for",
            format!("{}, {} promised", notes.cancels.len(), notes.told_cancelled.len()),
        );
        let retries = format!("{}, {} refused", notes.retries.len(), notes.retries_refused);
        row("  tried again", retries);
        row("  lost", self.of(Check::Lost).len().to_string());
        row("  ended twice", self.of(Check::EndedTwice).len().to_string());
        let compared = format!(
            "{} with {} rows each; {} syncs to close",
            self.compared, self.records_each, self.closing
        );
        row("workspaces compared", compared);
    }

    fn print_times(&self, row: impl Fn(&str, String)) {
        let text = |times: [Option<Duration>; 3]| {
            let [p50, p99, max] =
                times.map(|time| time.map_or("-".to_owned(), |time| format!("{:.1} s", time.as_secs_f64())));
            format!("p50 {p50}, p99 {p99}, at most {max}")
        };
        let quiet = self.takeovers.iter().filter(|one| !one.disturbed).count();
        row("takeovers", format!("{}: {}", self.takeovers.len(), text(self.takeover_times(true))));
        row("  nothing else broken", format!("{quiet}: {}", text(self.takeover_times(false))));
        let mut slowest: Vec<_> = self.takeovers.iter().filter(|one| one.took > TAKEOVER_MAX).collect();
        slowest.sort_by_key(|one| std::cmp::Reverse(one.took));
        for one in slowest.into_iter().take(SLOWEST) {
            let beside = beside(one, &self.incidents);
            row("  slow", format!("{:.1} s, beside {beside}", one.took.as_secs_f64()));
        }
        for Wiped { waiting, first, last, disturbed } in &self.wipes {
            let (first, last) = (first.as_secs_f64(), last.as_secs_f64());
            let more = if *disturbed { ", with more broken" } else { "" };
            row(
                "pickup after a deletion",
                format!("{waiting} jobs waited: the first {first:.1} s, the last {last:.1} s{more}"),
            );
        }
    }
}
