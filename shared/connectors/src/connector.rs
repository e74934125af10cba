//! The trait every vendor implements. A host (the worker, a test) opens a session and asks it for pages.

use std::sync::Arc;

use async_trait::async_trait;
use protocol::{ObjectName, Table};

use crate::{Connection, Credentials, Difference, Page, Position, SourceError};

/// What a connector is, without having to build one.
#[derive(Debug, Clone, Copy)]
pub struct ConnectorSpec {
    /// The connector's name, a valid [`protocol::ConnectorName`].
    pub name: &'static str,
    /// The vendor's name, for people.
    pub title: &'static str,
    /// What can be listed, in the order in which a sync should list it.
    pub objects: &'static [ObjectSpec],
    /// What a connection's credentials consist of.
    pub credentials: &'static [CredentialField],
}

impl ConnectorSpec {
    /// The names of the objects, in the order of a sync.
    pub fn object_names(&self) -> Vec<ObjectName> {
        self.objects.iter().filter_map(|object| object.name.parse().ok()).collect()
    }

    /// What is missing if these fields of the credentials are given, in words; `None` if nothing is.
    pub fn missing_credentials(&self, given: impl Fn(&str) -> bool) -> Option<String> {
        let sets = self.credential_sets();
        let is_begun = |need| match need {
            Need::Always => true,
            Need::With(set) => self.credentials.iter().any(|f| f.need == Need::With(set) && given(f.name)),
            Need::Optional => false,
        };
        if let Some(field) = self.credentials.iter().find(|field| is_begun(field.need) && !given(field.name))
        {
            return Some(format!("`credentials.{}` is missing: {}", field.name, field.description));
        }
        if sets.is_empty() || sets.iter().any(|set| set.iter().all(|name| given(name))) {
            return None;
        }
        let sets: Vec<String> = sets.iter().map(|set| format!("`{}`", set.join("`, `"))).collect();
        Some(format!("`credentials` needs {}.", sets.join(" or else ")))
    }

    /// The fields that go together, set by set.
    fn credential_sets(&self) -> Vec<Vec<&'static str>> {
        let mut sets: Vec<(&str, Vec<&str>)> = Vec::new();
        for field in self.credentials {
            let Need::With(set) = field.need else { continue };
            match sets.iter_mut().find(|(name, _)| *name == set) {
                Some((_, names)) => names.push(field.name),
                None => sets.push((set, vec![field.name])),
            }
        }
        sets.into_iter().map(|(_, names)| names).collect()
    }

    /// Which table an object goes to; `None` if the connector does not list such an object.
    pub fn table(&self, object: &ObjectName) -> Option<Table> {
        self.objects.iter().find(|spec| spec.name == object.as_str()).map(|spec| spec.table)
    }
}

/// An object that a connector lists.
#[derive(Debug, Clone, Copy)]
pub struct ObjectSpec {
    /// The object's name, a valid [`ObjectName`]: `contacts`, `deals`.
    pub name: &'static str,
    /// Where its records go.
    pub table: Table,
}

/// A field of [`Credentials`].
#[derive(Debug, Clone, Copy)]
pub struct CredentialField {
    /// The key in the JSON object.
    pub name: &'static str,
    /// Whether a connection without it is refused.
    pub need: Need,
    /// What to enter there, for people.
    pub description: &'static str,
}

/// Whether a connection needs a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Always.
    Always,
    /// Together with the others of the same name: a connection has all of them or none, and at least one such set.
    With(&'static str),
    /// It may be left out.
    Optional,
}

/// What a connector needs of its host while a session is open.
#[async_trait]
pub trait Host: Send + Sync {
    /// Persists rotated credentials. The connector uses them only after this returned `Ok`: at some vendors
    /// the old token is dead the moment the new one is issued.
    ///
    /// # Errors
    /// If they could not be persisted; the session then gives up with this error.
    async fn save_credentials(&self, new: &Credentials) -> Result<(), SourceError>;

    /// How many live records of an object the host has.
    ///
    /// # Errors
    /// If the host cannot tell; so do the other questions.
    async fn known(&self, _object: &ObjectName) -> Result<Known, SourceError> {
        Ok(Known::default())
    }

    /// Every `step`-th id of the live records, in order of number, from the first on.
    async fn known_bounds(&self, _object: &ObjectName, _step: u64) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }

    /// The ids of the live records from `from` up to but not including `to`, in order of number, at most `max`;
    /// without an end if `to` is `None`.
    async fn known_between(
        &self,
        _object: &ObjectName,
        _from: &str,
        _to: Option<&str>,
        _max: u64,
    ) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }

    /// The ids of the next live records after `after`, at most `max`, in an order that is the host's own and the same
    /// at all times.
    async fn known_after(
        &self,
        _object: &ObjectName,
        _after: Option<&str>,
        _max: u64,
    ) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }
}

/// How many live records of an object a host has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    /// All of them.
    pub records: u64,
    /// Whether there are any, deleted ones included, that this run did not bring.
    pub had_before: bool,
    /// Records that were marked as deleted within the last hour: a vendor's index may still show them.
    pub lately_deleted: u64,
}

/// The code for a vendor. One for the whole process; it shares budgets and connections among its sessions.
#[async_trait]
pub trait Connector: Send + Sync {
    /// What this connector is.
    fn spec(&self) -> &'static ConnectorSpec;

    /// Prepares to read a workspace's account. Asks the vendor which account it is if the connection does
    /// not say; sends nothing otherwise.
    ///
    /// # Errors
    /// [`crate::ErrorClass::Unauthorized`] if a credential is missing or refused; or whatever asking the vendor gives.
    async fn open(
        &self,
        connection: Connection,
        host: Arc<dyn Host>,
    ) -> Result<Box<dyn Session>, SourceError>;
}

/// An account, ready to be read. All reading waits for the account's budget and retries what is worth it;
/// an error that comes out is meant for the job.
#[async_trait]
pub trait Session: Send + Sync {
    /// The account's id at the vendor.
    fn account_id(&self) -> &str;

    /// How far the account's clock is ahead of UTC, in milliseconds; `None` if that is not known.
    fn utc_offset_ms(&self) -> Option<i64> {
        None
    }

    /// How many records to expect. Cheap (one request at most); `None` if the vendor does not say.
    ///
    /// # Errors
    /// See [`crate::ErrorClass`].
    async fn estimate(&self, object: &ObjectName) -> Result<Option<u64>, SourceError>;

    /// One page, from the start if `position` is `None`. Asking again with the same position is allowed at any
    /// time, also by another process: a position holds everything that is needed to go on.
    ///
    /// # Errors
    /// See [`crate::ErrorClass`]. A record that cannot be transformed is no error: it is in [`Page::rejected`].
    async fn page(&self, object: &ObjectName, position: Option<&Position>) -> Result<Page, SourceError>;

    /// Compares what the host has of an object with what the vendor has, after its last page was committed: paging
    /// never shows what is gone without a trace. From the start if `place` is `None`. Costs next to nothing if both
    /// have equally many.
    ///
    /// # Errors
    /// See [`crate::ErrorClass`].
    async fn compare(
        &self,
        _object: &ObjectName,
        _place: Option<&Position>,
    ) -> Result<Difference, SourceError> {
        Ok(Difference::default())
    }
}
