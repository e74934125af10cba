//! Cancelling: one conditional update, which has exactly one winner against every other end of a job.

use protocol::{JobId, JobView, WorkspaceId};

use super::row::JobRow;
use crate::{Store, StoreError};

impl Store {
    /// Cancels a job, or the active jobs of a sync. One that waits is over at once, and so is one whose lease is over:
    /// its worker is dead or hangs, and will find that it lost the lease. Of one that runs it is noted that somebody
    /// wants it to end; whoever holds the lease learns it with the next commit or heartbeat, and from now on it cannot
    /// end in any other way.
    ///
    /// Answers the jobs that were active as they are now: `cancelled`, or `running` with `cancel_requested`. None if
    /// none was active.
    ///
    /// One statement, one row by primary key.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn cancel(&self, workspace_id: &WorkspaceId, id: JobId) -> Result<Vec<JobView>, StoreError> {
        let rows = self.all(sqlx::query_as!(
            JobRow,
            r#"UPDATE jobs SET
                   status = CASE WHEN status = 'pending' OR lease_expires_at <= now() THEN 'cancelled' ELSE status END,
                   completed_at = CASE WHEN status = 'pending' OR lease_expires_at <= now() THEN now() END,
                   waiting_reason = NULL,
                   progress = progress || CASE WHEN status = 'pending' OR lease_expires_at <= now() THEN '{"message": "Cancelled"}' ELSE '{}' END::jsonb,
                   lease_token = CASE WHEN lease_expires_at > now() THEN lease_token END,
                   lease_holder = CASE WHEN lease_expires_at > now() THEN lease_holder END,
                   lease_expires_at = CASE WHEN lease_expires_at > now() THEN lease_expires_at END,
                   cancel_requested_at = coalesce(cancel_requested_at, now()),
                   revision = revision + 1
               WHERE workspace_id = $1 AND status IN ('pending', 'running')
                 AND id = ANY (ARRAY (SELECT $2::uuid UNION SELECT job_id FROM syncs WHERE sync_id = $2))
               RETURNING id, sync_id, job_type, workspace_id, scope, status, priority, payload, progress, attempts, max_attempts, takeovers,
                         last_error, attempt_errors, cancel_requested_at, retry_of, created_at, started_at, completed_at, result, waiting_reason, run_at, revision"#,
            workspace_id.as_str(),
            id.0
        ))
        .await?;
        rows.into_iter().map(JobView::try_from).collect()
    }
}
