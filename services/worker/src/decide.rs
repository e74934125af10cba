//! From an outcome to a decision. Pure: no I/O, no clock, no randomness; the test below is the table.

use std::time::Duration;

use bus::Settlement;
use protocol::{AttemptErrorClass, JobStatus, SyncResult, WaitingReason};
use store::{Ending, Failure, Resting};

/// What an attempt produced.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Everything is in Postgres.
    Completed(SyncResult),
    /// Something that may go away by itself.
    Transient(Failure),
    /// Something that will not: refused credentials, bad configuration.
    Permanent(Failure),
    /// The vendor wants to be left alone for longer than a worker waits.
    Quota {
        /// What it said.
        failure: Failure,
        /// For how long.
        retry_after: Duration,
    },
    /// The worker shuts down.
    Interrupted,
    /// Postgres could not be written to for as long as the lease lasts.
    StoreAway,
    /// Somebody asked to stop it.
    Cancelled,
    /// The attempt took too long.
    TimedOut(Duration),
    /// The code panicked; the message.
    Panicked(String),
    /// It was taken over too often without committing anything: running it kills workers.
    Poisoned,
}

/// How often the job ran, as the row says during the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Counted runs, this one included.
    pub attempts: u32,
    /// How many there may be.
    pub max_attempts: u32,
    /// How often it was taken over from a dead worker since it last committed something.
    pub takeovers: u32,
}

/// What is configured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// The wait after the first failed attempt; each further one is twice as long.
    pub retry_base: Duration,
    /// A random number in 0..1, drawn by the caller: up to a tenth is added to the wait, so that jobs that
    /// failed together do not come back together.
    pub jitter: f64,
}

/// The new state of the row, and the answer to the ticket. Carried out in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The job is over.
    End(Ending, Settlement),
    /// The job runs again.
    Rest(Resting, Settlement),
}

impl Decision {
    /// The same for a job that runs without a ticket in hand: if it is to run again, the relay makes one.
    #[must_use]
    pub fn without_ticket(self) -> Self {
        match self {
            Self::Rest(resting, _) => Self::Rest(Resting { keeps_ticket: false, ..resting }, Settlement::Ack),
            end @ Self::End(..) => end,
        }
    }
}

/// The longest wait between two attempts.
const RETRY_MAX: Duration = Duration::from_secs(300);
/// The shortest and the longest wait for a vendor's quota. Daily quotas are the longest that vendors have.
const QUOTA_MIN: Duration = Duration::from_secs(1);
const QUOTA_MAX: Duration = Duration::from_secs(24 * 3600);
/// The pause of a job for which Postgres had no room.
const STORE_AWAY_WAIT: Duration = Duration::from_secs(1);
/// A job that waits longer than this waits in Postgres only, and the relay makes a new ticket when it is due: a ticket
/// in a delayed nak counts as un-acked, and keeps the scope's subject from whoever comes after a cancelled job.
pub(crate) const NAK_MAX: Duration = Duration::from_secs(5);

/// Turns what an attempt produced into what becomes of the job.
pub fn decide(outcome: Outcome, counts: Counts, policy: Policy) -> Decision {
    use AttemptErrorClass::{Panic, Poison, TimedOut};
    match outcome {
        Outcome::Completed(result) => Decision::End(
            Ending {
                status: JobStatus::Completed,
                error: None,
                message: format!("Synced {} records", result.total_records),
                result: Some(result),
            },
            Settlement::Ack,
        ),
        Outcome::Cancelled => Decision::End(
            Ending {
                status: JobStatus::Cancelled,
                error: None,
                message: "Cancelled".to_owned(),
                result: None,
            },
            Settlement::Term,
        ),
        Outcome::Permanent(failure) => fail(failure),
        Outcome::Transient(failure) => retry_or_fail(failure, counts, policy),
        Outcome::TimedOut(limit) => {
            let message = format!("The attempt took longer than {} s", limit.as_secs());
            retry_or_fail(Failure::new(TimedOut, message), counts, policy)
        }
        Outcome::Panicked(message) => {
            retry_or_fail(Failure::new(Panic, format!("Internal error: {message}")), counts, policy)
        }
        Outcome::Poisoned => {
            let message = format!("Given up: {} workers died while they ran this job", counts.takeovers);
            fail(Failure::new(Poison, message))
        }
        Outcome::Quota { failure, retry_after } => {
            // Whatever the vendor says: neither a loop without a pause nor a job that is gone for years.
            let retry_after = retry_after.clamp(QUOTA_MIN, QUOTA_MAX);
            rest(WaitingReason::SourceQuota, retry_after, Some(failure))
        }
        Outcome::Interrupted => rest(WaitingReason::Interrupted, Duration::ZERO, None),
        Outcome::StoreAway => rest(WaitingReason::Interrupted, STORE_AWAY_WAIT, None),
    }
}

fn retry_or_fail(failure: Failure, counts: Counts, policy: Policy) -> Decision {
    if counts.attempts >= counts.max_attempts {
        return fail(failure);
    }
    let doublings = counts.attempts.saturating_sub(1).min(16);
    let wait = policy.retry_base.saturating_mul(1 << doublings).min(RETRY_MAX);
    let wait = wait.mul_f64(1.0 + policy.jitter.clamp(0.0, 1.0) / 10.0);
    rest(WaitingReason::RetryBackoff, wait, Some(failure))
}

fn fail(failure: Failure) -> Decision {
    let ending = Ending {
        status: JobStatus::Failed,
        message: "Failed".to_owned(),
        error: Some(failure),
        result: None,
    };
    Decision::End(ending, Settlement::Term)
}

/// Only an attempt that failed is counted.
fn rest(reason: WaitingReason, delay: Duration, error: Option<Failure>) -> Decision {
    let (keeps_ticket, settlement) =
        if delay > NAK_MAX { (false, Settlement::Ack) } else { (true, Settlement::Nak(delay)) };
    let uncount = reason != WaitingReason::RetryBackoff;
    Decision::Rest(Resting { reason, delay, error, uncount, keeps_ticket }, settlement)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: Policy = Policy { retry_base: Duration::from_secs(2), jitter: 0.0 };
    const COUNTS: Counts = Counts { attempts: 1, max_attempts: 3, takeovers: 0 };

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
            Just(Run::Dies { committed: false }),
        ]
    }

    fn any_run() -> impl Strategy<Value = Run> {
        prop_oneof![
            counted_run(),
            (0u64..100_000).prop_map(|s| Run::Ends(Outcome::Quota {
                failure: x(),
                retry_after: Duration::from_secs(s)
            })),
            prop_oneof![Just(Outcome::Interrupted), Just(Outcome::StoreAway)].prop_map(Run::Ends),
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
            let (mut attempts, mut takeovers, mut is_taken_over) = (0, 0, false);
            for run in runs.into_iter().chain(last) {
                // A claim.
                if is_taken_over { takeovers += 1 } else { attempts += 1 }
                prop_assert!(attempts <= max_attempts);
                let outcome = match run {
                    _ if takeovers > TAKEOVERS_MAX => Outcome::Poisoned,
                    Run::Ends(outcome) => outcome,
                    Run::Dies { committed } => {
                        takeovers = if committed { 0 } else { takeovers };
                        is_taken_over = true;
                        continue;
                    }
                };
                is_taken_over = false;
                match decide(outcome, Counts { attempts, max_attempts, takeovers }, Policy { jitter, ..POLICY }) {
                    Decision::End(..) => return Ok(()),
                    Decision::Rest(resting, _) if resting.uncount => attempts -= 1,
                    Decision::Rest(resting, _) => prop_assert!(resting.delay <= RETRY_MAX.mul_f64(1.1)),
                }
            }
            prop_assert!(false, "it never ended");
        }
    }
}
