//! The bodies of answers, and the query strings.

use std::time::Duration;

use protocol::{ConnectorName, JobId, JobStatus, JobView, ProblemKind};
use runtime::ApiError;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};

/// The most jobs on one page of the list.
pub(crate) const LIMIT_MAX: u32 = 100;
/// The jobs on one page of the list, if nothing is asked for.
pub(crate) const LIMIT_DEFAULT: u32 = 20;

/// The longest wait for a change of a job, in seconds.
const WAIT_SECONDS_MAX: u32 = 60;

/// `GET …/sync/jobs/{jobId}?wait=30`
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct JobQuery {
    /// Answer at the next change of the job, at the latest after so many seconds: 0 to 60. With `If-None-Match`
    /// the next change is the first after that revision.
    #[param(minimum = 0, maximum = 60)]
    wait: Option<u32>,
}

impl JobQuery {
    /// How long to wait; `None` to answer as it is.
    pub(crate) fn wait(&self) -> Result<Option<Duration>, ApiError> {
        match self.wait {
            Some(seconds) if seconds > WAIT_SECONDS_MAX => {
                let detail = format!("`wait` must be 0 to {WAIT_SECONDS_MAX} seconds.");
                Err(ApiError::new(ProblemKind::InvalidParameter, detail))
            }
            wait => Ok(wait.map(|seconds| Duration::from_secs(seconds.into()))),
        }
    }
}

/// `GET …/sync/jobs?limit=20&status=running&cursor=…`
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// How many jobs: 1 to 100, 20 if absent.
    #[param(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
    /// Only jobs with this status.
    pub status: Option<JobStatus>,
    /// `nextCursor` of the page before.
    #[param(value_type = Option<String>)]
    pub cursor: Option<JobId>,
}

/// A page of jobs, newest first.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobList {
    /// The jobs.
    pub jobs: Vec<JobEntry>,
    /// Where the next page goes on; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<JobId>,
}

/// A job in the list.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JobEntry {
    /// The job.
    pub id: JobId,
    /// Where it stands.
    pub status: JobStatus,
    /// `sync`.
    pub job_type: ConnectorName,
    /// The connector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector_type: Option<ConnectorName>,
    /// When it was accepted.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it was over.
    #[serde(with = "time::serde::rfc3339::option")]
    pub completed_at: Option<OffsetDateTime>,
    /// The last attempt's error.
    pub error: Option<String>,
}

impl From<JobView> for JobEntry {
    fn from(job: JobView) -> Self {
        Self {
            id: job.id,
            status: job.status,
            job_type: job.job_type,
            connector_type: job.connector_type,
            created_at: job.created_at,
            completed_at: job.completed_at,
            error: job.error,
        }
    }
}
