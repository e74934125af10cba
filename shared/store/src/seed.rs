//! Workspaces by the thousand, for benchmarks and load tests.

use std::time::Duration;

use protocol::{ConnectorName, JOB_TYPE_SYNC, JobId, WorkspaceId};
use serde_json::Value;

use crate::{Store, StoreError, connections};

/// Workspaces written in one statement.
const CHUNK: usize = 10_000;

/// The id of a seeded workspace: always seven digits, so that all ids of a prefix have one length.
pub fn seeded_workspace(prefix: &str, n: usize) -> String {
    format!("{prefix}-{n:07}")
}

impl Store {
    /// Makes the workspaces `0..count` of a prefix (see [`seeded_workspace`]), each with one connection. What is
    /// there already stays as it is.
    ///
    /// # Errors
    /// If the prefix makes no workspace id, or Postgres is not available.
    pub async fn seed_workspaces(
        &self,
        prefix: &str,
        count: usize,
        connector: &ConnectorName,
        credentials: impl Fn(usize) -> Value,
    ) -> Result<(), StoreError> {
        for first in (0..count).step_by(CHUNK) {
            let last = count.min(first + CHUNK);
            let mut ids = Vec::with_capacity(last - first);
            let mut sealed = Vec::with_capacity(last - first);
            for n in first..last {
                let id: WorkspaceId = seeded_workspace(prefix, n)
                    .parse()
                    .map_err(|e| StoreError::Corrupt(format!("the prefix {prefix:?}: {e}")))?;
                let owner = connections::owner(&id, connector.as_str());
                sealed.push(self.key.seal(&owner, credentials(n).to_string().as_bytes())?);
                ids.push(String::from(id));
            }
            let mut tx = self.begin().await?;
            sqlx::query!(
                "INSERT INTO workspaces (id, name) SELECT id, id FROM unnest($1::text[]) AS t (id) ON CONFLICT DO NOTHING",
                &ids
            )
            .execute(&mut *tx)
            .await?;
            sqlx::query!(
                r#"INSERT INTO connections (workspace_id, connector, credentials)
                   SELECT id, $3, credentials FROM unnest($1::text[], $2::bytea[]) AS t (id, credentials)
                   ON CONFLICT DO NOTHING"#,
                &ids,
                &sealed,
                connector.as_str()
            )
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
        }
        Ok(())
    }

    /// Gives each of the workspaces `0..count` of a prefix a job that waits for its vendor's quota for so long.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn seed_parked(
        &self,
        prefix: &str,
        count: usize,
        connector: &ConnectorName,
        wait: Duration,
    ) -> Result<(), StoreError> {
        let ids: Vec<String> = (0..count).map(|n| seeded_workspace(prefix, n)).collect();
        let jobs: Vec<_> = ids.iter().map(|_| JobId::new().0).collect();
        self.execute(sqlx::query!(
            r#"INSERT INTO jobs (id, sync_id, job_type, workspace_id, scope, waiting_reason, run_at)
               SELECT job, job, $1, workspace, $2, 'source_quota', now() + make_interval(secs => $5)
               FROM unnest($3::uuid[], $4::text[]) AS t (job, workspace)"#,
            JOB_TYPE_SYNC,
            connector.as_str(),
            &jobs,
            &ids,
            wait.as_secs_f64()
        ))
        .await?;
        Ok(())
    }

    /// Makes jobs look as if they had been accepted, and had waited since, so much earlier.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn seed_waited(&self, jobs: &[JobId], earlier: Duration) -> Result<(), StoreError> {
        let ids: Vec<_> = jobs.iter().map(|job| job.0).collect();
        self.execute(sqlx::query!(
            r#"UPDATE jobs SET created_at = created_at - make_interval(secs => $2), run_at = run_at - make_interval(secs => $2)
               WHERE id = ANY ($1)"#,
            &ids,
            earlier.as_secs_f64()
        ))
        .await?;
        Ok(())
    }

    /// How many jobs there are. Reads them all: not for a hot path.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn job_count(&self) -> Result<u64, StoreError> {
        let row = self.one(sqlx::query!(r#"SELECT count(*) AS "jobs!" FROM jobs"#)).await?;
        Ok(row.jobs.unsigned_abs())
    }
}
