//! Connections: a workspace's credentials for a connector. Written, opened for a worker, never shown.

use protocol::{ConnectorName, WorkspaceId};
use time::OffsetDateTime;

use crate::{Lease, Store, StoreError};

/// A connection without its credentials: what may be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredConnection {
    /// The connector.
    pub connector: ConnectorName,
    /// The vendor's id of the account, once known.
    pub account_id: Option<String>,
    /// How much of what the vendor allows the account may be used, above 0 to 1; `None`: what the operator has configured.
    pub quota_share: Option<f64>,
    /// When the connection was first made.
    pub created_at: OffsetDateTime,
    /// When its credentials were last written.
    pub updated_at: OffsetDateTime,
}

/// What credentials are sealed for.
pub(crate) fn owner(workspace_id: &WorkspaceId, connector: &str) -> String {
    format!("{workspace_id}/{connector}")
}

impl Store {
    /// Makes or replaces a connection. With other credentials than before, the account is forgotten, and so is where
    /// increments start: they may be another account's, and the next sync is a full one. With the same ones only
    /// the share changes.
    /// Answers the connection and whether it is new.
    ///
    /// # Errors
    /// [`StoreError::UnknownWorkspace`], or if Postgres is not available.
    pub async fn put_connection(
        &self,
        workspace_id: &WorkspaceId,
        connector: &ConnectorName,
        credentials: &serde_json::Value,
        quota_share: Option<f64>,
    ) -> Result<(StoredConnection, bool), StoreError> {
        if let Some(stored) = self.put_quota_share(workspace_id, connector, credentials, quota_share).await? {
            return Ok((stored, false));
        }
        let sealed =
            self.key.seal(&owner(workspace_id, connector.as_str()), credentials.to_string().as_bytes())?;
        let row = self.one(sqlx::query!(
            r#"INSERT INTO connections (workspace_id, connector, credentials, quota_share) VALUES ($1, $2, $3, $4)
               ON CONFLICT (workspace_id, connector)
               DO UPDATE SET credentials = excluded.credentials, account_id = NULL, utc_offset_ms = NULL,
                             generation = connections.generation + 1,
                             updated_at = now(), quota_share = excluded.quota_share
               RETURNING account_id, quota_share, created_at, updated_at, (xmax = 0) AS "created!""#,
            workspace_id.as_str(),
            connector.as_str(),
            sealed,
            quota_share
        ))
        .await
        .map_err(|e| match e.as_database_error().and_then(|d| d.constraint()) {
            Some("connections_workspace_id_fkey") => StoreError::UnknownWorkspace,
            _ => e.into(),
        })?;
        let stored = StoredConnection {
            connector: connector.clone(),
            account_id: row.account_id,
            quota_share: row.quota_share,
            created_at: row.created_at,
            updated_at: row.updated_at,
        };
        Ok((stored, row.created))
    }

    /// Changes the share alone; `None` if these are not the connection's credentials. Sealed anew they look different each
    /// time, so they have to be opened to be compared.
    async fn put_quota_share(
        &self,
        workspace_id: &WorkspaceId,
        connector: &ConnectorName,
        credentials: &serde_json::Value,
        quota_share: Option<f64>,
    ) -> Result<Option<StoredConnection>, StoreError> {
        let stored = self
            .optional(sqlx::query!(
                "SELECT credentials FROM connections WHERE workspace_id = $1 AND connector = $2",
                workspace_id.as_str(),
                connector.as_str()
            ))
            .await?;
        let same = |sealed: &Vec<u8>| {
            // What cannot be opened, because the key is another one by now, is replaced.
            let plain = self.key.open(&owner(workspace_id, connector.as_str()), sealed).ok();
            plain.and_then(|plain| serde_json::from_slice::<serde_json::Value>(&plain).ok()).as_ref()
                == Some(credentials)
        };
        let Some(sealed) = stored.map(|row| row.credentials).filter(same) else { return Ok(None) };
        let row = self.optional(sqlx::query!(
            r#"UPDATE connections SET quota_share = $4 WHERE workspace_id = $1 AND connector = $2 AND credentials = $3
               RETURNING account_id, created_at, updated_at"#,
            workspace_id.as_str(),
            connector.as_str(),
            sealed,
            quota_share
        ))
        .await?;
        Ok(row.map(|row| StoredConnection {
            connector: connector.clone(),
            account_id: row.account_id,
            quota_share,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }))
    }

    /// Changes how much of the vendor's quota is used for a connection, and nothing else. `None` if there is none.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn set_quota_share(
        &self,
        workspace_id: &WorkspaceId,
        connector: &ConnectorName,
        share: f64,
    ) -> Result<Option<StoredConnection>, StoreError> {
        let set = sqlx::query!(
            r#"UPDATE connections SET quota_share = $3 WHERE workspace_id = $1 AND connector = $2
               RETURNING account_id, created_at, updated_at"#,
            workspace_id.as_str(),
            connector.as_str(),
            share
        );
        Ok(self.optional(set).await?.map(|row| StoredConnection {
            connector: connector.clone(),
            account_id: row.account_id,
            quota_share: Some(share),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }))
    }

    /// A workspace's connections by name. Empty also for an unknown workspace.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn connections(&self, workspace_id: &WorkspaceId) -> Result<Vec<StoredConnection>, StoreError> {
        let rows = self.all(sqlx::query!(
            "SELECT connector, account_id, quota_share, created_at, updated_at FROM connections WHERE workspace_id = $1 ORDER BY connector",
            workspace_id.as_str()
        ))
        .await?;
        rows.into_iter()
            .map(|row| {
                Ok(StoredConnection {
                    connector: row
                        .connector
                        .parse()
                        .map_err(|e| StoreError::Corrupt(format!("connector: {e}")))?,
                    account_id: row.account_id,
                    quota_share: row.quota_share,
                    created_at: row.created_at,
                    updated_at: row.updated_at,
                })
            })
            .collect()
    }

    /// Replaces credentials that the vendor rotated while a job ran. The account stays. A job that ended meanwhile, because
    /// it was cancelled, still may, as long as no other one of its scope is active.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] if the job is somebody else's by now, or somebody gave new credentials meanwhile: theirs
    /// count. If Postgres is not available: then the new credentials must not be used.
    pub async fn rotate_credentials(
        &self,
        lease: &Lease,
        credentials: &serde_json::Value,
    ) -> Result<(), StoreError> {
        let owner = owner(&lease.workspace_id, lease.connector.as_str());
        let sealed = self.key.seal(&owner, credentials.to_string().as_bytes())?;
        let done = self.execute(sqlx::query!(
            r#"UPDATE connections SET credentials = $3, updated_at = now()
               WHERE workspace_id = $1 AND connector = $2 AND generation = $4
                 AND (EXISTS (SELECT FROM jobs WHERE id = $5 AND lease_token = $6)
                      OR NOT EXISTS (SELECT FROM jobs WHERE workspace_id = $1 AND scope = $2 AND status IN ('pending', 'running')))"#,
            lease.workspace_id.as_str(),
            lease.connector.as_str(),
            sealed,
            lease.generation,
            lease.job_id.0,
            lease.token
        ))
        .await?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::LeaseLost) }
    }

    /// Remembers which account the connection reaches and how far its clock is ahead of UTC, unless that is known or the credentials are others by now.
    ///
    /// # Errors
    /// If Postgres is not available.
    pub async fn set_account(
        &self,
        lease: &Lease,
        account_id: &str,
        utc_offset_ms: Option<i64>,
    ) -> Result<(), StoreError> {
        self.execute(sqlx::query!(
            r#"UPDATE connections SET account_id = $3, utc_offset_ms = $5
               WHERE workspace_id = $1 AND connector = $2 AND account_id IS NULL AND generation = $4"#,
            lease.workspace_id.as_str(),
            lease.connector.as_str(),
            account_id,
            lease.generation,
            utc_offset_ms
        ))
        .await?;
        Ok(())
    }
}
