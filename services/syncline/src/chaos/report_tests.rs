use time::OffsetDateTime;
use uuid::Uuid;

use super::super::reads::{Down, Read};
use super::super::schedule::{Fault, Slot};
use super::*;
use crate::roles::Role;

const JOB: Uuid = Uuid::from_u128(1);
const HALF_AN_HOUR: Duration = Duration::from_secs(1_800);

fn kill(pid: Option<u32>) -> Incident {
    let fault = Fault::Kill { slot: Slot { role: Role::Worker, number: 0 }, down_ms: 1 };
    Incident { fault, pid, begun: OffsetDateTime::UNIX_EPOCH, ended: OffsetDateTime::UNIX_EPOCH }
}

fn takeover(job: Uuid) -> Takeover {
    Takeover {
        job,
        from: OffsetDateTime::UNIX_EPOCH,
        took: Duration::from_secs(6),
        postgres_away: Duration::ZERO,
        disturbed: false,
    }
}

/// Half an hour with exactly as much as it takes.
fn long() -> Report {
    let (incidents, takeovers) = (vec![kill(Some(1)); KILLS_MIN], vec![takeover(JOB); TAKEOVERS_MIN]);
    Report { duration: HALF_AN_HOUR, incidents, takeovers, ..Report::default() }
}

/// Which checks go red.
fn red(report: Report) -> Vec<Check> {
    report.judged().findings.into_iter().map(|finding| finding.check).collect()
}

#[test]
fn more_429_than_three_in_ten_thousand_are_found() {
    let with = |avoidable: u64| {
        let vendor = Stats {
            requests: 20_000,
            answers429: 50 + avoidable,
            answers429_by_fault: 50,
            ..Stats::default()
        };
        red(Report { vendor, ..Report::default() })
    };
    assert_eq!(with(6), []);
    assert_eq!(with(7), [Check::Limited]);
}

#[test]
fn a_long_run_that_proves_too_little_is_found() {
    assert_eq!(red(long()), []);
    let mut one_less = long();
    one_less.incidents[0] = kill(None);
    assert_eq!(red(one_less), [Check::Proved], "a kill that hit nothing is none");
    let mut one_less = long();
    one_less.takeovers.pop();
    assert_eq!(red(one_less), [Check::Proved]);
    assert_eq!(red(Report { duration: HALF_AN_HOUR - Duration::from_secs(1), ..Report::default() }), []);
}

#[test]
fn a_cancellation_that_takes_long_with_nothing_broken_is_found() {
    let with = |took, disturbed| {
        let cancels = vec![Cancelled { job: JOB, took, disturbed }];
        red(Report { cancels, ..Report::default() })
    };
    assert_eq!(with(CANCEL_MAX, false), []);
    assert_eq!(with(CANCEL_MAX + Duration::from_millis(1), false), [Check::Cancelled]);
    assert_eq!(with(CANCEL_MAX * 3, true), []);
}

#[test]
fn a_poll_that_should_have_been_answered_is_found() {
    let slot = Slot { role: Role::Status, number: 0 };
    let (at, until) = (OffsetDateTime::UNIX_EPOCH, OffsetDateTime::UNIX_EPOCH);
    let with = |unanswered: usize| {
        let read = Read { at, until, slot, job: JOB, answered: false };
        let reads = vec![Reads { down: Down::Postgres, polls: 9, unanswered: vec![read; unanswered] }];
        red(Report { reads, ..Report::default() })
    };
    assert_eq!((with(0), with(1)), (vec![], vec![Check::Reads]));
}
