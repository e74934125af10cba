//! `Idempotency-Key`: the same request gets the same answer, also after its job ended.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use protocol::ProblemKind;
use runtime::ApiError;
use serde_json::Value;
use store::{Once as Key, StoredAnswer};

use crate::request::accepted_answer;

/// The request header.
const HEADER: &str = "idempotency-key";
/// The longest key, in bytes.
const KEY_LEN_MAX: usize = 255;
/// Says that an answer was stored before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// A request that is to be carried out once, if it came with a key.
#[derive(Debug, Clone)]
pub(crate) struct Once {
    pub(crate) key: Option<Key>,
}

impl Once {
    /// From the headers; `request` is what the key stands for.
    pub(crate) fn from(headers: &HeaderMap, request: Value) -> Result<Self, ApiError> {
        let mut values = headers.get_all(HEADER).iter();
        let Some(value) = values.next() else { return Ok(Self { key: None }) };
        let is_visible = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_graphic);
        let fits = (1..=KEY_LEN_MAX).contains(&value.len()) && is_visible(value.as_bytes());
        match value.to_str() {
            Ok(key) if fits && values.next().is_none() => {
                Ok(Self { key: Some(Key { key: key.to_owned(), request }) })
            }
            _ => {
                let detail = format!(
                    "Send one Idempotency-Key of 1 to {KEY_LEN_MAX} visible ASCII characters, a UUID for example."
                );
                Err(ApiError::new(ProblemKind::InvalidParameter, detail))
            }
        }
    }
}

/// The stored answer, if it is to the same request.
pub(crate) fn replayed(stored: StoredAnswer) -> Result<Response, ApiError> {
    match stored {
        StoredAnswer::Same(answer) => {
            let url = answer.get("statusUrl").and_then(Value::as_str).unwrap_or_default();
            let mut response = accepted_answer(url, &answer)?;
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            Ok(response)
        }
        StoredAnswer::OtherRequest => {
            let detail = "This Idempotency-Key was used for another request within 24 hours. \
                          Use a new key for a new request.";
            Err(ApiError::new(ProblemKind::KeyReused, detail))
        }
    }
}
