//! Committing what a comparison with the vendor found.

use protocol::{ObjectName, Progress, Record, Rejected, Table};

use super::captured::{capture, forget};
use super::claim::Lease;
use super::page::{BatchCommitted, Fenced, fence};
use super::row::corrupt;
use crate::records::gone;
use crate::{Store, StoreError, records};

/// What a comparison of an object with the vendor found.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// The object.
    pub object: ObjectName,
    /// Where its records are.
    pub table: Table,
    /// Records that the vendor has otherwise than we, or that we do not have.
    pub records: Vec<Record>,
    /// Such records that could not be transformed.
    pub rejected: Vec<Rejected>,
    /// Ids that the vendor has no record of any more: their rows are marked as deleted.
    pub gone: Vec<String>,
    /// So many more are gone and are left alone until somebody approves.
    pub needs_review: u64,
    /// Where the comparison goes on; `None` if it is through.
    pub next: Option<serde_json::Value>,
}

impl Store {
    /// Commits what a comparison found, like a page: all of it or nothing, under the lease.
    ///
    /// # Errors
    /// As [`Store::commit_pages`].
    pub async fn commit_comparison(
        &self,
        lease: &Lease,
        compared: &Compared,
        progress: &Progress,
    ) -> Result<(Fenced, BatchCommitted), StoreError> {
        let Compared { object, table, records, rejected, .. } = compared;
        let mut tx = self.begin_within(lease.duration).await?;
        let written = records::upsert(&mut tx, lease, *table, records).await?;
        let deleted = gone::point_to_survivors(&mut tx, lease, *table, records).await?
            + gone::mark(&mut tx, lease, *table, &compared.gone).await?;
        if !compared.gone.is_empty() {
            let gone: Vec<&str> = compared.gone.iter().map(String::as_str).collect();
            forget(&mut tx, lease, object, &gone).await?;
        }
        if !rejected.is_empty() {
            capture(&mut tx, lease, object, *table, rejected).await?;
        }
        let offered = records.len() as u64;
        let done = BatchCommitted { written, unchanged: offered.saturating_sub(written), deleted };
        let number = |n: u64| i64::try_from(n).map_err(corrupt);
        sqlx::query!(
            r#"UPDATE cursors SET compared = $5, needs_review = $6, listed = listed + $7, written = written + $8, unchanged = unchanged + $9,
                   captured = captured + $10, deleted = deleted + $11, position = $12, updated_at = now()
               WHERE workspace_id = $1 AND connector = $2 AND object = $3 AND job_id = $4"#,
            lease.workspace_id.as_str(),
            lease.connector.as_str(),
            object.as_str(),
            lease.job_id.0,
            compared.next.is_none(),
            number(compared.needs_review)?,
            number(offered + rejected.len() as u64)?,
            number(done.written)?,
            number(done.unchanged)?,
            number(rejected.len() as u64)?,
            number(done.deleted)?,
            compared.next
        )
        .execute(&mut *tx)
        .await?;
        let fenced = fence(&mut tx, lease, progress).await?;
        tx.commit().await?;
        Ok((fenced, done))
    }
}
