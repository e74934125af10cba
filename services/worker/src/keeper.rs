//! What a session may ask of the worker while it runs: Postgres, seen through the job's lease.

use std::time::Duration;

use async_trait::async_trait;
use connectors::{ConnectorSpec, Credentials, ErrorClass, Host, Known, SourceError};
use protocol::{ObjectName, Table};
use store::{Lease, Store, StoreError};

use crate::patience::patiently;

/// New credentials are tried to be saved for so long.
const SAVE_MAX: Duration = Duration::from_secs(60);

/// Keeps what a session wants kept, and tells what is there.
pub(crate) struct Keeper {
    pub store: Store,
    pub lease: Lease,
    pub spec: &'static ConnectorSpec,
}

impl Keeper {
    fn table(&self, object: &ObjectName) -> Result<Table, SourceError> {
        let unknown = || SourceError::new(ErrorClass::Permanent, format!("There is no object `{object}`"));
        self.spec.table(object).ok_or_else(unknown)
    }
}

#[async_trait]
impl Host for Keeper {
    async fn save_credentials(&self, new: &Credentials) -> Result<(), SourceError> {
        // The vendor takes the old ones no more: these must not be lost. Whoever saves them may be all that is left of
        // the attempt, so nobody else ends the wait.
        let save = patiently(|| self.store.rotate_credentials(&self.lease, new.expose()));
        let saved = tokio::time::timeout(SAVE_MAX, save).await;
        saved.unwrap_or_else(|_| Err(StoreError::timed_out())).map_err(refused)
    }

    async fn known(&self, object: &ObjectName) -> Result<Known, SourceError> {
        let table = self.table(object)?;
        let known = patiently(|| self.store.known(&self.lease, object, table)).await.map_err(refused)?;
        Ok(Known {
            records: known.records,
            had_before: known.had_before,
            lately_deleted: known.lately_deleted,
        })
    }

    async fn known_bounds(&self, object: &ObjectName, step: u64) -> Result<Vec<String>, SourceError> {
        let table = self.table(object)?;
        patiently(|| self.store.known_bounds(&self.lease, object, table, step)).await.map_err(refused)
    }

    async fn known_between(
        &self,
        object: &ObjectName,
        from: &str,
        to: Option<&str>,
        max: u64,
    ) -> Result<Vec<String>, SourceError> {
        let table = self.table(object)?;
        patiently(|| self.store.known_between(&self.lease, object, table, (from, to), max))
            .await
            .map_err(refused)
    }

    async fn known_after(
        &self,
        object: &ObjectName,
        after: Option<&str>,
        max: u64,
    ) -> Result<Vec<String>, SourceError> {
        let table = self.table(object)?;
        patiently(|| self.store.known_after(&self.lease, table, after, max)).await.map_err(refused)
    }
}

/// It was asked for as long as the lease lasts; this is a refusal.
fn refused(error: StoreError) -> SourceError {
    tracing::warn!(error = %error, "Postgres refused what a session asked for");
    SourceError::new(ErrorClass::Transient, "What is stored could not be read or written; the log says why")
}
