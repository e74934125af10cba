//! What a workspace's account at a vendor is reached with.

use std::fmt;

use protocol::WorkspaceId;
use serde_json::Value;

/// A workspace's account at a vendor.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The tenant.
    pub workspace_id: WorkspaceId,
    /// The account's id at the vendor, which is what its rate limits are counted by. `None`: not known yet;
    /// opening a session finds it, and the host does well to keep it.
    pub account_id: Option<String>,
    /// How far the account's clock is ahead of UTC, in milliseconds: daily quotas begin anew at its midnight. Known
    /// with the account, if the vendor tells.
    pub utc_offset_ms: Option<i64>,
    /// Tokens and keys.
    pub credentials: Credentials,
    /// How much of what the vendor allows the account may be used, above 0 to 1; if it says nothing,
    /// [`crate::ConnectorConfig::quota_share`]. Of connections with the same account the smallest counts while they are
    /// in use, in this process and in those that share its budgets.
    pub quota_share: Option<f64>,
}

/// Tokens and keys, as a JSON object. `Debug` never shows them, and there is no `Serialize`.
#[derive(Clone, PartialEq)]
pub struct Credentials(Value);

impl Credentials {
    /// Takes the credentials as they are stored (decrypted).
    pub fn new(value: Value) -> Self {
        Self(value)
    }

    /// A text field; `None` if it is missing, empty or no text.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }

    /// Everything, for storing it (encrypted). Not for logs.
    pub fn expose(&self) -> &Value {
        &self.0
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn debug_of_a_connection_shows_no_secret() {
        let connection = Connection {
            workspace_id: "acme".parse().unwrap(),
            account_id: None,
            utc_offset_ms: None,
            credentials: Credentials::new(json!({"accessToken": "pat-eu1-secret"})),
            quota_share: None,
        };
        let shown = format!("{connection:?}");
        assert!(shown.contains("[redacted]") && !shown.contains("secret"), "{shown}");
    }

    #[test]
    fn an_empty_credential_counts_as_missing() {
        let credentials = Credentials::new(json!({"accessToken": "", "n": 1, "ok": "x"}));
        assert_eq!(credentials.field("accessToken"), None);
        assert_eq!(credentials.field("n"), None);
        assert_eq!(credentials.field("ok"), Some("x"));
    }
}
