//! The routes, and where an answer comes from: memory, the bucket, or Postgres. Either store may be down.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bus::Bus;
use protocol::{JobId, JobView, Problem, ProblemKind, WorkspaceId};
use runtime::{ApiError, Json, PathParams, Query};
use store::{Store, StoreError};
use utoipa::OpenApi;

use crate::answers::{JobEntry, JobList, LIMIT_DEFAULT, LIMIT_MAX, ListQuery};
use crate::board::Board;

/// A view of a running job that is older than this may be of a board that is cut off: Postgres is asked.
const FRESH: Duration = Duration::from_secs(3);

/// What the routes need.
#[derive(Debug, Clone)]
pub struct Status {
    /// Postgres.
    pub store: Store,
    /// NATS.
    pub bus: Bus,
    /// The board in memory.
    pub board: Board,
}

#[derive(OpenApi)]
#[openapi(paths(get_job, list_jobs), components(schemas(Problem, JobView)))]
struct Api;

/// This service's part of the OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    Api::openapi()
}

/// The routes, without the shell around them.
pub fn router(status: Status) -> Router {
    Router::new()
        .route("/api/workspaces/{workspace_id}/sync/jobs", get(list_jobs))
        .route("/api/workspaces/{workspace_id}/sync/jobs/{job_id}", get(get_job))
        .with_state(Arc::new(status))
}

type Shared = State<Arc<Status>>;

/// Poll a job
///
/// `jobId` may be a `syncId`. Never answers an older state than before.
#[utoipa::path(get, path = "/api/workspaces/{workspace_id}/sync/jobs/{job_id}", tag = "sync",
    params(("workspace_id" = String, Path, description = "The workspace"), ("job_id" = JobId, Path, description = "A jobId or syncId")),
    responses((status = 200, description = "The job", body = JobView, headers(("ETag" = String, description = "For If-None-Match"))),
              (status = 304, description = "It has not changed"),
              (status = 400, description = "Not an id", body = Problem, content_type = "application/problem+json"),
              (status = 404, description = "No such job in this workspace", body = Problem, content_type = "application/problem+json"),
              (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json")))]
async fn get_job(
    State(status): Shared,
    PathParams((workspace_id, job_id)): PathParams<(WorkspaceId, JobId)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let job = status.job(&workspace_id, job_id).await?;
    let etag = HeaderValue::from_str(&format!("\"{}\"", job.revision)).map_err(ApiError::internal)?;
    let known = is_known(&headers, &etag);
    let headers = [(ETAG, etag), (CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    if known {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    Ok((headers, Json(job)).into_response())
}

/// List jobs
///
/// Newest first.
#[utoipa::path(get, path = "/api/workspaces/{workspace_id}/sync/jobs", tag = "sync",
    params(("workspace_id" = String, Path, description = "The workspace"), ListQuery),
    responses((status = 200, description = "A page of jobs", body = JobList),
              (status = 400, description = "A parameter is malformed", body = Problem, content_type = "application/problem+json"),
              (status = 404, description = "No such workspace", body = Problem, content_type = "application/problem+json")))]
async fn list_jobs(
    State(status): Shared,
    PathParams(workspace_id): PathParams<WorkspaceId>,
    Query(query): Query<ListQuery>,
) -> Result<Json<JobList>, ApiError> {
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        let detail = format!("`limit` must be 1 to {LIMIT_MAX}.");
        return Err(ApiError::new(ProblemKind::InvalidParameter, detail));
    }
    let page =
        status.store.jobs(&workspace_id, query.status, query.cursor, limit).await.map_err(unavailable)?;
    if page.jobs.is_empty() && !status.store.workspace_exists(&workspace_id).await.map_err(unavailable)? {
        let detail =
            format!("There is no workspace `{workspace_id}`; PUT /api/workspaces/{workspace_id} makes it.");
        return Err(ApiError::new(ProblemKind::UnknownWorkspace, detail));
    }
    let next_cursor = page.jobs.last().filter(|_| page.more).map(|job| job.id);
    Ok(Json(JobList { jobs: page.jobs.into_iter().map(JobEntry::from).collect(), next_cursor }))
}

/// Whether one of the tags in `If-None-Match` is this one. Compared weakly, as RFC 9110 wants it: a proxy that
/// compresses makes `W/"7"` of `"7"`.
fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let tags = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    tags.flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes())
}

impl Status {
    async fn job(&self, workspace_id: &WorkspaceId, job_id: JobId) -> Result<Arc<JobView>, ApiError> {
        let mut known = self.board.view(workspace_id, job_id).map(|(view, age)| (view, age < FRESH));
        if known.is_none()
            && let Ok(Some(view)) = self.bus.board_entry(workspace_id, job_id).await
        {
            // Just accepted, or this process just started, or it forgot the job. Only of a job that is over is
            // this the last word: the last view of another may never have reached the board.
            known = Some((self.board.learn(view), false));
        }
        match &known {
            Some((view, _)) if view.status.is_over() => return Ok(Arc::clone(view)),
            Some((view, true)) if self.bus.is_connected() => return Ok(Arc::clone(view)),
            _ => {}
        }
        match self.store.job(workspace_id, job_id).await {
            // A job that is active is kept: what the board says next must not be older. A merged view is
            // made anew each time.
            Ok(Some(view)) if view.jobs.is_empty() => Ok(self.board.learn(view)),
            Ok(Some(view)) => Ok(Arc::new(view)),
            Ok(None) => {
                let detail = format!("Workspace `{workspace_id}` has no job {job_id}.");
                Err(ApiError::new(ProblemKind::UnknownJob, detail))
            }
            // An older view is better than none.
            Err(error) => known.map(|(view, _)| view).ok_or_else(|| unavailable(error)),
        }
    }
}

fn unavailable(error: StoreError) -> ApiError {
    if error.is_transient() {
        ApiError::unavailable("The database is not available. Try again.", error)
    } else {
        ApiError::internal(error)
    }
}
