//! Ending an attempt: the row's new state, under the lease.

use std::fmt;
use std::time::Duration;

use protocol::{
    ATTEMPT_ERRORS_MAX, ATTEMPT_MESSAGE_MAX, AttemptErrorClass, JobStatus, JobView, ObjectName, SyncResult,
    WaitingReason,
};
use serde::Serialize;
use serde_json::Value;

use super::claim::Lease;
use super::row::{JobRow, corrupt};
use crate::{Store, StoreError};

/// What ended an attempt that did not complete: the row keeps it, as one of its `attempt_errors`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// What kind of error.
    pub class: AttemptErrorClass,
    /// What went wrong, for people.
    pub message: String,
    /// What was being read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectName>,
    /// The vendor's own name of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor_request_id: Option<String>,
}

impl Failure {
    /// One that has to do with no object and no request.
    pub fn new(class: AttemptErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), object: None, vendor_request_id: None }
    }

    /// The element of `attempt_errors`, apart from the attempt and the time, which the row adds.
    fn to_value(&self) -> Result<Value, StoreError> {
        let message = self.message.chars().take(ATTEMPT_MESSAGE_MAX).collect();
        serde_json::to_value(Self { message, ..self.clone() }).map_err(corrupt)
    }
}

/// The column `last_error`: all of it in one line.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(object) = &self.object {
            write!(f, "{object}: ")?;
        }
        f.write_str(&self.message)?;
        match &self.vendor_request_id {
            Some(id) => write!(f, " (vendor request {id})"),
            None => Ok(()),
        }
    }
}

/// Which of `attempt_errors` are kept when one is added.
const NEWEST: &str = "$[last - 19 to last]";
const _: () = assert!(ATTEMPT_ERRORS_MAX == 20, "NEWEST says it, too");

/// A job that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// `Completed`, `Failed` or `Cancelled`.
    pub status: JobStatus,
    /// What went wrong.
    pub error: Option<Failure>,
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
    /// What went wrong.
    pub error: Option<Failure>,
    /// Whether the attempt that just ended is taken out of the count again.
    pub uncount: bool,
    /// Whether the ticket stays in the queue for the next attempt. If not, the relay makes a new one when due.
    pub keeps_ticket: bool,
    /// Whether this counts like a worker's death: nothing could be committed.
    pub in_vain: bool,
}

impl Store {
    /// Ends the job for good. If somebody asked to cancel it, it ends as cancelled, whatever it came to: who was told
    /// that it will be cancelled must not find it otherwise.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], also if somebody gave new credentials meanwhile: what came of the old ones is no end of
    /// a job that those who gave them wait for. If Postgres is not available.
    pub async fn end_job(&self, lease: &Lease, ending: &Ending) -> Result<JobView, StoreError> {
        let result = ending.result.as_ref().map(serde_json::to_value).transpose().map_err(corrupt)?;
        let mut control = self.control().await?;
        let row = sqlx::query_as!(
            JobRow,
            r#"UPDATE jobs SET
                   status = CASE WHEN cancel_requested_at IS NULL THEN $3 ELSE 'cancelled' END,
                   last_error = $4, completed_at = now(), waiting_reason = NULL,
                   result = CASE WHEN cancel_requested_at IS NULL THEN $5::jsonb END,
                   attempt_errors = CASE WHEN $7::jsonb IS NULL THEN attempt_errors ELSE jsonb_path_query_array(attempt_errors
                       || ($7 || jsonb_build_object('attempt', attempts, 'at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))),
                       $8::text::jsonpath) END,
                   progress = progress || jsonb_build_object('message', CASE WHEN cancel_requested_at IS NULL THEN $6::text ELSE 'Cancelled' END)
                       || CASE WHEN cancel_requested_at IS NULL AND $3 = 'completed' THEN jsonb_build_object('total', progress->'current') ELSE '{}' END,
                   lease_token = NULL, lease_holder = NULL, lease_expires_at = NULL,
                   revision = revision + 1
               WHERE id = $1 AND lease_token = $2
                 AND (cancel_requested_at IS NOT NULL OR NOT EXISTS (
                      SELECT FROM connections c
                      WHERE c.workspace_id = jobs.workspace_id AND c.connector = jobs.scope AND c.generation <> $9))
               RETURNING id, sync_id, job_type, workspace_id, scope, status, priority, payload, progress, attempts, max_attempts, takeovers,
                         last_error, attempt_errors, cancel_requested_at, retry_of, created_at, started_at, completed_at, result, waiting_reason, run_at, revision"#,
            lease.job_id.0,
            lease.token,
            ending.status.as_sql(),
            ending.error.as_ref().map(Failure::to_string),
            result,
            ending.message,
            ending.error.as_ref().map(Failure::to_value).transpose()?,
            NEWEST,
            lease.generation
        )
        .fetch_optional(control.busy())
        .await?;
        control.rest();
        row.ok_or(StoreError::LeaseLost)?.try_into()
    }

    /// Puts the job back: it runs again, from its cursors, after the delay. If somebody asked to cancel it, it is over
    /// instead.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], or if Postgres is not available.
    pub async fn rest_job(&self, lease: &Lease, resting: &Resting) -> Result<JobView, StoreError> {
        let mut control = self.control().await?;
        let row = sqlx::query_as!(
            JobRow,
            r#"UPDATE jobs SET
                   status = CASE WHEN cancel_requested_at IS NULL THEN 'pending' ELSE 'cancelled' END,
                   waiting_reason = CASE WHEN cancel_requested_at IS NULL THEN $3 END,
                   completed_at = CASE WHEN cancel_requested_at IS NOT NULL THEN now() END,
                   progress = CASE WHEN cancel_requested_at IS NULL THEN progress ELSE progress || '{"message": "Cancelled"}' END,
                   run_at = now() + make_interval(secs => $4),
                   last_error = coalesce($5, last_error),
                   attempt_errors = CASE WHEN $8::jsonb IS NULL THEN attempt_errors ELSE jsonb_path_query_array(attempt_errors
                       || ($8 || jsonb_build_object('attempt', attempts, 'at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))),
                       $9::text::jsonpath) END,
                   attempts = attempts - CASE WHEN $6 THEN 1 ELSE 0 END,
                   takeovers_in_vain = takeovers_in_vain + CASE WHEN $10 THEN 1 ELSE 0 END,
                   ticketed_at = CASE WHEN $7 THEN now() + make_interval(secs => $4) END,
                   lease_token = NULL, lease_holder = NULL, lease_expires_at = NULL,
                   revision = revision + 1
               WHERE id = $1 AND lease_token = $2
               RETURNING id, sync_id, job_type, workspace_id, scope, status, priority, payload, progress, attempts, max_attempts, takeovers,
                         last_error, attempt_errors, cancel_requested_at, retry_of, created_at, started_at, completed_at, result, waiting_reason, run_at, revision"#,
            lease.job_id.0,
            lease.token,
            resting.reason.as_str(),
            resting.delay.as_secs_f64(),
            resting.error.as_ref().map(Failure::to_string),
            resting.uncount,
            resting.keeps_ticket,
            resting.error.as_ref().map(Failure::to_value).transpose()?,
            NEWEST,
            resting.in_vain
        )
        .fetch_optional(control.busy())
        .await?;
        control.rest();
        row.ok_or(StoreError::LeaseLost)?.try_into()
    }
}
