//! The table `associations`.

use protocol::Sweep;
use sqlx::PgConnection;

use super::Changes;
use crate::StoreError;
use crate::jobs::Lease;

/// Makes the associations of a range of records what the vendor says they are.
///
/// Plans: the page's array, each row looked up by primary key, so that what is unchanged is not locked; then the
/// range of the primary key, without the page's rows (a hash of them). Neither must say `deleted_at IS NULL`: on a table
/// without statistics that would choose `associations_by_target`, which finds every association of an account.
pub(super) async fn commit(
    conn: &mut PgConnection,
    lease: &Lease,
    sweep: &Sweep,
) -> Result<Changes, StoreError> {
    let written = if sweep.links.is_empty() { 0 } else { write(conn, lease, sweep).await? };
    Ok(Changes { written, deleted: end(conn, lease, sweep).await? })
}

async fn write(conn: &mut PgConnection, lease: &Lease, sweep: &Sweep) -> Result<u64, StoreError> {
    let types: Vec<&str> = sweep.links.iter().map(|link| &*link.types).collect();
    let done = sqlx::query!(
        r#"INSERT INTO associations (workspace_id, connector, from_object, to_object, from_id, to_id, types, job_id)
           SELECT $1, $2, $4, $5, i.from_id, i.to_id, i.types, $3
           FROM (SELECT from_id, to_id, types::jsonb AS types FROM unnest($6::text[], $7::text[], $8::text[]) AS u (from_id, to_id, types)) i
           WHERE (SELECT CASE WHEN a.deleted_at IS NULL THEN a.types END FROM associations a
                  WHERE a.workspace_id = $1 AND a.connector = $2 AND a.from_object = $4 AND a.to_object = $5
                    AND a.from_id = i.from_id AND a.to_id = i.to_id)
                 IS DISTINCT FROM i.types
           ON CONFLICT (workspace_id, connector, from_object, to_object, from_id, to_id) DO UPDATE SET
               types = excluded.types, deleted_at = NULL, job_id = excluded.job_id, synced_at = now()"#,
        lease.workspace_id.as_str(),
        lease.connector.as_str(),
        lease.job_id.0,
        sweep.from_object.as_str(),
        sweep.to_object.as_str(),
        &from_ids(sweep) as &[&str],
        &to_ids(sweep) as &[&str],
        &types as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// `NOT IN` and no `NOT EXISTS`: that is an anti-join, which without statistics compares every row with every listed one.
async fn end(conn: &mut PgConnection, lease: &Lease, sweep: &Sweep) -> Result<u64, StoreError> {
    let (workspace, connector) = (lease.workspace_id.as_str(), lease.connector.as_str());
    let (from_object, to_object) = (sweep.from_object.as_str(), sweep.to_object.as_str());
    let (from_ids, to_ids) = (from_ids(sweep), to_ids(sweep));
    // No id is empty, so all of them are greater.
    let after = sweep.after.as_deref().unwrap_or_default();
    // One statement with an end and one without: an end that may be NULL is no condition for an index.
    let done = match &sweep.up_to {
        Some(up_to) => {
            sqlx::query!(
                r#"UPDATE associations a SET deleted_at = now(), job_id = $3, synced_at = now()
                   WHERE a.workspace_id = $1 AND a.connector = $2 AND a.from_object = $4 AND a.to_object = $5
                     AND a.from_id > $8 AND a.from_id <= $9 AND coalesce(a.deleted_at, 'infinity') = 'infinity'
                     AND (a.from_id, a.to_id) NOT IN (SELECT * FROM unnest($6::text[], $7::text[]))"#,
                workspace,
                connector,
                lease.job_id.0,
                from_object,
                to_object,
                &from_ids as &[&str],
                &to_ids as &[&str],
                after,
                up_to
            )
            .execute(conn)
            .await?
        }
        None => {
            sqlx::query!(
                r#"UPDATE associations a SET deleted_at = now(), job_id = $3, synced_at = now()
                   WHERE a.workspace_id = $1 AND a.connector = $2 AND a.from_object = $4 AND a.to_object = $5
                     AND a.from_id > $8 AND coalesce(a.deleted_at, 'infinity') = 'infinity'
                     AND (a.from_id, a.to_id) NOT IN (SELECT * FROM unnest($6::text[], $7::text[]))"#,
                workspace,
                connector,
                lease.job_id.0,
                from_object,
                to_object,
                &from_ids as &[&str],
                &to_ids as &[&str],
                after
            )
            .execute(conn)
            .await?
        }
    };
    Ok(done.rows_affected())
}

fn from_ids(sweep: &Sweep) -> Vec<&str> {
    sweep.links.iter().map(|link| link.from_id.as_str()).collect()
}

fn to_ids(sweep: &Sweep) -> Vec<&str> {
    sweep.links.iter().map(|link| link.to_id.as_str()).collect()
}
