//! A job that is tried again: what may be handed over, and what may not.

use super::tests::{JOB, TOKEN, WORKER, change, good, page, rows};
use super::*;

pub(super) const RETRY: Uuid = Uuid::from_u128(9);
const INGRESS: &str = "syncline-ingress";

/// A page, or a handover, of the job that tries again.
fn retry_page(seq: i64, writer: &str, position: Option<&str>, pages: i64) -> CursorChange {
    CursorChange { job_id: RETRY, writer: writer.to_owned(), ..page(seq, position, pages) }
}

/// Cancelled after its first page, and tried again: the page is handed over, the second one follows.
pub(super) fn tried_again() -> Facts {
    let mut facts = good();
    let of_retry = |mut change: JobChange| {
        change.job_id = RETRY;
        change
    };
    facts.notes.accept(RETRY, "acme");
    facts.notes.cancels.insert(JOB);
    facts.notes.endings.insert(JOB, protocol::JobStatus::Cancelled);
    facts.notes.retries.insert(RETRY, Some(JOB));
    let retry = JobFacts { id: RETRY, retry_of: Some(JOB), ..facts.jobs[0].clone() };
    facts.jobs[0].status = "cancelled".to_owned();
    facts.jobs[0].result = None;
    facts.jobs.push(retry);
    facts.job_changes.truncate(4);
    facts.job_changes[3] = change(4, WORKER, "cancelled", (Some(TOKEN), None));
    facts.job_changes.extend(
        [
            change(5, INGRESS, "pending", (None, None)),
            JobChange {
                txid: 5,
                status_before: Some("pending".to_owned()),
                ..change(6, INGRESS, "pending", (None, None))
            },
            change(7, WORKER, "running", (None, Some(TOKEN))),
            change(8, WORKER, "running", (Some(TOKEN), Some(TOKEN))),
            change(9, WORKER, "completed", (Some(TOKEN), None)),
        ]
        .map(of_retry),
    );
    // Only what is accepted has no status before.
    for change in facts.job_changes.iter_mut().filter(|change| !matches!(change.seq, 1 | 5)) {
        change.status_before = Some("running".to_owned());
    }
    facts.cursor_changes =
        vec![page(3, Some("a"), 1), retry_page(5, INGRESS, Some("a"), 1), retry_page(8, WORKER, None, 2)];
    facts.row_writes = vec![rows(3), RowWrite { job_id: Some(RETRY), ..rows(8) }];
    facts
}

fn red(tamper: impl FnOnce(&mut Facts)) -> Vec<Check> {
    let mut facts = tried_again();
    tamper(&mut facts);
    let found: BTreeSet<Check> = findings(&facts).into_iter().map(|finding| finding.check).collect();
    found.into_iter().collect()
}

#[test]
fn a_job_that_goes_on_where_the_other_one_stopped_has_no_findings() {
    assert_eq!(findings(&tried_again()), []);
}

#[test]
fn a_cursor_handed_over_otherwise_than_it_was_is_found() {
    let counts = red(|facts| {
        facts.cursor_changes[1].listed = 11;
        facts.cursor_changes[1].written = 10;
    });
    assert_eq!(counts, [Check::StaleLease]);
    assert_eq!(red(|facts| facts.cursor_changes[1].position = Some("b".to_owned())), [Check::StaleLease]);
    assert_eq!(red(|facts| facts.cursor_changes[1].pages = 2), [Check::StaleLease]);
}

#[test]
fn a_handover_without_a_retry_is_found() {
    let plain = red(|facts| {
        facts.jobs[1].retry_of = None;
        facts.notes.retries.clear();
    });
    assert_eq!(plain, [Check::StaleLease]);
    let later = red(|facts| facts.cursor_changes[1].txid = 6);
    assert_eq!(later, [Check::StaleLease], "in another transaction than the one that accepts the job");
    let anothers = red(|facts| facts.cursor_changes[0].job_id = Uuid::from_u128(7));
    assert!(anothers.contains(&Check::StaleLease), "another one had read the object since");
}

#[test]
fn a_retry_that_begins_anew_although_nobody_else_ran_is_found() {
    let anew = red(|facts| {
        facts.cursor_changes.remove(1);
        facts.cursor_changes[1].position = None;
    });
    assert_eq!(anew, [Check::Retried]);
}

#[test]
fn a_page_that_is_committed_by_both_jobs_is_found() {
    let again = red(|facts| facts.cursor_changes[2] = retry_page(8, WORKER, Some("a"), 2));
    assert_eq!(again, [Check::PageTwice]);
    let fewer = red(|facts| facts.cursor_changes[2].pages = 0);
    assert_eq!(fewer, [Check::PageTwice]);
}

#[test]
fn a_retry_of_what_had_not_stopped_or_of_another_job_is_found() {
    let completed = red(|facts| {
        facts.jobs[0].status = "completed".to_owned();
        facts.jobs[0].result = facts.jobs[1].result.clone();
        facts.job_changes[3].status = "completed".to_owned();
        facts.notes.endings.clear();
    });
    assert!(completed.contains(&Check::Retried), "{completed:?}");
    assert_eq!(red(|facts| facts.job_changes[3].seq = 99), [Check::Retried], "it stopped later");
    assert_eq!(
        red(|facts| facts.jobs[1].retry_of = Some(Uuid::from_u128(7))),
        [Check::Retried, Check::StaleLease]
    );
    let other = red(|facts| facts.notes.retries.extend([(RETRY, Some(Uuid::from_u128(7)))]));
    assert_eq!(other, [Check::Retried]);
    assert_eq!(red(|facts| facts.notes.retries.extend([(RETRY, None)])), [], "whatever stopped last");
}

#[test]
fn a_key_that_names_two_jobs_is_found() {
    let key = Uuid::from_u128(5);
    let wrong = |answers: &[(Uuid, bool)]| {
        let mut notes = Notes::default();
        for (job, is_accepted) in answers {
            if *is_accepted {
                notes.accept_key(key, *job);
            } else {
                notes.refuse_key(key, Some(*job), false);
            }
        }
        notes.wrong.len()
    };
    assert_eq!(wrong(&[(JOB, true), (JOB, true)]), 0);
    assert_eq!(wrong(&[(JOB, true), (RETRY, true)]), 1);
    assert_eq!(wrong(&[(JOB, false), (RETRY, true)]), 0, "another job was active");
    assert_eq!(wrong(&[(RETRY, false), (RETRY, true)]), 1, "its own job is none to be refused for");
    assert_eq!(wrong(&[(RETRY, true), (RETRY, false)]), 1);
    let mut notes = Notes::default();
    notes.accept_key(key, JOB);
    notes.refuse_key(key, None, true);
    assert_eq!(notes.wrong.len(), 1, "accepted, and refused later");
}
