//! Why a vendor could not be read.

use std::time::Duration;

/// Why a vendor could not be read, after the connector's own retries.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    /// What to do about it.
    pub class: ErrorClass,
    /// One line that may be shown to the workspace: no secret, no host, no control characters.
    pub message: String,
    /// The vendor's id of the failed request, for asking its support.
    pub request_id: Option<String>,
}

/// What to do about a [`SourceError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// May go away by itself: the network, a 5xx, an answer that cannot be read. Try the job again later.
    Transient,
    /// The vendor wants to be left alone. No fault of the job, so no attempt to count.
    Quota {
        /// For how long, from now.
        retry_after: Duration,
    },
    /// The credentials are not accepted (any more): somebody has to connect the account again.
    Unauthorized,
    /// The credentials do not allow this object. Other objects may work.
    Forbidden,
    /// The same request will fail again.
    Permanent,
}

impl SourceError {
    /// An error of a class, without a request id.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), request_id: None }
    }
}
