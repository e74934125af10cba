use proptest::prelude::*;

use super::*;

const POLICY: Policy = Policy { retry_base: Duration::from_secs(2), jitter: 0.0 };
const COUNTS: Counts = Counts { attempts: 1, max_attempts: 3, in_vain: 0 };

fn x() -> Failure {
    Failure::new(AttemptErrorClass::Transient, "x")
}

/// (state or reason, delay in seconds, counted, keeps ticket, settlement)
fn row(decision: Decision) -> (String, u64, bool, bool, Settlement) {
    match decision {
        Decision::End(ending, settlement) => (ending.status.to_string(), 0, true, false, settlement),
        Decision::Rest(r, settlement) => {
            (r.reason.to_string(), r.delay.as_secs(), !r.uncount, r.keeps_ticket, settlement)
        }
    }
}

#[test]
fn every_outcome_has_its_row_in_the_table() {
    use Settlement::{Ack, Nak, Term};
    let s = Duration::from_secs;
    let quota = |secs| Outcome::Quota { failure: x(), retry_after: s(secs) };
    let table = [
        (Outcome::Completed(SyncResult::default()), 1, ("completed", 0, true, false, Ack)),
        (Outcome::Transient(x()), 1, ("retry_backoff", 2, true, true, Nak(s(2)))),
        (Outcome::Transient(x()), 2, ("retry_backoff", 4, true, true, Nak(s(4)))),
        (Outcome::Transient(x()), 3, ("failed", 0, true, false, Term)),
        (Outcome::Permanent(x()), 1, ("failed", 0, true, false, Term)),
        (quota(0), 1, ("source_quota", 1, false, true, Nak(s(1)))),
        (quota(1_000_000), 1, ("source_quota", 86_400, false, false, Ack)),
        (quota(5), 3, ("source_quota", 5, false, true, Nak(s(5)))),
        (quota(6), 3, ("source_quota", 6, false, false, Ack)),
        (Outcome::Cancelled, 2, ("cancelled", 0, true, false, Term)),
        (Outcome::Interrupted, 3, ("interrupted", 0, false, true, Nak(s(0)))),
        (Outcome::StoreAway, 3, ("interrupted", 1, false, true, Nak(s(1)))),
        (Outcome::TimedOut(s(600)), 1, ("retry_backoff", 2, true, true, Nak(s(2)))),
        (Outcome::TimedOut(s(600)), 3, ("failed", 0, true, false, Term)),
        (Outcome::Panicked("x".into()), 2, ("retry_backoff", 4, true, true, Nak(s(4)))),
        (Outcome::Panicked("x".into()), 3, ("failed", 0, true, false, Term)),
        (Outcome::Poisoned, 1, ("failed", 0, true, false, Term)),
    ];
    for (outcome, attempts, (state, delay, counted, keeps, settlement)) in table {
        let expected = (state.to_owned(), delay, counted, keeps, settlement);
        assert_eq!(
            row(decide(outcome.clone(), Counts { attempts, ..COUNTS }, POLICY)),
            expected,
            "{outcome:?} at attempt {attempts}"
        );
    }
}

#[test]
fn a_job_that_cannot_be_written_for_waits_longer_each_time_and_counts_no_attempt() {
    let waits = [(0, 1, true), (2, 4, true), (3, 8, false), (9, 300, false), (u32::MAX, 300, false)];
    for (in_vain, delay, keeps) in waits {
        let decision = decide(Outcome::StoreAway, Counts { in_vain, ..COUNTS }, POLICY);
        let Decision::Rest(resting, _) = decision else { panic!("{decision:?}") };
        assert_eq!((resting.delay.as_secs(), resting.keeps_ticket), (delay, keeps), "{in_vain}");
        assert!(resting.uncount && resting.in_vain);
    }
}

#[test]
fn jitter_adds_a_tenth_at_most() {
    let policy = Policy { jitter: 1.0, ..POLICY };
    match decide(Outcome::Transient(x()), COUNTS, policy) {
        Decision::Rest(resting, _) => assert_eq!(resting.delay, Duration::from_millis(2200)),
        other @ Decision::End(..) => panic!("{other:?}"),
    }
}

const TAKEOVERS_MAX: u32 = 10;

/// What becomes of a run.
#[derive(Debug, Clone)]
enum Run {
    Ends(Outcome),
    /// Its worker dies, after it committed something or before.
    Dies {
        committed: bool,
    },
}

/// Runs that end the job, or are counted against it. No vendor refuses for ever, no worker is always stopped.
fn counted_run() -> impl Strategy<Value = Run> {
    prop_oneof![
        Just(Outcome::Completed(SyncResult::default())).prop_map(Run::Ends),
        Just(Outcome::Transient(x())).prop_map(Run::Ends),
        Just(Outcome::Permanent(x())).prop_map(Run::Ends),
        Just(Outcome::Cancelled).prop_map(Run::Ends),
        Just(Outcome::TimedOut(Duration::from_secs(1))).prop_map(Run::Ends),
        Just(Outcome::Panicked("x".into())).prop_map(Run::Ends),
        Just(Run::Ends(Outcome::StoreAway)),
        Just(Run::Dies { committed: false }),
    ]
}

fn any_run() -> impl Strategy<Value = Run> {
    prop_oneof![
        counted_run(),
        (0u64..100_000)
            .prop_map(|s| Run::Ends(Outcome::Quota { failure: x(), retry_after: Duration::from_secs(s) })),
        Just(Run::Ends(Outcome::Interrupted)),
        Just(Run::Dies { committed: true }),
    ]
}

proptest! {
    #[test]
    fn every_job_ends_and_attempts_never_exceed_their_maximum(
        runs in proptest::collection::vec(any_run(), 0..60),
        last in proptest::collection::vec(counted_run(), 6 * (TAKEOVERS_MAX as usize + 2)),
        max_attempts in 1u32..6, jitter in 0.0f64..1.0,
    ) {
        let (mut attempts, mut in_vain, mut is_taken_over) = (0, 0, false);
        for run in runs.into_iter().chain(last) {
            // A claim.
            if is_taken_over { in_vain += 1 } else { attempts += 1 }
            prop_assert!(attempts <= max_attempts);
            let outcome = match run {
                _ if in_vain > TAKEOVERS_MAX => Outcome::Poisoned,
                Run::Ends(outcome) => outcome,
                Run::Dies { committed } => {
                    in_vain = if committed { 0 } else { in_vain };
                    is_taken_over = true;
                    continue;
                }
            };
            is_taken_over = false;
            match decide(outcome, Counts { attempts, max_attempts, in_vain }, Policy { jitter, ..POLICY }) {
                Decision::End(..) => return Ok(()),
                Decision::Rest(resting, _) if resting.uncount => {
                    attempts -= 1;
                    in_vain += u32::from(resting.in_vain);
                }
                Decision::Rest(resting, _) => prop_assert!(resting.delay <= RETRY_MAX.mul_f64(1.1)),
            }
        }
        prop_assert!(false, "it never ended");
    }
}
