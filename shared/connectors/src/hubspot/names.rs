//! The names of an object's properties: all that the account has, its custom ones included.

use serde::Deserialize;

use super::objects::Object;
use crate::http::Unreadable;

/// What is asked for, in order of name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Names(Vec<String>);

#[derive(Deserialize)]
struct Described {
    results: Vec<Property>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Property {
    name: String,
    data_sensitivity: Option<String>,
    #[serde(default)]
    archived: bool,
}

impl Property {
    /// Sensitive ones need scopes of their own, and asking for one without them would fail the page.
    fn is_open(&self) -> bool {
        let is_sensitive = self.data_sensitivity.as_deref().is_some_and(|level| level != "non_sensitive");
        !self.archived && !is_sensitive && !self.name.is_empty() && !self.name.contains(',')
    }
}

impl Names {
    /// What is there in every account, for one that does not tell what it has.
    pub(super) fn typical(object: &Object) -> Self {
        Self(object.properties.split(',').map(str::to_owned).collect())
    }

    /// Reads what the account says it has.
    ///
    /// # Errors
    /// If it is no list of properties.
    pub(super) fn read(object: &Object, body: &[u8]) -> Result<Self, Unreadable> {
        let described: Described = serde_json::from_slice(body)?;
        let open = described.results.into_iter().filter(Property::is_open);
        let mut names: Vec<String> = open.map(|property| property.name).collect();
        names.sort_unstable();
        names.dedup();
        // To ask for no names is to ask for six of them.
        Ok(if names.is_empty() { Self::typical(object) } else { Self(names) })
    }

    /// For a body.
    pub(super) fn all(&self) -> &[String] {
        &self.0
    }

    /// For a URL.
    pub(super) fn joined(&self) -> String {
        self.0.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::super::objects::DEALS;
    use super::*;

    #[test]
    fn all_names_are_taken_in_order_but_not_the_sensitive_ones() {
        let body = br#"{"results":[{"name":"x_custom","hidden":true},{"name":"amount","dataSensitivity":"non_sensitive"},
            {"name":"iban","dataSensitivity":"highly_sensitive"},{"name":"old","archived":true},{"name":"amount"},{"name":""}]}"#;
        assert_eq!(Names::read(&DEALS, body).unwrap().all(), ["amount", "x_custom"]);
    }

    #[test]
    fn an_account_that_names_none_is_asked_for_the_typical_ones() {
        assert_eq!(Names::read(&DEALS, br#"{"results":[]}"#), Ok(Names::typical(&DEALS)));
        assert_eq!(Names::typical(&DEALS).joined(), DEALS.properties);
        assert!(Names::read(&DEALS, b"{}").is_err());
    }
}
