//! Accepting the jobs of one request: all of them in one transaction, or none.

use protocol::{JobId, WorkspaceId};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::accept::{Accepted, NewJob, accept_on};
use super::once::keep;
use crate::{Once, Store, StoreError};

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum RequestAccepted {
    /// Its jobs, in the order in which they were wanted.
    Jobs(Vec<Accepted>),
    /// The verdict on this was no: nothing was written.
    Refused(Vec<Accepted>),
    /// Another request was faster with the same key: nothing was written.
    KeyTaken,
}

impl Store {
    /// Accepts the jobs of one request, and remembers that they belong together: also those that were active before.
    /// A job that tries another one again goes on where that one was.
    ///
    /// `verdict` looks at what would be accepted and answers what the client is told, or `None` to have nothing
    /// written. If there is a key, the answer is kept with it.
    ///
    /// # Errors
    /// If Postgres is not available: nothing was accepted, or the commit's answer was lost.
    pub async fn accept_request(
        &self,
        sync_id: JobId,
        jobs: &[NewJob],
        key: Option<(&WorkspaceId, &Once)>,
        verdict: impl FnOnce(&[Accepted]) -> Option<Value>,
    ) -> Result<RequestAccepted, StoreError> {
        let mut tx = self.begin().await?;
        let accepted = accept_on(&mut tx, jobs).await?;
        let Some(answer) = verdict(&accepted) else {
            tx.rollback().await?;
            return Ok(RequestAccepted::Refused(accepted));
        };
        if let Some((workspace_id, once)) = key
            && !keep(&mut tx, workspace_id, once, &answer).await?
        {
            tx.rollback().await?;
            return Ok(RequestAccepted::KeyTaken);
        }
        for (job, accepted) in jobs.iter().zip(&accepted) {
            if let (Some(before), Accepted::Created(_)) = (job.retry_of, accepted) {
                resume(&mut tx, before, job).await?;
            }
        }
        remember(&mut tx, sync_id, &accepted).await?;
        tx.commit().await?;
        Ok(RequestAccepted::Jobs(accepted))
    }
}

impl Store {
    /// Accepts the jobs of one request, each on its own merits. See [`Store::accept_request`].
    ///
    /// # Errors
    /// As there.
    pub async fn accept_sync(&self, sync_id: JobId, jobs: &[NewJob]) -> Result<Vec<Accepted>, StoreError> {
        match self.accept_request(sync_id, jobs, None, |_| Some(Value::Null)).await? {
            RequestAccepted::Jobs(accepted) | RequestAccepted::Refused(accepted) => Ok(accepted),
            RequestAccepted::KeyTaken => Err(StoreError::Corrupt("a key that nobody gave".to_owned())),
        }
    }
}

/// Remembers which jobs belong to a request. One job alone whose id is the request's needs no memory.
async fn remember(conn: &mut PgConnection, sync_id: JobId, accepted: &[Accepted]) -> Result<(), StoreError> {
    let members: Vec<Uuid> = accepted.iter().filter_map(Accepted::job).map(|job| job.id.0).collect();
    if members == [sync_id.0] {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO syncs (sync_id, job_id) SELECT $1, unnest($2::uuid[]) ON CONFLICT DO NOTHING",
        sync_id.0,
        &members
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Hands what a job has committed to the one that tries it again: it goes on from there, with the same counts and the same
/// progress. Object by object: if another job has read one since, or other credentials were given, nothing is handed on.
/// What was captured follows when the job runs: see [`Store::adopt_captured`].
async fn resume(conn: &mut PgConnection, before: JobId, job: &NewJob) -> Result<(), StoreError> {
    sqlx::query!(
        r#"WITH moved AS (
               UPDATE cursors k SET job_id = $4
               FROM connections c
               WHERE k.workspace_id = $1 AND k.connector = $2 AND k.job_id = $3
                 AND c.workspace_id = $1 AND c.connector = $2 AND c.generation = k.generation
               RETURNING 1)
           UPDATE jobs SET progress = before.progress || jsonb_build_object('message', jobs.progress->'message'), revision = jobs.revision + 1
           FROM jobs before
           WHERE jobs.id = $4 AND before.id = $3 AND EXISTS (SELECT FROM moved)"#,
        job.workspace_id.as_str(),
        job.scope.as_str(),
        before.0,
        job.id.0
    )
    .execute(conn)
    .await?;
    Ok(())
}
