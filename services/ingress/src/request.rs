//! From a request for syncs to accepted jobs: the same for a sync that is asked for and for one that is approved.

use axum::http::header::{LOCATION, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use protocol::{
    ConnectorName, JOB_TYPE_SYNC, JobId, JobView, Priority, ProblemKind, SyncOptions, WorkspaceId,
};
use runtime::{ApiError, Json};
use store::{Accepted, NewJob};

use crate::acceptor::NotAccepted;
use crate::answers::SyncAccepted;
use crate::routes::{Ingress, unknown_workspace};

/// After how many seconds a first poll makes sense.
const POLL_AFTER_S: &str = "1";

/// Who asks, and how urgent it is.
pub(crate) struct Request<'a> {
    pub(crate) ingress: &'a Ingress,
    pub(crate) workspace_id: &'a WorkspaceId,
    pub(crate) priority: Priority,
}

/// The jobs of a request, each with whether it was active already.
pub(crate) struct AcceptedJobs {
    pub(crate) sync_id: JobId,
    pub(crate) jobs: Vec<(JobView, bool)>,
}

impl Request<'_> {
    /// Accepts a job for each connector: all of them, or none.
    pub(crate) async fn accept(
        &self,
        wanted: Vec<(ConnectorName, SyncOptions)>,
    ) -> Result<AcceptedJobs, ApiError> {
        let sync_id = JobId::new();
        let connectors: Vec<ConnectorName> = wanted.iter().map(|(connector, _)| connector.clone()).collect();
        let alone = wanted.len() == 1;
        let mut jobs = Vec::with_capacity(wanted.len());
        for (scope, options) in wanted {
            jobs.push(self.new_job(if alone { sync_id } else { JobId::new() }, sync_id, scope, options)?);
        }
        let acceptor = &self.ingress.acceptor;
        let accepted = match jobs.pop() {
            Some(job) if alone => vec![acceptor.accept(job).await.map_err(not_accepted)?],
            last => {
                jobs.extend(last);
                acceptor.accept_sync(sync_id, jobs).await.map_err(not_accepted)?
            }
        };
        let jobs = accepted
            .into_iter()
            .zip(&connectors)
            .map(|(accepted, connector)| accepted_job(accepted, self.workspace_id, connector.as_str()))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(AcceptedJobs { sync_id, jobs })
    }

    fn new_job(
        &self,
        id: JobId,
        sync_id: JobId,
        scope: ConnectorName,
        options: SyncOptions,
    ) -> Result<NewJob, ApiError> {
        Ok(NewJob {
            id,
            sync_id,
            workspace_id: self.workspace_id.clone(),
            job_type: JOB_TYPE_SYNC.parse().map_err(ApiError::internal)?,
            scope,
            priority: self.priority,
            max_attempts: self.ingress.max_attempts,
            options,
        })
    }
}

/// `202`, and where to poll.
pub(crate) fn accepted_answer(answer: SyncAccepted) -> Result<Response, ApiError> {
    let location = HeaderValue::from_str(&answer.status_url).map_err(ApiError::internal)?;
    let headers = [(LOCATION, location), (RETRY_AFTER, HeaderValue::from_static(POLL_AFTER_S))];
    Ok((StatusCode::ACCEPTED, headers, Json(answer)).into_response())
}

fn accepted_job(
    accepted: Accepted,
    workspace_id: &WorkspaceId,
    connector: &str,
) -> Result<(JobView, bool), ApiError> {
    match accepted {
        Accepted::Created(job) => Ok((*job, false)),
        Accepted::Active(job) => Ok((*job, true)),
        Accepted::UnknownWorkspace => Err(unknown_workspace(workspace_id)),
        Accepted::NotConnected => {
            let url = format!("/api/workspaces/{workspace_id}/connections/{connector}");
            let detail = format!("The workspace has no connection for `{connector}`; PUT {url} first.");
            Err(ApiError::new(ProblemKind::NotConnected, detail))
        }
    }
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
