use serde::{Deserialize, Serialize};

use super::{Property, companies, contacts, deals};

/// What HubSpot lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    /// `contacts` or `0-1`.
    Contacts,
    /// `companies` or `0-2`.
    Companies,
    /// `deals` or `0-3`.
    Deals,
}

impl Object {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Contacts, Self::Companies, Self::Deals];

    /// From a path segment: the plural name or the type id.
    #[must_use]
    pub fn parse(segment: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|object| segment == object.name() || segment == object.type_id())
    }

    /// The plural name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Contacts => "contacts",
            Self::Companies => "companies",
            Self::Deals => "deals",
        }
    }

    /// The object type id.
    #[must_use]
    pub fn type_id(self) -> &'static str {
        match self {
            Self::Contacts => "0-1",
            Self::Companies => "0-2",
            Self::Deals => "0-3",
        }
    }

    /// The property that says when a record last changed. Contacts differ from all others, as at the vendor.
    #[must_use]
    pub fn cursor_property(self) -> &'static str {
        match self {
            Self::Contacts => "lastmodifieddate",
            Self::Companies | Self::Deals => "hs_lastmodifieddate",
        }
    }

    /// All properties, in order of name.
    pub(crate) fn properties(self) -> &'static [Property] {
        match self {
            Self::Contacts => contacts::PROPERTIES,
            Self::Companies => companies::PROPERTIES,
            Self::Deals => deals::PROPERTIES,
        }
    }

    pub(crate) fn property(self, name: &str) -> Option<&'static Property> {
        let properties = self.properties();
        let at = properties.binary_search_by(|property| property.name.cmp(name)).ok()?;
        properties.get(at)
    }
}

/// What a sync of an object must end with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Expectation {
    /// Live records, the untransformable ones included.
    pub records: u64,
    /// Live records that no client can transform.
    pub untransformable: u64,
    /// Their ids, ascending.
    pub untransformable_ids: Vec<String>,
}
