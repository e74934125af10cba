//! A witness for runs that break things on purpose: keeps each change of a job and of a cursor, and which transaction wrote
//! rows of which table, with who made it and in which transaction. Only `syncline chaos` installs it, in a database of its own; no migration knows it.
//!
//! Its triggers write in the transaction that they watch: what Postgres forgot in a crash, the audit forgot, too.

use protocol::{AttemptError, SyncResult};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Store, StoreError};

const INSTALL: &str = include_str!("audit.sql");

/// A job got another revision, status or lease. Renewals of a lease are none.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct JobChange {
    /// In order for each job.
    pub seq: i64,
    /// By the server's clock, while the transaction ran.
    pub at: OffsetDateTime,
    /// The transaction.
    pub txid: i64,
    /// The name of the connection: for a worker, what `lease_holder` has.
    pub writer: String,
    /// The job.
    pub job_id: Uuid,
    /// `None`: the job was accepted.
    pub status_before: Option<String>,
    /// As in SQL: `pending`.
    pub status: String,
    /// The fence before.
    pub token_before: Option<Uuid>,
    /// The fence.
    pub token: Option<Uuid>,
    /// Whose lease it was.
    pub holder_before: Option<String>,
    /// Whose lease it is.
    pub holder: Option<String>,
    /// Grows.
    pub revision: i64,
    /// Counted runs.
    pub attempts: i32,
    /// Not before.
    pub run_at: OffsetDateTime,
    /// Since when somebody wants it to end.
    pub cancel_requested_at: Option<OffsetDateTime>,
}

/// A cursor moved, or was made.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct CursorChange {
    /// In order for each cursor.
    pub seq: i64,
    /// The transaction.
    pub txid: i64,
    /// The name of the connection.
    pub writer: String,
    /// Whose cursor.
    pub workspace_id: String,
    /// The object.
    pub object: String,
    /// The job that moved it.
    pub job_id: Uuid,
    /// A digest of the position; `None` at the start and at the end.
    pub position: Option<String>,
    /// Whether that was the last page.
    pub done: bool,
    /// Whether both sides were compared.
    pub compared: bool,
    /// Counts of the job so far.
    pub listed: i64,
    /// Counts of the job so far.
    pub written: i64,
    /// Counts of the job so far.
    pub unchanged: i64,
    /// Counts of the job so far.
    pub captured: i64,
    /// Counts of the job so far.
    pub pages: i64,
}

/// A transaction wrote rows of a synced table, or captured records: once for each table, kind of change, and job.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct RowWrite {
    /// In order for each transaction.
    pub seq: i64,
    /// By the server's clock, while the transaction ran.
    pub at: OffsetDateTime,
    /// The transaction.
    pub txid: i64,
    /// The name of the connection.
    pub writer: String,
    /// The table.
    pub relation: String,
    /// `insert`, `update` or `delete`; `adopt` if nothing but the job of captured records changed.
    pub op: String,
    /// Whose rows.
    pub workspace_id: String,
    /// The job that the rows name; `None` if they are gone.
    pub job_id: Option<Uuid>,
    /// The job that adopted ones named before.
    pub job_before: Option<Uuid>,
}

/// A job as its row says.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct JobFacts {
    /// The job.
    pub id: Uuid,
    /// The tenant.
    pub workspace_id: String,
    /// The job that it tries again.
    pub retry_of: Option<Uuid>,
    /// As in SQL: `pending`.
    pub status: String,
    /// Counted runs.
    pub attempts: i32,
    /// How many there may be.
    pub max_attempts: i32,
    /// How often it was taken over.
    pub takeovers: i32,
    /// Grows.
    pub revision: i64,
    /// The last attempt's error.
    pub last_error: Option<String>,
    /// The errors of its attempts.
    #[sqlx(json)]
    pub attempt_errors: Vec<AttemptError>,
    /// When it was accepted.
    pub created_at: OffsetDateTime,
    /// When it was over.
    pub completed_at: Option<OffsetDateTime>,
    /// What it did, once completed.
    #[sqlx(json(nullable))]
    pub result: Option<SyncResult>,
}

impl Store {
    /// From now on every change is kept. Once a database.
    ///
    /// # Errors
    /// If it is there already, or Postgres is not available.
    pub async fn install_audit(&self) -> Result<(), StoreError> {
        sqlx::raw_sql(INSTALL).execute(&self.pool).await?;
        Ok(())
    }

    /// Every change of every job. Holds them all in memory.
    ///
    /// # Errors
    /// If there is no audit, or Postgres is not available.
    pub async fn audited_jobs(&self) -> Result<Vec<JobChange>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM audit.job_changes ORDER BY seq").fetch_all(&self.pool).await?)
    }

    /// Every change of every cursor. Holds them all in memory.
    ///
    /// # Errors
    /// If there is no audit, or Postgres is not available.
    pub async fn audited_cursors(&self) -> Result<Vec<CursorChange>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM audit.cursor_changes ORDER BY seq").fetch_all(&self.pool).await?)
    }

    /// Every transaction that wrote rows. Holds them all in memory.
    ///
    /// # Errors
    /// If there is no audit, or Postgres is not available.
    pub async fn audited_rows(&self) -> Result<Vec<RowWrite>, StoreError> {
        Ok(sqlx::query_as("SELECT * FROM audit.row_writes ORDER BY seq").fetch_all(&self.pool).await?)
    }

    /// Every job there is. Holds them all in memory.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn all_jobs(&self) -> Result<Vec<JobFacts>, StoreError> {
        let select = "SELECT id, workspace_id, retry_of, status, attempts, max_attempts, takeovers, revision, last_error, attempt_errors,
                             created_at, completed_at, result
                      FROM jobs ORDER BY id";
        Ok(sqlx::query_as(select).fetch_all(&self.pool).await?)
    }

    /// How many jobs are not over.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn active_job_count(&self) -> Result<u64, StoreError> {
        let select = "SELECT count(*) FROM jobs WHERE status IN ('pending', 'running')";
        let count: i64 = sqlx::query_scalar(select).fetch_one(&self.pool).await?;
        Ok(count.unsigned_abs())
    }
}
