//! Requests that are carried out once: the answer is kept with the jobs, in one transaction.

use std::time::Duration;

use protocol::WorkspaceId;
use serde_json::Value;
use sqlx::PgConnection;

use crate::{Store, StoreError};

/// How long an answer is kept.
pub const ONCE_KEPT: Duration = Duration::from_secs(24 * 3600);

/// What a client calls its request.
#[derive(Debug, Clone, PartialEq)]
pub struct Once {
    /// The name; 1 to 255 characters.
    pub key: String,
    /// What is asked for: the same key with another request is a mistake.
    pub request: Value,
}

/// What was answered to a key before.
#[derive(Debug, Clone, PartialEq)]
pub enum StoredAnswer {
    /// The same request: this.
    Same(Value),
    /// Another request had that key.
    OtherRequest,
}

impl Store {
    /// What was answered to a key within [`ONCE_KEPT`].
    ///
    /// One look-up by primary key.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn stored_answer(
        &self,
        workspace_id: &WorkspaceId,
        once: &Once,
    ) -> Result<Option<StoredAnswer>, StoreError> {
        let row = self
            .optional(sqlx::query!(
                r#"SELECT request = $3 AS "is_same!", answer FROM idempotency_keys
               WHERE workspace_id = $1 AND key = $2 AND created_at > now() - make_interval(secs => $4)"#,
                workspace_id.as_str(),
                once.key,
                once.request,
                ONCE_KEPT.as_secs_f64()
            ))
            .await?;
        Ok(row
            .map(|row| if row.is_same { StoredAnswer::Same(row.answer) } else { StoredAnswer::OtherRequest }))
    }

    /// Deletes up to `limit` answers that are older than [`ONCE_KEPT`], and answers how many.
    ///
    /// Plan: Index Scan on `idempotency_keys_by_age`, which locks the rows; then a Tid Scan: they cannot move meanwhile.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn delete_stored_answers(&self, limit: u32) -> Result<u64, StoreError> {
        let done = self
            .execute(sqlx::query!(
                r#"DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY (
                   SELECT ctid FROM idempotency_keys
                   WHERE created_at <= now() - make_interval(secs => $1)
                   ORDER BY created_at LIMIT $2
                   FOR UPDATE SKIP LOCKED))"#,
                ONCE_KEPT.as_secs_f64(),
                i64::from(limit)
            ))
            .await?;
        Ok(done.rows_affected())
    }
}

/// Keeps an answer. `false` if the key has one already.
pub(super) async fn keep(
    conn: &mut PgConnection,
    workspace_id: &WorkspaceId,
    once: &Once,
    answer: &Value,
) -> Result<bool, StoreError> {
    let kept = sqlx::query!(
        r#"INSERT INTO idempotency_keys AS k (workspace_id, key, request, answer) VALUES ($1, $2, $3, $4)
           ON CONFLICT (workspace_id, key) DO UPDATE
           SET request = excluded.request, answer = excluded.answer, created_at = now()
           WHERE k.created_at <= now() - make_interval(secs => $5)"#,
        workspace_id.as_str(),
        once.key,
        once.request,
        answer,
        ONCE_KEPT.as_secs_f64()
    )
    .execute(conn)
    .await?;
    Ok(kept.rows_affected() == 1)
}
