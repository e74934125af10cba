//! The table `owners`.

use sqlx::PgConnection;

use super::{Columns, column};
use crate::StoreError;
use crate::jobs::Lease;

/// Plan: as that of `deals`.
pub(super) async fn upsert(
    conn: &mut PgConnection,
    lease: &Lease,
    page: &Columns<'_>,
) -> Result<u64, StoreError> {
    let done = sqlx::query!(
        r#"INSERT INTO owners (workspace_id, connector, external_id, email, first_name, last_name, user_id, kind, properties,
               source_created_at, source_updated_at, deleted_at, content_hash, job_id)
           SELECT $1, $2, i.external_id, i.email, i.first_name, i.last_name, i.user_id, i.kind, i.properties::jsonb,
                  i.source_created_at, i.source_updated_at, i.deleted_at, i.content_hash, $3
           FROM unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
                  $11::timestamptz[], $12::timestamptz[], $13::timestamptz[], $14::bigint[])
               AS i (external_id, email, first_name, last_name, user_id, kind, properties, source_created_at,
                  source_updated_at, deleted_at, content_hash)
           WHERE (SELECT r.content_hash FROM owners r
                  WHERE r.workspace_id = $1 AND r.connector = $2 AND r.external_id = i.external_id)
                 IS DISTINCT FROM i.content_hash
           ON CONFLICT (workspace_id, connector, external_id) DO UPDATE SET
               email = excluded.email, first_name = excluded.first_name, last_name = excluded.last_name,
               user_id = excluded.user_id, kind = excluded.kind, properties = excluded.properties,
               source_created_at = excluded.source_created_at, source_updated_at = excluded.source_updated_at,
               deleted_at = excluded.deleted_at, content_hash = excluded.content_hash, job_id = excluded.job_id,
               synced_at = now()"#,
        lease.workspace_id.as_str(),
        lease.connector.as_str(),
        lease.job_id.0,
        &page.external_id as &[&str],
        &column!(page, Owner, email) as &[Option<&str>],
        &column!(page, Owner, first_name) as &[Option<&str>],
        &column!(page, Owner, last_name) as &[Option<&str>],
        &column!(page, Owner, user_id) as &[Option<&str>],
        &column!(page, Owner, kind) as &[Option<&str>],
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
