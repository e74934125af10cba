//! Values that must not reach a log. Both print redacted; only `expose` gives the text.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// A secret, such as a key.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is not configured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "(empty)" } else { "(redacted)" })
    }
}

/// One or more addresses, separated by commas, that may contain a password. Prints without user, password
/// and query, so that a service can log what it connects to.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// The address with everything in it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether it is not configured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<String> for SecretUrl {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A password may contain a comma that was not escaped. Then the pieces are no URLs, and nothing
        // that is no URL is printed.
        let shown: Vec<_> = self.0.split(',').filter(|url| !url.is_empty()).map(without_secrets).collect();
        f.write_str(&shown.join(","))
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

fn without_secrets(text: &str) -> String {
    let Ok(url) = url::Url::parse(text.trim()) else {
        return "(redacted)".to_owned();
    };
    let Some(host) = url.host_str() else {
        return format!("{}:(redacted)", url.scheme());
    };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

/// For the one place that may write secrets down: [`Config::to_toml`](crate::Config::to_toml).
pub(super) mod exposed {
    use super::{Secret, Serialize, Serializer};

    pub(in crate::config) fn serialize<S: Serializer>(secret: &Secret, to: S) -> Result<S::Ok, S::Error> {
        secret.expose().serialize(to)
    }
}

/// As [`exposed`], for addresses.
pub(super) mod exposed_url {
    use super::{SecretUrl, Serialize, Serializer};

    pub(in crate::config) fn serialize<S: Serializer>(url: &SecretUrl, to: S) -> Result<S::Ok, S::Error> {
        url.expose().serialize(to)
    }
}
