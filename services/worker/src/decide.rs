//! From an outcome to a decision. Pure: no I/O, no clock, no randomness; `decide_tests.rs` is the table.

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
    /// It ran too often without committing anything: running it kills workers, or Postgres.
    Poisoned,
}

/// How often the job ran, as the row says during the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Counted runs, this one included.
    pub attempts: u32,
    /// How many there may be.
    pub max_attempts: u32,
    /// How often it was taken over from a dead worker, or could not be written for, since it last committed something.
    pub in_vain: u32,
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
            let message =
                format!("Given up: {} times workers died or could not write for it", counts.in_vain);
            fail(Failure::new(Poison, message))
        }
        Outcome::Quota { failure, retry_after } => {
            // Whatever the vendor says: neither a loop without a pause nor a job that is gone for years.
            let retry_after = retry_after.clamp(QUOTA_MIN, QUOTA_MAX);
            rest(WaitingReason::SourceQuota, retry_after, Some(failure))
        }
        Outcome::Interrupted => rest(WaitingReason::Interrupted, Duration::ZERO, None),
        Outcome::StoreAway => {
            // Ten times in a row is a quarter of an hour: then it is not Postgres that is away, it is this job.
            let wait = doubled(STORE_AWAY_WAIT, counts.in_vain);
            match rest(WaitingReason::Interrupted, wait, None) {
                Decision::Rest(resting, settlement) => {
                    Decision::Rest(Resting { in_vain: true, ..resting }, settlement)
                }
                end @ Decision::End(..) => end,
            }
        }
    }
}

fn retry_or_fail(failure: Failure, counts: Counts, policy: Policy) -> Decision {
    if counts.attempts >= counts.max_attempts {
        return fail(failure);
    }
    let wait = doubled(policy.retry_base, counts.attempts.saturating_sub(1));
    let wait = wait.mul_f64(1.0 + policy.jitter.clamp(0.0, 1.0) / 10.0);
    rest(WaitingReason::RetryBackoff, wait, Some(failure))
}

fn doubled(base: Duration, times: u32) -> Duration {
    base.saturating_mul(1 << times.min(16)).min(RETRY_MAX)
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
    Decision::Rest(Resting { reason, delay, error, uncount, keeps_ticket, in_vain: false }, settlement)
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
