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
use runtime::{ApiError, Json, PathParams, Patience, Query};
use store::{Store, StoreError};
use tokio::time::{Instant, timeout, timeout_at};
use utoipa::OpenApi;

use crate::answers::{JobEntry, JobList, JobQuery, LIMIT_DEFAULT, LIMIT_MAX, ListQuery};
use crate::board::Board;
use crate::budgets;
use crate::events;
use crate::follow::Follow;

/// A Postgres that takes longer for one job has failed: whoever waits gets what is known without it. Far below the default
/// of `http.request_timeout_ms`.
const STORE_WAIT_MAX: Duration = Duration::from_secs(2);

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
#[openapi(
    paths(get_job, events::job_events, list_jobs, budgets::list_budgets),
    components(schemas(Problem, JobView))
)]
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
        .route("/api/workspaces/{workspace_id}/sync/jobs/{job_id}/events", get(events::job_events))
        .route("/api/workspaces/{workspace_id}/budgets", get(budgets::list_budgets))
        .with_state(Arc::new(status))
}

pub(crate) type Shared = State<Arc<Status>>;

/// Poll a job
///
/// `jobId` may be a `syncId`. Never answers an older state than `If-None-Match` names, whichever process answers; without it,
/// never an older one than this process answered before. With `wait` it answers at the next change,
/// at once if the job is over or newer than `If-None-Match` says.
#[utoipa::path(get, path = "/api/workspaces/{workspace_id}/sync/jobs/{job_id}", tag = "sync",
    params(("workspace_id" = String, Path, description = "The workspace"), ("job_id" = JobId, Path, description = "A jobId or syncId"), JobQuery,
           ("If-None-Match" = Option<String>, Header, description = "The ETag of the answer before")),
    responses((status = 200, description = "The job", body = JobView, headers(("ETag" = String, description = "For If-None-Match"))),
              (status = 304, description = "It has not changed", headers(("ETag" = String, description = "As it was sent"))),
              (status = 400, description = "Not an id, or `wait` is too long", body = Problem, content_type = "application/problem+json"),
              (status = 404, description = "No such job in this workspace", body = Problem, content_type = "application/problem+json"),
              (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json")))]
async fn get_job(
    State(status): Shared,
    PathParams((workspace_id, job_id)): PathParams<(WorkspaceId, JobId)>,
    Query(query): Query<JobQuery>,
    patience: Patience,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Some(wait) = query.wait()? else {
        let job = status.job(&workspace_id, job_id, named_revision(&headers).unwrap_or(0)).await?;
        let known = tags(&headers).any(|tag| tag == "*" || tag == etag(&job));
        return answer(job, known);
    };
    let until = Instant::now() + wait;
    patience.extend(wait);
    let mut follow = Follow::begin(status, workspace_id, job_id).await?;
    let known = known_revision(&headers, follow.view());
    let after = known.unwrap_or(follow.view().revision);
    let change = async {
        while follow.view().revision <= after && !follow.view().status.is_over() && follow.changed().await? {}
        Ok(())
    };
    if let Ok(changed) = timeout_at(until, change).await {
        changed?;
    }
    let job = Arc::clone(follow.view());
    let known = known.is_some_and(|known| job.revision <= known);
    answer(job, known)
}

fn answer(job: Arc<JobView>, known: bool) -> Result<Response, ApiError> {
    let etag = HeaderValue::from_str(&etag(&job)).map_err(ApiError::internal)?;
    let headers = [(ETAG, etag), (CACHE_CONTROL, HeaderValue::from_static("no-cache"))];
    if known {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    Ok((headers, Json(job)).into_response())
}

fn etag(job: &JobView) -> String {
    format!("\"{}\"", job.revision)
}

/// List jobs
///
/// Newest first.
#[utoipa::path(get, path = "/api/workspaces/{workspace_id}/sync/jobs", tag = "sync",
    params(("workspace_id" = String, Path, description = "The workspace"), ListQuery),
    responses((status = 200, description = "A page of jobs", body = JobList),
              (status = 400, description = "A parameter is malformed", body = Problem, content_type = "application/problem+json"),
              (status = 404, description = "No such workspace", body = Problem, content_type = "application/problem+json"),
              (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json")))]
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
        return Err(unknown_workspace(&workspace_id));
    }
    let next_cursor = page.jobs.last().filter(|_| page.more).map(|job| job.id);
    Ok(Json(JobList { jobs: page.jobs.into_iter().map(JobEntry::from).collect(), next_cursor }))
}

/// The tags in `If-None-Match`. Compared weakly, as RFC 9110 wants it: a proxy that compresses makes `W/"7"` of
/// `"7"`.
fn tags(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).map(|tag| tag.strip_prefix("W/").unwrap_or(tag))
}

/// The newest revision that `If-None-Match` names, 0 if it names none of ours; `None` without the header.
fn known_revision(headers: &HeaderMap, present: &JobView) -> Option<u64> {
    headers.get(IF_NONE_MATCH)?;
    let any = tags(headers).any(|tag| tag == "*").then_some(present.revision);
    Some(any.max(named_revision(headers)).unwrap_or(0))
}

/// The newest revision that `If-None-Match` names.
fn named_revision(headers: &HeaderMap) -> Option<u64> {
    let revision = |tag: &str| tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok();
    tags(headers).filter_map(revision).max()
}

impl Status {
    /// Whether changes of jobs arrive by themselves.
    pub(crate) fn is_live(&self) -> bool {
        self.bus.is_connected() && self.board.is_watched()
    }

    /// Keeps what Postgres says, so that neither it nor the board says older things next. Answers the newest that is
    /// known.
    fn learn(&self, view: JobView) -> Arc<JobView> {
        if view.jobs.is_empty() {
            return self.board.learn(view, true);
        }
        let jobs = view.jobs.iter().map(|job| Arc::unwrap_or_clone(self.board.learn(job.clone(), true)));
        Arc::new(JobView::merged(view.id, jobs.collect()).unwrap_or(view))
    }

    /// The job as it is: never older than an answer before. If that was another replica's, with a newer revision than is
    /// known here, Postgres is asked.
    pub(crate) async fn job(
        &self,
        workspace_id: &WorkspaceId,
        job_id: JobId,
        answered: u64,
    ) -> Result<Arc<JobView>, ApiError> {
        let mut known = self.board.view(workspace_id, job_id);
        if known.is_none()
            && let Ok(Some(view)) = self.bus.board_entry(workspace_id, job_id).await
        {
            // Just accepted, or this process just started, or it forgot the job. Only of a job that is over is
            // this the last word: the last view of another may never have reached the board.
            known = Some((self.board.learn(view, false), false));
        }
        match &known {
            Some((view, _)) if view.status.is_over() => return Ok(Arc::clone(view)),
            Some((view, true)) if self.bus.is_connected() && view.revision >= answered => {
                return Ok(Arc::clone(view));
            }
            _ => {}
        }
        let asked = timeout(STORE_WAIT_MAX, self.store.job(workspace_id, job_id)).await;
        match asked.unwrap_or_else(|_| Err(StoreError::timed_out())) {
            Ok(Some(view)) => {
                let view = self.learn(view);
                // A claim is the one revision that is made without waiting for the disk: Postgres was killed, and forgot it.
                let missing = answered.saturating_sub(view.revision);
                let forgot = (1..=claims(&view)).contains(&missing);
                if forgot { Err(behind()) } else { Ok(view) }
            }
            Ok(None) => {
                let detail = format!("Workspace `{workspace_id}` has no job {job_id}.");
                Err(ApiError::new(ProblemKind::UnknownJob, detail))
            }
            // An older view is better than none, but not than what the caller has.
            Err(error) => {
                let known = known.map(|(view, _)| view).filter(|view| view.revision >= answered);
                known.ok_or_else(|| unavailable(error))
            }
        }
    }
}

pub(crate) fn unknown_workspace(workspace_id: &WorkspaceId) -> ApiError {
    let detail =
        format!("There is no workspace `{workspace_id}`; PUT /api/workspaces/{workspace_id} makes it.");
    ApiError::new(ProblemKind::UnknownWorkspace, detail)
}

/// How many of a job's revisions may be claims that Postgres forgot: the last one of each job that is not over.
fn claims(view: &JobView) -> u64 {
    let jobs = if view.jobs.is_empty() { std::slice::from_ref(view) } else { &view.jobs };
    jobs.iter().filter(|job| !job.status.is_over()).map(|_| 1).sum()
}

/// Somebody was told more than is so now. The job is claimed again in a moment.
fn behind() -> ApiError {
    let detail = "The job is behind the state that If-None-Match names. Try again.";
    ApiError::new(ProblemKind::Unavailable, detail)
}

pub(crate) fn unavailable(error: StoreError) -> ApiError {
    if error.is_transient() {
        ApiError::unavailable("The database is not available. Try again.", error)
    } else {
        ApiError::internal(error)
    }
}
