//! Cancelling a job, or the jobs of a sync.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use protocol::{JobId, JobStatus, JobView, Problem, ProblemKind, WorkspaceId};
use runtime::{ApiError, Json, PathParams};

use crate::answers::{CancelAnswer, status_url};
use crate::request::job_of;
use crate::routes::{Shared, store_error};

/// Cancel a job
///
/// One that waits is cancelled at once. One that runs ends within a page, or two seconds: then `status` is still
/// `running`, and it cannot end in any other way than `cancelled`. What was committed stays, and the cursors, too:
/// `POST …/retry` goes on from there. A cancelled job never starts again by itself.
#[utoipa::path(delete, path = "/api/workspaces/{workspace_id}/sync/jobs/{job_id}", tag = "sync",
    params(("workspace_id" = String, Path, description = "The workspace"), ("job_id" = String, Path, description = "The job, or its syncId")),
    responses((status = 200, description = "Cancelled; also if it was before", body = CancelAnswer),
              (status = 400, description = "Not an id", body = Problem, content_type = "application/problem+json"),
              (status = 202, description = "It runs, and ends as cancelled within a page or two seconds", body = CancelAnswer),
              (status = 404, description = "No such job", body = Problem, content_type = "application/problem+json"),
              (status = 409, description = "It completed or failed before", body = Problem, content_type = "application/problem+json"),
              (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn cancel(
    State(ingress): Shared,
    PathParams((workspace_id, job_id)): PathParams<(WorkspaceId, JobId)>,
) -> Result<Response, ApiError> {
    let cancelled = ingress.acceptor.cancel(&workspace_id, job_id).await.map_err(store_error)?;
    let any_left = cancelled.iter().any(|job| !job.status.is_over());
    let (code, status, message) = match cancelled.as_slice() {
        [] => {
            let job = job_of(&ingress, &workspace_id, job_id).await?;
            let is_cancelled = |job: &JobView| job.status == JobStatus::Cancelled;
            if !is_cancelled(&job) && !job.jobs.iter().any(is_cancelled) {
                return Err(over(&job));
            }
            // Whoever cancelled it may have died before it showed that.
            let jobs = if job.jobs.is_empty() { std::slice::from_ref(&job) } else { &job.jobs };
            ingress.acceptor.show_over(jobs).await;
            (StatusCode::OK, job.status, "It was cancelled before")
        }
        _ if any_left => {
            let message = "It ends within a page, or two seconds, or ten if its worker has died; what is committed stays";
            (StatusCode::ACCEPTED, JobStatus::Running, message)
        }
        _ => (StatusCode::OK, JobStatus::Cancelled, "Cancelled; what is committed stays"),
    };
    let status_url = status_url(&workspace_id, job_id);
    let answer = CancelAnswer { job_id, status, message: message.to_owned(), status_url };
    Ok((code, Json(answer)).into_response())
}

fn over(job: &JobView) -> ApiError {
    let detail = format!("Job {} is {} already; nothing was cancelled.", job.id, job.status);
    ApiError::new(ProblemKind::JobOver, detail)
}
