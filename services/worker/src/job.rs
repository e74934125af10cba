//! A delivery, from claim to settlement. Read this to know what happens when a worker dies:
//!
//! 1. *before the claim*: the ticket comes again after the ack wait;
//! 2. *while running*: the lease runs out, another worker with room sees that in Postgres (`serve.rs`) or gets the
//!    ticket again, claims the job and goes on from the last committed page;
//! 3. *between the commit of the row and the settlement*: the ticket comes again, the claim is refused
//!    because the job is over, and the ticket is discarded. Nothing runs twice.

use std::sync::Arc;
use std::time::Duration;

use bus::{Delivery, Settlement};
use protocol::{JobId, JobView};
use store::{Claim, Claimed, NotClaimable, StoreError};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::Worker;
use crate::attempt::{Attempt, Ended};
use crate::decide::{Counts, Decision, NAK_MAX, Outcome, Policy, decide};
use crate::live::Live;
use crate::pipeline::panic_message;

/// A ticket that came while Postgres was away comes again after this.
const STORE_AWAY_WAIT: Duration = Duration::from_secs(1);
/// A ticket that came too early comes again at the right time, but not more often than this.
const EARLY_WAIT_MIN: Duration = Duration::from_millis(20);
/// A ticket whose job another worker runs comes again between these: once that is over, the scope's next job wants a ticket.
const HELD_WAIT_MIN: Duration = Duration::from_millis(250);
const HELD_WAIT_MAX: Duration = Duration::from_secs(2);
/// A ticket whose job is over, but not shown to be, comes again after this.
const SHOW_AGAIN_WAIT: Duration = Duration::from_secs(1);
/// And without a ticket it is tried for so long to show it.
const SHOW_MAX: Duration = Duration::from_secs(60);
/// How often the end of an attempt is tried to be committed while Postgres is away.
const FINISH_RETRY: Duration = Duration::from_millis(200);

impl Worker {
    /// Runs a job that came without a ticket. If it has one, that comes when it comes, and finds the job running or over.
    pub(crate) async fn pick_up(self: Arc<Self>, job_id: JobId, ack_wait: Duration, stop: CancellationToken) {
        match self.claim(job_id, ack_wait).await {
            Ok(Claim::Claimed(claimed)) => {
                let unshown = self.run_in_span(*claimed, None, stop.clone()).await;
                if let Some(view) = unshown {
                    stop.run_until_cancelled(timeout(SHOW_MAX, self.show(&view))).await;
                }
            }
            // Another one was faster.
            Ok(Claim::Refused(_)) => {}
            Err(error) => tracing::debug!(job.id = %job_id, error = %error, "the job could not be claimed"),
        }
    }

    /// Handles one delivery to its settlement.
    pub(crate) async fn handle(
        self: Arc<Self>,
        delivery: Delivery,
        ack_wait: Duration,
        stop: CancellationToken,
    ) {
        // Before anything else: whatever follows may take longer than the ack wait.
        let alive = self.bus.in_progress(&delivery, ack_wait / 3);
        let mut job_id = delivery.ticket.job_id;
        let mut claim = self.claim(job_id, ack_wait).await;
        if matches!(claim, Ok(Claim::Refused(NotClaimable::Over))) {
            self.show_the_end(&delivery, ack_wait).await;
            if let Some(successor) = self.successor(&delivery, ack_wait).await {
                job_id = successor;
                claim = self.claim(job_id, ack_wait).await;
            }
        }
        match claim {
            Ok(Claim::Claimed(claimed)) => drop(self.run_in_span(*claimed, Some(&delivery), stop).await),
            Ok(Claim::Refused(why)) => self.settle(&delivery, not_ours(why)).await,
            Err(error) => {
                tracing::warn!(job.id = %job_id, error = %error, "the job could not be claimed");
                self.settle(&delivery, Settlement::Nak(STORE_AWAY_WAIT)).await;
            }
        }
        drop(alive);
    }

    async fn claim(&self, job_id: JobId, ack_wait: Duration) -> Result<Claim, StoreError> {
        let claim = self.store.claim(job_id, &self.name, self.settings.lease);
        timeout(ack_wait / 2, claim).await.unwrap_or_else(|_| Err(StoreError::timed_out()))
    }

    /// The job of a ticket is over, and another one of its scope may be active: its own ticket was refused while this one
    /// was in the queue. Whose ticket it is makes no difference.
    async fn successor(&self, delivery: &Delivery, ack_wait: Duration) -> Option<JobId> {
        let found = timeout(ack_wait / 2, self.store.active_in(&delivery.ticket)).await;
        found.unwrap_or_else(|_| Err(StoreError::timed_out())).unwrap_or_else(|error| {
            tracing::debug!(error = %error, "the relay finds whoever waits");
            None
        })
    }

    /// Answers the last view if it is not on the board and no ticket comes again for it.
    async fn run_in_span(
        &self,
        claimed: Claimed,
        delivery: Option<&Delivery>,
        stop: CancellationToken,
    ) -> Option<JobView> {
        let span = tracing::info_span!("job", job.id = %claimed.lease.job_id, workspace.id = %claimed.lease.workspace_id,
            connector = %claimed.lease.connector, attempt = claimed.job.attempts);
        self.run(claimed, delivery, stop).instrument(span).await
    }

    /// Puts a view on the board, however long NATS is away.
    async fn show(&self, view: &JobView) {
        while !self.post(view).await {
            tokio::time::sleep(SHOW_AGAIN_WAIT).await;
        }
    }

    async fn run(
        &self,
        claimed: Claimed,
        delivery: Option<&Delivery>,
        stop: CancellationToken,
    ) -> Option<JobView> {
        let live = Live::start(&self.bus, claimed.job.clone(), self.settings.progress_interval);
        let claimed = Arc::new(claimed);
        tracing::info!(takeovers = claimed.job.takeovers, "running");
        let (ended, live) = if claimed.job.cancel_requested {
            // Its worker died before it could end it.
            (Ended::With(Outcome::Cancelled), Some(live))
        } else if claimed.takeovers_in_vain > self.settings.takeovers_max {
            (Ended::With(Outcome::Poisoned), Some(live))
        } else {
            self.attempt(Arc::clone(&claimed), live, stop).await
        };
        let outcome = match ended {
            Ended::With(outcome) => outcome,
            Ended::Abandoned(error) => {
                let source = std::error::Error::source(&error);
                tracing::warn!(error = %error, source, "abandoned: whoever holds the lease goes on");
                return None;
            }
        };
        let job = &claimed.job;
        // A page makes up for what was in vain before.
        let in_vain = match &live {
            Some(live) if live.revision() > job.revision => 0,
            _ => claimed.takeovers_in_vain,
        };
        let counts = Counts { attempts: job.attempts, max_attempts: job.max_attempts, in_vain };
        let policy = Policy { retry_base: self.settings.retry_base, jitter: rand::random() };
        let decision = decide(outcome, counts, policy);
        let decision = if delivery.is_some() { decision } else { decision.without_ticket() };
        self.finish(&claimed, delivery, live, decision).await
    }

    /// Runs the attempt in a task of its own, so that a panic is an outcome.
    async fn attempt(
        &self,
        claimed: Arc<Claimed>,
        live: Live,
        stop: CancellationToken,
    ) -> (Ended, Option<Live>) {
        let attempt = Attempt {
            store: self.store.clone(),
            registry: Arc::clone(&self.registry),
            settings: self.settings.clone(),
            claimed,
            stop,
        };
        match self.tracker.spawn(attempt.run(live).in_current_span()).await {
            Ok((ended, live)) => (ended, Some(live)),
            Err(error) => (Ended::With(Outcome::Panicked(panic_message(error))), None),
        }
    }

    /// In this order: the row, the board, the ticket. A crash between any two is harmless.
    async fn finish(
        &self,
        claimed: &Claimed,
        delivery: Option<&Delivery>,
        live: Option<Live>,
        decision: Decision,
    ) -> Option<JobView> {
        let settlement = match &decision {
            Decision::End(_, settlement) | Decision::Rest(_, settlement) => *settlement,
        };
        let view = match self.commit(claimed, &decision).await {
            Ok(view) => view,
            Err(error) => {
                tracing::warn!(error = %error, "the end of the attempt was not committed; it is done again");
                return None;
            }
        };
        tracing::info!(status = %view.status, error = view.error.as_deref(), "attempt over");
        let shown = match live {
            Some(live) => live.finish(&view).await,
            None => self.post(&view).await,
        };
        let Some(delivery) = delivery else { return (!shown && view.status.is_over()).then_some(view) };
        // A last view that is not on the board would leave subscribers waiting: the ticket comes again for it.
        self.settle(
            delivery,
            match settlement {
                _ if !shown && view.status.is_over() => Settlement::Nak(SHOW_AGAIN_WAIT),
                // It was to rest, and was cancelled.
                Settlement::Nak(_) if view.status.is_over() => Settlement::Term,
                settlement => settlement,
            },
        )
        .await;
        None
    }

    /// The job of a ticket is over. Whoever ended it may have died before it showed that.
    async fn show_the_end(&self, delivery: &Delivery, ack_wait: Duration) {
        let ticket = &delivery.ticket;
        let job = self.store.job(&ticket.workspace_id, ticket.job_id);
        if let Ok(Ok(Some(view))) = timeout(ack_wait / 2, job).await {
            self.post(&view).await;
        }
    }

    /// Commits the row's new state. While Postgres is away it keeps trying for as long as the lease lasts.
    async fn commit(&self, claimed: &Claimed, decision: &Decision) -> Result<JobView, StoreError> {
        let deadline = tokio::time::Instant::now() + claimed.lease.duration;
        loop {
            let commit = async {
                match decision {
                    Decision::End(ending, _) => self.store.end_job(&claimed.lease, ending).await,
                    Decision::Rest(resting, _) => self.store.rest_job(&claimed.lease, resting).await,
                }
            };
            let committed = tokio::time::timeout_at(deadline, commit).await;
            match committed.unwrap_or_else(|_| Err(StoreError::timed_out())) {
                Err(error) if error.is_transient() && tokio::time::Instant::now() < deadline => {
                    tokio::time::sleep(FINISH_RETRY).await;
                }
                other => return other,
            }
        }
    }

    async fn post(&self, view: &JobView) -> bool {
        let posted = self.bus.post(&mut bus::BoardCell::default(), view).await;
        posted.inspect_err(|error| tracing::debug!(error = %error, "a view is not on the board")).is_ok()
    }

    async fn settle(&self, delivery: &Delivery, settlement: Settlement) {
        if let Err(error) = self.bus.settle(delivery, settlement).await {
            // The ticket comes again and finds the row as it is now.
            tracing::debug!(job.id = %delivery.ticket.job_id, error = %error, "a ticket was not settled");
        }
    }
}

/// What to answer to a ticket whose job we did not get. It was never ours, so it is only handed back, unless
/// nobody can need it any more.
fn not_ours(why: NotClaimable) -> Settlement {
    match why {
        NotClaimable::Over => Settlement::Ack,
        // It rests: the relay makes a ticket when it is due, and until then its scope is for others.
        NotClaimable::NotFor(wait) if wait > NAK_MAX => Settlement::Ack,
        NotClaimable::NotFor(wait) => Settlement::Nak(wait.max(EARLY_WAIT_MIN)),
        NotClaimable::LeasedFor(left) => Settlement::Nak(left.clamp(HELD_WAIT_MIN, HELD_WAIT_MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_of_somebody_elses_job_comes_again_in_time_and_one_of_a_job_that_rests_for_long_goes() {
        let s = Duration::from_secs;
        for (why, settlement) in [
            (NotClaimable::Over, Settlement::Ack),
            (NotClaimable::NotFor(NAK_MAX + Duration::from_millis(1)), Settlement::Ack),
            (NotClaimable::NotFor(NAK_MAX), Settlement::Nak(NAK_MAX)),
            (NotClaimable::NotFor(Duration::ZERO), Settlement::Nak(EARLY_WAIT_MIN)),
            (NotClaimable::LeasedFor(Duration::ZERO), Settlement::Nak(HELD_WAIT_MIN)),
            (NotClaimable::LeasedFor(s(1)), Settlement::Nak(s(1))),
            (NotClaimable::LeasedFor(s(60)), Settlement::Nak(HELD_WAIT_MAX)),
        ] {
            assert_eq!(not_ours(why), settlement, "{why:?}");
        }
    }
}
