//! Trying again what failed or was cancelled: a new job that goes on where the other one stopped.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use protocol::{JobId, JobStatus, JobView, Problem, ProblemKind, SyncOptions, WorkspaceId};
use runtime::{ApiError, Json, PathParams};
use serde_json::json;

use crate::answers::{NoOptions, RetryRequest, SyncAccepted};
use crate::checks::known_connector;
use crate::once::Once;
use crate::request::{Request, Wanted, job_of};
use crate::routes::{Ingress, Shared, require_workspace, store_error};

/// Try a job again
///
/// For one that failed or was cancelled: a new job with the same options and priority, which goes on from the last
/// committed page of each object, unless another sync has read the object since, or other credentials were given. Its
/// `retryOf` names the old one. An approval of deletions is not repeated.
#[utoipa::path(post, path = "/api/workspaces/{workspace_id}/sync/jobs/{job_id}/retry", tag = "sync", request_body(content = Option<NoOptions>, description = "None: it takes no options"),
    params(("workspace_id" = String, Path, description = "The workspace"), ("job_id" = String, Path, description = "The job, or its syncId: then those of its jobs that failed or were cancelled"),
           ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters; the same key gets the same answer for 24 hours")),
    responses((status = 202, description = "Accepted", body = SyncAccepted,
               headers(("Location" = String, description = "Where to poll"), ("Retry-After" = String, description = "When, in seconds"), ("Idempotent-Replayed" = Option<String>, description = "`true` if this is the answer stored for the Idempotency-Key"))),
              (status = 400, description = "Not an id, not a key, or the body is no JSON", body = Problem, content_type = "application/problem+json"),
              (status = 404, description = "No such job", body = Problem, content_type = "application/problem+json"),
              (status = 409, description = "It neither failed nor was cancelled, or a sync is active", body = Problem, content_type = "application/problem+json"),
              (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
              (status = 415, description = "The body is not declared as JSON", body = Problem, content_type = "application/problem+json"),
              (status = 422, description = "The body has a field, or the key was used for another request", body = Problem, content_type = "application/problem+json"),
              (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn retry(
    State(ingress): Shared,
    PathParams((workspace_id, job_id)): PathParams<(WorkspaceId, JobId)>,
    headers: HeaderMap,
    Json(NoOptions {}): Json<NoOptions>,
) -> Result<Response, ApiError> {
    let once = Once::from(&headers, json!({"retry": job_id}))?;
    let request = Request { ingress: &ingress, workspace_id: &workspace_id, once };
    if let Some(answer) = request.replay().await? {
        return Ok(answer);
    }
    let job = job_of(&ingress, &workspace_id, job_id).await?;
    let members = if job.jobs.is_empty() { vec![job] } else { job.jobs };
    let stopped = |job: &&JobView| matches!(job.status, JobStatus::Failed | JobStatus::Cancelled);
    let wanted: Vec<Wanted> = members.iter().filter(stopped).filter_map(again).collect();
    if wanted.is_empty() {
        let statuses: Vec<_> = members.iter().map(|job| job.status.as_str()).collect();
        let detail = format!(
            "Job {job_id} is {}; only a failed or cancelled one is tried again.",
            statuses.join(", ")
        );
        return Err(ApiError::new(ProblemKind::NotRetryable, detail));
    }
    request.answer_new(wanted).await
}

/// Try again whatever failed last
///
/// For each connector whose last job failed, or was cancelled: as if each of them was tried again alone. Older
/// failures are left alone: a later job has done their work.
#[utoipa::path(post, path = "/api/workspaces/{workspace_id}/sync/jobs/retry", tag = "sync", request_body = RetryRequest,
    params(("workspace_id" = String, Path, description = "The workspace"),
           ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters; the same key gets the same answer for 24 hours")),
    responses((status = 202, description = "Accepted", body = SyncAccepted,
               headers(("Location" = String, description = "Where to poll"), ("Retry-After" = String, description = "When, in seconds"), ("Idempotent-Replayed" = Option<String>, description = "`true` if this is the answer stored for the Idempotency-Key"))),
              (status = 400, description = "The body is no JSON, or not a key", body = Problem, content_type = "application/problem+json"),
              (status = 404, description = "No such workspace", body = Problem, content_type = "application/problem+json"),
              (status = 409, description = "No connector's last job is such a one", body = Problem, content_type = "application/problem+json"),
              (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
              (status = 415, description = "The body is not declared as JSON", body = Problem, content_type = "application/problem+json"),
              (status = 422, description = "Unknown field or connector, or a status that cannot be tried again, or the key was used for another request", body = Problem, content_type = "application/problem+json"),
              (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn retry_last(
    State(ingress): Shared,
    PathParams(workspace_id): PathParams<WorkspaceId>,
    headers: HeaderMap,
    Json(filter): Json<RetryRequest>,
) -> Result<Response, ApiError> {
    let status = filter.status.unwrap_or(JobStatus::Failed);
    if !matches!(status, JobStatus::Failed | JobStatus::Cancelled) {
        let detail = "`status` must be `failed` or `cancelled`.";
        return Err(ApiError::new(ProblemKind::InvalidField, detail));
    }
    let connector = filter.connector_type.as_deref().map(known_connector).transpose()?;
    let once = Once::from(&headers, json!({"retryLast": filter}))?;
    let request = Request { ingress: &ingress, workspace_id: &workspace_id, once };
    if let Some(answer) = request.replay().await? {
        return Ok(answer);
    }
    let last = last_jobs(&ingress, &workspace_id).await?;
    let fits = |job: &&JobView| {
        job.status == status
            && (connector.is_none() || job.connector_type == connector)
            && filter.since.is_none_or(|since| job.completed_at.is_some_and(|at| at >= since))
    };
    let wanted: Vec<Wanted> = last.iter().filter(fits).filter_map(again).collect();
    if wanted.is_empty() {
        let detail = format!("No connector's last job is {status} and fits the filter; nothing was started.");
        return request.refuse(ApiError::new(ProblemKind::NotRetryable, detail)).await;
    }
    request.answer_new(wanted).await
}

async fn last_jobs(ingress: &Ingress, workspace_id: &WorkspaceId) -> Result<Vec<JobView>, ApiError> {
    let last = ingress.store.last_jobs(workspace_id).await.map_err(store_error)?;
    if last.is_empty() {
        require_workspace(ingress, workspace_id).await?;
    }
    Ok(last)
}

/// The same once more, but for an approval of deletions: what was looked at then may not be what is gone by now.
fn again(job: &JobView) -> Option<Wanted> {
    Some(Wanted {
        connector: job.connector_type.clone()?,
        options: SyncOptions { approved: BTreeMap::new(), ..job.options.clone() },
        priority: job.priority,
        retry_of: Some(job.id),
    })
}
