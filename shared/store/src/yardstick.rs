//! What a sync's speed is measured by: `COPY` into a temporary table and one merge, the fastest that Postgres itself
//! takes the same rows. For benchmarks.

use std::future::poll_fn;
use std::time::{Duration, Instant};

use protocol::WorkspaceId;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::{Store, StoreError};

/// The tables whose rows are copied: all that a sync writes rows of the vendor to.
const TABLES: [&str; 6] = ["owners", "stages", "contacts", "accounts", "deals", "associations"];
/// Bytes handed to Postgres in one message.
const CHUNK: usize = 64 * 1024;

/// What `COPY` and merge took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyAndMerge {
    /// Of all tables.
    pub rows: u64,
    /// From the first statement to the last commit. Reading the rows and making the tables is not in it.
    pub duration: Duration,
}

/// The columns of a table, as they stand in statements.
#[derive(sqlx::FromRow)]
struct Columns {
    /// All that can be written.
    all: String,
    key: String,
    /// What a conflict sets.
    assignments: String,
}

impl Store {
    /// Copies and merges all of a workspace's synced rows into empty tables of the same shape, with
    /// the same indexes, and removes those again. Holds the rows of one table in memory.
    ///
    /// # Errors
    /// If Postgres is not available, or somebody else measures in the same database.
    pub async fn copy_and_merge(&self, workspace_id: &WorkspaceId) -> Result<CopyAndMerge, StoreError> {
        let mut conn = self.pool.acquire().await?;
        run(&mut conn, "DROP SCHEMA IF EXISTS yardstick CASCADE").await?;
        run(&mut conn, "CREATE SCHEMA yardstick").await?;
        let mut all = CopyAndMerge { rows: 0, duration: Duration::ZERO };
        for table in TABLES {
            let one = copy_and_merge(&mut conn, workspace_id, table).await?;
            all = CopyAndMerge { rows: all.rows + one.rows, duration: all.duration + one.duration };
        }
        run(&mut conn, "DROP SCHEMA yardstick CASCADE").await?;
        Ok(all)
    }
}

async fn copy_and_merge(
    conn: &mut PgConnection,
    workspace_id: &WorkspaceId,
    table: &str,
) -> Result<CopyAndMerge, StoreError> {
    let Columns { all, key, assignments } = columns(conn, table).await?;
    // An id of a workspace has no character that would end the text.
    let source = format!("COPY (SELECT {all} FROM {table} WHERE workspace_id = '{workspace_id}') TO STDOUT");
    let rows = read(conn, &source).await?;
    run(conn, &format!("CREATE TABLE yardstick.{table} (LIKE {table} INCLUDING ALL)")).await?;

    let begun = Instant::now();
    let mut tx = conn.begin().await?;
    let incoming = format!(
        "CREATE TEMPORARY TABLE incoming ON COMMIT DROP AS SELECT {all} FROM yardstick.{table} WITH NO DATA"
    );
    run(&mut tx, &incoming).await?;
    let mut copy = tx.copy_in_raw(&format!("COPY incoming ({all}) FROM STDIN")).await?;
    for chunk in rows.chunks(CHUNK) {
        copy.send(chunk).await?;
    }
    let rows = copy.finish().await?;
    let merge = format!(
        "INSERT INTO yardstick.{table} ({all}) SELECT {all} FROM incoming ON CONFLICT ({key}) DO UPDATE SET {assignments}"
    );
    run(&mut tx, &merge).await?;
    tx.commit().await?;
    Ok(CopyAndMerge { rows, duration: begun.elapsed() })
}

/// From the catalogue, so that a column that is added is measured too. Postgres computes generated ones by itself.
async fn columns(conn: &mut PgConnection, table: &str) -> Result<Columns, StoreError> {
    let columns = sqlx::query_as(
        r#"SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS "all",
                  string_agg(quote_ident(attname), ', ' ORDER BY attnum) FILTER (WHERE attnum = ANY (indkey)) AS key,
                  string_agg(format('%1$I = excluded.%1$I', attname), ', ' ORDER BY attnum)
                      FILTER (WHERE NOT attnum = ANY (indkey)) AS assignments
           FROM pg_attribute JOIN pg_index ON indrelid = attrelid AND indisprimary
           WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''"#,
    );
    Ok(columns.bind(table).fetch_one(conn).await?)
}

/// Everything that a `COPY … TO STDOUT` gives.
async fn read(conn: &mut PgConnection, copy: &str) -> Result<Vec<u8>, StoreError> {
    let mut lines = conn.copy_out_raw(copy).await?;
    let mut all = Vec::new();
    while let Some(line) = poll_fn(|cx| lines.as_mut().poll_next(cx)).await {
        all.extend_from_slice(&line?);
    }
    Ok(all)
}

async fn run(conn: &mut PgConnection, statement: &str) -> Result<(), StoreError> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(conn).await?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use devstack::testing::TestEnv;

    use super::*;
    use crate::{PoolOptions, SecretKey};

    #[tokio::test]
    async fn every_row_of_the_workspace_is_copied_and_nothing_is_left() {
        let env = TestEnv::with_schema().await;
        let options = PoolOptions {
            url: env.database_url.clone(),
            connections_max: 2,
            acquire_timeout: Duration::from_secs(10),
            application_name: "yardstick".to_owned(),
        };
        let key = SecretKey::from_hex(&SecretKey::generate().unwrap()).unwrap();
        let store = Store::new(&options, key).unwrap();
        let mut conn = store.pool.acquire().await.unwrap();
        for (workspace, ids) in [("acme", 1_000), ("other", 7)] {
            let rows = format!(
                r"INSERT INTO deals (workspace_id, connector, external_id, name, properties, content_hash, job_id)
                  SELECT '{workspace}', 'hubspot', n, E'a\tb\\c\n', '{{}}', n, gen_random_uuid() FROM generate_series(1, {ids}) n"
            );
            run(&mut conn, &rows).await.unwrap();
        }
        for _ in 0..2 {
            let measured = store.copy_and_merge(&"acme".parse().unwrap()).await.unwrap();
            assert_eq!(measured.rows, 1_000);
            assert!(measured.duration > Duration::ZERO);
        }
        let left: Option<String> = sqlx::query_scalar("SELECT to_regnamespace('yardstick')::text")
            .fetch_one(&mut *conn)
            .await
            .unwrap();
        assert_eq!(left, None);
    }
}
