//! What the scheduler asks every second: which rows want a ticket, which leases are over.

use std::time::Duration;

use protocol::{JobId, Priority, TICKET_VERSION, Ticket};

use super::row::corrupt;
use crate::{Store, StoreError};

/// A waiting row gets another ticket after so many times the age asked for, however long it waits.
const RELAY_BACKOFF_MAX: f64 = 12.0;

impl Store {
    /// Takes up to `limit` rows that wait for a worker and whose last ticket is older than `older_than`, or
    /// was never published, gives each a new ticket number, and answers the tickets to publish; of more than `limit` those
    /// of `high` come first. A publish too many is refused by the stream and harms nobody.
    ///
    /// Whoever waits for long mostly does so because there is a queue, and has its ticket in it. So the age that counts is
    /// as long as the row had waited when it got its last one, up to 12 times `older_than`: a row that waits for ten
    /// minutes is given 13 tickets, and not 120.
    ///
    /// Any number of schedulers may do this at once: each row goes to one of them.
    ///
    /// Plan: for each priority, Index Scan on `jobs_waiting` (`priority = … AND run_at <= now()`), then by primary key.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn take_unticketed(&self, older_than: Duration, limit: u32) -> Result<Vec<Ticket>, StoreError> {
        let rows = self.all(sqlx::query!(
            r#"UPDATE jobs SET ticket_no = ticket_no + 1, ticketed_at = now()
               WHERE id = ANY (ARRAY (
                   SELECT due.id FROM unnest(ARRAY['high', 'normal', 'low']) AS lane (priority), LATERAL (
                       SELECT id FROM jobs
                       WHERE status = 'pending' AND jobs.priority = lane.priority AND run_at <= now()
                         AND (ticketed_at IS NULL
                              OR ticketed_at + GREATEST(make_interval(secs => $1),
                                                        LEAST(ticketed_at - run_at, make_interval(secs => $3))) <= now())
                       ORDER BY run_at LIMIT $2
                       FOR UPDATE SKIP LOCKED) AS due
                   LIMIT $2))
               RETURNING id, ticket_no, workspace_id, job_type, scope, priority"#,
            older_than.as_secs_f64(),
            i64::from(limit),
            older_than.as_secs_f64() * RELAY_BACKOFF_MAX
        ))
        .await?;
        Ok(readable(
            rows.into_iter()
                .map(|r| waiting(r.id, r.ticket_no, r.workspace_id, r.job_type, r.scope, r.priority)),
        ))
    }

    /// Takes up to `limit` running rows whose lease is over, gives each a new ticket number, and answers the
    /// tickets to publish: whoever gets one takes the job over. A row is not taken again for two seconds, so
    /// that its ticket has a chance.
    ///
    /// Plan: Index Scan on `jobs_running`, a row for each running job.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn take_expired(&self, limit: u32) -> Result<Vec<Ticket>, StoreError> {
        let rows = self
            .all(sqlx::query!(
                r#"UPDATE jobs SET ticket_no = ticket_no + 1, ticketed_at = now()
               WHERE id = ANY (ARRAY (
                   SELECT id FROM jobs
                   WHERE status = 'running' AND lease_expires_at <= now()
                     AND (ticketed_at IS NULL OR ticketed_at <= now() - interval '2 seconds')
                   LIMIT $1
                   FOR UPDATE SKIP LOCKED))
               RETURNING id, ticket_no, workspace_id, job_type, scope, priority"#,
                i64::from(limit)
            ))
            .await?;
        Ok(readable(
            rows.into_iter()
                .map(|r| waiting(r.id, r.ticket_no, r.workspace_id, r.job_type, r.scope, r.priority)),
        ))
    }

    /// Running jobs whose lease is over, `limit` at most of each priority, in any order: so that workers that look at the
    /// same time try different ones first.
    ///
    /// Plan: Index Scan on `jobs_running`, a row for each running job; then sorted, those whose lease is over.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn expired(&self, limit: u32) -> Result<Vec<(JobId, Priority)>, StoreError> {
        let rows = self.all(sqlx::query!(
            r#"SELECT id, priority FROM (
                   SELECT id, priority, row_number() OVER (PARTITION BY priority ORDER BY random()) AS turn FROM jobs
                   WHERE status = 'running' AND lease_expires_at <= now()) AS over
               WHERE turn <= $1"#,
            i64::from(limit)
        ))
        .await?;
        // A row that cannot be read is somebody's own writing.
        Ok(rows.into_iter().filter_map(|row| Some((JobId(row.id), row.priority.parse().ok()?))).collect())
    }

    /// Jobs of a priority that wait for a worker and have done so for no longer than this, `limit` at most, the newest
    /// first. Not those that a worker put back.
    ///
    /// Plan: Index Scan Backward on `jobs_waiting`.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn waiting_briefly(
        &self,
        priority: Priority,
        at_most: Duration,
        limit: u32,
    ) -> Result<Vec<JobId>, StoreError> {
        let rows = self.all(sqlx::query!(
            r#"SELECT id FROM jobs
               WHERE status = 'pending' AND priority = $1 AND run_at <= now() AND run_at > now() - make_interval(secs => $2)
                 AND waiting_reason IS DISTINCT FROM 'interrupted'
               ORDER BY run_at DESC LIMIT $3"#,
            priority.as_str(),
            at_most.as_secs_f64(),
            i64::from(limit)
        ))
        .await?;
        Ok(rows.into_iter().map(|row| JobId(row.id)).collect())
    }

    /// Jobs of a priority that wait for a worker and have done so for at least this, `limit` at most, the oldest first.
    ///
    /// Plan: Index Scan on `jobs_waiting`.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn waiting_long(
        &self,
        priority: Priority,
        at_least: Duration,
        limit: u32,
    ) -> Result<Vec<JobId>, StoreError> {
        let rows = self
            .all(sqlx::query!(
                r#"SELECT id FROM jobs
               WHERE status = 'pending' AND priority = $1 AND run_at <= now() - make_interval(secs => $2)
               ORDER BY run_at LIMIT $3"#,
                priority.as_str(),
                at_least.as_secs_f64(),
                i64::from(limit)
            ))
            .await?;
        Ok(rows.into_iter().map(|row| JobId(row.id)).collect())
    }

    /// The job that is active in the scope of a ticket.
    ///
    /// Plan: Index Scan on `jobs_one_active`.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn active_in(&self, ticket: &Ticket) -> Result<Option<JobId>, StoreError> {
        let row = self.optional(sqlx::query!(
            r#"SELECT id FROM jobs
               WHERE workspace_id = $1 AND job_type = $2 AND scope = $3 AND status IN ('pending', 'running')"#,
            ticket.workspace_id.as_str(),
            ticket.job_type.as_str(),
            ticket.scope.as_str()
        ))
        .await?;
        Ok(row.map(|row| JobId(row.id)))
    }

    /// Says that these jobs have no ticket in the queue: the next pass of the relay makes one.
    ///
    /// # Errors
    /// If Postgres is not available: then the relay finds them by age.
    pub async fn mark_unticketed(&self, jobs: &[JobId]) -> Result<(), StoreError> {
        let ids: Vec<_> = jobs.iter().map(|job| job.0).collect();
        self.execute(sqlx::query!(
            "UPDATE jobs SET ticketed_at = NULL WHERE id = ANY ($1) AND status IN ('pending', 'running')",
            &ids
        ))
        .await?;
        Ok(())
    }

    /// Says that no waiting job has a ticket in the queue, because the queue is gone. Also those that rest with
    /// a ticket for later: they get a new one when they are due.
    ///
    /// # Errors
    /// If Postgres is not available: then the relay finds them by age.
    pub async fn mark_all_unticketed(&self) -> Result<(), StoreError> {
        self.execute(sqlx::query!(
            "UPDATE jobs SET ticketed_at = NULL
             WHERE id = ANY (ARRAY (SELECT id FROM jobs WHERE status = 'pending' AND ticketed_at IS NOT NULL ORDER BY id FOR UPDATE))"
        ))
        .await?;
        Ok(())
    }
}

/// A row that cannot be read is somebody's own writing. It must not keep the others from their tickets.
fn readable(tickets: impl Iterator<Item = Result<Ticket, StoreError>>) -> Vec<Ticket> {
    let log =
        |error: &StoreError| tracing::error!(error = %error, "a job has a name that no ticket can have");
    tickets.filter_map(|ticket| ticket.inspect_err(log).ok()).collect()
}

fn waiting(
    id: uuid::Uuid,
    ticket_no: i32,
    workspace_id: String,
    job_type: String,
    scope: String,
    priority: String,
) -> Result<Ticket, StoreError> {
    Ok(Ticket {
        v: TICKET_VERSION,
        job_id: JobId(id),
        ticket_no,
        workspace_id: workspace_id.parse().map_err(corrupt)?,
        job_type: job_type.parse().map_err(corrupt)?,
        scope: scope.parse().map_err(corrupt)?,
        priority: priority.parse().map_err(corrupt)?,
    })
}
