//! A job as clients see it: the JSON of `GET`, of the KV bucket and of `sync.progress.>`.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{
    AttemptError, ConnectorName, JobId, JobStatus, Priority, SyncOptions, SyncResult, WaitingReason,
    WorkspaceId,
};

/// How far a job is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Progress {
    /// Records handled so far. Never decreases during a job.
    pub current: u64,
    /// Records expected; an estimate until the end, and 0 while unknown.
    pub total: u64,
    /// One line for people.
    pub message: String,
}

/// A job, as `GET …/sync/jobs/{jobId}` answers it and as the KV bucket holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobView {
    /// The job.
    pub id: JobId,
    /// The accepted request it came from; equal to `id` if that made one job only.
    pub sync_id: JobId,
    /// The tenant.
    pub workspace_id: WorkspaceId,
    /// `sync`.
    pub job_type: ConnectorName,
    /// What of the workspace it occupies; absent for several jobs read as one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector_type: Option<ConnectorName>,
    /// Where it stands.
    pub status: JobStatus,
    /// Its lane.
    pub priority: Priority,
    /// What was asked for besides the connector; absent if nothing was.
    #[serde(default, skip_serializing_if = "SyncOptions::is_default")]
    pub options: SyncOptions,
    /// How far it is.
    pub progress: Progress,
    /// Counted runs so far, the present one included.
    pub attempts: u32,
    /// It fails for good after so many.
    pub max_attempts: u32,
    /// How often another worker took it over from a dead one.
    pub takeovers: u32,
    /// Why a queued job waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_reason: Option<WaitingReason>,
    /// When a waiting job goes on.
    #[serde(default, with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub next_attempt_at: Option<OffsetDateTime>,
    /// Present and true if somebody asked to stop it while it ran: it ends as `cancelled`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel_requested: bool,
    /// The job that this one tries again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<JobId>,
    /// When it was accepted.
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    /// When it first ran.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub started_at: Option<OffsetDateTime>,
    /// When it was over.
    #[serde(default, with = "time::serde::rfc3339::option")]
    pub completed_at: Option<OffsetDateTime>,
    /// The last attempt's error, for people.
    pub error: Option<String>,
    /// What went wrong in each attempt that ended with an error, oldest first; the last 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempt_errors: Vec<AttemptError>,
    /// What it did, once completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<SyncResult>,
    /// The jobs behind a `syncId` that made more than one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(no_recursion)]
    pub jobs: Vec<JobView>,
    /// Grows with every change of the job; a poll never sees a smaller one than before.
    pub revision: u64,
}

impl JobView {
    /// Several jobs of one sync, read as one: over when all are, failed if any is, with the counts added up.
    /// `None` if there are none.
    pub fn merged(sync_id: JobId, jobs: Vec<JobView>) -> Option<JobView> {
        let first = jobs.first()?;
        let progress = Progress {
            current: jobs.iter().map(|job| job.progress.current).sum(),
            total: jobs.iter().map(|job| job.progress.total).sum(),
            message: match jobs.iter().filter(|job| job.status.is_over()).count() {
                done if done == jobs.len() => format!("{done} jobs are over"),
                done => format!("{done} of {} jobs are over", jobs.len()),
            },
        };
        let status = merged_status(&jobs);
        let over = status.is_over();
        // All of them wait: the first one to go on says why, and until when. None, if it waits for a worker.
        let next = jobs.iter().filter(|_| status == JobStatus::Queued).min_by_key(|job| job.next_attempt_at);
        Some(JobView {
            id: sync_id,
            sync_id,
            workspace_id: first.workspace_id.clone(),
            job_type: first.job_type.clone(),
            connector_type: None,
            status,
            priority: first.priority,
            options: first.options.clone(),
            progress,
            attempts: jobs.iter().map(|job| job.attempts).max().unwrap_or(0),
            max_attempts: jobs.iter().map(|job| job.max_attempts).max().unwrap_or(0),
            takeovers: jobs.iter().map(|job| job.takeovers).sum(),
            waiting_reason: next.and_then(|job| job.waiting_reason),
            next_attempt_at: next.and_then(|job| job.next_attempt_at),
            cancel_requested: !over && jobs.iter().any(|job| job.cancel_requested),
            retry_of: None,
            created_at: jobs.iter().map(|job| job.created_at).min().unwrap_or(first.created_at),
            started_at: jobs.iter().filter_map(|job| job.started_at).min(),
            completed_at: jobs.iter().filter_map(|job| job.completed_at).max().filter(|_| over),
            error: jobs.iter().find_map(|job| job.error.clone()),
            attempt_errors: Vec::new(),
            result: over.then(|| SyncResult::merged(&jobs)),
            revision: jobs.iter().map(|job| job.revision).sum(),
            jobs,
        })
    }
}

fn merged_status(jobs: &[JobView]) -> JobStatus {
    let any = |status| jobs.iter().any(|job| job.status == status);
    if any(JobStatus::Running) || (any(JobStatus::Queued) && jobs.iter().any(|job| job.status.is_over())) {
        JobStatus::Running
    } else if any(JobStatus::Queued) {
        JobStatus::Queued
    } else if any(JobStatus::Failed) {
        JobStatus::Failed
    } else if any(JobStatus::Cancelled) {
        JobStatus::Cancelled
    } else {
        JobStatus::Completed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(status: JobStatus) -> JobView {
        let id = JobId::new();
        JobView {
            id,
            sync_id: id,
            workspace_id: "acme".parse().unwrap(),
            job_type: "sync".parse().unwrap(),
            connector_type: Some("hubspot".parse().unwrap()),
            status,
            priority: Priority::Normal,
            options: SyncOptions::default(),
            progress: Progress { current: 1, total: 2, message: String::new() },
            attempts: 1,
            max_attempts: 3,
            takeovers: 0,
            waiting_reason: None,
            next_attempt_at: None,
            cancel_requested: false,
            retry_of: None,
            created_at: OffsetDateTime::UNIX_EPOCH,
            started_at: None,
            completed_at: Some(OffsetDateTime::UNIX_EPOCH),
            error: None,
            attempt_errors: Vec::new(),
            result: Some(SyncResult { total_records: 3, ..SyncResult::default() }),
            jobs: Vec::new(),
            revision: 4,
        }
    }

    #[test]
    fn a_sync_is_over_when_all_its_jobs_are_and_failed_if_any_is() {
        use JobStatus::{Cancelled, Completed, Failed, Queued, Running};
        for (jobs, merged) in [
            (vec![Queued, Queued], Queued),
            (vec![Queued, Completed], Running),
            (vec![Running, Failed], Running),
            (vec![Completed, Failed], Failed),
            (vec![Completed, Cancelled], Cancelled),
            (vec![Completed, Completed], Completed),
        ] {
            let view =
                JobView::merged(JobId::new(), jobs.iter().map(|status| job(*status)).collect()).unwrap();
            assert_eq!(view.status, merged, "{jobs:?}");
            assert_eq!(view.completed_at.is_some(), merged.is_over(), "{jobs:?}");
            assert_eq!(view.result.map(|r| r.total_records), merged.is_over().then_some(6), "{jobs:?}");
            assert_eq!((view.progress.current, view.progress.total), (2, 4));
        }
        assert_eq!(JobView::merged(JobId::new(), Vec::new()), None);
    }

    #[test]
    fn the_wire_format_of_a_running_job_is_frozen() {
        let wire = concat!(
            r#"{"id":"01890a5d-ac96-774b-bcce-b302099a8057","syncId":"01890a5d-ac96-774b-bcce-b302099a8057","#,
            r#""workspaceId":"acme","jobType":"sync","connectorType":"hubspot","status":"running","priority":"normal","#,
            r#""progress":{"current":50,"total":100,"message":"Processing contacts (page 5 of 10)..."},"#,
            r#""attempts":1,"maxAttempts":3,"takeovers":0,"createdAt":"2026-02-10T11:59:59Z","#,
            r#""startedAt":"2026-02-10T12:00:00Z","completedAt":null,"error":null,"revision":7}"#
        );
        let job: JobView = serde_json::from_str(wire).unwrap();
        assert_eq!(serde_json::to_string(&job).unwrap(), wire);
    }
}
