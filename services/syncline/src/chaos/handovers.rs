//! What a job that tries another one again takes over: the cursors of that one, as it left them, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use store::{CursorChange, JobChange, JobFacts};
use uuid::Uuid;

use super::check::Check;
use super::checker::{Facts, is_stopped};

/// A cursor moves with the lease's fence in its transaction: the job's row, with the lease as it was. But for one case:
/// it is handed over, as it is, in the transaction that accepts the job which tries its job again.
pub(super) fn unfenced(facts: &Facts, find: &mut impl FnMut(Check, String)) {
    let of = |is: fn(&&JobChange) -> bool| {
        let changes = facts.job_changes.iter().filter(is);
        changes.map(|change| (change.txid, change.job_id)).collect::<BTreeSet<(i64, Uuid)>>()
    };
    let fences = of(|change| change.token.is_some() && change.token == change.token_before);
    let accepted = of(|change| change.status_before.is_none());
    let retries = retries(&facts.jobs);
    let mut last: BTreeMap<(&str, &str), &CursorChange> = BTreeMap::new();
    for change in &facts.cursor_changes {
        let CursorChange { seq, workspace_id, object, job_id, writer, .. } = change;
        let before = last.insert((workspace_id, object), change);
        let transaction = (change.txid, *job_id);
        let old = retries.get(job_id);
        let is_from_old = before.is_some_and(|before| Some(&before.job_id) == old);
        if fences.contains(&transaction) {
            if is_from_old {
                let what =
                    format!("change {seq}: job {job_id} began {object} anew, which was its to go on with");
                find(Check::Retried, what);
            }
            continue;
        }
        let why = match before {
            _ if !accepted.contains(&transaction) => "without the fence",
            Some(before) if is_from_old && is_same(before, change) => continue,
            _ if is_from_old => "as a handover, and is not what the old job left",
            _ => "as a handover, and was not the job's to take",
        };
        let what = format!("change {seq} of {object} of job {job_id} by {writer} was committed {why}");
        find(Check::StaleLease, what);
    }
}

/// Which job tries which one again.
fn retries(jobs: &[JobFacts]) -> BTreeMap<Uuid, Uuid> {
    jobs.iter().filter_map(|job| Some((job.id, job.retry_of?))).collect()
}

/// Whether nothing was read or written in between.
fn is_same(before: &CursorChange, after: &CursorChange) -> bool {
    let CursorChange { seq, txid, writer, job_id, .. } = after.clone();
    CursorChange { seq, txid, writer, job_id, ..before.clone() } == *after
}

/// A job is tried again after it failed or was cancelled, and the new one names it. How often, and whether another one
/// ran meanwhile, makes no difference.
pub(super) fn retried(facts: &Facts, find: &mut impl FnMut(Check, String)) {
    let rows: BTreeMap<Uuid, &JobFacts> = facts.jobs.iter().map(|job| (job.id, job)).collect();
    let mut accepted: BTreeMap<Uuid, i64> = BTreeMap::new();
    let mut stopped: BTreeMap<Uuid, i64> = BTreeMap::new();
    for change in &facts.job_changes {
        if change.status_before.is_none() {
            accepted.insert(change.job_id, change.seq);
        }
        if is_stopped(&change.status) {
            stopped.entry(change.job_id).or_insert(change.seq);
        }
    }
    for (id, old) in retries(&facts.jobs) {
        let is_of_workspace = rows
            .get(&old)
            .is_some_and(|row| rows.get(&id).is_some_and(|job| job.workspace_id == row.workspace_id));
        let is_after = accepted.get(&id).is_some_and(|seq| stopped.get(&old).is_some_and(|end| end < seq));
        if !is_of_workspace || !is_after {
            find(Check::Retried, format!("job {id} tries job {old} again, which had not stopped"));
        }
    }
    for (id, of) in &facts.notes.retries {
        // A job without a row is lost, which is another finding.
        let Some(job) = rows.get(id) else { continue };
        if job.retry_of.is_none() || of.is_some() && job.retry_of != *of {
            let (is, of) = (name(job.retry_of), name(*of));
            find(Check::Retried, format!("job {id} was accepted to try {of} again, and its row names {is}"));
        }
    }
}

fn name(job: Option<Uuid>) -> String {
    job.map_or("no job".to_owned(), |job| format!("job {job}"))
}
