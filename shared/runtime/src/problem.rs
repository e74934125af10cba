//! How a handler says that something went wrong: a kind and a text for the caller, a cause for the log.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use protocol::{Problem, ProblemKind};

use crate::request_id::RequestId;

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// What a `503` asks for when the handler knows nothing better.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);

/// An error answer. What the caller reads (`detail`) and what the log gets (`cause`) are two fields, so
/// that no internal text can slip into an answer.
///
/// [`http::shell`](crate::http::shell) writes the body, because only there the request id is known, and
/// logs the cause, once. Without the shell around it this is a bare status.
#[derive(Debug)]
pub struct ApiError {
    kind: ProblemKind,
    detail: Cow<'static, str>,
    retry_after: Option<Duration>,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl ApiError {
    /// A problem of a kind. `detail` goes to the caller: what happened here, and what to do.
    pub fn new(kind: ProblemKind, detail: impl Into<Cow<'static, str>>) -> Self {
        let retry_after = kind.retryable().then_some(RETRY_AFTER_DEFAULT);
        Self { kind, detail: detail.into(), retry_after, cause: None }
    }

    /// A bug. The caller learns nothing but the request id.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let detail = "Something went wrong on our side. The requestId finds it in the logs.";
        Self::new(ProblemKind::Internal, detail).caused_by(cause)
    }

    /// A store is away or Syncline is busy; the same request may succeed a little later.
    pub fn unavailable(
        detail: impl Into<Cow<'static, str>>,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::new(ProblemKind::Unavailable, detail).caused_by(cause)
    }

    /// The reason, for the log only. Takes any error, an `anyhow::Error` or a text.
    pub fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// When to try again. Sent in whole seconds, rounded up.
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The kind of problem.
    pub fn kind(&self) -> ProblemKind {
        self.kind
    }

    /// What the caller reads.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Logs the failure at the one place that handles it: a bug as an error, a refusal of ours as a
    /// warning, a caller's mistake only at debug.
    fn log(&self) {
        let kind = self.kind.slug();
        let cause = self.cause.as_deref().map(chain).unwrap_or_default();
        match self.kind.status() {
            500 => tracing::error!(problem = kind, cause, "a request failed"),
            503 => tracing::warn!(problem = kind, cause, detail = %self.detail, "a request was turned away"),
            _ => tracing::debug!(problem = kind, cause, detail = %self.detail, "a request was refused"),
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.title(), self.detail)
    }
}

impl Error for ApiError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = status.into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// Turns an answer that carries an [`ApiError`] into the problem the caller sees. Headers that are there
/// already, such as `Allow`, stay.
pub(crate) fn fill_in(response: &mut Response, request_id: &RequestId) {
    let Some(error) = response.extensions_mut().remove::<Arc<ApiError>>() else {
        return;
    };
    error.log();
    let problem = Problem::new(error.kind, &*error.detail, request_id.as_str());
    // Six strings and a number always serialize; an empty body is the fallback that needs no panic.
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, PROBLEM_JSON);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    if let Some(after) = error.retry_after {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    *response.body_mut() = Body::from(body);
}

/// The error and its sources in one line. `Display` of our errors never repeats its source.
fn chain(error: &(dyn Error + Send + Sync + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// For OpenAPI: `responses((status = 404, response = runtime::ProblemResponse))`.
#[derive(utoipa::ToResponse)]
#[response(
    description = "An RFC 9457 problem: what happened, and whether trying again can help",
    content_type = "application/problem+json"
)]
#[expect(dead_code, reason = "only its schema is used")]
pub struct ProblemResponse(Problem);
