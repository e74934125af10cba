//! Deleting jobs that are over for long enough.

use std::time::Duration;

use crate::{Store, StoreError};

impl Store {
    /// Deletes up to `limit` jobs that have been over for at least `older_than`, those that ended first, and answers
    /// how many. A job stays while another one of its sync is active or ended later than that: what a sync came to does
    /// not change by halves. What
    /// remembers which sync they belonged to goes with them. Everything else that names a job stays and
    /// may name one that is gone: cursors, records, captured errors.
    ///
    /// Any number of schedulers may do this at once: each row is deleted by one of them, and none waits.
    ///
    /// Plan: Index Scan on `jobs_over` (`completed_at <= then`), then by primary key; `syncs_by_job` for each row, before
    /// it is deleted and by the cascade.
    ///
    /// # Errors
    /// If Postgres is not available: then nothing was deleted, or the commit's answer was lost. Also if `older_than`
    /// goes back beyond what Postgres calls a date.
    pub async fn delete_finished(&self, older_than: Duration, limit: u32) -> Result<u64, StoreError> {
        let done = self.execute(sqlx::query!(
            r#"DELETE FROM jobs
               WHERE id = ANY (ARRAY (
                   SELECT id FROM jobs
                   WHERE status IN ('completed', 'failed', 'cancelled')
                     AND completed_at <= now() - make_interval(secs => $1)
                     AND (SELECT bool_or(other.completed_at IS NULL OR other.completed_at > now() - make_interval(secs => $1))
                          FROM syncs mine
                          CROSS JOIN LATERAL (SELECT job_id FROM syncs WHERE sync_id = mine.sync_id OFFSET 0) AS theirs
                          CROSS JOIN LATERAL (SELECT completed_at FROM jobs WHERE id = theirs.job_id OFFSET 0) AS other
                          WHERE mine.job_id = jobs.id) IS NOT TRUE
                   ORDER BY completed_at LIMIT $2
                   FOR UPDATE SKIP LOCKED))"#,
            older_than.as_secs_f64(),
            i64::from(limit)
        ))
        .await?;
        Ok(done.rows_affected())
    }
}
