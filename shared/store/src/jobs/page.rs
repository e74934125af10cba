//! Committing pages: rows, captured errors, cursors, progress and the lease, in one transaction.

use protocol::{ObjectName, Progress, Record, Rejected, SyncMode, Table};
use serde_json::Value;
use sqlx::PgConnection;

use super::claim::Lease;
use super::row::corrupt;
use crate::{Store, StoreError, records};

/// Pages of one object, one after another, to be committed together.
#[derive(Debug, Clone)]
pub struct PageBatch {
    /// The object.
    pub object: ObjectName,
    /// Where its records go.
    pub table: Table,
    /// What was transformed.
    pub records: Vec<Record>,
    /// What could not be.
    pub rejected: Vec<Rejected>,
    /// How many records the vendor listed.
    pub listed: u64,
    /// How many pages these are.
    pub pages: u64,
    /// Where the page after them goes on.
    pub position: Option<Value>,
    /// Whether there is no page after them.
    pub done: bool,
    /// Where the next increment starts, if they are the last.
    pub checkpoint: Option<Value>,
    /// Whether the object is read as a whole or by what changed.
    pub mode: SyncMode,
}

/// What a commit did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagesCommitted {
    /// The job's revision after it.
    pub revision: u64,
    /// Rows inserted or changed, for each batch.
    pub written: Vec<u64>,
}

impl Store {
    /// Commits pages. Either all of it is there afterwards, or nothing: rows, captured errors, cursors,
    /// progress, and the lease renewed. An unchanged row is neither rewritten nor locked.
    ///
    /// Costs: begin, the fence, an upsert and a cursor for each batch, one more if records were rejected, commit.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]: nothing was written; also if somebody gave new credentials meanwhile. If Postgres is
    /// not available, the outcome is unknown; the cursors tell.
    pub async fn commit_pages(
        &self,
        lease: &Lease,
        batches: &[PageBatch],
        progress: &Progress,
    ) -> Result<PagesCommitted, StoreError> {
        let mut tx = self.pool.begin().await?;
        let revision = fence(&mut tx, lease, progress).await?;
        let mut written = Vec::with_capacity(batches.len());
        for batch in batches {
            let rows = records::upsert(&mut tx, lease, batch.table, &batch.records).await?;
            if !batch.rejected.is_empty() {
                capture(&mut tx, lease, batch).await?;
            }
            forgive(&mut tx, lease, batch).await?;
            advance(&mut tx, lease, batch, rows).await?;
            written.push(rows);
        }
        tx.commit().await?;
        Ok(PagesCommitted { revision, written })
    }
}

/// The statement that is fence, heartbeat and progress. It locks the row, so no claim can come between it
/// and the commit.
async fn fence(conn: &mut PgConnection, lease: &Lease, progress: &Progress) -> Result<u64, StoreError> {
    let row = sqlx::query!(
        r#"UPDATE jobs SET progress = $4, lease_expires_at = now() + make_interval(secs => $3), revision = revision + 1
           WHERE id = $1 AND lease_token = $2
             AND EXISTS (SELECT FROM connections c
                         WHERE c.workspace_id = jobs.workspace_id AND c.connector = jobs.scope AND c.generation = $5)
           RETURNING revision"#,
        lease.job_id.0,
        lease.token,
        lease.duration.as_secs_f64(),
        serde_json::to_value(progress).map_err(corrupt)?,
        lease.generation
    )
    .fetch_optional(conn)
    .await?
    .ok_or(StoreError::LeaseLost)?;
    Ok(row.revision.unsigned_abs())
}

async fn capture(conn: &mut PgConnection, lease: &Lease, batch: &PageBatch) -> Result<(), StoreError> {
    let mut rejected: Vec<&Rejected> = batch.rejected.iter().collect();
    rejected.sort_by(|a, b| a.external_id.cmp(&b.external_id));
    rejected.dedup_by(|a, b| a.external_id == b.external_id && !a.external_id.is_empty());
    // A record without an id gets one from its content, so that it is kept, and kept once.
    let ids: Vec<String> = rejected.iter().map(|r| records::error_id(r)).collect();
    sqlx::query!(
        r#"INSERT INTO record_errors (workspace_id, connector, object, job_id, external_id, reason, payload)
           SELECT DISTINCT ON (id) $1, $2, $3, $4, id, reason, payload
           FROM unnest($5::text[], $6::text[], $7::text[]) AS t (id, reason, payload)
           ON CONFLICT (workspace_id, connector, object, external_id)
           DO UPDATE SET job_id = excluded.job_id, reason = excluded.reason, payload = excluded.payload, created_at = now()"#,
        lease.workspace_id.as_str(),
        lease.connector.as_str(),
        batch.object.as_str(),
        lease.job_id.0,
        &ids,
        &rejected.iter().map(|r| r.reason.as_str()).collect::<Vec<_>>() as &[&str],
        &rejected.iter().map(|r| r.payload.as_str()).collect::<Vec<_>>() as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Removes captured errors that are history. After the last page of a full sync, whatever this job did not
/// capture anew; in an increment, those of the records that now went in.
async fn forgive(conn: &mut PgConnection, lease: &Lease, batch: &PageBatch) -> Result<(), StoreError> {
    let (workspace, connector, object) =
        (lease.workspace_id.as_str(), lease.connector.as_str(), batch.object.as_str());
    match batch.mode {
        SyncMode::Full if batch.done => {
            sqlx::query!(
                "DELETE FROM record_errors WHERE workspace_id = $1 AND connector = $2 AND object = $3 AND job_id <> $4",
                workspace,
                connector,
                object,
                lease.job_id.0
            )
            .execute(conn)
            .await?;
        }
        SyncMode::Incremental if !batch.records.is_empty() => {
            let mut ids: Vec<&str> = batch.records.iter().map(|record| record.external_id.as_str()).collect();
            ids.retain(|id| !batch.rejected.iter().any(|rejected| rejected.external_id == *id));
            sqlx::query!(
                "DELETE FROM record_errors WHERE workspace_id = $1 AND connector = $2 AND object = $3 AND external_id = ANY ($4)",
                workspace,
                connector,
                object,
                &ids as &[&str]
            )
            .execute(conn)
            .await?;
        }
        SyncMode::Full | SyncMode::Incremental => {}
    }
    Ok(())
}

/// Moves the cursor on. The first commit of another job starts its counts anew.
async fn advance(
    conn: &mut PgConnection,
    lease: &Lease,
    batch: &PageBatch,
    written: u64,
) -> Result<(), StoreError> {
    let number = |n: u64| i64::try_from(n).map_err(corrupt);
    let captured = batch.rejected.len() as u64;
    let unchanged = batch.listed.saturating_sub(written + captured);
    sqlx::query!(
        r#"INSERT INTO cursors AS k (workspace_id, connector, object, job_id, position, done, listed, written, unchanged, captured, pages, checkpoint,
                                     mode, generation)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, CASE WHEN $6 THEN $12::jsonb END, $13, $14)
           ON CONFLICT (workspace_id, connector, object) DO UPDATE SET
               job_id = excluded.job_id, position = excluded.position, done = excluded.done, updated_at = now(),
               mode = excluded.mode, generation = excluded.generation,
               checkpoint = CASE WHEN excluded.done THEN excluded.checkpoint
                                 WHEN k.generation = excluded.generation THEN k.checkpoint END,
               listed = excluded.listed + CASE WHEN k.job_id = excluded.job_id AND k.generation = excluded.generation THEN k.listed ELSE 0 END,
               written = excluded.written + CASE WHEN k.job_id = excluded.job_id AND k.generation = excluded.generation THEN k.written ELSE 0 END,
               unchanged = excluded.unchanged + CASE WHEN k.job_id = excluded.job_id AND k.generation = excluded.generation THEN k.unchanged ELSE 0 END,
               captured = excluded.captured + CASE WHEN k.job_id = excluded.job_id AND k.generation = excluded.generation THEN k.captured ELSE 0 END,
               pages = excluded.pages + CASE WHEN k.job_id = excluded.job_id AND k.generation = excluded.generation THEN k.pages ELSE 0 END"#,
        lease.workspace_id.as_str(),
        lease.connector.as_str(),
        batch.object.as_str(),
        lease.job_id.0,
        batch.position,
        batch.done,
        number(batch.listed)?,
        number(written)?,
        number(unchanged)?,
        number(captured)?,
        number(batch.pages)?,
        batch.checkpoint,
        batch.mode.as_str(),
        lease.generation
    )
    .execute(conn)
    .await?;
    Ok(())
}
