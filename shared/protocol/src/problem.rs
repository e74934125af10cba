//! RFC 9457 problems: one body for every error answer, which says whether trying again can help.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Every kind of problem the API answers with. The exhaustive matches below are the one place that turns
/// a kind into a status, a title and a promise about retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// The body is no JSON, or not of the right shape.
    InvalidBody,
    /// A field of the body is unknown or has a wrong value.
    InvalidField,
    /// A part of the path or the query string is malformed.
    InvalidParameter,
    /// The body is larger than allowed.
    BodyTooLarge,
    /// The body is not declared as JSON.
    UnsupportedMediaType,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// There is no such path.
    UnknownPath,
    /// There is no such workspace.
    UnknownWorkspace,
    /// There is no such job in this workspace.
    UnknownJob,
    /// No connector has that name.
    UnknownConnector,
    /// The workspace has no connection for that connector.
    NotConnected,
    /// The job has nothing that awaits an approval.
    NothingToApprove,
    /// A sync of the same scope is active.
    SyncActive,
    /// The job is over: there is nothing to cancel.
    JobOver,
    /// The job neither failed nor was cancelled: there is nothing to try again.
    NotRetryable,
    /// The `Idempotency-Key` was used for another request.
    KeyReused,
    /// Syncline is busy or one of its stores is away.
    Unavailable,
    /// A bug.
    Internal,
}

impl ProblemKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::InvalidBody,
        Self::InvalidField,
        Self::InvalidParameter,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::MethodNotAllowed,
        Self::UnknownPath,
        Self::UnknownWorkspace,
        Self::UnknownJob,
        Self::UnknownConnector,
        Self::NotConnected,
        Self::NothingToApprove,
        Self::SyncActive,
        Self::JobOver,
        Self::NotRetryable,
        Self::KeyReused,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Self::InvalidBody | Self::InvalidParameter => 400,
            Self::UnknownPath | Self::UnknownWorkspace | Self::UnknownJob => 404,
            Self::MethodNotAllowed => 405,
            Self::NothingToApprove | Self::SyncActive | Self::JobOver | Self::NotRetryable => 409,
            Self::BodyTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::InvalidField | Self::UnknownConnector | Self::NotConnected | Self::KeyReused => 422,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }

    /// The last part of `type`: `urn:syncline:problem:<slug>`.
    pub fn slug(self) -> &'static str {
        match self {
            Self::InvalidBody => "invalid-body",
            Self::InvalidField => "invalid-field",
            Self::InvalidParameter => "invalid-parameter",
            Self::BodyTooLarge => "body-too-large",
            Self::UnsupportedMediaType => "unsupported-media-type",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::UnknownPath => "unknown-path",
            Self::UnknownWorkspace => "unknown-workspace",
            Self::UnknownJob => "unknown-job",
            Self::UnknownConnector => "unknown-connector",
            Self::NotConnected => "not-connected",
            Self::NothingToApprove => "nothing-to-approve",
            Self::SyncActive => "sync-active",
            Self::JobOver => "job-over",
            Self::NotRetryable => "not-retryable",
            Self::KeyReused => "idempotency-key-reused",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
        }
    }

    /// The title, the same for every problem of the kind.
    pub fn title(self) -> &'static str {
        match self {
            Self::InvalidBody => "The body is not valid JSON of the expected shape",
            Self::InvalidField => "A field is unknown or has a wrong value",
            Self::InvalidParameter => "A parameter is malformed",
            Self::BodyTooLarge => "The body is too large",
            Self::UnsupportedMediaType => "The body must be application/json",
            Self::MethodNotAllowed => "This path does not have that method",
            Self::UnknownPath => "There is no such path",
            Self::UnknownWorkspace => "There is no such workspace",
            Self::UnknownJob => "There is no such job in this workspace",
            Self::UnknownConnector => "There is no such connector",
            Self::NotConnected => "The workspace has no connection for this connector",
            Self::NothingToApprove => "There is nothing to approve",
            Self::SyncActive => "A sync is active",
            Self::JobOver => "The job is over already",
            Self::NotRetryable => "The job neither failed nor was cancelled",
            Self::KeyReused => "The Idempotency-Key was used for another request",
            Self::Unavailable => "Temporarily unavailable",
            Self::Internal => "Internal error",
        }
    }

    /// Whether the same request may succeed later.
    pub fn retryable(self) -> bool {
        self == Self::Unavailable
    }
}

/// The body of an error answer, `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Which kind of problem, as a URN: `urn:syncline:problem:unknown-workspace`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The HTTP status, again.
    pub status: u16,
    /// What happened here, and what to do.
    pub detail: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// Names the request in the logs.
    pub request_id: String,
}

impl Problem {
    /// A problem of a kind.
    pub fn new(kind: ProblemKind, detail: impl Into<String>, request_id: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:syncline:problem:{}", kind.slug()),
            title: kind.title().to_owned(),
            status: kind.status(),
            detail: detail.into(),
            retryable: kind.retryable(),
            request_id: request_id.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_kind_of_problem_has_a_slug_of_its_own() {
        let slugs: HashSet<_> = ProblemKind::ALL.iter().map(|kind| kind.slug()).collect();
        assert_eq!(slugs.len(), ProblemKind::ALL.len());
    }

    #[test]
    fn only_a_503_promises_that_a_retry_can_help() {
        for kind in ProblemKind::ALL {
            assert_eq!(kind.retryable(), kind.status() == 503, "{kind:?}");
        }
    }
}
