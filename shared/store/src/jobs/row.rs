//! A row of `jobs` as clients see it.

use protocol::{JobId, JobStatus, JobView, Progress};
use serde_json::Value;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::StoreError;

/// The columns every read of a job selects.
#[derive(Debug)]
pub(crate) struct JobRow {
    pub id: Uuid,
    pub sync_id: Uuid,
    pub job_type: String,
    pub workspace_id: String,
    pub scope: String,
    pub status: String,
    pub priority: String,
    pub payload: Value,
    pub progress: Value,
    pub attempts: i32,
    pub max_attempts: i32,
    pub takeovers: i32,
    pub last_error: Option<String>,
    pub attempt_errors: Value,
    pub cancel_requested_at: Option<OffsetDateTime>,
    pub retry_of: Option<Uuid>,
    pub created_at: OffsetDateTime,
    pub started_at: Option<OffsetDateTime>,
    pub completed_at: Option<OffsetDateTime>,
    pub result: Option<Value>,
    pub waiting_reason: Option<String>,
    pub run_at: OffsetDateTime,
    pub revision: i64,
}

impl TryFrom<JobRow> for JobView {
    type Error = StoreError;

    fn try_from(row: JobRow) -> Result<Self, StoreError> {
        let status = JobStatus::from_sql(&row.status).map_err(corrupt)?;
        let waiting_reason = row.waiting_reason.as_deref().map(str::parse).transpose().map_err(corrupt)?;
        Ok(Self {
            id: JobId(row.id),
            sync_id: JobId(row.sync_id),
            workspace_id: row.workspace_id.parse().map_err(corrupt)?,
            job_type: row.job_type.parse().map_err(corrupt)?,
            connector_type: Some(row.scope.parse().map_err(corrupt)?),
            status,
            priority: row.priority.parse().map_err(corrupt)?,
            options: serde_json::from_value(row.payload).map_err(corrupt)?,
            progress: progress(row.progress)?,
            attempts: count(row.attempts),
            max_attempts: count(row.max_attempts),
            takeovers: count(row.takeovers),
            next_attempt_at: waiting_reason.map(|_| row.run_at),
            waiting_reason,
            cancel_requested: row.cancel_requested_at.is_some() && !status.is_over(),
            retry_of: row.retry_of.map(JobId),
            created_at: row.created_at,
            started_at: row.started_at,
            completed_at: row.completed_at,
            error: row.last_error,
            attempt_errors: serde_json::from_value(row.attempt_errors).map_err(corrupt)?,
            result: row.result.map(serde_json::from_value).transpose().map_err(corrupt)?,
            jobs: Vec::new(),
            revision: row.revision.unsigned_abs(),
        })
    }
}

pub(crate) fn progress(value: Value) -> Result<Progress, StoreError> {
    serde_json::from_value(value).map_err(corrupt)
}

pub(crate) fn corrupt(error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(error.to_string())
}

/// Counters are never negative; the schema keeps them so.
pub(crate) fn count(n: i32) -> u32 {
    n.unsigned_abs()
}
