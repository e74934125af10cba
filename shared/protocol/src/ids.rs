//! Names and ids. Every name that becomes a token of a NATS subject or a KV key is checked here once,
//! so nothing built from them can smuggle in a `.`, `*` or `>`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest workspace, connector or object name, in bytes.
pub const NAME_LEN_MAX: usize = 64;

/// A name that is not 1 to [`NAME_LEN_MAX`] of `A-Z a-z 0-9 _ -`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be 1 to {NAME_LEN_MAX} characters out of A-Z, a-z, 0-9, `_` and `-`")]
pub struct InvalidName {
    what: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String, min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9_-]{1,64}$")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(s: &str) -> Result<Self, InvalidName> {
                Self::try_from(s.to_owned())
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(s: String) -> Result<Self, InvalidName> {
                if is_token(&s) { Ok(Self(s)) } else { Err(InvalidName { what: $what }) }
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The tenant. Chosen by whoever sets the workspace up; a UUID fits.
    WorkspaceId,
    "a workspace id"
);
name!(
    /// The code for a vendor: `hubspot`, `salesforce`, `monday`, `google-drive`.
    ConnectorName,
    "a connector name"
);
name!(
    /// What is listed at a vendor: `contacts`, `deals`.
    ObjectName,
    "an object name"
);

fn is_token(s: &str) -> bool {
    (1..=NAME_LEN_MAX).contains(&s.len())
        && s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// One accepted request. A UUIDv7, so ids sort by the time they were made.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
#[schema(value_type = uuid::Uuid)]
pub struct JobId(pub Uuid);

impl JobId {
    /// A new id, later than every id this process made before.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for JobId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobId {
    type Err = uuid::Error;
    fn from_str(s: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(s).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_be_64_bytes_long_and_no_longer() {
        assert!("a".repeat(64).parse::<WorkspaceId>().is_ok());
        assert!("a".repeat(65).parse::<WorkspaceId>().is_err());
        assert!("".parse::<WorkspaceId>().is_err());
    }

    #[test]
    fn a_name_cannot_carry_a_subject_wildcard_or_separator() {
        for bad in ["a.b", "*", ">", "a b", "a/b", "ä", "a\n"] {
            assert!(bad.parse::<ConnectorName>().is_err(), "{bad:?} was accepted");
        }
    }
}
