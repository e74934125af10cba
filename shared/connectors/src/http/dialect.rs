//! What the client must be told about a vendor.

use std::fmt;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::Failure;
use crate::budget::Reported;

/// How a vendor says things.
pub(crate) trait Dialect: Send + Sync {
    /// The vendor's name, for messages.
    fn title(&self) -> &'static str;

    /// What the answer says about the budget it was counted in.
    fn reported(&self, headers: &HeaderMap) -> Option<Reported>;

    /// Why the answer is a refusal; `None` if it is the thing asked for. Also asked about a 200: some vendors
    /// refuse in the body.
    fn refusal(&self, answer: &Answer) -> Option<Failure>;
}

/// An answer that came in whole, or up to the limit for one that is a refusal anyway.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Whether the status is 2xx.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// `Retry-After` in seconds. The form with a date is not used by any vendor here and counts as missing; so does 0,
    /// which says nothing of when it would be otherwise.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let seconds = self.header(RETRY_AFTER.as_str())?.trim().parse::<f64>().ok()?;
        Duration::try_from_secs_f64(seconds).ok().filter(|wait| !wait.is_zero())
    }
}

/// An answer with a good status that is not what it should be. The text says what is wrong with it and holds
/// none of its content.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable(pub(crate) String);

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        let kind = match error.classify() {
            serde_json::error::Category::Data => "JSON of an unexpected shape",
            _ => "not JSON",
        };
        Self(format!("{kind} (line {}, column {})", error.line(), error.column()))
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
