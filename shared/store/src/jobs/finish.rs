//! Ending an attempt: the row's new state, under the lease.

use std::time::Duration;

use protocol::{JobStatus, JobView, SyncResult, WaitingReason};

use super::claim::Lease;
use super::row::{JobRow, corrupt};
use crate::{Store, StoreError};

/// A job that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// `Completed`, `Failed` or `Cancelled`.
    pub status: JobStatus,
    /// What went wrong, for people.
    pub error: Option<String>,
    /// What it did.
    pub result: Option<SyncResult>,
    /// The last line of progress.
    pub message: String,
}

/// A job that waits for its next attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Resting {
    /// Why.
    pub reason: WaitingReason,
    /// Not before so long from now.
    pub delay: Duration,
    /// What went wrong, for people.
    pub error: Option<String>,
    /// Whether the attempt that just ended is taken out of the count again.
    pub uncount: bool,
    /// Whether the ticket stays in the queue for the next attempt. If not, the relay makes a new one when due.
    pub keeps_ticket: bool,
}

impl Store {
    /// Ends the job for good.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or if Postgres is not available.
    pub async fn end_job(&self, lease: &Lease, ending: &Ending) -> Result<JobView, StoreError> {
        let result = ending.result.as_ref().map(serde_json::to_value).transpose().map_err(corrupt)?;
        let row = sqlx::query_as!(
            JobRow,
            r#"UPDATE jobs SET
                   status = $3, last_error = $4, result = $5, completed_at = now(), waiting_reason = NULL,
                   progress = progress || jsonb_build_object('message', $6::text)
                       || CASE WHEN $3 = 'completed' THEN jsonb_build_object('total', progress->'current') ELSE '{}' END,
                   lease_token = NULL, lease_holder = NULL, lease_expires_at = NULL,
                   revision = revision + 1
               WHERE id = $1 AND lease_token = $2
               RETURNING id, sync_id, job_type, workspace_id, scope, status, priority, progress, attempts, max_attempts, takeovers,
                         last_error, created_at, started_at, completed_at, result, waiting_reason, run_at, revision"#,
            lease.job_id.0,
            lease.token,
            ending.status.as_sql(),
            ending.error,
            result,
            ending.message
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or(StoreError::LeaseLost)?;
        row.try_into()
    }

    /// Puts the job back: it runs again, from its cursors, after the delay.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or if Postgres is not available.
    pub async fn rest_job(&self, lease: &Lease, resting: &Resting) -> Result<JobView, StoreError> {
        let row = sqlx::query_as!(
            JobRow,
            r#"UPDATE jobs SET
                   status = 'pending', waiting_reason = $3, run_at = now() + make_interval(secs => $4),
                   last_error = coalesce($5, last_error),
                   attempts = attempts - CASE WHEN $6 THEN 1 ELSE 0 END,
                   ticketed_at = CASE WHEN $7 THEN now() + make_interval(secs => $4) END,
                   lease_token = NULL, lease_holder = NULL, lease_expires_at = NULL,
                   revision = revision + 1
               WHERE id = $1 AND lease_token = $2
               RETURNING id, sync_id, job_type, workspace_id, scope, status, priority, progress, attempts, max_attempts, takeovers,
                         last_error, created_at, started_at, completed_at, result, waiting_reason, run_at, revision"#,
            lease.job_id.0,
            lease.token,
            resting.reason.as_str(),
            resting.delay.as_secs_f64(),
            resting.error,
            resting.uncount,
            resting.keeps_ticket
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or(StoreError::LeaseLost)?;
        row.try_into()
    }
}
