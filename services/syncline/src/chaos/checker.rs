//! Trusts nobody: reads what clients were told, what Postgres has, and what its witness saw, and says what does not fit.
//! Pure; the tests tamper with the facts.

use std::collections::{BTreeMap, BTreeSet};

use store::{CursorChange, JobChange, JobFacts, RowWrite};
use time::OffsetDateTime;
use uuid::Uuid;

use super::book::Notes;
use super::causes::without_cause;
use super::check::Check;
use super::handovers::{retried, unfenced};
use super::writes::unfenced_rows;

/// Everything that is known after a run.
#[derive(Debug, Default, Clone)]
pub(super) struct Facts {
    pub notes: Notes,
    pub jobs: Vec<JobFacts>,
    pub job_changes: Vec<JobChange>,
    pub cursor_changes: Vec<CursorChange>,
    pub row_writes: Vec<RowWrite>,
    /// How many records of each object the vendor ever had.
    pub records: BTreeMap<String, u64>,
    /// When the vendor failed on purpose, with what requests of then may have waited for.
    pub vendor_failed: Vec<(OffsetDateTime, OffsetDateTime)>,
}

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub check: Check,
    pub what: String,
}

const OVER: [&str; 3] = ["completed", "failed", "cancelled"];

fn is_over(status: &str) -> bool {
    OVER.contains(&status)
}

/// Whether a job that ended so may be tried again.
pub(super) fn is_stopped(status: &str) -> bool {
    is_over(status) && status != "completed"
}

/// Everything that is wrong with the jobs.
pub(super) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut find = |check, what| findings.push(Finding { check, what });
    lost(facts, &mut find);
    ended(facts, &mut find);
    without_cause(facts, &mut find);
    stale_leases(facts, &mut find);
    unfenced(facts, &mut find);
    unfenced_rows(facts, &mut find);
    retried(facts, &mut find);
    pages(facts, &mut find);
    counts(facts, &mut find);
    facts.notes.wrong.iter().for_each(|wrong| find(Check::Polls, wrong.clone()));
    findings
}

fn lost(facts: &Facts, find: &mut impl FnMut(Check, String)) {
    let rows: BTreeMap<Uuid, &JobFacts> = facts.jobs.iter().map(|job| (job.id, job)).collect();
    for (id, accepted) in &facts.notes.accepted {
        match rows.get(id) {
            None => {
                find(Check::Lost, format!("job {id} of {} was accepted and has no row", accepted.workspace))
            }
            Some(job) if job.workspace_id != accepted.workspace => {
                find(
                    Check::Lost,
                    format!("job {id} is of {} and not of {}", job.workspace_id, accepted.workspace),
                );
            }
            Some(_) => {}
        }
    }
    for job in facts.jobs.iter().filter(|job| !is_over(&job.status)) {
        find(Check::Lost, format!("job {} of {} is {} for ever", job.id, job.workspace_id, job.status));
    }
}

fn ended(facts: &Facts, find: &mut impl FnMut(Check, String)) {
    let mut last: BTreeMap<Uuid, &JobChange> = BTreeMap::new();
    for change in &facts.job_changes {
        let id = change.job_id;
        if let Some(before) = last.insert(id, change) {
            if is_over(&before.status) {
                let (before, after) = (&before.status, &change.status);
                find(Check::EndedTwice, format!("job {id} was {before}, then {after} by {}", change.writer));
            }
            if change.revision <= before.revision {
                let (before, after) = (before.revision, change.revision);
                find(Check::EndedTwice, format!("job {id} had revision {before}, then {after}"));
            }
        }
    }
    for job in &facts.jobs {
        let noted = last.get(&job.id).map(|change| change.status.as_str());
        if noted != Some(job.status.as_str()) {
            find(
                Check::EndedTwice,
                format!("job {} is {}, but its last change was {noted:?}", job.id, job.status),
            );
        }
        if let Some(told) = facts.notes.endings.get(&job.id)
            && told.as_sql() != job.status
        {
            find(
                Check::EndedTwice,
                format!("job {} is {}, but a client was told {told}", job.id, job.status),
            );
        }
    }
}

/// Names are cut off by Postgres.
const NAME_MAX: usize = 63;

pub(super) fn is_by(writer: &str, holder: Option<&str>) -> bool {
    holder.is_some_and(|holder| &holder[..holder.len().min(NAME_MAX)] == writer)
}

fn stale_leases(facts: &Facts, find: &mut impl FnMut(Check, String)) {
    for change in &facts.job_changes {
        let JobChange { job_id, seq, writer, holder, holder_before, .. } = change;
        let is_claim = change.token.is_some() && change.token != change.token_before;
        let of_worker = writer.starts_with("syncline-worker");
        let wrong = if is_claim {
            !is_by(writer, holder.as_deref())
        } else {
            of_worker && change.token_before.is_some() && !is_by(writer, holder_before.as_deref())
        };
        if wrong {
            let whose = if is_claim { holder } else { holder_before };
            let whose = whose.as_deref().unwrap_or("nobody");
            find(
                Check::StaleLease,
                format!("change {seq} of job {job_id} is by {writer}, and the lease is {whose}'s"),
            );
        }
    }
}

/// A record that changes while it is listed may be listed twice: live, and archived.
const LISTED_TWICE_MAX: u64 = 10;

fn pages(facts: &Facts, find: &mut impl FnMut(Check, String)) {
    let mut last: BTreeMap<(Uuid, &str), &CursorChange> = BTreeMap::new();
    let mut places: BTreeSet<(Uuid, &str, &str)> = BTreeSet::new();
    for change in &facts.cursor_changes {
        let CursorChange { seq, job_id, object, listed, pages, .. } = change;
        let mut twice = |why: &str| {
            find(Check::PageTwice, format!("change {seq}, {object} of job {job_id}: {why}"));
        };
        if let Some(position) = &change.position
            && !places.insert((*job_id, object, position))
        {
            twice("the position was there before");
        }
        if let Some(before) = last.insert((*job_id, object), change) {
            if before.done && !change.done {
                twice("it was read to its end, and then again");
            }
            if before.compared && (change.pages, change.listed) != (before.pages, before.listed) {
                twice("it was compared with the source, and then grew");
            }
            if *pages < before.pages || *listed < before.listed {
                twice("its counts went back");
            }
        }
        // The first commit after the last page: each record at most once. What comparing reads again comes later.
        let most = facts.records.get(object).copied();
        if let Some(most) = most
            && change.done
            && !change.compared
            && listed.unsigned_abs() > most + most / 4 + LISTED_TWICE_MAX
        {
            twice(&format!("{listed} records were listed, and the source never had more than {most}"));
        }
    }
}

fn counts(facts: &Facts, find: &mut impl FnMut(Check, String)) {
    let mut last: BTreeMap<(Uuid, &str), &CursorChange> = BTreeMap::new();
    for change in &facts.cursor_changes {
        let CursorChange { seq, job_id, object, listed, written, unchanged, captured, .. } = change;
        if *listed != written + unchanged + captured {
            find(
                Check::Counts,
                format!(
                    "change {seq}, {object} of job {job_id}: {listed} listed, {written} written, {unchanged} unchanged, {captured} captured"
                ),
            );
        }
        last.insert((*job_id, object), change);
    }
    for job in facts.jobs.iter().filter(|job| job.status == "completed") {
        let Some(result) = &job.result else {
            find(Check::Counts, format!("job {} is completed and has no result", job.id));
            continue;
        };
        for of in &result.results {
            let cursor = last.get(&(job.id, of.object.as_str()));
            let counted = cursor.map_or((0, 0, 0, 0), |c| (c.listed, c.written, c.unchanged, c.captured));
            let n = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
            let told = (n(of.listed), n(of.written), n(of.unchanged), n(of.captured));
            if told != counted {
                let what = format!(
                    "job {}: {} has {told:?} in the result and {counted:?} in the cursor",
                    job.id, of.object
                );
                find(Check::Counts, what);
            }
        }
    }
}

#[cfg(test)]
#[path = "checker_tests.rs"]
pub(super) mod tests;

#[cfg(test)]
#[path = "handovers_tests.rs"]
mod handovers_tests;

#[cfg(test)]
#[path = "writes_tests.rs"]
mod writes_tests;
