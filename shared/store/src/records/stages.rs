//! The table `stages`.

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
        r#"INSERT INTO stages (workspace_id, connector, external_id, name, position, probability, is_closed, pipeline,
               pipeline_name, pipeline_position, properties, source_created_at, source_updated_at, deleted_at,
               content_hash, job_id)
           SELECT $1, $2, i.external_id, i.name, i.position, i.probability::numeric, i.is_closed, i.pipeline,
                  i.pipeline_name, i.pipeline_position, i.properties::jsonb, i.source_created_at, i.source_updated_at,
                  i.deleted_at, i.content_hash, $3
           FROM unnest($4::text[], $5::text[], $6::bigint[], $7::text[], $8::boolean[], $9::text[], $10::text[],
                  $11::bigint[], $12::text[], $13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::bigint[])
               AS i (external_id, name, position, probability, is_closed, pipeline, pipeline_name, pipeline_position,
                  properties, source_created_at, source_updated_at, deleted_at, content_hash)
           WHERE (SELECT r.content_hash FROM stages r
                  WHERE r.workspace_id = $1 AND r.connector = $2 AND r.external_id = i.external_id)
                 IS DISTINCT FROM i.content_hash
           ON CONFLICT (workspace_id, connector, external_id) DO UPDATE SET
               name = excluded.name, position = excluded.position, probability = excluded.probability,
               is_closed = excluded.is_closed, pipeline = excluded.pipeline, pipeline_name = excluded.pipeline_name,
               pipeline_position = excluded.pipeline_position, properties = excluded.properties,
               source_created_at = excluded.source_created_at, source_updated_at = excluded.source_updated_at,
               deleted_at = excluded.deleted_at, content_hash = excluded.content_hash, job_id = excluded.job_id,
               synced_at = now()"#,
        lease.workspace_id.as_str(),
        lease.connector.as_str(),
        lease.job_id.0,
        &page.external_id as &[&str],
        &column!(page, Stage, name) as &[Option<&str>],
        &column!(page, Stage, position, copy) as &[Option<i64>],
        &column!(page, Stage, probability) as &[Option<&str>],
        &column!(page, Stage, is_closed, copy) as &[Option<bool>],
        &column!(page, Stage, pipeline) as &[Option<&str>],
        &column!(page, Stage, pipeline_name) as &[Option<&str>],
        &column!(page, Stage, pipeline_position, copy) as &[Option<i64>],
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
