//! Rows without the lease: what is found, and the one thing that is none.

use super::handovers_tests::{RETRY, tried_again};
use super::tests::{JOB, at, red, rows};
use super::*;

#[test]
fn a_row_written_without_the_fence_is_found() {
    assert_eq!(red(|facts| facts.row_writes[1].txid = 99), [Check::StaleLease], "in no fenced transaction");
    let claim = |facts: &mut Facts| facts.row_writes[1].txid = 2;
    assert_eq!(red(claim), [Check::StaleLease], "a claim is no fence");
    let ending = |facts: &mut Facts| facts.row_writes[1].txid = 5;
    assert_eq!(red(ending), [Check::StaleLease], "nor is the end of the job");
    let captured = |facts: &mut Facts| {
        facts.row_writes.push(RowWrite { relation: "record_errors".to_owned(), txid: 99, ..rows(9) });
    };
    assert_eq!(red(captured), [Check::StaleLease]);
}

#[test]
fn a_row_of_another_workspace_or_job_than_the_fences_is_found() {
    assert_eq!(red(|facts| facts.row_writes[0].workspace_id = "globex".to_owned()), [Check::StaleLease]);
    assert_eq!(red(|facts| facts.row_writes[0].job_id = Some(RETRY)), [Check::StaleLease]);
}

#[test]
fn a_row_that_is_deleted_needs_the_fence_too() {
    let deleted = |txid| RowWrite { op: "delete".to_owned(), job_id: None, txid, ..rows(9) };
    assert_eq!(red(|facts| facts.row_writes.push(deleted(4))), []);
    assert_eq!(red(|facts| facts.row_writes.push(deleted(99))), [Check::StaleLease]);
}

/// A retry makes the captured records of the job that it tries again its own, while it runs.
fn adopted(tamper: impl FnOnce(&mut Facts, &mut RowWrite)) -> Vec<Finding> {
    let mut facts = tried_again();
    for change in &mut facts.job_changes {
        change.at = at(change.seq);
    }
    let mut write = RowWrite {
        at: at(7),
        txid: 99,
        relation: "record_errors".to_owned(),
        op: "adopt".to_owned(),
        job_id: Some(RETRY),
        job_before: Some(JOB),
        ..rows(9)
    };
    tamper(&mut facts, &mut write);
    facts.row_writes.push(write);
    findings(&facts)
}

#[test]
fn a_retry_that_adopts_what_was_captured_has_no_findings() {
    assert_eq!(adopted(|_, _| {}), []);
    assert_eq!(adopted(|_, write| write.at = at(10)), [], "it began while the job ran");
}

#[test]
fn an_adoption_of_anything_else_is_found() {
    let found = |tamper: fn(&mut Facts, &mut RowWrite)| adopted(tamper).len();
    assert_eq!(found(|_, write| write.op = "update".to_owned()), 1, "more than the job changed");
    assert_eq!(found(|_, write| write.job_before = Some(RETRY)), 1, "they were another job's");
    assert_eq!(found(|_, write| write.workspace_id = "globex".to_owned()), 1);
    assert_eq!(found(|_, write| write.writer = "syncline-worker-host-8".to_owned()), 1, "not the holder");
    assert_eq!(found(|_, write| write.at = at(6)), 1, "the job was not claimed yet");
    assert_eq!(found(|_, write| write.at = at(11)), 1, "it was over");
    let plain = adopted(|facts, _| facts.jobs[1].retry_of = None);
    assert!(plain.iter().any(|finding| finding.what.contains("adopt")), "{plain:?}");
}
