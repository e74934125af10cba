//! The table `deals`.

use sqlx::PgConnection;

use super::{Columns, column};
use crate::StoreError;
use crate::jobs::Lease;

/// Plan: the page's array, each row looked up by primary key; an insert for those that are new or differ.
/// The look-up takes no lock, so an unchanged row is not even locked. It is a subquery and no join, because a
/// join of a table without statistics, as in a first sync, reads all rows of the workspace for every page.
pub(super) async fn upsert(
    conn: &mut PgConnection,
    lease: &Lease,
    page: &Columns<'_>,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        r#"INSERT INTO deals (workspace_id, connector, external_id, name, amount, currency, stage, pipeline, owner_id, close_date,
               is_won, properties, source_created_at, source_updated_at, deleted_at, content_hash, job_id)
           SELECT $1, $2, i.external_id, i.name, i.amount::numeric, i.currency, i.stage, i.pipeline, i.owner_id,
                  i.close_date, i.is_won, i.properties::jsonb, i.source_created_at, i.source_updated_at,
                  i.deleted_at, i.content_hash, $3
           FROM unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::date[],
                  $12::boolean[], $13::text[], $14::timestamptz[], $15::timestamptz[], $16::timestamptz[],
                  $17::bigint[])
               AS i (external_id, name, amount, currency, stage, pipeline, owner_id, close_date, is_won, properties,
                  source_created_at, source_updated_at, deleted_at, content_hash)
           WHERE (SELECT r.content_hash FROM deals r
                  WHERE r.workspace_id = $1 AND r.connector = $2 AND r.external_id = i.external_id)
                 IS DISTINCT FROM i.content_hash
           ON CONFLICT (workspace_id, connector, external_id) DO UPDATE SET
               name = excluded.name, amount = excluded.amount, currency = excluded.currency,
               stage = excluded.stage, pipeline = excluded.pipeline, owner_id = excluded.owner_id,
               close_date = excluded.close_date, is_won = excluded.is_won, properties = excluded.properties,
               source_created_at = excluded.source_created_at, source_updated_at = excluded.source_updated_at,
               deleted_at = excluded.deleted_at, merged_into = NULL, content_hash = excluded.content_hash, job_id = excluded.job_id,
               synced_at = now()"#,
        lease.workspace_id.as_str(),
        lease.connector.as_str(),
        lease.job_id.0,
        &page.external_id as &[&str],
        &column!(page, Deal, name) as &[Option<&str>],
        &column!(page, Deal, amount) as &[Option<&str>],
        &column!(page, Deal, currency) as &[Option<&str>],
        &column!(page, Deal, stage) as &[Option<&str>],
        &column!(page, Deal, pipeline) as &[Option<&str>],
        &column!(page, Deal, owner_id) as &[Option<&str>],
        &column!(page, Deal, close_date, copy) as &[_],
        &column!(page, Deal, is_won, copy) as &[_],
        &page.properties as &[&str],
        &page.created_at as &[_],
        &page.updated_at as &[_],
        &page.deleted_at as &[_],
        &page.content_hash,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
