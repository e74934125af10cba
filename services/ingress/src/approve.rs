//! Approving what a sync did not dare: marking suspiciously many records as deleted.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use protocol::{
    ConnectorName, JobId, JobStatus, JobView, ObjectName, Problem, ProblemKind, SyncOptions, WorkspaceId,
};
use runtime::{ApiError, PathParams};

use crate::answers::SyncAccepted;
use crate::request::{Request, accepted_answer};
use crate::routes::{Shared, store_error};

/// Active jobs that are looked at: a workspace has one for each of its connectors at most.
const ACTIVE_MAX: u32 = 100;

/// Approve deletions
///
/// For a job whose result says `needsReview`. Starts a sync that compares both sides again, and marks as deleted what is
/// gone by then: at most as many records of each object as the job said.
#[utoipa::path(post, path = "/api/workspaces/{workspace_id}/sync/jobs/{job_id}/approve", tag = "sync",
    params(("workspace_id" = String, Path, description = "The workspace"), ("job_id" = String, Path, description = "The job, or its syncId")),
    responses((status = 202, description = "Accepted: a sync that does it", body = SyncAccepted),
              (status = 404, description = "No such job", body = Problem, content_type = "application/problem+json"),
              (status = 409, description = "Nothing to approve, or a sync is active", body = Problem, content_type = "application/problem+json"),
              (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn approve(
    State(ingress): Shared,
    PathParams((workspace_id, job_id)): PathParams<(WorkspaceId, JobId)>,
) -> Result<Response, ApiError> {
    let job = ingress.store.job(&workspace_id, job_id).await.map_err(store_error)?.ok_or_else(|| {
        let detail = format!("The workspace `{workspace_id}` has no job {job_id}.");
        ApiError::new(ProblemKind::UnknownJob, detail)
    })?;
    let wanted = approved(&job);
    if wanted.is_empty() {
        let detail = format!("The result of job {job_id} does not say `needsReview`.");
        return Err(ApiError::new(ProblemKind::NothingToApprove, detail));
    }
    let is_active =
        |active: &JobView| wanted.iter().any(|(scope, _)| active.connector_type.as_ref() == Some(scope));
    for status in [JobStatus::Queued, JobStatus::Running] {
        let page =
            ingress.store.jobs(&workspace_id, Some(status), None, ACTIVE_MAX).await.map_err(store_error)?;
        if let Some(active) = page.jobs.iter().find(|job| is_active(job)) {
            return Err(sync_active(active));
        }
    }
    let request = Request { ingress: &ingress, workspace_id: &workspace_id, priority: job.priority };
    let accepted = request.accept(wanted).await?;
    // Somebody was faster than the look above.
    if let Some((active, _)) = accepted.jobs.iter().find(|(_, deduplicated)| *deduplicated) {
        return Err(sync_active(active));
    }
    accepted_answer(match accepted.jobs.as_slice() {
        [(job, deduplicated)] => SyncAccepted::one(job, *deduplicated),
        jobs => SyncAccepted::several(&workspace_id, accepted.sync_id, jobs),
    })
}

fn sync_active(active: &JobView) -> ApiError {
    let detail = format!("Job {} is active. Approve again when it is over.", active.id);
    ApiError::new(ProblemKind::SyncActive, detail)
}

/// What a job's result wants looked at, by connector.
fn approved(job: &JobView) -> Vec<(ConnectorName, SyncOptions)> {
    let mut by_connector: BTreeMap<ConnectorName, BTreeMap<ObjectName, u64>> = BTreeMap::new();
    for result in job.result.iter().flat_map(|result| &result.results).filter(|r| r.needs_review > 0) {
        let approved = by_connector.entry(result.connector_type.clone()).or_default();
        approved.insert(result.object.clone(), result.needs_review);
    }
    // Of all objects: the associations of what is marked end with it.
    let options = |approved: BTreeMap<ObjectName, u64>| SyncOptions { approved, ..SyncOptions::default() };
    by_connector.into_iter().map(|(connector, approved)| (connector, options(approved))).collect()
}
