use time::Duration as Span;

use super::*;

const START: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
const LEASE: Duration = Duration::from_secs(6);

fn at(seconds: i64) -> OffsetDateTime {
    START + Span::seconds(seconds)
}

fn change(job: u128, seconds: i64, writer: &str, status: &str, holder: Option<&str>) -> JobChange {
    JobChange {
        seq: seconds,
        at: at(seconds),
        txid: seconds,
        writer: writer.to_owned(),
        job_id: Uuid::from_u128(job),
        status_before: None,
        status: status.to_owned(),
        token_before: None,
        token: holder.map(|_| Uuid::from_u128(1)),
        holder_before: None,
        holder: holder.map(str::to_owned),
        revision: seconds,
        attempts: 1,
        run_at: START,
        cancel_requested_at: None,
    }
}

fn incident(fault: Fault, pid: Option<u32>, begun: i64, ended: i64) -> Incident {
    Incident { fault, pid, begun: at(begun), ended: at(ended) }
}

fn kill(begun: i64) -> Incident {
    let slot = Slot { role: Role::Worker, number: 0 };
    incident(Fault::Kill { slot, down_ms: 1 }, Some(7), begun, begun + 1)
}

#[test]
fn a_takeover_is_from_the_kill_to_the_claim_of_another_worker() {
    let changes = [
        change(1, 1, "w-h-7", "running", Some("w-h-7")),
        change(1, 9, "w-h-8", "running", Some("w-h-8")),
        // Ended before, held by another, waiting.
        change(2, 1, "w-h-7", "completed", None),
        change(3, 1, "w-h-9", "running", Some("w-h-9")),
        change(4, 1, "ingress", "pending", None),
    ];
    let seen = takeovers(&[kill(2)], &changes, LEASE);
    let took = Duration::from_secs(7);
    let expected = Takeover {
        job: Uuid::from_u128(1),
        from: at(2),
        took,
        postgres_away: Duration::ZERO,
        disturbed: false,
    };
    assert_eq!(seen, [expected]);
    // It began before the worker died, was over, and began again before somebody claimed the job.
    let outages = [(1, 3), (4, 6), (8, 12), (13, 14)]
        .map(|(begun, ended)| incident(Fault::KillPostgres { down_ms: 1 }, None, begun, ended));
    let disturbed = takeovers(&[&[kill(2)], outages.as_slice()].concat(), &changes, LEASE);
    assert_eq!(disturbed, [Takeover { postgres_away: Duration::from_secs(4), disturbed: true, ..expected }]);
}

#[test]
fn a_worker_that_came_back_in_time_was_not_taken_over() {
    let changes = [
        change(1, 1, "w-h-7", "running", Some("w-h-7")),
        change(1, 5, "w-h-7", "running", Some("w-h-7")),
        change(1, 20, "w-h-8", "running", Some("w-h-8")),
    ];
    assert_eq!(takeovers(&[kill(2)], &changes, LEASE), []);
}

#[test]
fn a_worker_that_was_held_up_for_longer_than_its_lease_is_as_good_as_dead() {
    let changes =
        [change(1, 1, "w-h-7", "running", Some("w-h-7")), change(1, 9, "w-h-8", "running", Some("w-h-8"))];
    let held_up = |until| {
        let slot = Slot { role: Role::Worker, number: 0 };
        incident(Fault::HoldUp { slot, for_ms: 1 }, Some(7), 2, until)
    };
    assert_eq!(takeovers(&[held_up(12)], &changes, LEASE).len(), 1);
    // It went on in time, and was killed later: that is another incident.
    assert_eq!(takeovers(&[held_up(4)], &changes, LEASE), []);
}

#[test]
fn a_deleted_store_costs_what_waiting_jobs_waited_after_it() {
    let changes = [
        change(1, 1, "ingress", "pending", None),
        change(1, 13, "w-h-7", "running", Some("w-h-7")),
        change(2, 1, "ingress", "pending", None),
        change(2, 11, "w-h-7", "running", Some("w-h-7")),
        change(3, 12, "ingress", "pending", None),
        change(3, 30, "w-h-7", "running", Some("w-h-7")),
    ];
    let seen = wipes(&[incident(Fault::Wipe, None, 8, 10)], &changes);
    let expected =
        Wiped { waiting: 2, first: Duration::from_secs(1), last: Duration::from_secs(3), disturbed: false };
    assert_eq!(seen, [expected]);
}

#[test]
fn quantiles_are_values_that_were_seen() {
    let sorted: Vec<_> = (1..=100).map(Duration::from_secs).collect();
    assert_eq!(quantile(&sorted, 500), Some(Duration::from_secs(51)));
    assert_eq!(quantile(&sorted, 1_000), Some(Duration::from_secs(100)));
    assert_eq!(quantile(&[], 500), None);
}
