//! What a session may ask of the worker while it runs: Postgres, seen through the job's lease.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use connectors::{ConnectorSpec, Credentials, ErrorClass, Host, Known, SourceError};
use protocol::{ObjectName, Table};
use store::{Lease, Store, StoreError};

/// Keeps what a session wants kept, and tells what is there.
pub(crate) struct Keeper {
    pub store: Store,
    pub lease: Lease,
    pub spec: &'static ConnectorSpec,
    pub unanswered: Unanswered,
}

/// What Postgres last refused a session. A session knows no Postgres: to it, this looks like a vendor that failed. Its
/// attempt must not be counted for that.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unanswered(Arc<Mutex<Option<StoreError>>>);

impl Unanswered {
    /// Why the lease says nothing any more, if Postgres was away or the lease is lost.
    pub(crate) fn take(&self) -> Option<StoreError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note(&self, error: StoreError, message: &'static str) -> SourceError {
        tracing::warn!(error = %error, message);
        if matches!(error, StoreError::Unavailable(_) | StoreError::LeaseLost) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
        SourceError::new(ErrorClass::Transient, message)
    }
}

impl Keeper {
    fn unread(&self, error: StoreError) -> SourceError {
        self.unanswered.note(error, "What is there already could not be read")
    }

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
            .map_err(|error| self.unanswered.note(error, "New credentials could not be stored"))
    }

    async fn known(&self, object: &ObjectName) -> Result<Known, SourceError> {
        let known = self
            .store
            .known(&self.lease, object, self.table(object)?)
            .await
            .map_err(|error| self.unread(error))?;
        Ok(Known {
            records: known.records,
            had_before: known.had_before,
            lately_deleted: known.lately_deleted,
        })
    }

    async fn known_bounds(&self, object: &ObjectName, step: u64) -> Result<Vec<String>, SourceError> {
        let table = self.table(object)?;
        self.store.known_bounds(&self.lease, object, table, step).await.map_err(|error| self.unread(error))
    }

    async fn known_between(
        &self,
        object: &ObjectName,
        from: &str,
        to: Option<&str>,
        max: u64,
    ) -> Result<Vec<String>, SourceError> {
        let table = self.table(object)?;
        self.store
            .known_between(&self.lease, object, table, (from, to), max)
            .await
            .map_err(|error| self.unread(error))
    }

    async fn known_after(
        &self,
        object: &ObjectName,
        after: Option<&str>,
        max: u64,
    ) -> Result<Vec<String>, SourceError> {
        let table = self.table(object)?;
        self.store.known_after(&self.lease, table, after, max).await.map_err(|error| self.unread(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_postgres_did_not_answer_is_kept_for_whoever_runs_the_session() {
        let unanswered = Unanswered::default();
        assert_eq!(unanswered.note(StoreError::timed_out(), "no answer").class, ErrorClass::Transient);
        assert!(matches!(unanswered.take(), Some(StoreError::Unavailable(_))));
        assert!(unanswered.take().is_none());
        // Such a row stays as it is: that is an attempt, and the last one fails.
        unanswered.note(StoreError::Corrupt("a row".to_owned()), "no answer");
        assert!(unanswered.take().is_none());
    }
}
