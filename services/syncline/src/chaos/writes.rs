//! Rows of the synced tables and captured records: whoever wrote one held the job's lease.

use std::collections::{BTreeMap, BTreeSet};

use store::{JobChange, JobFacts, RowWrite};
use time::Duration;
use uuid::Uuid;

use super::check::Check;
use super::checker::{Facts, is_by};

/// A statement may have begun under the lease and have been seen so long after the lease was another's.
const SEEN_LATE_MAX: Duration = Duration::SECOND;

/// Each transaction that wrote a row also has the fence, the job's row with the lease as it was, of the job that the row
/// names. But for one case: a retry makes captured records its own in a statement that asks for the lease itself.
pub(super) fn unfenced_rows(facts: &Facts, find: &mut impl FnMut(Check, String)) {
    let workspaces: BTreeMap<Uuid, &str> =
        facts.jobs.iter().map(|job| (job.id, job.workspace_id.as_str())).collect();
    let mut fences: BTreeMap<i64, BTreeSet<Uuid>> = BTreeMap::new();
    let is_fence = |change: &&JobChange| change.token.is_some() && change.token == change.token_before;
    for fence in facts.job_changes.iter().filter(is_fence) {
        fences.entry(fence.txid).or_default().insert(fence.job_id);
    }
    for write in &facts.row_writes {
        let RowWrite { txid, writer, relation, op, workspace_id, job_id, .. } = write;
        let mut held = fences.get(txid).into_iter().flatten();
        // A job without a row is lost, which is another finding. A row that is gone names nobody.
        let is_its = |held: &Uuid| {
            workspaces.get(held).is_none_or(|workspace| workspace == workspace_id)
                && job_id.is_none_or(|job| job == *held)
        };
        if held.any(is_its) || is_adoption(facts, write) {
            continue;
        }
        let job = job_id.map_or("nobody".to_owned(), |job| format!("job {job}"));
        find(
            Check::StaleLease,
            format!(
                "{op} of {relation} of {workspace_id} for {job} by {writer} was committed without the fence"
            ),
        );
    }
}

/// Whether nothing but the job of captured records changed, to the one that tries it again, by the holder of its lease.
fn is_adoption(facts: &Facts, write: &RowWrite) -> bool {
    let (Some(job), Some(before)) = (write.job_id, write.job_before) else { return false };
    let is_retry = |row: &JobFacts| {
        row.id == job && row.retry_of == Some(before) && row.workspace_id == write.workspace_id
    };
    if write.op != "adopt" || !facts.jobs.iter().any(is_retry) {
        return false;
    }
    let changes: Vec<&JobChange> = facts.job_changes.iter().filter(|change| change.job_id == job).collect();
    changes.iter().enumerate().any(|(n, change)| {
        let is_over = changes.get(n + 1).is_some_and(|next| write.at > next.at + SEEN_LATE_MAX);
        is_by(&write.writer, change.holder.as_deref()) && change.at <= write.at && !is_over
    })
}
