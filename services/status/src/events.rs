//! A job as a stream of server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream};
use protocol::{JobId, JobView, Problem, WorkspaceId};
use runtime::{ApiError, PathParams};

use crate::follow::Follow;
use crate::routes::Status;

/// A comment after so much silence, so that no proxy takes the stream for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// What a browser sends when it comes back: the `id` of the last event it got.
const LAST_EVENT_ID: &str = "last-event-id";

/// Follow a job
///
/// Server-sent events. Each is a `job`: its id is the revision, its data the job as a poll answers it. First the
/// job as it is, then its changes; fast ones may be left out, and none is older than the one before. The stream
/// ends when the job is over.
#[utoipa::path(get, path = "/api/workspaces/{workspace_id}/sync/jobs/{job_id}/events", tag = "sync",
    params(("workspace_id" = String, Path, description = "The workspace"), ("job_id" = JobId, Path, description = "A jobId or syncId"),
           ("Last-Event-ID" = Option<u64>, Header, description = "Only what is newer than this revision")),
    responses((status = 200, description = "The job and its changes", body = JobView, content_type = "text/event-stream"),
              (status = 204, description = "The job is over, and Last-Event-ID is its last revision"),
              (status = 400, description = "Not an id", body = Problem, content_type = "application/problem+json"),
              (status = 404, description = "No such job in this workspace", body = Problem, content_type = "application/problem+json"),
              (status = 503, description = "Try again", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn job_events(
    State(status): State<Arc<Status>>,
    PathParams((workspace_id, job_id)): PathParams<(WorkspaceId, JobId)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let follow = Follow::begin(status, workspace_id, job_id).await?;
    let sent = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()?.trim().parse::<u64>().ok());
    let view = follow.view();
    let known = sent.is_some_and(|sent| view.revision <= sent);
    if known && view.status.is_over() {
        // A browser comes back when a stream ends, unless it is told this.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let events = events(Cursor { follow, sent: sent.filter(|_| known) });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

/// A job that is followed, and the newest revision that the other side has.
struct Cursor {
    follow: Follow,
    sent: Option<u64>,
}

fn events(cursor: Cursor) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(cursor, async |mut cursor| {
        let event = cursor.next().await?;
        Some((Ok(event), cursor))
    })
}

impl Cursor {
    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        while self.sent.is_some_and(|sent| self.follow.view().revision <= sent) {
            if self.follow.view().status.is_over() {
                return None;
            }
            match self.follow.changed().await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    tracing::debug!(error = %error, "a stream of events ended early");
                    return None;
                }
            }
        }
        let view = self.follow.view();
        self.sent = Some(view.revision);
        let data = serde_json::to_string(&**view).ok()?;
        Some(Event::default().event("job").id(view.revision.to_string()).data(data))
    }
}
