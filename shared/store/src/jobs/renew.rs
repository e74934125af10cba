//! Keeping the lease of a job while nothing is committed.

use super::claim::Lease;
use crate::{Store, StoreError};

impl Store {
    /// Renews the lease while nothing is committed: during a long wait for the vendor. Answers whether somebody asked
    /// to cancel the job.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], also if somebody gave new credentials meanwhile: the job is to go on with them. If
    /// Postgres is not available.
    pub async fn renew_lease(&self, lease: &Lease) -> Result<bool, StoreError> {
        let mut control = self.control().await?;
        let row = sqlx::query!(
            r#"WITH relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
               UPDATE jobs SET lease_expires_at = now() + make_interval(secs => $3)
               FROM relaxed WHERE id = $1 AND lease_token = $2
                 AND (cancel_requested_at IS NOT NULL OR NOT EXISTS (
                      SELECT FROM connections c
                      WHERE c.workspace_id = jobs.workspace_id AND c.connector = jobs.scope AND c.generation <> $4))
               RETURNING cancel_requested_at IS NOT NULL AS "cancel_requested!""#,
            lease.job_id.0,
            lease.token,
            lease.duration.as_secs_f64(),
            lease.generation
        )
        .fetch_optional(control.busy())
        .await?;
        control.rest();
        Ok(row.ok_or(StoreError::LeaseLost)?.cancel_requested)
    }
}
