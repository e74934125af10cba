//! Workspaces.

use protocol::WorkspaceId;

use crate::{Store, StoreError};

impl Store {
    /// Makes the workspace, or renames it. Answers whether it is new.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn put_workspace(&self, id: &WorkspaceId, name: &str) -> Result<bool, StoreError> {
        let row = self
            .one(sqlx::query!(
                r#"INSERT INTO workspaces (id, name) VALUES ($1, $2)
               ON CONFLICT (id) DO UPDATE SET name = excluded.name, updated_at = now()
               RETURNING (xmax = 0) AS "created!""#,
                id.as_str(),
                name
            ))
            .await?;
        Ok(row.created)
    }

    /// Whether there is such a workspace.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn workspace_exists(&self, id: &WorkspaceId) -> Result<bool, StoreError> {
        let row = self
            .one(sqlx::query!(
                r#"SELECT EXISTS (SELECT FROM workspaces WHERE id = $1) AS "exists!""#,
                id.as_str()
            ))
            .await?;
        Ok(row.exists)
    }
}
