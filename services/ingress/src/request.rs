//! From a request to accepted jobs and the answer: the same for a sync that is asked for, approved, or tried again.

use std::time::Duration;

use axum::http::header::{LOCATION, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use protocol::{
    ConnectorName, JOB_TYPE_SYNC, JobId, JobView, Priority, ProblemKind, SyncOptions, WorkspaceId,
};
use runtime::{ApiError, Json};
use serde::Serialize;
use store::{Accepted, NewJob, RequestAccepted};

use crate::acceptor::NotAccepted;
use crate::answers::{AcceptedJob, SyncAccepted};
use crate::once::{Once, replayed};
use crate::routes::{Ingress, store_error, unknown_workspace};

/// After how many seconds a first poll makes sense.
const POLL_AFTER_S: &str = "1";
/// How long a running job takes to end that was cancelled, at most.
const CANCEL_WAIT: Duration = Duration::from_secs(2);

/// A job that is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) connector: ConnectorName,
    pub(crate) options: SyncOptions,
    pub(crate) priority: Priority,
    pub(crate) retry_of: Option<JobId>,
}

/// Who asks.
pub(crate) struct Request<'a> {
    pub(crate) ingress: &'a Ingress,
    pub(crate) workspace_id: &'a WorkspaceId,
    pub(crate) once: Once,
}

/// What a request takes for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// A job that is active already is as good as a new one.
    Any,
    /// The same, and the jobs are listed even if it is one.
    AnyListed,
    /// Only new jobs, all of them.
    New,
}

impl Request<'_> {
    /// The answer that was given to the same request before, if it came with a key.
    pub(crate) async fn replay(&self) -> Result<Option<Response>, ApiError> {
        let Some(key) = &self.once.key else { return Ok(None) };
        let stored = Box::pin(self.ingress.store.stored_answer(self.workspace_id, key)).await;
        stored.map_err(store_error)?.map(replayed).transpose()
    }

    /// A problem, unless the same request has been accepted since [`Self::replay`]: then what stands in the way may be
    /// its own job, and the answer is that one's.
    pub(crate) async fn refuse(&self, problem: ApiError) -> Result<Response, ApiError> {
        self.replay().await?.ok_or(problem)
    }

    /// Accepts a job for each that is wanted, or finds the one that is active. `listed`: every connector was asked for.
    pub(crate) async fn answer(&self, wanted: Vec<Wanted>, listed: bool) -> Result<Response, ApiError> {
        self.run(&wanted, if listed { Takes::AnyListed } else { Takes::Any }).await
    }

    /// Accepts a job for each that is wanted, or none if a sync of any of them is active.
    pub(crate) async fn answer_new(&self, wanted: Vec<Wanted>) -> Result<Response, ApiError> {
        self.run(&wanted, Takes::New).await
    }

    async fn run(&self, wanted: &[Wanted], takes: Takes) -> Result<Response, ApiError> {
        let sync_id = JobId::new();
        let id = |_: &Wanted| if wanted.len() == 1 { sync_id } else { JobId::new() };
        let mut jobs =
            wanted.iter().map(|w| self.new_job(id(w), sync_id, w)).collect::<Result<Vec<_>, _>>()?;
        let acceptor = &self.ingress.acceptor;
        let shape = |accepted: &[Accepted]| self.shape(sync_id, wanted, accepted, takes);
        if jobs.len() == 1 && takes != Takes::New && self.once.key.is_none() {
            // Nothing to be kept together with it: it goes into a commit with whatever else is posted now.
            let accepted = acceptor.accept(jobs.remove(0)).await.map_err(not_accepted)?;
            return answered(&shape(&[accepted])?);
        }
        let key = self.once.key.as_ref().map(|key| (self.workspace_id, key));
        let verdict = |accepted: &[Accepted]| serde_json::to_value(shape(accepted).ok()?).ok();
        // In a box: it is 30 kB, and who posts without a key for one connector does not pay for it.
        let accepted = Box::pin(acceptor.accept_request(sync_id, &jobs, key, verdict)).await;
        match accepted.map_err(not_accepted)? {
            RequestAccepted::Jobs(accepted) => answered(&shape(&accepted)?),
            RequestAccepted::Refused(accepted) => match shape(&accepted) {
                Ok(answer) => answered(&answer),
                Err(problem) => self.refuse(problem).await,
            },
            RequestAccepted::KeyTaken => self.replay().await?.ok_or_else(|| {
                ApiError::new(ProblemKind::Unavailable, "The Idempotency-Key was in use. Try again.")
            }),
        }
    }

    fn new_job(&self, id: JobId, sync_id: JobId, wanted: &Wanted) -> Result<NewJob, ApiError> {
        Ok(NewJob {
            id,
            sync_id,
            workspace_id: self.workspace_id.clone(),
            job_type: JOB_TYPE_SYNC.parse().map_err(ApiError::internal)?,
            scope: wanted.connector.clone(),
            priority: wanted.priority,
            max_attempts: self.ingress.max_attempts,
            options: wanted.options.clone(),
            retry_of: wanted.retry_of,
        })
    }

    /// What the client is told, or why it is refused.
    fn shape(
        &self,
        sync_id: JobId,
        wanted: &[Wanted],
        accepted: &[Accepted],
        takes: Takes,
    ) -> Result<SyncAccepted, ApiError> {
        let jobs = wanted.iter().zip(accepted).map(|(wanted, accepted)| self.job(wanted, accepted));
        let jobs = jobs.collect::<Result<Vec<_>, _>>()?;
        if let (Takes::New, Some(active)) = (takes, jobs.iter().find(|accepted| accepted.deduplicated)) {
            let detail = format!("Job {} is active. Ask again when it is over.", active.job.id);
            return Err(ApiError::new(ProblemKind::SyncActive, detail));
        }
        // Not a job to be content with: it will end as cancelled, and nobody would start the one that is wanted.
        if let Some(ending) = jobs.iter().find(|accepted| accepted.job.cancel_requested) {
            let detail = format!("Job {} is being cancelled. Nothing was stored; try again.", ending.job.id);
            return Err(ApiError::new(ProblemKind::Unavailable, detail).retry_after(CANCEL_WAIT));
        }
        Ok(match jobs.as_slice() {
            [job] if takes == Takes::AnyListed => SyncAccepted::one(job).listed(job),
            [job] => SyncAccepted::one(job),
            jobs => SyncAccepted::several(self.workspace_id, sync_id, jobs),
        })
    }

    fn job<'a>(&self, wanted: &Wanted, accepted: &'a Accepted) -> Result<AcceptedJob<'a>, ApiError> {
        match accepted {
            Accepted::Created(job) => Ok(AcceptedJob { job, deduplicated: false, options_differ: false }),
            Accepted::Active(job) => {
                let options_differ = job.options != wanted.options || job.priority != wanted.priority;
                Ok(AcceptedJob { job, deduplicated: true, options_differ })
            }
            Accepted::UnknownWorkspace => Err(unknown_workspace(self.workspace_id)),
            Accepted::NotConnected => {
                let Wanted { connector, .. } = wanted;
                let url = format!("/api/workspaces/{}/connections/{connector}", self.workspace_id);
                let detail = format!("The workspace has no connection for `{connector}`; PUT {url} first.");
                Err(ApiError::new(ProblemKind::NotConnected, detail))
            }
        }
    }
}

/// A job of a workspace, or the problem that there is none.
pub(crate) async fn job_of(
    ingress: &Ingress,
    workspace_id: &WorkspaceId,
    id: JobId,
) -> Result<JobView, ApiError> {
    ingress.store.job(workspace_id, id).await.map_err(store_error)?.ok_or_else(|| {
        let detail = format!("The workspace `{workspace_id}` has no job {id}.");
        ApiError::new(ProblemKind::UnknownJob, detail)
    })
}

fn answered(answer: &SyncAccepted) -> Result<Response, ApiError> {
    accepted_answer(&answer.status_url, answer)
}

/// `202`, and where to poll. The body is a [`SyncAccepted`], or one that was stored.
pub(crate) fn accepted_answer(status_url: &str, body: impl Serialize) -> Result<Response, ApiError> {
    let location = HeaderValue::from_str(status_url).map_err(ApiError::internal)?;
    let headers = [(LOCATION, location), (RETRY_AFTER, HeaderValue::from_static(POLL_AFTER_S))];
    Ok((StatusCode::ACCEPTED, headers, Json(body)).into_response())
}

fn not_accepted(error: NotAccepted) -> ApiError {
    match error {
        NotAccepted::Busy => ApiError::new(
            ProblemKind::Unavailable,
            "Too many requests are waiting. Nothing was stored; try again.",
        ),
        NotAccepted::Store(_) => {
            ApiError::unavailable("The job could not be stored. Try again; a job is never made twice.", error)
        }
        NotAccepted::Refused(_) => ApiError::internal(error),
    }
}
