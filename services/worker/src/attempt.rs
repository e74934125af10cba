//! One attempt: from a claimed job to an outcome.

use std::sync::Arc;
use std::time::Duration;

use connectors::{Connection, Credentials, ErrorClass, Registry, Session, SourceError};
use protocol::{AttemptErrorClass, JobId, ObjectName, ObjectStatus, SyncOutcome, SyncResult};
use store::{Claimed, Failure, Lease, Store, StoreError};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Settings;
use crate::compare::DeleteGuard;
use crate::decide::Outcome;
use crate::fetch::halted;
use crate::keeper::Keeper;
use crate::live::Live;
use crate::patience::patiently;
use crate::pipeline::{Pipeline, Stopped};
use crate::plan::plan;
use crate::tally::Tally;

/// Captured records that a result names; all of them are in `record_errors`.
const ERRORS_MAX: u32 = 100;

/// Captured records that change hands in one statement.
const ADOPT_BATCH: u32 = 5_000;

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It produced this; decide what becomes of the job.
    With(Outcome),
    /// The lease is lost: touch nothing, settle nothing. Whoever holds it goes on from the cursors.
    Abandoned(StoreError),
}

/// What an attempt needs.
pub(crate) struct Attempt {
    pub store: Store,
    pub registry: Arc<Registry>,
    pub settings: Settings,
    pub claimed: Arc<Claimed>,
    pub stop: CancellationToken,
}

impl Attempt {
    /// Runs until the last page, an error, a shutdown, or the loss of the lease.
    pub(crate) async fn run(self, mut live: Live) -> (Ended, Live) {
        let (renewed, seen) = watch::channel(Instant::now());
        let kept = keep_lease(self.store.clone(), self.claimed.lease.clone(), self.settings.heartbeat, seen);
        let asked_for = self.claimed.job.options.timeout_seconds;
        let limit = asked_for.map_or(self.settings.attempt_timeout, |s| Duration::from_secs(s.into()));
        let ended = tokio::select! {
            // Whatever else is ready, a lost lease comes first.
            biased;
            ended = kept => ended,
            ended = self.sync(renewed, &mut live) => ended,
            () = tokio::time::sleep(limit) => Ended::With(Outcome::TimedOut(limit)),
        };
        (ended, live)
    }

    async fn sync(&self, renewed: watch::Sender<Instant>, live: &mut Live) -> Ended {
        let connector = &self.claimed.lease.connector;
        let Some(code) = self.registry.get(connector) else {
            return permanent(format!("This worker has no connector `{connector}`"));
        };
        if let Some(before) = self.claimed.job.retry_of
            && let Err(error) = self.adopt_captured(before).await
        {
            return refused(error);
        }
        let planned = plan(code.spec(), &self.claimed.job.options, &self.claimed.cursors);
        let session = tokio::select! {
            session = self.open(code.as_ref()) => match session {
                Ok(session) => session,
                Err(error) => return Ended::With(failed(None, error)),
            },
            () = halted(&self.stop) => return Ended::With(Outcome::Interrupted),
        };
        let mut tally = Tally::new(&planned, &self.claimed.cursors);
        let pipeline = Pipeline {
            store: &self.store,
            lease: &self.claimed.lease,
            session,
            planned,
            pages_ahead_max: self.settings.pages_ahead_max,
            commit_pages_max: self.settings.commit_pages_max,
            guard: DeleteGuard {
                rows_max: self.settings.delete_rows_max,
                percent_max: self.settings.delete_percent_max,
                approved: self.claimed.job.options.approved.clone(),
            },
            stop: self.stop.clone(),
            renewed,
        };
        match pipeline.run(&mut tally, live).await {
            Ok(()) => self.completed(&tally).await,
            Err(Stopped::Cancelled) => Ended::With(Outcome::Cancelled),
            Err(Stopped::Interrupted) => Ended::With(Outcome::Interrupted),
            Err(Stopped::Panicked(message)) => Ended::With(Outcome::Panicked(message)),
            Err(Stopped::Source(object, error)) => Ended::With(failed(Some(&object), error)),
            Err(Stopped::Store(error)) => refused(error),
        }
    }

    /// What the job before captured of the objects that this one goes on with. Of most jobs nothing.
    async fn adopt_captured(&self, before: JobId) -> Result<(), StoreError> {
        let lease = &self.claimed.lease;
        while patiently(|| self.store.adopt_captured(lease, before, ADOPT_BATCH)).await? > 0 {}
        Ok(())
    }

    async fn completed(&self, tally: &Tally) -> Ended {
        if let Some(error) = tally.all_failed() {
            return permanent(error);
        }
        if let Some(imbalance) = tally.imbalance() {
            tracing::error!(imbalance, "the counts do not balance");
            return permanent(format!("The counts do not balance. {imbalance}"));
        }
        match patiently(|| self.store.captured(&self.claimed.job, ERRORS_MAX)).await {
            Ok(errors) => {
                let results = tally.results(&self.claimed.lease.connector);
                let needs_review = results.iter().any(|result| result.needs_review > 0);
                let total_records = tally.records();
                let complete = results.iter().all(|result| result.status == ObjectStatus::Completed);
                let outcome = if complete { SyncOutcome::Complete } else { SyncOutcome::Partial };
                Ended::With(Outcome::Completed(SyncResult {
                    outcome,
                    results,
                    needs_review,
                    total_records,
                    errors,
                }))
            }
            Err(error) => refused(error),
        }
    }

    async fn open(&self, code: &dyn connectors::Connector) -> Result<Arc<dyn Session>, SourceError> {
        let claimed = &self.claimed;
        let credentials = match &claimed.credentials {
            Ok(Some(credentials)) => credentials.clone(),
            Ok(None) => return Err(SourceError::new(ErrorClass::Permanent, "The connection was removed")),
            Err(error) => {
                // Another worker may have the right key: not the end of the job yet.
                tracing::error!(error = %error, "the job cannot run on this worker");
                let message = "The stored credentials cannot be opened; connect the account again";
                return Err(SourceError::new(ErrorClass::Transient, message));
            }
        };
        let host = Keeper { store: self.store.clone(), lease: claimed.lease.clone(), spec: code.spec() };
        let connection = Connection {
            workspace_id: claimed.lease.workspace_id.clone(),
            account_id: claimed.account_id.clone(),
            utc_offset_ms: claimed.utc_offset_ms,
            credentials: Credentials::new(credentials),
            quota_share: claimed.quota_share,
        };
        let session: Arc<dyn Session> = code.open(connection, Arc::new(host)).await?.into();
        let (account_id, utc_offset_ms) = (session.account_id(), session.utc_offset_ms());
        if claimed.account_id.is_none()
            && let Err(error) = self.store.set_account(&claimed.lease, account_id, utc_offset_ms).await
        {
            tracing::debug!(error = %error, "the account is asked for again next time");
        }
        Ok(session)
    }
}

/// Renews the lease whenever nothing was committed for a heartbeat. Resolves when it is lost: taken, or not
/// renewed for its whole duration; and when somebody asked to cancel the job.
async fn keep_lease(
    store: Store,
    lease: Lease,
    heartbeat: Duration,
    mut renewed: watch::Receiver<Instant>,
) -> Ended {
    let mut last = *renewed.borrow_and_update();
    loop {
        tokio::time::sleep_until(last + heartbeat).await;
        last = last.max(*renewed.borrow_and_update());
        if last.elapsed() < heartbeat {
            continue;
        }
        let at = Instant::now();
        // A half-open connection must not outlast the lease: then this worker would not know that it lost it.
        let renewal = tokio::time::timeout(heartbeat, store.renew_lease(&lease)).await;
        match renewal.unwrap_or_else(|_| Err(StoreError::timed_out())) {
            Ok(false) => last = at,
            Ok(true) => return Ended::With(Outcome::Cancelled),
            Err(error) if error.is_transient() && last.elapsed() < lease.duration => {
                tracing::warn!(job.id = %lease.job_id, error = %error, "the lease was not renewed; trying again");
                tokio::time::sleep(heartbeat / 4).await;
            }
            Err(error) => return refused(error),
        }
    }
}

/// An error of Postgres that was not waited out.
fn refused(error: StoreError) -> Ended {
    match error {
        StoreError::LeaseLost => Ended::Abandoned(error),
        StoreError::Unavailable(_) => {
            // If it can be put back, that costs neither an attempt nor a takeover. If not, the lease runs out.
            tracing::warn!(error = %error, source = ?std::error::Error::source(&error), "nothing can be written");
            Ended::With(Outcome::StoreAway)
        }
        other => {
            tracing::error!(error = %other, source = ?std::error::Error::source(&other), "Postgres refused a page");
            let message = "A page could not be written; the log says why";
            Ended::With(Outcome::Transient(Failure::new(AttemptErrorClass::Transient, message)))
        }
    }
}

fn permanent(message: impl Into<String>) -> Ended {
    Ended::With(Outcome::Permanent(Failure::new(AttemptErrorClass::Permanent, message)))
}

fn failed(object: Option<&ObjectName>, error: SourceError) -> Outcome {
    let SourceError { class, message, request_id, .. } = error;
    let failure = |class| Failure { class, message, object: object.cloned(), vendor_request_id: request_id };
    match class {
        ErrorClass::Transient => Outcome::Transient(failure(AttemptErrorClass::Transient)),
        ErrorClass::Quota { retry_after } => {
            Outcome::Quota { failure: failure(AttemptErrorClass::SourceQuota), retry_after }
        }
        ErrorClass::Unauthorized | ErrorClass::Forbidden | ErrorClass::Permanent => {
            Outcome::Permanent(failure(AttemptErrorClass::Permanent))
        }
    }
}
