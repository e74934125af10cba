//! The table `contacts`.

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
        r#"INSERT INTO contacts (workspace_id, connector, external_id, email, first_name, last_name, phone, job_title,
               account_external_id, lifecycle_stage, owner_id, properties, source_created_at, source_updated_at,
               deleted_at, content_hash, job_id)
           SELECT $1, $2, i.external_id, i.email, i.first_name, i.last_name, i.phone, i.job_title, i.account_external_id,
                  i.lifecycle_stage, i.owner_id, i.properties::jsonb, i.source_created_at, i.source_updated_at,
                  i.deleted_at, i.content_hash, $3
           FROM unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
                  $12::text[], $13::text[], $14::timestamptz[], $15::timestamptz[], $16::timestamptz[],
                  $17::bigint[])
               AS i (external_id, email, first_name, last_name, phone, job_title, account_external_id,
                  lifecycle_stage, owner_id, properties, source_created_at, source_updated_at, deleted_at,
                  content_hash)
           WHERE (SELECT r.content_hash FROM contacts r
                  WHERE r.workspace_id = $1 AND r.connector = $2 AND r.external_id = i.external_id)
                 IS DISTINCT FROM i.content_hash
           ON CONFLICT (workspace_id, connector, external_id) DO UPDATE SET
               email = excluded.email, first_name = excluded.first_name, last_name = excluded.last_name,
               phone = excluded.phone, job_title = excluded.job_title,
               account_external_id = excluded.account_external_id, lifecycle_stage = excluded.lifecycle_stage,
               owner_id = excluded.owner_id, properties = excluded.properties,
               source_created_at = excluded.source_created_at, source_updated_at = excluded.source_updated_at,
               deleted_at = excluded.deleted_at, merged_into = NULL, content_hash = excluded.content_hash, job_id = excluded.job_id,
               synced_at = now()"#,
        lease.workspace_id.as_str(),
        lease.connector.as_str(),
        lease.job_id.0,
        &page.external_id as &[&str],
        &column!(page, Contact, email) as &[Option<&str>],
        &column!(page, Contact, first_name) as &[Option<&str>],
        &column!(page, Contact, last_name) as &[Option<&str>],
        &column!(page, Contact, phone) as &[Option<&str>],
        &column!(page, Contact, job_title) as &[Option<&str>],
        &column!(page, Contact, account_external_id) as &[Option<&str>],
        &column!(page, Contact, lifecycle_stage) as &[Option<&str>],
        &column!(page, Contact, owner_id) as &[Option<&str>],
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
