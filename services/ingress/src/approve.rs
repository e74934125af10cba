//! Approving what a sync did not dare: marking suspiciously many records as deleted.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use protocol::{ConnectorName, JobId, JobView, ObjectName, Problem, ProblemKind, SyncOptions, WorkspaceId};
use runtime::{ApiError, Json, PathParams};
use serde_json::json;

use crate::answers::{NoOptions, SyncAccepted};
use crate::once::Once;
use crate::request::{Request, Wanted, job_of};
use crate::routes::Shared;

/// Approve deletions
///
/// For a job whose result says `needsReview`. Starts a sync that compares both sides again, and marks as deleted what is
/// gone by then: at most as many records of each object as the job said.
#[utoipa::path(post, path = "/api/workspaces/{workspace_id}/sync/jobs/{job_id}/approve", tag = "sync", request_body(content = Option<NoOptions>, description = "None: it takes no options"),
    params(("workspace_id" = String, Path, description = "The workspace"), ("job_id" = String, Path, description = "The job, or its syncId"),
           ("Idempotency-Key" = Option<String>, Header, description = "1 to 255 visible ASCII characters; the same key gets the same answer for 24 hours")),
    responses((status = 202, description = "Accepted: a sync that does it", body = SyncAccepted,
               headers(("Location" = String, description = "Where to poll"), ("Retry-After" = String, description = "When, in seconds"), ("Idempotent-Replayed" = Option<String>, description = "`true` if this is the answer stored for the Idempotency-Key"))),
              (status = 400, description = "Not an id, not a key, or the body is no JSON", body = Problem, content_type = "application/problem+json"),
              (status = 404, description = "No such job", body = Problem, content_type = "application/problem+json"),
              (status = 409, description = "Nothing to approve, or a sync is active", body = Problem, content_type = "application/problem+json"),
              (status = 413, description = "The body is too large", body = Problem, content_type = "application/problem+json"),
              (status = 415, description = "The body is not declared as JSON", body = Problem, content_type = "application/problem+json"),
              (status = 422, description = "The body has a field, or the key was used for another request", body = Problem, content_type = "application/problem+json"),
              (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn approve(
    State(ingress): Shared,
    PathParams((workspace_id, job_id)): PathParams<(WorkspaceId, JobId)>,
    headers: HeaderMap,
    Json(NoOptions {}): Json<NoOptions>,
) -> Result<Response, ApiError> {
    let once = Once::from(&headers, json!({"approve": job_id}))?;
    let request = Request { ingress: &ingress, workspace_id: &workspace_id, once };
    if let Some(answer) = request.replay().await? {
        return Ok(answer);
    }
    let job = job_of(&ingress, &workspace_id, job_id).await?;
    let wanted = approved(&job);
    if wanted.is_empty() {
        let detail = format!("The result of job {job_id} does not say `needsReview`.");
        return Err(ApiError::new(ProblemKind::NothingToApprove, detail));
    }
    request.answer_new(wanted).await
}

/// What a job's result wants looked at, by connector.
fn approved(job: &JobView) -> Vec<Wanted> {
    let mut by_connector: BTreeMap<ConnectorName, BTreeMap<ObjectName, u64>> = BTreeMap::new();
    for result in job.result.iter().flat_map(|result| &result.results).filter(|r| r.needs_review > 0) {
        let approved = by_connector.entry(result.connector_type.clone()).or_default();
        approved.insert(result.object.clone(), result.needs_review);
    }
    // Of all objects: the associations of what is marked end with it.
    let wanted = |(connector, approved)| Wanted {
        connector,
        options: SyncOptions { approved, ..SyncOptions::default() },
        priority: job.priority,
        retry_of: None,
    };
    by_connector.into_iter().map(wanted).collect()
}
