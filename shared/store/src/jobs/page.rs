//! Committing pages: rows, captured errors, cursors, progress and the lease, in one transaction.

use protocol::{ObjectName, Progress, Record, Rejected, Sweep, SyncMode, Table};
use serde_json::Value;
use sqlx::PgConnection;

use super::captured::{capture, forgive};
use super::claim::Lease;
use super::row::corrupt;
use crate::records::Changes;
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
    /// What the records of a range are associated with.
    pub sweeps: Vec<Sweep>,
    /// Whether the records are all that there are: every other row is marked as deleted.
    pub whole: bool,
    /// How many records, or associations, the vendor listed.
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
    /// The job after it.
    pub fenced: Fenced,
    /// What became of each batch.
    pub batches: Vec<BatchCommitted>,
}

/// What the fence found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fenced {
    /// The job's revision after the commit.
    pub revision: u64,
    /// Whether somebody asked to cancel the job: nothing more is wanted.
    pub cancel_requested: bool,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BatchCommitted {
    /// Rows inserted or changed.
    pub written: u64,
    /// Rows that were already equal.
    pub unchanged: u64,
    /// Rows marked as deleted without having been listed.
    pub deleted: u64,
}

impl Store {
    /// Commits pages. Either all of it is there afterwards, or nothing: rows, captured errors, cursors,
    /// progress, and the lease renewed. An unchanged row is neither rewritten nor locked.
    ///
    /// Costs: begin, an upsert and a cursor for each batch, one more if records were rejected, the fence, commit.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]: nothing was written; also if somebody gave new credentials meanwhile. If Postgres is
    /// not available, the outcome is unknown; the cursors tell. A connection is waited for as long as the lease lasts.
    pub async fn commit_pages(
        &self,
        lease: &Lease,
        batches: &[PageBatch],
        progress: &Progress,
    ) -> Result<PagesCommitted, StoreError> {
        let mut tx = self.begin_within(lease.duration).await?;
        let mut committed = Vec::with_capacity(batches.len());
        for batch in batches {
            let Changes { written, deleted } = records::write(&mut tx, lease, batch).await?;
            if !batch.rejected.is_empty() {
                capture(&mut tx, lease, &batch.object, batch.table, &batch.rejected).await?;
            }
            forgive(&mut tx, lease, batch).await?;
            let done =
                BatchCommitted { written, unchanged: batch.offered().saturating_sub(written), deleted };
            advance(&mut tx, lease, batch, done).await?;
            committed.push(done);
        }
        // Last, so that the job's row is locked for no longer than the commit: the lease can be renewed meanwhile, and
        // another object's pages be written. If the lease is lost, all of the above is rolled back.
        let fenced = fence(&mut tx, lease, progress).await?;
        tx.commit().await?;
        Ok(PagesCommitted { fenced, batches: committed })
    }
}

impl PageBatch {
    /// What there is to write. One that is there twice counts twice: its second time changes nothing.
    fn offered(&self) -> u64 {
        let links = self.sweeps.iter().map(|sweep| sweep.links.len());
        (self.records.len() + links.sum::<usize>()) as u64
    }
}

/// The statement that is fence, heartbeat and progress. It locks the row, so no claim can come between it
/// and the commit. Progress never goes backwards, in whatever order transactions of two objects get here.
pub(super) async fn fence(
    conn: &mut PgConnection,
    lease: &Lease,
    progress: &Progress,
) -> Result<Fenced, StoreError> {
    let row = sqlx::query!(
        r#"UPDATE jobs SET
               progress = CASE WHEN (progress->>'current')::bigint > ($4::jsonb->>'current')::bigint THEN progress ELSE $4 END,
               lease_expires_at = clock_timestamp() + make_interval(secs => $3), revision = revision + 1,
               takeovers_in_vain = 0
           WHERE id = $1 AND lease_token = $2
             AND EXISTS (SELECT FROM connections c
                         WHERE c.workspace_id = jobs.workspace_id AND c.connector = jobs.scope AND c.generation = $5)
           RETURNING revision, cancel_requested_at IS NOT NULL AS "cancel_requested!""#,
        lease.job_id.0,
        lease.token,
        lease.duration.as_secs_f64(),
        serde_json::to_value(progress).map_err(corrupt)?,
        lease.generation
    )
    .fetch_optional(conn)
    .await?
    .ok_or(StoreError::LeaseLost)?;
    Ok(Fenced { revision: row.revision.unsigned_abs(), cancel_requested: row.cancel_requested })
}

/// Moves the cursor on. The first commit of another job starts its counts anew.
async fn advance(
    conn: &mut PgConnection,
    lease: &Lease,
    batch: &PageBatch,
    done: BatchCommitted,
) -> Result<(), StoreError> {
    let number = |n: u64| i64::try_from(n).map_err(corrupt);
    let captured = batch.rejected.len() as u64;
    sqlx::query!(
        r#"INSERT INTO cursors AS k (workspace_id, connector, object, job_id, position, done, listed, written, unchanged, captured, pages, checkpoint,
                                     mode, generation, deleted)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, CASE WHEN $6 THEN $12::jsonb END, $13, $14, $15)
           ON CONFLICT (workspace_id, connector, object) DO UPDATE SET
               job_id = excluded.job_id, position = excluded.position, done = excluded.done, updated_at = now(),
               mode = excluded.mode, generation = excluded.generation,
               checkpoint = CASE WHEN excluded.done THEN excluded.checkpoint
                                 WHEN k.generation = excluded.generation THEN k.checkpoint END,
               -- 1 if it is the same run that goes on, 0 if another one begins.
               listed = excluded.listed + k.listed * (k.job_id = excluded.job_id AND k.generation = excluded.generation)::int,
               written = excluded.written + k.written * (k.job_id = excluded.job_id AND k.generation = excluded.generation)::int,
               unchanged = excluded.unchanged + k.unchanged * (k.job_id = excluded.job_id AND k.generation = excluded.generation)::int,
               captured = excluded.captured + k.captured * (k.job_id = excluded.job_id AND k.generation = excluded.generation)::int,
               pages = excluded.pages + k.pages * (k.job_id = excluded.job_id AND k.generation = excluded.generation)::int,
               deleted = excluded.deleted + k.deleted * (k.job_id = excluded.job_id AND k.generation = excluded.generation)::int,
               needs_review = k.needs_review * (k.job_id = excluded.job_id AND k.generation = excluded.generation)::int,
               compared = k.compared AND k.job_id = excluded.job_id AND k.generation = excluded.generation"#,
        lease.workspace_id.as_str(),
        lease.connector.as_str(),
        batch.object.as_str(),
        lease.job_id.0,
        batch.position,
        batch.done,
        number(batch.listed)?,
        number(done.written)?,
        number(done.unchanged)?,
        number(captured)?,
        number(batch.pages)?,
        batch.checkpoint,
        batch.mode.as_str(),
        lease.generation,
        number(done.deleted)?
    )
    .execute(conn)
    .await?;
    Ok(())
}
