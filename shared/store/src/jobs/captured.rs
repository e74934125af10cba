//! Records that could not be transformed: kept until they can be, or are gone.

use protocol::{JobId, ObjectName, Rejected, SyncMode, Table};
use sqlx::PgConnection;

use super::claim::Lease;
use super::page::PageBatch;
use crate::{Store, StoreError, records};

/// Keeps what could not be transformed: the last thing that was wrong with each record.
pub(super) async fn capture(
    conn: &mut PgConnection,
    lease: &Lease,
    object: &ObjectName,
    table: Table,
    rejected: &[Rejected],
) -> Result<(), StoreError> {
    // Of an archived record this much is certain.
    let archived = rejected.iter().filter(|rejected| !rejected.is_live).map(|r| r.external_id.clone());
    records::gone::mark(conn, lease, table, &archived.collect::<Vec<_>>()).await?;
    let mut rejected: Vec<&Rejected> = rejected.iter().collect();
    rejected.sort_by(|a, b| a.external_id.cmp(&b.external_id));
    rejected.dedup_by(|a, b| a.external_id == b.external_id && !a.external_id.is_empty());
    // A record without an id gets one from its content, so that it is kept, and kept once.
    let ids: Vec<String> = rejected.iter().map(|r| records::error_id(r)).collect();
    sqlx::query!(
        r#"INSERT INTO record_errors (workspace_id, connector, object, job_id, external_id, reason, payload, is_live)
           SELECT DISTINCT ON (id) $1, $2, $3, $4, id, reason, payload, is_live
           FROM unnest($5::text[], $6::text[], $7::text[], $8::boolean[]) AS t (id, reason, payload, is_live)
           ON CONFLICT (workspace_id, connector, object, external_id)
           DO UPDATE SET job_id = excluded.job_id, reason = excluded.reason, payload = excluded.payload, is_live = excluded.is_live,
                         created_at = now()"#,
        lease.workspace_id.as_str(),
        lease.connector.as_str(),
        object.as_str(),
        lease.job_id.0,
        &ids,
        &rejected.iter().map(|r| r.reason.as_str()).collect::<Vec<_>>() as &[&str],
        &rejected.iter().map(|r| r.payload.as_str()).collect::<Vec<_>>() as &[&str],
        &rejected.iter().map(|r| r.is_live).collect::<Vec<_>>(),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets what was captured of records that went in, or are gone.
pub(super) async fn forget(
    conn: &mut PgConnection,
    lease: &Lease,
    object: &ObjectName,
    ids: &[&str],
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM record_errors WHERE workspace_id = $1 AND connector = $2 AND object = $3 AND external_id = ANY ($4)",
        lease.workspace_id.as_str(),
        lease.connector.as_str(),
        object.as_str(),
        ids as &[&str]
    )
    .execute(conn)
    .await?;
    Ok(())
}

impl Store {
    /// Makes up to `limit` of the records that `before` captured this job's own: those of objects whose cursors it was
    /// handed. Answers how many it was. May be done again at any time.
    ///
    /// # Errors
    /// If Postgres is not available. If the lease is lost, it was none.
    pub async fn adopt_captured(&self, lease: &Lease, before: JobId, limit: u32) -> Result<u64, StoreError> {
        let done = self.execute(sqlx::query!(
            r#"UPDATE record_errors e SET job_id = $4
               FROM (SELECT object, external_id FROM record_errors
                     WHERE workspace_id = $1 AND connector = $2 AND job_id = $3
                       AND object IN (SELECT object FROM cursors WHERE workspace_id = $1 AND connector = $2 AND job_id = $4)
                     LIMIT $5) AS theirs
               WHERE e.workspace_id = $1 AND e.connector = $2 AND e.object = theirs.object AND e.external_id = theirs.external_id
                 AND EXISTS (SELECT FROM jobs WHERE id = $4 AND lease_token = $6)"#,
            lease.workspace_id.as_str(),
            lease.connector.as_str(),
            before.0,
            lease.job_id.0,
            i64::from(limit),
            lease.token
        ))
        .await?;
        Ok(done.rows_affected())
    }
}

/// Removes captured errors that are history. After the last page of a full sync, whatever this job did not
/// capture anew; in an increment, those of the records that now went in.
pub(super) async fn forgive(
    conn: &mut PgConnection,
    lease: &Lease,
    batch: &PageBatch,
) -> Result<(), StoreError> {
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
            forget(conn, lease, &batch.object, &ids).await?;
        }
        SyncMode::Full | SyncMode::Incremental => {}
    }
    Ok(())
}
