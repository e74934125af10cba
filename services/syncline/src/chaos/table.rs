//! What came of a run, as a table.

use std::path::Path;
use std::time::Duration;

use super::check::Check;
use super::limited;
use super::reads::Reads;
use super::report::{Report, TAKEOVER_MAX};
use super::takeovers::{Wiped, beside};

/// Findings of a check that are told, and answers of 429.
const TOLD_MAX: usize = 10;
/// The slowest takeovers that are told with what was broken meanwhile.
const SLOWEST: usize = 5;

impl Report {
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
        self.print_limited(row);
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
            let seen = self.seen(check);
            println!("{} {}{seen}", if found.is_empty() { '✓' } else { '✗' }, check.promise());
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

    /// What a promise in numbers was judged by.
    fn seen(&self, check: Check) -> String {
        match check {
            Check::Limited => {
                let (seen, requests) = (self.avoidable_429(), self.vendor.requests);
                format!(": {seen} of {requests}")
            }
            Check::Reads => {
                let polls: usize = self.reads.iter().map(|of| of.polls).sum();
                let unanswered: usize = self.reads.iter().map(|of| of.unanswered.len()).sum();
                format!(": {} of {polls} polls", polls - unanswered)
            }
            Check::Cancelled => {
                let quiet = self.cancels.iter().filter(|one| !one.disturbed).count();
                format!(": {quiet} with nothing broken")
            }
            Check::Proved if self.is_short() => ": this run is shorter".to_owned(),
            Check::Proved => format!(": {} and {}", self.kills(), self.takeovers.len()),
            _ => String::new(),
        }
    }

    fn print_limited(&self, row: impl Fn(&str, String)) {
        let storm = self.vendor.answers429_by_fault;
        row("requests to the vendor", self.vendor.requests.to_string());
        row("429", format!("{storm} in storms, {} avoidable", self.avoidable_429()));
        for refused in self.refused.iter().take(TOLD_MAX) {
            row("  avoidable", limited::explained(refused, &self.incidents));
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
        row("  with a tag", format!("{}, {} unchanged", notes.polls_tagged, notes.polls_unchanged));
        for Reads { down, polls, unanswered } in &self.reads {
            let answered = polls - unanswered.len();
            row(
                &format!("  while {down:?} was down"),
                format!("{answered} answered of {polls} that were known"),
            );
        }
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
        row("  with Postgres up", text(self.takeover_times_with_postgres()));
        let mut slowest: Vec<_> = self.takeovers.iter().filter(|one| one.took > TAKEOVER_MAX).collect();
        slowest.sort_by_key(|one| std::cmp::Reverse(one.took));
        for one in slowest.into_iter().take(SLOWEST) {
            let beside = beside(one, &self.incidents);
            row("  slow", format!("{:.1} s, beside {beside}", one.took.as_secs_f64()));
        }
        let quiet = self.cancels.iter().filter(|one| !one.disturbed).count();
        row("running jobs cancelled", format!("{}: {}", self.cancels.len(), text(self.cancel_times(true))));
        row("  nothing broken", format!("{quiet}: {}", text(self.cancel_times(false))));
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
