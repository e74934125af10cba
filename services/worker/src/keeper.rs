//! What a session may ask of the worker while it runs: Postgres, seen through the job's lease.

use async_trait::async_trait;
use connectors::{ConnectorSpec, Credentials, ErrorClass, Host, Known, SourceError};
use protocol::{ObjectName, Table};
use store::{Lease, Store, StoreError};

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
        self.store
            .rotate_credentials(&self.lease, new.expose())
            .await
            .map_err(|_| SourceError::new(ErrorClass::Transient, "New credentials could not be stored"))
    }

    async fn known(&self, object: &ObjectName) -> Result<Known, SourceError> {
        let known = self.store.known(&self.lease, object, self.table(object)?).await.map_err(unanswered)?;
        Ok(Known {
            records: known.records,
            had_before: known.had_before,
            lately_deleted: known.lately_deleted,
        })
    }

    async fn known_bounds(&self, object: &ObjectName, step: u64) -> Result<Vec<String>, SourceError> {
        let table = self.table(object)?;
        self.store.known_bounds(&self.lease, object, table, step).await.map_err(unanswered)
    }

    async fn known_between(
        &self,
        object: &ObjectName,
        from: &str,
        to: Option<&str>,
        max: u64,
    ) -> Result<Vec<String>, SourceError> {
        let table = self.table(object)?;
        self.store.known_between(&self.lease, object, table, (from, to), max).await.map_err(unanswered)
    }

    async fn known_after(
        &self,
        object: &ObjectName,
        after: Option<&str>,
        max: u64,
    ) -> Result<Vec<String>, SourceError> {
        let table = self.table(object)?;
        self.store.known_after(&self.lease, table, after, max).await.map_err(unanswered)
    }
}

/// Postgres is away: the lease tells soon, or the next attempt asks again.
fn unanswered(error: StoreError) -> SourceError {
    tracing::warn!(error = %error, "what is known could not be read");
    SourceError::new(ErrorClass::Transient, "What is there already could not be read")
}
