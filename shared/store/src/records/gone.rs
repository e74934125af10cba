//! Rows whose record is no more at the vendor. They stay, with `deleted_at`.
//!
//! Such a row gets the content hash 0, so that it is written anew if its record should be listed again.

use protocol::{Record, Rejected, Table};
use sqlx::PgConnection;

use super::for_table;
use crate::StoreError;
use crate::jobs::Lease;

/// Marks records that the vendor does not have any more, and answers how many rows that changed. Plan: one look-up by
/// primary key an id. Workspace and connector come with the ids: as constants of a table without statistics they would
/// be all of the index that is used.
pub(crate) async fn mark(
    conn: &mut PgConnection,
    lease: &Lease,
    table: Table,
    ids: &[String],
) -> Result<u64, StoreError> {
    if ids.is_empty() {
        return Ok(0);
    }
    let statement = for_table!(
        table,
        "WITH gone AS MATERIALIZED (SELECT $1::text AS workspace_id, $2::text AS connector, id FROM unnest($4::text[]) AS id)
         UPDATE ",
        " r SET deleted_at = now(), content_hash = 0, job_id = $3, synced_at = now()
          FROM gone g
          WHERE r.workspace_id = g.workspace_id AND r.connector = g.connector AND r.external_id = g.id AND r.deleted_at IS NULL"
    );
    let done = sqlx::query(statement)
        .bind(lease.workspace_id.as_str())
        .bind(lease.connector.as_str())
        .bind(lease.job_id.0)
        .bind(ids)
        .execute(conn)
        .await?;
    Ok(done.rows_affected())
}

/// Marks everything but what a page lists that lists all there is, and answers how many rows that changed. What is
/// listed and could not be transformed is there, too. Plan: the table's range of the workspace, which is small: such
/// objects fit on a page.
pub(crate) async fn mark_others(
    conn: &mut PgConnection,
    lease: &Lease,
    table: Table,
    (listed, rejected): (&[Record], &[Rejected]),
) -> Result<u64, StoreError> {
    if listed.is_empty() || rejected.iter().any(|rejected| rejected.external_id.is_empty()) {
        // Nothing at all is not believed, and what has no id could be any row's.
        return Ok(0);
    }
    let mut ids: Vec<&str> = listed.iter().map(|record| record.external_id.as_str()).collect();
    ids.extend(rejected.iter().map(|rejected| rejected.external_id.as_str()));
    let statement = for_table!(
        table,
        "UPDATE ",
        " SET deleted_at = now(), content_hash = 0, job_id = $3, synced_at = now()
          WHERE workspace_id = $1 AND connector = $2 AND external_id <> ALL ($4) AND deleted_at IS NULL"
    );
    let done = sqlx::query(statement)
        .bind(lease.workspace_id.as_str())
        .bind(lease.connector.as_str())
        .bind(lease.job_id.0)
        .bind(&ids)
        .execute(conn)
        .await?;
    Ok(done.rows_affected())
}

/// Points the rows of merged records to their survivor, and answers how many of them were live until now. Plan: one
/// look-up by primary key a merged record.
pub(crate) async fn point_to_survivors(
    conn: &mut PgConnection,
    lease: &Lease,
    table: Table,
    records: &[Record],
) -> Result<u64, StoreError> {
    let pairs = records.iter().flat_map(|record| {
        let losers = record.merged_ids.iter().filter(|loser| **loser != record.external_id);
        losers.map(|loser| (loser.as_str(), record.external_id.as_str()))
    });
    let (losers, survivors): (Vec<&str>, Vec<&str>) = pairs.unzip();
    if losers.is_empty() || !matches!(table, Table::Deals | Table::Contacts | Table::Accounts) {
        return Ok(0);
    }
    // Both parts see the rows as they were before. About the constants: see `mark`.
    let statement = for_table!(
        table,
        "WITH merged AS MATERIALIZED (
             SELECT $1::text AS workspace_id, $2::text AS connector, loser, max(survivor) AS survivor
             FROM unnest($4::text[], $5::text[]) AS m (loser, survivor) GROUP BY loser),
         was_live AS MATERIALIZED (
             SELECT count(*) AS n FROM merged m JOIN ",
        " r ON r.workspace_id = m.workspace_id AND r.connector = m.connector AND r.external_id = m.loser
             WHERE r.deleted_at IS NULL),
         pointed AS (
             UPDATE ",
        " r SET merged_into = m.survivor, deleted_at = coalesce(r.deleted_at, now()), content_hash = 0, job_id = $3, synced_at = now()
             FROM merged m
             WHERE r.workspace_id = m.workspace_id AND r.connector = m.connector AND r.external_id = m.loser
               AND r.merged_into IS DISTINCT FROM m.survivor)
         SELECT n FROM was_live"
    );
    let live: i64 = sqlx::query_scalar(statement)
        .bind(lease.workspace_id.as_str())
        .bind(lease.connector.as_str())
        .bind(lease.job_id.0)
        .bind(&losers)
        .bind(&survivors)
        .fetch_one(conn)
        .await?;
    Ok(live.unsigned_abs())
}
