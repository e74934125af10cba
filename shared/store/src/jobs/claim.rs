//! Claiming a job: the one way to get its lease.

use std::time::Duration;

use protocol::{ConnectorName, JobId, JobView, ObjectName, SyncMode, WorkspaceId};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::row::{JobRow, corrupt};
use crate::in_use::InUse;
use crate::{Store, StoreError, connections};

/// A job that cannot be read is left alone for so long.
const UNREADABLE_WAIT: Duration = Duration::from_secs(60);

/// The right to run a job and to write for it. Every write of a running job carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The job.
    pub job_id: JobId,
    /// Made anew at every claim; the fence.
    pub token: Uuid,
    /// The tenant.
    pub workspace_id: WorkspaceId,
    /// The scope.
    pub connector: ConnectorName,
    /// How long the lease lives after each renewal.
    pub duration: Duration,
    /// Which credentials the run began with; a page of older ones is refused.
    pub generation: i32,
}

/// How far one object is, and what has come of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CursorState {
    /// The object.
    pub object: ObjectName,
    /// Where the next page goes on; `None` at the start.
    #[serde(default)]
    pub position: Option<Value>,
    /// Whether the last page was committed.
    #[serde(default)]
    pub done: bool,
    /// Records listed so far.
    #[serde(default)]
    pub listed: u64,
    /// Rows inserted or changed so far.
    #[serde(default)]
    pub written: u64,
    /// Rows found equal so far.
    #[serde(default)]
    pub unchanged: u64,
    /// Records captured in `record_errors` so far.
    #[serde(default)]
    pub captured: u64,
    /// Pages committed so far.
    #[serde(default)]
    pub pages: u64,
    /// Rows marked as deleted so far that were not listed.
    #[serde(default)]
    pub deleted: u64,
    /// Whether this job compared the object with the vendor already.
    #[serde(default)]
    pub compared: bool,
    /// Rows that are gone at the vendor and await somebody's approval.
    #[serde(default)]
    pub needs_review: u64,
    /// What this job reads of the object, if it began.
    #[serde(default)]
    pub mode: Option<SyncMode>,
    /// Where an increment starts: set when a sync of the object last ended.
    #[serde(default)]
    pub checkpoint: Option<Value>,
}

/// A job that is ours now.
#[derive(Debug)]
pub struct Claimed {
    /// The fence.
    pub lease: Lease,
    /// The job after the claim: `running`, with the new counts.
    pub job: JobView,
    /// How often it was taken over since it last committed something.
    pub takeovers_in_vain: u32,
    /// The vendor's id of the account, once known.
    pub account_id: Option<String>,
    /// How far the account's clock is ahead of UTC, in milliseconds, once known.
    pub utc_offset_ms: Option<i64>,
    /// How much of what the vendor allows the account may be used; `None`: what the operator has configured.
    pub quota_share: Option<f64>,
    /// The credentials, opened; `None` if the connection is gone, an error if they were sealed with another key.
    pub credentials: Result<Option<Value>, StoreError>,
    /// Where each object is: what this job committed before, if it ran before, and the checkpoint of earlier jobs.
    pub cursors: Vec<CursorState>,
}

/// Why a job could not be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotClaimable {
    /// It is over, or there is no such job: the ticket is of no use.
    Over,
    /// It waits, for so long from now on.
    NotFor(Duration),
    /// Somebody else holds its lease, for so long from now on unless renewed.
    LeasedFor(Duration),
}

/// The answer to a claim.
#[derive(Debug)]
pub enum Claim {
    /// Ours.
    Claimed(Box<Claimed>),
    /// Not ours.
    Refused(NotClaimable),
}

#[derive(Debug)]
struct Extras {
    takeovers_in_vain: i32,
    account_id: Option<String>,
    utc_offset_ms: Option<i64>,
    quota_share: Option<f64>,
    credentials: Option<Vec<u8>>,
    generation: Option<i32>,
    cursors: Value,
}

impl Store {
    /// Claims a job: if it is pending and due, or if its lease is over (a takeover).
    ///
    /// One statement, which also reads all that a run needs. It does not wait for the disk: if Postgres
    /// crashed and forgot the claim, the lease would be void and every write under it refused.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn claim(&self, job_id: JobId, holder: &str, lease: Duration) -> Result<Claim, StoreError> {
        let (token, mut control) = (Uuid::new_v4(), self.control().await?);
        let row = sqlx::query!(
            r#"WITH relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
               claimed AS (
                   UPDATE jobs SET status = 'running', waiting_reason = NULL, revision = revision + 1,
                       attempts = attempts + CASE WHEN status = 'pending' THEN 1 ELSE 0 END,
                       takeovers = takeovers + CASE WHEN status = 'running' THEN 1 ELSE 0 END,
                       takeovers_in_vain = CASE WHEN status = 'running' THEN takeovers_in_vain + 1 WHEN waiting_reason = 'interrupted' THEN takeovers_in_vain ELSE 0 END,
                       lease_token = $2, lease_holder = $3, lease_expires_at = now() + make_interval(secs => $4),
                       started_at = coalesce(started_at, now())
                   FROM relaxed
                   WHERE id = $1
                     AND ((status = 'pending' AND run_at <= now()) OR (status = 'running' AND lease_expires_at <= now()))
                   RETURNING jobs.*
               )
               SELECT j.id, sync_id, job_type, j.workspace_id, scope, status, priority, payload, progress, attempts, max_attempts, takeovers,
                      last_error, attempt_errors, cancel_requested_at, retry_of, j.created_at, started_at, completed_at, result, waiting_reason, run_at, revision,
                      takeovers_in_vain, c.account_id AS "account_id?", c.utc_offset_ms AS "utc_offset_ms?", c.quota_share AS "quota_share?", c.credentials AS "credentials?", c.generation AS "generation?",
                      (SELECT coalesce(jsonb_agg(CASE WHEN k.job_id = j.id THEN to_jsonb(k)
                           ELSE jsonb_build_object('object', object, 'checkpoint', checkpoint) END), '[]')
                       FROM cursors k
                       WHERE k.workspace_id = j.workspace_id AND k.connector = j.scope AND k.generation = c.generation) AS "cursors!"
               FROM claimed j
               LEFT JOIN connections c ON c.workspace_id = j.workspace_id AND c.connector = j.scope"#,
            job_id.0,
            token,
            holder,
            lease.as_secs_f64()
        )
        .fetch_optional(control.busy())
        .await?;
        let Some(r) = row else { return refused(control, job_id).await };
        control.rest();
        let extras = Extras {
            takeovers_in_vain: r.takeovers_in_vain,
            account_id: r.account_id,
            utc_offset_ms: r.utc_offset_ms,
            quota_share: r.quota_share,
            credentials: r.credentials,
            generation: r.generation,
            cursors: r.cursors,
        };
        let job = JobRow {
            id: r.id,
            sync_id: r.sync_id,
            job_type: r.job_type,
            workspace_id: r.workspace_id,
            scope: r.scope,
            status: r.status,
            priority: r.priority,
            payload: r.payload,
            progress: r.progress,
            attempts: r.attempts,
            max_attempts: r.max_attempts,
            takeovers: r.takeovers,
            last_error: r.last_error,
            attempt_errors: r.attempt_errors,
            cancel_requested_at: r.cancel_requested_at,
            retry_of: r.retry_of,
            created_at: r.created_at,
            started_at: r.started_at,
            completed_at: r.completed_at,
            result: r.result,
            waiting_reason: r.waiting_reason,
            run_at: r.run_at,
            revision: r.revision,
        };
        self.read_or_leave(job, token, lease, extras).await
    }

    async fn read_or_leave(
        &self,
        job: JobRow,
        token: Uuid,
        lease: Duration,
        extras: Extras,
    ) -> Result<Claim, StoreError> {
        let job_id = JobId(job.id);
        match job.try_into().and_then(|job| self.claimed(job, token, lease, extras)) {
            Ok(claimed) => Ok(Claim::Claimed(Box::new(claimed))),
            Err(error) => {
                self.leave_to_others(job_id, token).await?;
                Err(error)
            }
        }
    }

    /// Puts a job back that cannot be read: a newer version may have written it, and may be asked again.
    async fn leave_to_others(&self, job_id: JobId, token: Uuid) -> Result<(), StoreError> {
        let mut control = self.control().await?;
        sqlx::query!(
            r#"UPDATE jobs SET status = 'pending', waiting_reason = 'interrupted', attempts = GREATEST(attempts - 1, 0),
                   run_at = now() + make_interval(secs => $3), ticketed_at = NULL,
                   lease_token = NULL, lease_holder = NULL, lease_expires_at = NULL, revision = revision + 1
               WHERE id = $1 AND lease_token = $2"#,
            job_id.0,
            token,
            UNREADABLE_WAIT.as_secs_f64()
        )
        .execute(control.busy())
        .await?;
        control.rest();
        Ok(())
    }

    fn claimed(
        &self,
        job: JobView,
        token: Uuid,
        lease: Duration,
        extras: Extras,
    ) -> Result<Claimed, StoreError> {
        let connector = job.connector_type.clone().ok_or_else(|| corrupt("a job without a scope"))?;
        // The claim is committed: without the key the job must still be ended or handed on by who holds it.
        let open = |sealed: Vec<u8>| {
            let plain = self.key.open(&connections::owner(&job.workspace_id, connector.as_str()), &sealed)?;
            serde_json::from_slice(&plain).map_err(corrupt)
        };
        let credentials = extras.credentials.map(open).transpose();
        let lease = Lease {
            job_id: job.id,
            token,
            workspace_id: job.workspace_id.clone(),
            connector,
            duration: lease,
            generation: extras.generation.unwrap_or(0),
        };
        let cursors = serde_json::from_value(extras.cursors).map_err(corrupt)?;
        let takeovers_in_vain = extras.takeovers_in_vain.unsigned_abs();
        let Extras { account_id, utc_offset_ms, quota_share, .. } = extras;
        Ok(Claimed {
            lease,
            job,
            takeovers_in_vain,
            account_id,
            utc_offset_ms,
            quota_share,
            credentials,
            cursors,
        })
    }
}

/// Why it is not ours.
async fn refused(mut control: InUse, job_id: JobId) -> Result<Claim, StoreError> {
    // By the clock that set them: this host's may be another.
    let row = sqlx::query!(
        r#"SELECT status, EXTRACT(EPOCH FROM run_at - now())::float8 AS "due_in!",
                  coalesce(EXTRACT(EPOCH FROM lease_expires_at - now())::float8, 0) AS "leased_for!"
           FROM jobs WHERE id = $1"#,
        job_id.0
    )
    .fetch_optional(control.busy())
    .await?;
    control.rest();
    let from_now = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default();
    Ok(Claim::Refused(match row {
        Some(row) if row.status == "pending" => NotClaimable::NotFor(from_now(row.due_in)),
        Some(row) if row.status == "running" => NotClaimable::LeasedFor(from_now(row.leased_for)),
        _ => NotClaimable::Over,
    }))
}
