use protocol::{AttemptError, JobStatus, ObjectResult, SyncResult};
use serde_json::json;
use time::OffsetDateTime;

use super::super::schedule::Slot;
use super::*;
use crate::roles::Role;

pub(in crate::chaos) const WORKER: &str = "syncline-worker-host-7";
const OTHER: &str = "syncline-worker-host-8";
pub(super) const JOB: Uuid = Uuid::from_u128(1);
pub(in crate::chaos) const TOKEN: Uuid = Uuid::from_u128(2);

pub(in crate::chaos) fn change(
    seq: i64,
    writer: &str,
    status: &str,
    tokens: (Option<Uuid>, Option<Uuid>),
) -> JobChange {
    JobChange {
        seq,
        at: OffsetDateTime::UNIX_EPOCH,
        txid: seq,
        writer: writer.to_owned(),
        job_id: JOB,
        status_before: None,
        status: status.to_owned(),
        token_before: tokens.0,
        token: tokens.1,
        holder_before: tokens.0.map(|_| WORKER.to_owned()),
        holder: tokens.1.map(|_| WORKER.to_owned()),
        revision: seq,
        attempts: 1,
        run_at: OffsetDateTime::UNIX_EPOCH,
        cancel_requested_at: None,
    }
}

/// Rows of deals, in the transaction of the change of the job with the same number.
pub(super) fn rows(seq: i64) -> RowWrite {
    RowWrite {
        seq,
        at: at(0),
        txid: seq,
        writer: WORKER.to_owned(),
        relation: "deals".to_owned(),
        op: "insert".to_owned(),
        workspace_id: "acme".to_owned(),
        job_id: Some(JOB),
        job_before: None,
    }
}

pub(in crate::chaos) fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + time::Duration::seconds(seconds)
}

fn error(attempt: i32, message: &str) -> AttemptError {
    serde_json::from_value(json!({
        "attempt": attempt, "at": "1970-01-01T00:00:09Z", "class": "transient", "message": message,
    }))
    .unwrap()
}

/// A page of 10 records each, in the transaction of the change of the job with the same number.
pub(super) fn page(seq: i64, position: Option<&str>, pages: i64) -> CursorChange {
    CursorChange {
        seq,
        txid: seq,
        writer: WORKER.to_owned(),
        workspace_id: "acme".to_owned(),
        object: "deals".to_owned(),
        job_id: JOB,
        position: position.map(str::to_owned),
        done: position.is_none(),
        compared: false,
        listed: 10 * pages,
        written: 9 * pages,
        unchanged: 0,
        captured: pages,
        pages,
    }
}

fn result() -> SyncResult {
    let deals: ObjectResult = serde_json::from_value(json!({
        "connectorType": "hubspot", "object": "deals", "listed": 20, "written": 18, "unchanged": 0, "captured": 2, "pages": 2,
    }))
    .unwrap();
    SyncResult { results: vec![deals], ..SyncResult::default() }
}

/// Accepted, claimed, two pages, completed.
pub(super) fn good() -> Facts {
    let mut facts = Facts::default();
    facts.notes.accept(JOB, "acme");
    facts.notes.endings.insert(JOB, JobStatus::Completed);
    facts.jobs.push(JobFacts {
        id: JOB,
        workspace_id: "acme".to_owned(),
        retry_of: None,
        status: "completed".to_owned(),
        attempts: 1,
        max_attempts: 3,
        takeovers: 0,
        revision: 5,
        last_error: None,
        attempt_errors: Vec::new(),
        created_at: OffsetDateTime::UNIX_EPOCH,
        completed_at: None,
        result: Some(result()),
    });
    facts.job_changes = vec![
        change(1, "syncline-ingress", "pending", (None, None)),
        change(2, WORKER, "running", (None, Some(TOKEN))),
        change(3, WORKER, "running", (Some(TOKEN), Some(TOKEN))),
        change(4, WORKER, "running", (Some(TOKEN), Some(TOKEN))),
        change(5, WORKER, "completed", (Some(TOKEN), None)),
    ];
    facts.cursor_changes = vec![page(3, Some("a"), 1), page(4, None, 2)];
    facts.row_writes = vec![rows(3), rows(4)];
    facts.records.insert("deals".to_owned(), 20);
    facts
}

/// Which checks go red after some tampering.
pub(super) fn red(tamper: impl FnOnce(&mut Facts)) -> Vec<Check> {
    let mut facts = good();
    tamper(&mut facts);
    let found: BTreeSet<Check> = findings(&facts).into_iter().map(|finding| finding.check).collect();
    found.into_iter().collect()
}

#[test]
fn a_good_run_has_no_findings() {
    assert_eq!(findings(&good()), []);
}

#[test]
fn a_lost_job_is_found() {
    assert_eq!(red(|facts| facts.jobs.clear()), [Check::Lost]);
    assert_eq!(red(|facts| facts.notes.accept(Uuid::from_u128(9), "acme")), [Check::Lost]);
    let never_ends = red(|facts| {
        facts.jobs[0].status = "running".to_owned();
        facts.job_changes.pop();
        facts.notes.endings.clear();
    });
    assert_eq!(never_ends, [Check::Lost]);
}

#[test]
fn a_job_that_ended_twice_or_ran_again_is_found() {
    let failed = |facts: &mut Facts| {
        facts.job_changes.push(change(6, WORKER, "failed", (None, None)));
        facts.jobs[0].status = "failed".to_owned();
    };
    assert!(red(failed).contains(&Check::EndedTwice));
    let again = |facts: &mut Facts| {
        facts.job_changes.push(change(6, WORKER, "running", (None, Some(TOKEN))));
        facts.job_changes.push(change(7, WORKER, "completed", (Some(TOKEN), None)));
    };
    assert_eq!(red(again), [Check::EndedTwice]);
    assert_eq!(red(|facts| facts.job_changes[2].revision = 2), [Check::EndedTwice]);
    let told = |facts: &mut Facts| facts.notes.endings.extend([(JOB, JobStatus::Failed)]);
    assert_eq!(red(told), [Check::EndedTwice]);
}

#[test]
fn a_failure_or_a_cancellation_without_a_cause_is_found() {
    let ends = |status: &'static str, errors: i32, message: &'static str| {
        move |facts: &mut Facts| {
            facts.jobs[0].status = status.to_owned();
            facts.jobs[0].attempts = errors.max(1);
            facts.jobs[0].attempt_errors = (1..=errors).map(|n| error(n, message)).collect();
            facts.job_changes[4].status = status.to_owned();
            facts.notes.endings.clear();
            facts.vendor_failed = vec![(at(0), at(100))];
        }
    };
    assert_eq!(red(ends("failed", 3, "HubSpot answered 502")), []);
    assert_eq!(red(ends("failed", 1, "HubSpot answered 502")), [Check::Failed], "attempts are left");
    assert_eq!(red(ends("failed", 4, "HubSpot answered 502")), [Check::Failed], "more than allowed");
    assert_eq!(red(ends("failed", 3, "What is stored could not be read")), [Check::Failed]);
    let later = |facts: &mut Facts| {
        ends("failed", 3, "HubSpot answered 502")(facts);
        facts.jobs[0].attempt_errors[1].at = at(101);
    };
    assert_eq!(red(later), [Check::Failed], "the vendor did not fail then");
    assert_eq!(red(ends("cancelled", 0, "")), [Check::Failed], "nobody asked for it");
    let told = |facts: &mut Facts| facts.notes.told_cancelled.extend([JOB]);
    assert_eq!(red(told), [Check::Failed], "said to be cancelled, and completed");
}

#[test]
fn a_write_by_a_stale_lease_is_found() {
    assert_eq!(red(|facts| facts.job_changes[3].writer = OTHER.to_owned()), [Check::StaleLease]);
    assert_eq!(
        red(|facts| facts.cursor_changes[1].txid = 99),
        [Check::StaleLease],
        "no fence in its transaction"
    );
    let end = |facts: &mut Facts| facts.job_changes[4].writer = OTHER.to_owned();
    assert_eq!(red(end), [Check::StaleLease]);
}

#[test]
fn a_page_committed_twice_is_found() {
    let again = |facts: &mut Facts| {
        facts.cursor_changes.insert(1, page(3, Some("a"), 2));
        facts.cursor_changes[2] = page(4, None, 3);
        facts.jobs[0].result = None;
        facts.jobs[0].status = "failed".to_owned();
    };
    assert!(red(again).contains(&Check::PageTwice));
    let restarted = |facts: &mut Facts| facts.cursor_changes.swap(0, 1);
    assert!(red(restarted).contains(&Check::PageTwice));
    let fewer = |facts: &mut Facts| facts.records.extend([("deals".to_owned(), 5)]);
    assert_eq!(red(fewer), [Check::PageTwice]);
}

#[test]
fn counts_that_do_not_balance_are_found() {
    assert_eq!(red(|facts| facts.cursor_changes[0].written = 10), [Check::Counts]);
    assert_eq!(red(|facts| facts.jobs[0].result = None), [Check::Counts]);
    let other = |facts: &mut Facts| {
        let mut told = result();
        told.results[0].written = 17;
        facts.jobs[0].result = Some(told);
    };
    assert_eq!(red(other), [Check::Counts]);
}

fn view(revision: u64, status: &str) -> protocol::JobView {
    serde_json::from_value(json!({
        "id": JOB, "syncId": JOB, "workspaceId": "acme", "jobType": "sync", "status": status, "priority": "normal",
        "progress": {"current": 0, "total": 0, "message": ""}, "attempts": 1, "maxAttempts": 3, "takeovers": 0,
        "createdAt": "2026-02-10T12:00:00Z", "error": null, "revision": revision,
    }))
    .unwrap()
}

fn status(number: u16) -> Slot {
    Slot { role: Role::Status, number }
}

#[test]
fn a_poll_that_goes_backwards_is_found() {
    let mut notes = Notes::default();
    notes.see(status(0), 1, &view(5, "running"));
    notes.see(status(0), 1, &view(4, "running"));
    assert_eq!(notes.wrong.len(), 1);
    // Another process, and the same place after it was started again, know only what they saw themselves.
    let mut notes = Notes::default();
    notes.see(status(0), 1, &view(5, "running"));
    notes.see(status(1), 2, &view(4, "running"));
    notes.see(status(0), 3, &view(4, "running"));
    assert_eq!((notes.wrong.len(), notes.older_elsewhere), (0, 1));
    notes.see(status(0), 3, &view(9, "completed"));
    notes.see(status(1), 2, &view(8, "running"));
    assert_eq!(notes.wrong.len(), 1, "over stays over, whoever says it");
}

#[test]
fn an_older_answer_than_the_tag_is_found_whoever_gives_it() {
    let mut notes = Notes::default();
    notes.see(status(0), 1, &view(5, "running"));
    let tag = notes.newest(JOB);
    notes.compare_with_tag(status(1), tag, &view(5, "running"));
    notes.compare_with_tag(status(1), None, &view(4, "running"));
    assert_eq!(notes.wrong.len(), 0);
    notes.compare_with_tag(status(1), tag, &view(4, "running"));
    assert_eq!(notes.wrong.len(), 1);
    notes.see(status(1), 2, &view(3, "running"));
    assert_eq!(notes.newest(JOB), tag, "the newest stays the newest");
}

#[test]
fn nothing_has_changed_is_an_answer_that_must_not_go_backwards_either() {
    let mut notes = Notes::default();
    notes.see(status(0), 1, &view(4, "running"));
    let tag = notes.newest(JOB).unwrap();
    notes.see(status(0), 1, &view(5, "running"));
    assert!(notes.has_answered(JOB, (status(0), 1), Some(tag)));
    assert!(!notes.has_answered(JOB, (status(0), 2), None), "another process");
    notes.see_unchanged(status(1), 2, JOB, tag);
    assert!(!notes.has_answered(JOB, (status(1), 2), notes.newest(JOB)), "it knows an older one only");
    assert_eq!((notes.wrong.len(), notes.older_elsewhere, notes.polls_unchanged), (0, 1, 1));
    notes.see_unchanged(status(0), 1, JOB, tag);
    assert_eq!(notes.wrong.len(), 1);
}
