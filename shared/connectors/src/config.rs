//! Settings. Deserialized by `runtime`'s configuration; nothing here reads the environment.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::ConnectorName;
use serde::Deserialize;
use url::Url;

use crate::budget::{ClassDefaults, ClassRules, QuotaShare};

/// Settings of all connectors, by name. A connector that is not named here has its defaults.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectorsConfig {
    /// By the connector's name.
    pub connectors: BTreeMap<ConnectorName, ConnectorConfig>,
}

/// Settings of one connector. Every field has a default that suits the real vendor.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectorConfig {
    /// Where the vendor's API is; `http` or `https`. The vendor's own address by default. For tests and
    /// gateways; a tenant never has a say in it.
    pub base_url: Option<String>,
    /// What the vendor allows an account, by endpoint class. A class that is not named has its defaults.
    pub budgets: BTreeMap<String, BudgetConfig>,
    /// How much of what the vendor allows is used, above 0 to 1, where a connection does not say
    /// ([`crate::Connection::quota_share`]); 0.9 by default. The rest is left to other tools of the customer.
    pub quota_share: Option<f64>,
    /// Records asked for with one request; the vendor's maximum by default.
    pub page_size: Option<u32>,
    /// An account whose answers take so many milliseconds counts as slow: more requests are made side by side, if its
    /// budget allows. 40 by default.
    pub slow_ms: Option<u64>,
}

/// What the vendor allows an account for one class of endpoints. A field that is left out keeps the class's default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetConfig {
    /// All of them hold at once.
    pub windows: Option<Vec<WindowConfig>>,
    /// The least time between two requests, in milliseconds; 0 for none.
    pub spacing_ms: Option<u64>,
    /// Requests that may be sent without pacing while the window is that empty; a third of the limit by default.
    pub burst: Option<u32>,
}

/// At most `limit` requests in any `per_ms` milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowConfig {
    /// Requests.
    pub limit: u32,
    /// The window's length in milliseconds.
    pub per_ms: u64,
}

/// How requests are made, the same for all vendors.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Milliseconds to wait for a connection.
    pub connect_timeout_ms: u64,
    /// Milliseconds to wait for a whole answer, from sending to the last byte.
    pub request_timeout_ms: u64,
    /// The longest answer in bytes, unpacked.
    pub body_max_bytes: usize,
    /// How often a failed request is sent again.
    pub retries: u32,
    /// Milliseconds before the first retry; each further one waits twice as long. 0: none waits for more than its turn
    /// in the budget.
    pub retry_base_ms: u64,
    /// A vendor's request to wait longer than this many milliseconds is not sat out here but returned as
    /// [`crate::ErrorClass::Quota`], so that the worker's slot is free meanwhile.
    pub quota_wait_max_ms: u64,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            connect_timeout_ms: 5_000,
            request_timeout_ms: 30_000,
            body_max_bytes: 16 * 1024 * 1024,
            retries: 3,
            retry_base_ms: 2_000,
            quota_wait_max_ms: 5_000,
        }
    }
}

impl HttpConfig {
    /// What is wrong with it.
    pub(crate) fn problems(&self) -> Vec<String> {
        let positive = [
            ("connect_timeout_ms", self.connect_timeout_ms),
            ("request_timeout_ms", self.request_timeout_ms),
            ("body_max_bytes", self.body_max_bytes as u64),
        ];
        let zero = positive.into_iter().filter(|(_, value)| *value == 0);
        zero.map(|(name, _)| format!("http: {name} must be above 0")).collect()
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    pub(crate) fn retry_base(&self) -> Duration {
        Duration::from_millis(self.retry_base_ms)
    }

    pub(crate) fn quota_wait_max(&self) -> Duration {
        Duration::from_millis(self.quota_wait_max_ms)
    }
}

/// The address to use, without a slash at the end of its path mattering.
///
/// # Errors
/// If the configured one is no `http` or `https` address of a host, or carries more than host and path.
pub(crate) fn base_url(config: &ConnectorConfig, default: &str) -> Result<Url, String> {
    let text = config.base_url.as_deref().unwrap_or(default);
    let url = Url::parse(text).map_err(|error| format!("base_url `{text}`: {error}"))?;
    let is_plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if matches!(url.scheme(), "http" | "https") && url.has_host() && is_plain && url.password().is_none() {
        Ok(url)
    } else {
        Err(format!("base_url `{text}` must be http(s)://host[:port][/path] and nothing more"))
    }
}

/// The page size to use.
///
/// # Errors
/// If the configured one is not 1 to `max`.
pub(crate) fn page_size(config: &ConnectorConfig, max: u32) -> Result<u32, String> {
    match config.page_size {
        Some(size) if !(1..=max).contains(&size) => Err(format!("page_size {size} must be 1 to {max}")),
        size => Ok(size.unwrap_or(max)),
    }
}

/// The rules of each class. A class that is configured and does not exist is an error of the first one, as is a share
/// that is none.
pub(crate) fn class_rules<const N: usize>(
    config: &ConnectorConfig,
    defaults: [&ClassDefaults; N],
) -> [Result<ClassRules, String>; N] {
    let names = defaults.map(|class| class.class);
    let unknown = config.budgets.keys().find(|name| !names.contains(&name.as_str()));
    let unknown = unknown.map(|name| format!("budget `{name}` is unknown; there are: {}", names.join(", ")));
    let share = config.quota_share.map_or(Some(QuotaShare::DEFAULT), QuotaShare::new);
    let wrong = config.quota_share.filter(|_| share.is_none());
    let wrong = wrong.map(|share| format!("quota_share {share} must be above 0 and at most 1"));
    let mut problem = match (unknown, wrong) {
        (Some(unknown), Some(wrong)) => Some(format!("{unknown}; {wrong}")),
        (unknown, wrong) => unknown.or(wrong),
    };
    let share = share.unwrap_or(QuotaShare::DEFAULT);
    defaults.map(|class| match problem.take() {
        Some(problem) => Err(problem),
        None => ClassRules::new(class, config.budgets.get(class.class), share),
    })
}
