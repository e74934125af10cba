//! What is known of an object: the ids of its live records, captured ones included. For comparing with the vendor, and
//! for asking it about each of them.

use protocol::{ObjectName, Table};
use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryScalar;

use crate::records::for_table;
use crate::{Lease, Store, StoreError};

/// How many live records of an object are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    /// All of them.
    pub records: u64,
    /// Whether there are rows, deleted ones included, that this job did not write.
    pub had_before: bool,
    /// Rows that were marked as deleted within the last hour.
    pub lately_deleted: u64,
}

impl Store {
    /// Counts the live records of an object. One statement, which reads all of its rows once; captured records, of
    /// which there are few, are looked up one by one.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn known(&self, lease: &Lease, object: &ObjectName, table: Table) -> Result<Known, StoreError> {
        let statement = for_table!(
            table,
            "SELECT (SELECT count(*) FROM record_errors e
                     WHERE e.workspace_id = $1 AND e.connector = $2 AND e.object = $4 AND e.is_live AND e.external_id ~ '^[0-9]+$'
                       AND (SELECT r.deleted_at IS NULL FROM ",
            " r WHERE r.workspace_id = e.workspace_id AND r.connector = e.connector AND r.external_id = e.external_id)
                           IS NOT TRUE),
                    count(*) FILTER (WHERE deleted_at IS NULL),
                    coalesce(bool_or(job_id <> $3), false),
                    count(*) FILTER (WHERE deleted_at IS NOT NULL AND synced_at > now() - interval '1 hour')
             FROM ",
            " WHERE workspace_id = $1 AND connector = $2"
        );
        let asked = sqlx::query_as(statement)
            .bind(lease.workspace_id.as_str())
            .bind(lease.connector.as_str())
            .bind(lease.job_id.0)
            .bind(object.as_str());
        let mut on = self.in_use().await?;
        let answer = asked.fetch_one(on.busy()).await;
        on.rest();
        let (captured, live, had_before, lately_deleted): (i64, i64, bool, i64) = answer?;
        Ok(Known {
            records: captured.unsigned_abs() + live.unsigned_abs(),
            had_before,
            lately_deleted: lately_deleted.unsigned_abs(),
        })
    }

    /// Every `step`-th id of the live records, in order of number, from the first on: the bounds of ranges of equal
    /// size. For ids that are numbers without leading zeros. Reads all of the object's rows.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn known_bounds(
        &self,
        lease: &Lease,
        object: &ObjectName,
        table: Table,
        step: u64,
    ) -> Result<Vec<String>, StoreError> {
        let statement = for_table!(
            table,
            "WITH known AS (
                 SELECT external_id AS id FROM record_errors
                 WHERE workspace_id = $1 AND connector = $2 AND object = $3 AND is_live AND external_id ~ '^[0-9]+$'
                 UNION SELECT external_id FROM ",
            " WHERE workspace_id = $1 AND connector = $2 AND deleted_at IS NULL)
             SELECT id FROM (SELECT id, row_number() OVER (ORDER BY length(id), id COLLATE \"C\") AS n FROM known) numbered
             WHERE (n - 1) % $4 = 0 ORDER BY n"
        );
        self.ids(
            sqlx::query_scalar(statement)
                .bind(lease.workspace_id.as_str())
                .bind(lease.connector.as_str())
                .bind(object.as_str())
                .bind(i64::try_from(step.max(1)).unwrap_or(i64::MAX)),
        )
        .await
    }

    /// The ids of the live records from `from` up to but not including `to`, in order of number; without an end if
    /// `to` is `None`. At most `max`. For ids that are numbers without leading zeros: among ids of one length the order
    /// of texts is that of numbers, so each length is a range of the primary key.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn known_between(
        &self,
        lease: &Lease,
        object: &ObjectName,
        table: Table,
        (from, to): (&str, Option<&str>),
        max: u64,
    ) -> Result<Vec<String>, StoreError> {
        let statement = for_table!(
            table,
            "WITH lengths AS MATERIALIZED (
                 SELECT $1::text AS workspace_id, $2::text AS connector, l,
                        CASE WHEN l = length($4::text) THEN $4 ELSE repeat('0', l) END AS low,
                        CASE WHEN l = length($5::text) THEN $5 ELSE repeat('9', l) END AS high,
                        coalesce(l = length($5), false) AS is_last
                 FROM generate_series(length($4), coalesce(length($5), 20)) AS l),
             known AS (
                 SELECT i.id FROM lengths k CROSS JOIN LATERAL (
                     SELECT r.external_id AS id FROM ",
            " r WHERE r.workspace_id = k.workspace_id AND r.connector = k.connector
                       AND r.external_id >= k.low AND r.external_id <= k.high
                       AND r.deleted_at IS NULL AND length(r.external_id) = k.l
                     ORDER BY r.external_id LIMIT $6 + 1) i
                 WHERE NOT (k.is_last AND i.id = k.high)
                 UNION
                 SELECT e.external_id FROM record_errors e JOIN lengths k ON length(e.external_id) = k.l
                 WHERE e.workspace_id = $1 AND e.connector = $2 AND e.object = $3 AND e.is_live
                   AND e.external_id >= k.low AND e.external_id <= k.high AND NOT (k.is_last AND e.external_id = k.high))
             SELECT id FROM known WHERE id ~ '^[0-9]+$' ORDER BY length(id), id COLLATE \"C\" LIMIT $6"
        );
        self.ids(
            sqlx::query_scalar(statement)
                .bind(lease.workspace_id.as_str())
                .bind(lease.connector.as_str())
                .bind(object.as_str())
                .bind(from)
                .bind(to)
                .bind(i64::try_from(max).unwrap_or(i64::MAX - 1)),
        )
        .await
    }

    /// The ids of the next live rows after `after`, in the order of the primary key, at most `max`. Plan: a range of
    /// the primary key.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn known_after(
        &self,
        lease: &Lease,
        table: Table,
        after: Option<&str>,
        max: u64,
    ) -> Result<Vec<String>, StoreError> {
        let statement = for_table!(
            table,
            "SELECT external_id FROM ",
            " WHERE workspace_id = $1 AND connector = $2 AND external_id > $3 AND deleted_at IS NULL
              ORDER BY external_id LIMIT $4"
        );
        self.ids(
            sqlx::query_scalar(statement)
                .bind(lease.workspace_id.as_str())
                .bind(lease.connector.as_str())
                .bind(after.unwrap_or_default())
                .bind(i64::try_from(max).unwrap_or(i64::MAX)),
        )
        .await
    }

    async fn ids(
        &self,
        asked: QueryScalar<'_, Postgres, String, PgArguments>,
    ) -> Result<Vec<String>, StoreError> {
        let mut on = self.in_use().await?;
        let ids = asked.fetch_all(on.busy()).await;
        on.rest();
        Ok(ids?)
    }
}
