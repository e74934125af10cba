//! Extractors that refuse with problems which say what is wrong, where, and what would be right.

use axum::body::{Body, Bytes};
use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, RawPathParams, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use protocol::ProblemKind;
use serde::Serialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::problem::ApiError;

/// The limit without a shell around the route.
const BODY_MAX_BYTES_DEFAULT: usize = 65_536;

/// How many times the limit is read and thrown away, so that the sender gets to read its `413`.
const DISCARD_FACTOR: usize = 16;

/// The longest piece of a caller's input that a problem repeats, in characters.
const ECHO_LEN_MAX: usize = 80;

/// How large a body may be; the shell puts it into every request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BodyLimit(pub(crate) usize);

/// A JSON object as the body of a request or an answer.
///
/// As an extractor: an empty body counts as `{}`. Refuses what is not declared as JSON (415), is too large
/// (413), is no JSON object (400, with line and column), or has a field that is unknown, missing or of the
/// wrong type (422, naming it). `T` has to derive `deny_unknown_fields`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let limit = request.extensions().get::<BodyLimit>().map_or(BODY_MAX_BYTES_DEFAULT, |limit| limit.0);
        let (parts, mut body) = request.into_parts();
        let bytes = read(&mut body, limit).await?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return parse(b"{}").map(Self);
        }
        require_json(&parts.headers)?;
        parse(&bytes).map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => {
                ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
            }
            Err(error) => ApiError::internal(error).into_response(),
        }
    }
}

async fn read(body: &mut Body, limit: usize) -> Result<Bytes, ApiError> {
    match Limited::new(&mut *body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            discard(body, limit).await;
            Err(body_too_large(limit))
        }
        Err(error) => {
            let detail = "The body ended before it was complete.";
            Err(ApiError::new(ProblemKind::InvalidBody, detail).caused_by(error))
        }
    }
}

/// Throws away what is left of a body, up to a bound; the shell's timeout bounds the time.
pub(crate) async fn discard(body: &mut Body, limit: usize) {
    let mut left = limit.saturating_mul(DISCARD_FACTOR);
    while let Some(Ok(frame)) = body.frame().await {
        left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        if left == 0 {
            return;
        }
    }
}

pub(crate) fn body_too_large(limit: usize) -> ApiError {
    ApiError::new(ProblemKind::BodyTooLarge, format!("The body may have at most {limit} bytes."))
}

fn require_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let declared = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = declared.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let suffixed = essence.starts_with("application/") && essence.ends_with("+json");
    if essence == "application/json" || suffixed {
        return Ok(());
    }
    let found = if declared.is_empty() { "nothing".to_owned() } else { format!("`{}`", echo(declared)) };
    let detail = format!("Send the body with Content-Type: application/json; it says {found}.");
    Err(ApiError::new(ProblemKind::UnsupportedMediaType, detail))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // serde also reads a struct from an array; no caller means that.
    let is_object = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    match serde_json::from_slice::<T>(bytes) {
        Ok(value) if is_object => Ok(value),
        _ => Err(why_not::<T>(bytes, is_object)),
    }
}

/// Reads the body again, first as any JSON, then keeping track of the field: only refused requests pay for it.
fn why_not<T: DeserializeOwned>(bytes: &[u8], is_object: bool) -> ApiError {
    if let Err(error) = std::str::from_utf8(bytes) {
        return ApiError::new(ProblemKind::InvalidBody, format!("The body is not UTF-8: {error}."));
    }
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(bytes) {
        return ApiError::new(ProblemKind::InvalidBody, format!("The body is no JSON: {error}."));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Err(error) if is_object => {
            let (path, message) = (error.path().to_string(), error.inner().to_string());
            let detail = if path == "." { sentence(&message) } else { format!("`{path}`: {message}.") };
            ApiError::new(ProblemKind::InvalidField, detail)
        }
        _ => ApiError::new(ProblemKind::InvalidBody, "The body has to be a JSON object."),
    }
}

/// The parameters in the path of a route, as a struct with the names of the route's segments.
///
/// A segment that does not fit `T` is a 400 that names it.
#[derive(Debug, Clone, Copy)]
pub struct PathParams<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(params)) => Ok(Self(params)),
            Err(rejection) => Err(invalid_path::<T>(rejection, parts).await),
        }
    }
}

async fn invalid_path<T: DeserializeOwned>(rejection: PathRejection, parts: &mut Parts) -> ApiError {
    let PathRejection::FailedToDeserializePathParams(failed) = rejection else {
        return ApiError::internal(rejection); // a handler that reads parameters its route does not have
    };
    let detail = match failed.into_kind() {
        ErrorKind::ParseErrorAtKey { key, value, expected_type } => {
            format!("`{key}` in the path is `{}`; it has to be a {expected_type}.", echo(&value))
        }
        ErrorKind::DeserializeError { key, value, message } => {
            format!("`{key}` in the path is `{}`: {message}.", echo(&value))
        }
        ErrorKind::InvalidUtf8InPathParam { key } => format!("`{key}` in the path is not UTF-8."),
        ErrorKind::Message(message) => named_segment::<T>(parts).await.unwrap_or_else(|| sentence(&message)),
        ErrorKind::ParseErrorAtIndex { value, expected_type, .. }
        | ErrorKind::ParseError { value, expected_type } => {
            format!("`{}` in the path has to be a {expected_type}.", echo(&value))
        }
        bug => return ApiError::internal(bug.to_string()),
    };
    ApiError::new(ProblemKind::InvalidParameter, detail)
}

/// axum forgets which segment it was when a `try_from` refuses. Read as a query string, serde can tell.
async fn named_segment<T: DeserializeOwned>(parts: &mut Parts) -> Option<String> {
    let params = RawPathParams::from_request_parts(parts, &()).await.ok()?;
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&params).finish();
    let error = from_query::<T>(&query).err()?;
    let key = error.path().to_string();
    let (_, value) = params.iter().find(|(name, _)| *name == key)?;
    Some(format!("`{key}` in the path is `{}`: {}.", echo(value), error.inner()))
}

/// The query string as a struct. A parameter that is unknown or does not fit is a 400 that names it.
/// `T` has to derive `deny_unknown_fields`.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        from_query(parts.uri.query().unwrap_or_default()).map(Self).map_err(|error| {
            let (path, message) = (error.path().to_string(), error.inner().to_string());
            let detail =
                if path == "." { sentence(&message) } else { format!("`{path}` in the query: {message}.") };
            ApiError::new(ProblemKind::InvalidParameter, detail)
        })
    }
}

fn from_query<T: DeserializeOwned>(
    query: &str,
) -> Result<T, serde_path_to_error::Error<serde_urlencoded::de::Error>> {
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs))
}

fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

fn echo(input: &str) -> String {
    match input.char_indices().nth(ECHO_LEN_MAX) {
        Some((end, _)) => format!("{}…", &input[..end]),
        None => input.to_owned(),
    }
}
