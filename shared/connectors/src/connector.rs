//! The trait every vendor implements. A host (the worker, a test) opens a session and asks it for pages.

use std::sync::Arc;

use async_trait::async_trait;
use protocol::{ObjectName, Table};

use crate::{Connection, Credentials, Page, Position, SourceError};

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
    pub required: bool,
    /// What to enter there, for people.
    pub description: &'static str,
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
}
