//! The budgets of vendor accounts in their KV bucket: read, written by compare-and-set, listed. What an entry means
//! is not decided here.

use async_nats::header::{NATS_SEQUENCE, NATS_TIME_STAMP};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use async_nats::{HeaderMap, StatusCode};
use bytes::Bytes;
use protocol::BUDGETS_BUCKET;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::{Bus, BusError};

/// What is under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetRecord {
    /// The value; `None` if there is none, or it was deleted by hand.
    pub value: Option<Bytes>,
    /// What a write has to name; 0 if there never was anything.
    pub revision: u64,
    /// When the server stored it, in Unix milliseconds of its clock; 0 if there is nothing.
    pub stored_at_ms: u64,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetPut {
    /// It is stored, as this revision.
    Stored(u64),
    /// Somebody else wrote meanwhile.
    Conflict,
}

impl Bus {
    /// Reads what is under a key.
    ///
    /// # Errors
    /// If NATS is away or the bucket is gone.
    pub async fn budget(&self, key: &str) -> Result<BudgetRecord, BusError> {
        self.require_connection()?;
        // Asked for directly: the client library would look at the bucket's settings first, each time.
        let subject = format!("$JS.API.DIRECT.GET.KV_{BUDGETS_BUCKET}.{}", subject(key));
        let asked = self.client.request(subject, Bytes::new());
        let answer = match tokio::time::timeout(self.request_timeout, asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) if error.kind() == async_nats::RequestErrorKind::NoResponders => {
                return Err(BusError::Missing(BUDGETS_BUCKET.to_owned()));
            }
            Ok(Err(error)) => return Err(BusError::unavailable(error)),
            Err(elapsed) => return Err(BusError::unavailable(elapsed)),
        };
        match answer.status {
            Some(StatusCode::NOT_FOUND) => {
                return Ok(BudgetRecord { value: None, revision: 0, stored_at_ms: 0 });
            }
            Some(status) if !status.is_success() => return Err(BusError::unavailable(status)),
            _ => {}
        }
        let headers = answer.headers.unwrap_or_default();
        let corrupt = || BusError::Corrupt("a budget came without its revision".to_owned());
        let revision =
            text(&headers, NATS_SEQUENCE).and_then(|text| text.parse().ok()).ok_or_else(corrupt)?;
        let stored_at_ms = text(&headers, NATS_TIME_STAMP).and_then(unix_ms).ok_or_else(corrupt)?;
        let is_deleted = headers.get("KV-Operation").is_some_and(|operation| operation.as_str() != "PUT");
        Ok(BudgetRecord { value: (!is_deleted).then_some(answer.payload), revision, stored_at_ms })
    }

    /// Writes, if what is under the key is still of that revision.
    ///
    /// # Errors
    /// If NATS is away or the bucket is gone. Whether it was written is then unknown.
    pub async fn put_budget(&self, key: &str, value: Vec<u8>, revision: u64) -> Result<BudgetPut, BusError> {
        self.require_connection()?;
        let message = PublishMessage::build().payload(value.into()).expected_last_subject_sequence(revision);
        let stored = async { self.jetstream.send_publish(subject(key), message).await?.await };
        match tokio::time::timeout(self.request_timeout, stored).await {
            Ok(Ok(ack)) => Ok(BudgetPut::Stored(ack.sequence)),
            Ok(Err(error)) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(BudgetPut::Conflict),
            Ok(Err(error)) if error.kind() == PublishErrorKind::StreamNotFound => {
                Err(BusError::Missing(BUDGETS_BUCKET.to_owned()))
            }
            Ok(Err(error)) => Err(BusError::unavailable(error)),
            Err(elapsed) => Err(BusError::unavailable(elapsed)),
        }
    }

    /// The keys that begin with this, in order.
    ///
    /// # Errors
    /// If NATS is away or the bucket is gone.
    pub async fn budget_keys(&self, prefix: &str) -> Result<Vec<String>, BusError> {
        self.require_connection()?;
        let filter = json!({"subjects_filter": format!("{}>", subject(prefix))});
        let info = format!("STREAM.INFO.KV_{BUDGETS_BUCKET}");
        let answer: Value = self.jetstream.request(info, &filter).await.map_err(BusError::unavailable)?;
        match &answer["error"]["code"] {
            Value::Null => {}
            code if code == 404 => return Err(BusError::Missing(BUDGETS_BUCKET.to_owned())),
            _ => return Err(BusError::unavailable(&answer["error"])),
        }
        let subjects = answer["state"]["subjects"].as_object();
        let bucket = subject("");
        let key = |subject: &String| subject.strip_prefix(&bucket).map(str::to_owned);
        let mut keys: Vec<_> = subjects.into_iter().flat_map(|all| all.keys()).filter_map(key).collect();
        keys.sort();
        Ok(keys)
    }
}

fn subject(key: &str) -> String {
    format!("$KV.{BUDGETS_BUCKET}.{key}")
}

fn text(headers: &HeaderMap, name: impl async_nats::header::IntoHeaderName) -> Option<&str> {
    headers.get(name).map(async_nats::HeaderValue::as_str)
}

fn unix_ms(text: &str) -> Option<u64> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}
