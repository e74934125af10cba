//! Jobs for clients: one, or a page of them.

use protocol::{JobId, JobStatus, JobView, SyncError, WorkspaceId};

use super::row::{JobRow, corrupt};
use crate::{Store, StoreError};

/// A page of a workspace's jobs, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<JobView>,
    /// Whether older ones exist.
    pub more: bool,
}

impl Store {
    /// A job of a workspace, by its id or by the id of the sync it belongs to; a sync of several jobs is
    /// read as one merged job. `None` if the workspace has no such job.
    ///
    /// One lookup by primary key; for a `syncId` of several jobs, two.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn job(&self, workspace_id: &WorkspaceId, id: JobId) -> Result<Option<JobView>, StoreError> {
        let row = self.optional(sqlx::query_as!(
            JobRow,
            r#"SELECT id, sync_id, job_type, workspace_id, scope, status, priority, payload, progress, attempts, max_attempts, takeovers,
                      last_error, attempt_errors, cancel_requested_at, retry_of, created_at, started_at, completed_at, result, waiting_reason, run_at, revision
               FROM jobs WHERE id = $1 AND workspace_id = $2"#,
            id.0,
            workspace_id.as_str()
        ))
        .await?;
        match row {
            Some(row) => Ok(Some(row.try_into()?)),
            None => self.sync(workspace_id, id).await,
        }
    }

    async fn sync(&self, workspace_id: &WorkspaceId, sync_id: JobId) -> Result<Option<JobView>, StoreError> {
        let rows = self.all(sqlx::query_as!(
            JobRow,
            r#"SELECT id, j.sync_id, job_type, workspace_id, scope, status, priority, payload, progress, attempts, max_attempts, takeovers,
                      last_error, attempt_errors, cancel_requested_at, retry_of, created_at, started_at, completed_at, result, waiting_reason, run_at, revision
               FROM syncs s JOIN jobs j ON j.id = s.job_id
               WHERE s.sync_id = $1 AND j.workspace_id = $2 ORDER BY scope"#,
            sync_id.0,
            workspace_id.as_str()
        ))
        .await?;
        let jobs = rows.into_iter().map(JobView::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(JobView::merged(sync_id, jobs))
    }

    /// A page of a workspace's jobs, newest first, older than `before`, with one status or with any.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn jobs(
        &self,
        workspace_id: &WorkspaceId,
        status: Option<JobStatus>,
        before: Option<JobId>,
        limit: u32,
    ) -> Result<JobPage, StoreError> {
        // One more than asked for tells whether there are more.
        let rows = self.all(sqlx::query_as!(
            JobRow,
            r#"SELECT id, sync_id, job_type, workspace_id, scope, status, priority, payload, progress, attempts, max_attempts, takeovers,
                      last_error, attempt_errors, cancel_requested_at, retry_of, created_at, started_at, completed_at, result, waiting_reason, run_at, revision
               FROM jobs
               WHERE workspace_id = $1 AND ($2::text IS NULL OR status = $2) AND id < coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
               ORDER BY id DESC LIMIT $4"#,
            workspace_id.as_str(),
            status.map(JobStatus::as_sql),
            before.map(|id| id.0),
            i64::from(limit) + 1
        ))
        .await?;
        let mut jobs = rows.into_iter().map(JobView::try_from).collect::<Result<Vec<_>, _>>()?;
        let more = jobs.len() > limit as usize;
        jobs.truncate(limit as usize);
        Ok(JobPage { jobs, more })
    }

    /// The last job of each connector of a workspace, by connector.
    ///
    /// Plan: Index Scan on `jobs_by_workspace`: every job of the workspace that is not deleted yet, a few thousand.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn last_jobs(&self, workspace_id: &WorkspaceId) -> Result<Vec<JobView>, StoreError> {
        let rows = self.all(sqlx::query_as!(
            JobRow,
            r#"SELECT DISTINCT ON (job_type, scope)
                      id, sync_id, job_type, workspace_id, scope, status, priority, payload, progress, attempts, max_attempts, takeovers,
                      last_error, attempt_errors, cancel_requested_at, retry_of, created_at, started_at, completed_at, result, waiting_reason, run_at, revision
               FROM jobs WHERE workspace_id = $1 ORDER BY job_type, scope, id DESC"#,
            workspace_id.as_str()
        ))
        .await?;
        rows.into_iter().map(JobView::try_from).collect()
    }

    /// The first captured records of a job, in a stable order.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn captured(&self, job: &JobView, limit: u32) -> Result<Vec<SyncError>, StoreError> {
        let rows = self
            .all(sqlx::query!(
                r#"SELECT object, external_id, reason FROM record_errors
               WHERE workspace_id = $1 AND connector = $2 AND job_id = $3
               ORDER BY object, external_id LIMIT $4"#,
                job.workspace_id.as_str(),
                job.connector_type.as_ref().map(protocol::ConnectorName::as_str),
                job.id.0,
                i64::from(limit)
            ))
            .await?;
        rows.into_iter()
            .map(|r| {
                let object = r.object.parse().map_err(corrupt)?;
                Ok(SyncError { object, external_id: r.external_id, reason: r.reason })
            })
            .collect()
    }
}
