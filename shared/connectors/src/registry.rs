//! Every connector there is. Adding one is its folder and a line in [`CONNECTORS`].

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::ConnectorName;

use crate::budget::Ledger;
use crate::http::HttpClient;
use crate::{
    BudgetView, Connector, ConnectorConfig, ConnectorSpec, ConnectorsConfig, HttpConfig, Sharing, hubspot,
};

/// One line a connector.
static CONNECTORS: &[(&ConnectorSpec, Build)] = &[(&hubspot::SPEC, hubspot::build)];

/// The specs of [`CONNECTORS`].
static SPECS: [&ConnectorSpec; CONNECTORS.len()] = {
    let mut specs = [CONNECTORS[0].0; CONNECTORS.len()];
    let mut i = 0;
    while i < specs.len() {
        specs[i] = CONNECTORS[i].0;
        i += 1;
    }
    specs
};

/// Makes a connector, or says everything that is wrong with its settings.
type Build = fn(&Parts<'_>) -> Result<Arc<dyn Connector>, Vec<String>>;

/// What a connector is made from.
pub(crate) struct Parts<'a> {
    pub(crate) config: &'a ConnectorConfig,
    pub(crate) http: &'a Arc<HttpClient>,
    pub(crate) ledger: &'a Arc<Ledger>,
}

/// Every connector, built once for the process. Sessions opened through one registry share the budgets.
pub struct Registry {
    connectors: BTreeMap<ConnectorName, Arc<dyn Connector>>,
    ledger: Arc<Ledger>,
}

/// Everything that is wrong with the connectors' settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", problems.join("; "))]
pub struct InvalidConnectors {
    /// One line each.
    pub problems: Vec<String>,
}

impl Registry {
    /// Builds all connectors.
    ///
    /// # Errors
    /// Names everything that is wrong at once: unknown connectors and classes, addresses that are none.
    pub fn new(config: &ConnectorsConfig, http: HttpConfig) -> Result<Self, InvalidConnectors> {
        Self::build(config, http, None)
    }

    /// As [`Registry::new`], with the accounts' budgets shared with the registries of other processes.
    ///
    /// # Errors
    /// As [`Registry::new`].
    pub fn sharing(
        config: &ConnectorsConfig,
        http: HttpConfig,
        sharing: Sharing,
    ) -> Result<Self, InvalidConnectors> {
        Self::build(config, http, Some(sharing))
    }

    fn build(
        config: &ConnectorsConfig,
        http: HttpConfig,
        sharing: Option<Sharing>,
    ) -> Result<Self, InvalidConnectors> {
        let mut problems = unknown_connectors(config);
        problems.extend(http.problems());
        let http = match HttpClient::new(http) {
            Ok(http) => Arc::new(http),
            Err(problem) => {
                problems.push(problem);
                return Err(InvalidConnectors { problems });
            }
        };
        let ledger = Arc::new(Ledger::new(sharing));
        let default_config = ConnectorConfig::default();
        let mut connectors: BTreeMap<ConnectorName, Arc<dyn Connector>> = BTreeMap::new();
        for (spec, build) in CONNECTORS {
            let Ok(name) = spec.name.parse::<ConnectorName>() else {
                problems.push(format!("connector `{}`: its name is invalid", spec.name));
                continue;
            };
            let config = config.connectors.get(&name).unwrap_or(&default_config);
            match build(&Parts { config, http: &http, ledger: &ledger }) {
                Ok(connector) => {
                    connectors.insert(name, connector);
                }
                Err(wrong) => problems.extend(wrong.iter().map(|p| format!("connector `{name}`: {p}"))),
            }
        }
        if problems.is_empty() {
            Ok(Self { connectors, ledger })
        } else {
            Err(InvalidConnectors { problems })
        }
    }

    /// A registry of ready-made connectors, for tests of whoever uses one.
    pub fn of(connectors: Vec<Arc<dyn Connector>>) -> Self {
        let named = |connector: Arc<dyn Connector>| Some((connector.spec().name.parse().ok()?, connector));
        Self { connectors: connectors.into_iter().filter_map(named).collect(), ledger: Arc::default() }
    }

    /// The connector of that name.
    pub fn get(&self, name: &ConnectorName) -> Option<&Arc<dyn Connector>> {
        self.connectors.get(name)
    }

    /// The names of all connectors.
    pub fn names(&self) -> impl Iterator<Item = &ConnectorName> {
        self.connectors.keys()
    }

    /// What there is, without building anything: for checking names and credentials.
    pub fn specs() -> &'static [&'static ConnectorSpec] {
        &SPECS
    }

    /// The spec of that name, without building anything.
    pub fn spec(name: &ConnectorName) -> Option<&'static ConnectorSpec> {
        SPECS.into_iter().find(|spec| spec.name == name.as_str())
    }

    /// What is left of every budget in use.
    pub fn budgets(&self) -> Vec<BudgetView> {
        self.ledger.views()
    }
}

fn unknown_connectors(config: &ConnectorsConfig) -> Vec<String> {
    let known: Vec<_> = SPECS.iter().map(|spec| spec.name).collect();
    let unknown = config.connectors.keys().filter(|name| !known.contains(&name.as_str()));
    unknown.map(|name| format!("connector `{name}` is unknown; there are: {}", known.join(", "))).collect()
}

#[cfg(test)]
mod tests {
    use protocol::ObjectName;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_name_in_a_spec_is_valid_and_no_two_connectors_share_one() {
        for spec in Registry::specs() {
            assert!(spec.name.parse::<ConnectorName>().is_ok(), "{}", spec.name);
            let parsed = spec.objects.iter().map(|object| object.name.parse::<ObjectName>());
            assert!(parsed.clone().all(|name| name.is_ok()));
            assert_eq!(spec.object_names().len(), parsed.count());
            assert_eq!(SPECS.iter().filter(|other| other.name == spec.name).count(), 1);
        }
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let config = json!({"connectors": {
            "hubspto": {},
            "hubspot": {"base_url": "ftp://x", "page_size": 101, "budgets": {
                "objects": {"windows": []}, "search": {"windows": [{"limit": 0, "per_ms": 1}]}}},
        }});
        let config: ConnectorsConfig = serde_json::from_value(config).unwrap();
        let http = HttpConfig { connect_timeout_ms: 0, ..HttpConfig::default() };
        let invalid = Registry::new(&config, http).err().unwrap();
        assert_eq!(invalid.problems.len(), 6, "{invalid}");
    }

    #[test]
    fn a_budget_for_an_unknown_class_and_an_unknown_key_are_refused() {
        let config = json!({"connectors": {"hubspot": {"budgets": {"objetcs": {}}}}});
        let config: ConnectorsConfig = serde_json::from_value(config).unwrap();
        assert!(Registry::new(&config, HttpConfig::default()).is_err());
        let misspelt = json!({"connectors": {"hubspot": {"baseurl": "x"}}});
        assert!(serde_json::from_value::<ConnectorsConfig>(misspelt).is_err());
    }

    #[test]
    fn a_share_of_the_quota_that_is_none_is_refused_once() {
        for share in [json!(0.0), json!(-0.5), json!(1.01)] {
            let config = json!({"connectors": {"hubspot": {"quota_share": share}}});
            let config: ConnectorsConfig = serde_json::from_value(config).unwrap();
            let invalid = Registry::new(&config, HttpConfig::default()).err().unwrap();
            assert_eq!(invalid.problems.len(), 1, "{invalid}");
        }
    }

    #[test]
    fn numbers_that_no_clock_can_hold_are_refused() {
        for budget in [
            json!({"windows": [{"limit": 1, "per_ms": u64::MAX}]}),
            json!({"windows": [{"limit": u32::MAX, "per_ms": 1}]}),
            json!({"spacing_ms": u64::MAX}),
        ] {
            let config = json!({"connectors": {"hubspot": {"budgets": {"objects": budget}}}});
            let config: ConnectorsConfig = serde_json::from_value(config).unwrap();
            assert!(Registry::new(&config, HttpConfig::default()).is_err());
        }
    }

    #[test]
    fn the_defaults_are_valid() {
        let registry = Registry::new(&ConnectorsConfig::default(), HttpConfig::default()).unwrap();
        let names: Vec<_> = registry.names().map(ConnectorName::as_str).collect();
        assert_eq!(names, ["hubspot"]);
    }
}
