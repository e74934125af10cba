//! What went wrong in an attempt.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{AttemptErrorClass, ObjectName};

/// So many are kept of a job: the newest. Attempts are few, waits for a quota may be many.
pub const ATTEMPT_ERRORS_MAX: usize = 20;
/// The longest message that is kept, in characters.
pub const ATTEMPT_MESSAGE_MAX: usize = 500;

/// The error that ended an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttemptError {
    /// Which attempt: 1 is the first. A wait for the vendor's quota is not counted, so several may have one number.
    pub attempt: u32,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What kind of error, which decides what became of the job.
    pub class: AttemptErrorClass,
    /// What went wrong, for people. At most 500 characters.
    pub message: String,
    /// What was being read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectName>,
    /// The vendor's own name of the request: what its support asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor_request_id: Option<String>,
}
