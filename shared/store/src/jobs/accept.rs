//! Accepting jobs. Many requests become one statement and one commit: that is what makes a POST cheap.

use protocol::{ConnectorName, JobId, JobStatus, JobView, Priority, Progress, SyncOptions, WorkspaceId};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::row::JobRow;
use crate::in_use::InUse;
use crate::{Store, StoreError};

/// How often an accept looks again when the job it collided with ended in between.
const COLLISIONS_MAX: usize = 8;

/// A job to be accepted.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Made by the caller.
    pub id: JobId,
    /// The request it belongs to.
    pub sync_id: JobId,
    /// The tenant.
    pub workspace_id: WorkspaceId,
    /// `sync`.
    pub job_type: ConnectorName,
    /// The connector.
    pub scope: ConnectorName,
    /// The lane.
    pub priority: Priority,
    /// It fails for good after so many attempts.
    pub max_attempts: u32,
    /// What was asked for besides.
    pub options: SyncOptions,
    /// The job that this one tries again: it goes on from where that one was, unless another job of the scope has run
    /// since.
    pub retry_of: Option<JobId>,
}

impl NewJob {
    /// The job as its first `GET` shows it.
    pub fn view(&self, created_at: OffsetDateTime) -> JobView {
        JobView {
            id: self.id,
            sync_id: self.sync_id,
            workspace_id: self.workspace_id.clone(),
            job_type: self.job_type.clone(),
            connector_type: Some(self.scope.clone()),
            status: JobStatus::Queued,
            priority: self.priority,
            options: self.options.clone(),
            // The default of the column jobs.progress.
            progress: Progress { current: 0, total: 0, message: "Waiting for a worker".to_owned() },
            attempts: 0,
            max_attempts: self.max_attempts,
            takeovers: 0,
            waiting_reason: None,
            next_attempt_at: None,
            cancel_requested: false,
            retry_of: self.retry_of,
            created_at,
            started_at: None,
            completed_at: None,
            error: None,
            attempt_errors: Vec::new(),
            result: None,
            jobs: Vec::new(),
            revision: 1,
        }
    }
}

/// What became of one [`NewJob`].
#[derive(Debug, Clone, PartialEq)]
pub enum Accepted {
    /// It is a row now, committed.
    Created(Box<JobView>),
    /// Another job is active for the scope.
    Active(Box<JobView>),
    /// There is no such workspace; nothing was written.
    UnknownWorkspace,
    /// The workspace has no connection for the scope; nothing was written.
    NotConnected,
}

impl Accepted {
    /// The job the client is to watch, if there is one.
    pub fn job(&self) -> Option<&JobView> {
        match self {
            Self::Created(job) | Self::Active(job) => Some(job),
            Self::UnknownWorkspace | Self::NotConnected => None,
        }
    }
}

impl Store {
    /// Accepts jobs, each on its own merits, in one transaction. The answers are in the order of `jobs`.
    /// Of several jobs for one scope the first wins and the others answer [`Accepted::Active`] with it.
    ///
    /// Costs one statement, and a second one if any scope was active.
    ///
    /// # Errors
    /// If Postgres is not available: nothing was accepted, or the commit's answer was lost.
    pub async fn accept(&self, jobs: &[NewJob]) -> Result<Vec<Accepted>, StoreError> {
        let mut accepting = self.accepting();
        let accepted = accepting.accept(jobs).await;
        accepting.rest();
        accepted
    }

    /// To accept one batch after the other.
    pub fn accepting(&self) -> Accepting {
        Accepting { store: self.clone(), kept: None }
    }
}

/// Accepts batches that follow each other on one connection: to give it back after each costs a round trip every time.
pub struct Accepting {
    store: Store,
    kept: Option<InUse>,
}

impl std::fmt::Debug for Accepting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Accepting")
    }
}

impl Accepting {
    /// See [`Store::accept`]. Keeps its connection, unless it fails or is given up: then nobody knows what comes on it.
    ///
    /// # Errors
    /// See [`Store::accept`].
    pub async fn accept(&mut self, jobs: &[NewJob]) -> Result<Vec<Accepted>, StoreError> {
        let mut conn = match self.kept.take() {
            Some(kept) => kept,
            None => self.store.in_use().await?,
        };
        let accepted = accept_on(conn.busy(), jobs).await?;
        self.kept = Some(conn);
        Ok(accepted)
    }

    /// Gives the connection back: nothing follows now, and one that rests is tested before it is used again.
    pub fn rest(&mut self) {
        if let Some(conn) = self.kept.take() {
            conn.rest();
        }
    }
}

/// Accepts jobs on a connection, which may be in a transaction. See [`Store::accept`].
pub(super) async fn accept_on(conn: &mut PgConnection, jobs: &[NewJob]) -> Result<Vec<Accepted>, StoreError> {
    let mut answers: Vec<Option<Accepted>> = vec![None; jobs.len()];
    let mut open: Vec<usize> = (0..jobs.len()).collect();
    for _ in 0..COLLISIONS_MAX {
        insert(conn, jobs, &mut answers, &open).await?;
        open.retain(|&i| answers[i].is_none());
        if !open.is_empty() {
            find_active(conn, jobs, &mut answers, &open).await?;
            open.retain(|&i| answers[i].is_none());
        }
        if open.is_empty() {
            return answers
                .into_iter()
                .collect::<Option<_>>()
                .ok_or_else(|| StoreError::Corrupt("no answer".to_owned()));
        }
    }
    Err(StoreError::Unavailable(sqlx::Error::PoolTimedOut))
}

/// Inserts what can be inserted. Rows go in by scope order: two batches that share scopes wait for each
/// other in the same order and cannot deadlock.
async fn insert(
    conn: &mut PgConnection,
    jobs: &[NewJob],
    answers: &mut [Option<Accepted>],
    open: &[usize],
) -> Result<(), StoreError> {
    let (mut numbers, mut ids, mut sync_ids, mut retries_of) = (vec![], vec![], vec![], vec![]);
    let (mut payloads, mut max_attempts) = (Vec::with_capacity(open.len()), Vec::with_capacity(open.len()));
    let (mut workspaces, mut job_types, mut scopes, mut priorities) = (vec![], vec![], vec![], vec![]);
    for &i in open {
        let job = &jobs[i];
        numbers.push(i32::try_from(i).map_err(super::row::corrupt)?);
        ids.push(job.id.0);
        sync_ids.push(job.sync_id.0);
        retries_of.push(job.retry_of.map(|id| id.0));
        workspaces.push(job.workspace_id.as_str());
        job_types.push(job.job_type.as_str());
        scopes.push(job.scope.as_str());
        priorities.push(job.priority.as_str());
        payloads.push(serde_json::to_value(&job.options).map_err(super::row::corrupt)?);
        max_attempts.push(i32::try_from(job.max_attempts).map_err(super::row::corrupt)?);
    }
    let rows = sqlx::query!(
        r#"WITH input AS (
               SELECT * FROM unnest($1::int[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::int[], $9::jsonb[], $10::uuid[])
                   AS t (n, id, sync_id, workspace_id, job_type, scope, priority, max_attempts, payload, retry_of)
           ), known AS (
               -- Look-ups are subqueries and no joins: a join may have been planned while the table was small.
               -- A connection has a workspace, so the second one is for refusals only.
               SELECT *, connected OR (SELECT true FROM workspaces w WHERE w.id = input.workspace_id) IS NOT NULL AS workspace_known
               FROM (
                   SELECT *, (SELECT true FROM connections c
                              WHERE c.workspace_id = input.workspace_id AND c.connector = input.scope) IS NOT NULL AS connected
                   FROM input
                   OFFSET 0
               ) AS input
           ), created AS (
               INSERT INTO jobs (id, sync_id, workspace_id, job_type, scope, priority, max_attempts, payload, retry_of, ticketed_at)
               SELECT id, sync_id, workspace_id, job_type, scope, priority, max_attempts, payload, retry_of, now()
               FROM known WHERE connected
               ORDER BY workspace_id, job_type, scope, n
               ON CONFLICT (workspace_id, job_type, scope) WHERE status IN ('pending', 'running') DO NOTHING
               RETURNING id, created_at
           )
           SELECT known.n AS "n!", workspace_known AS "workspace_known!", connected AS "connected!", created.created_at AS "created_at?"
           FROM known LEFT JOIN created USING (id)"#,
        &numbers,
        &ids,
        &sync_ids,
        &workspaces as &[&str],
        &job_types as &[&str],
        &scopes as &[&str],
        &priorities as &[&str],
        &max_attempts,
        &payloads,
        &retries_of as &[Option<Uuid>],
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        let i = usize::try_from(row.n).map_err(super::row::corrupt)?;
        answers[i] = match (row.workspace_known, row.connected, row.created_at) {
            (false, ..) => Some(Accepted::UnknownWorkspace),
            (_, false, _) => Some(Accepted::NotConnected),
            (.., Some(created_at)) => Some(Accepted::Created(Box::new(jobs[i].view(created_at)))),
            (.., None) => None,
        };
    }
    Ok(())
}

/// Finds the active jobs that stood in the way. A statement of its own, because the one that collided does
/// not see a row that was committed after it began.
async fn find_active(
    conn: &mut PgConnection,
    jobs: &[NewJob],
    answers: &mut [Option<Accepted>],
    open: &[usize],
) -> Result<(), StoreError> {
    let key = |i: usize| (jobs[i].workspace_id.as_str(), jobs[i].job_type.as_str(), jobs[i].scope.as_str());
    let mut scopes: Vec<_> = open.iter().map(|&i| key(i)).collect();
    scopes.sort_unstable();
    scopes.dedup();
    let rows = sqlx::query_as!(
        JobRow,
        r#"SELECT j.id, sync_id, j.job_type, j.workspace_id, j.scope, status, priority, payload, progress, attempts, max_attempts, takeovers,
                  last_error, attempt_errors, cancel_requested_at, retry_of, created_at, started_at, completed_at, result, waiting_reason, run_at, revision
           FROM unnest($1::text[], $2::text[], $3::text[]) AS t (workspace_id, job_type, scope)
           CROSS JOIN LATERAL (
               SELECT * FROM jobs
               WHERE workspace_id = t.workspace_id AND job_type = t.job_type AND scope = t.scope
                 AND status IN ('pending', 'running')
               LIMIT 1) AS j"#,
        &scopes.iter().map(|s| s.0).collect::<Vec<_>>() as &[&str],
        &scopes.iter().map(|s| s.1).collect::<Vec<_>>() as &[&str],
        &scopes.iter().map(|s| s.2).collect::<Vec<_>>() as &[&str],
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        let active = JobView::try_from(row)?;
        let scope = active.connector_type.as_ref().map_or("", ConnectorName::as_str);
        let found = (active.workspace_id.as_str(), active.job_type.as_str(), scope);
        for &i in open {
            if key(i) == found {
                answers[i] = Some(Accepted::Active(Box::new(active.clone())));
            }
        }
    }
    Ok(())
}
