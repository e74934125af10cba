//! Counting what is there: for the demo and for people, not for the life of a job.

use std::collections::BTreeMap;

use protocol::{ObjectName, Table, WorkspaceId};

use crate::records::for_table;
use crate::{Store, StoreError};

/// How many records a workspace has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordCounts {
    rows: BTreeMap<Table, u64>,
    captured: BTreeMap<String, u64>,
}

impl RecordCounts {
    /// Rows of a table, deleted ones included.
    pub fn rows(&self, table: Table) -> u64 {
        self.rows.get(&table).copied().unwrap_or(0)
    }

    /// Captured records of an object.
    pub fn captured(&self, object: &ObjectName) -> u64 {
        self.captured.get(object.as_str()).copied().unwrap_or(0)
    }
}

impl Store {
    /// Counts a workspace's rows and captured records. Reads all of its rows' keys: not for a hot path.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn record_counts(&self, workspace_id: &WorkspaceId) -> Result<RecordCounts, StoreError> {
        let row = sqlx::query!(
            r#"SELECT (SELECT count(*) FROM deals WHERE workspace_id = $1) AS "deals!",
                      (SELECT count(*) FROM contacts WHERE workspace_id = $1) AS "contacts!",
                      (SELECT count(*) FROM accounts WHERE workspace_id = $1) AS "accounts!",
                      (SELECT count(*) FROM owners WHERE workspace_id = $1) AS "owners!",
                      (SELECT count(*) FROM stages WHERE workspace_id = $1) AS "stages!",
                      (SELECT count(*) FROM associations WHERE workspace_id = $1) AS "associations!""#,
            workspace_id.as_str()
        )
        .fetch_one(&self.pool)
        .await?;
        let errors = sqlx::query!(
            r#"SELECT object, count(*) AS "captured!" FROM record_errors WHERE workspace_id = $1 GROUP BY object"#,
            workspace_id.as_str()
        )
        .fetch_all(&self.pool)
        .await?;
        let tables = [
            (Table::Deals, row.deals),
            (Table::Contacts, row.contacts),
            (Table::Accounts, row.accounts),
            (Table::Owners, row.owners),
            (Table::Stages, row.stages),
            (Table::Associations, row.associations),
        ];
        Ok(RecordCounts {
            rows: tables.into_iter().map(|(table, rows)| (table, rows.unsigned_abs())).collect(),
            captured: errors.into_iter().map(|row| (row.object, row.captured.unsigned_abs())).collect(),
        })
    }

    /// Every row of a workspace's table as JSON, by the vendor's id (`deals 7 contacts 9` for an association): for
    /// comparing a destination with its source.
    /// Holds the whole table in memory.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn rows(
        &self,
        workspace_id: &WorkspaceId,
        table: Table,
    ) -> Result<BTreeMap<String, serde_json::Value>, StoreError> {
        let statement = match table {
            Table::Deals => "SELECT external_id, to_jsonb(r) FROM deals r WHERE workspace_id = $1",
            Table::Contacts => "SELECT external_id, to_jsonb(r) FROM contacts r WHERE workspace_id = $1",
            Table::Accounts => "SELECT external_id, to_jsonb(r) FROM accounts r WHERE workspace_id = $1",
            Table::Owners => "SELECT external_id, to_jsonb(r) FROM owners r WHERE workspace_id = $1",
            Table::Stages => "SELECT external_id, to_jsonb(r) FROM stages r WHERE workspace_id = $1",
            Table::Associations => {
                "SELECT concat_ws(' ', from_object, from_id, to_object, to_id), to_jsonb(r) FROM associations r WHERE workspace_id = $1"
            }
        };
        let rows: Vec<(String, serde_json::Value)> =
            sqlx::query_as(statement).bind(workspace_id.as_str()).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().collect())
    }

    /// The version of every row of a workspace's table, by the same ids as [`Store::rows`]: who wrote it (`xmin`), and
    /// who locked it since (`xmax`). Equal versions mean that a row was neither written nor locked in between.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn row_versions(
        &self,
        workspace_id: &WorkspaceId,
        table: Table,
    ) -> Result<BTreeMap<String, (String, String)>, StoreError> {
        let statement = match table {
            Table::Associations => {
                "SELECT concat_ws(' ', from_object, from_id, to_object, to_id), xmin::text, xmax::text FROM associations
                 WHERE workspace_id = $1"
            }
            table => for_table!(
                table,
                "SELECT external_id, xmin::text, xmax::text FROM ",
                " WHERE workspace_id = $1"
            ),
        };
        let rows: Vec<(String, String, String)> =
            sqlx::query_as(statement).bind(workspace_id.as_str()).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(|(id, xmin, xmax)| (id, (xmin, xmax))).collect())
    }
}
