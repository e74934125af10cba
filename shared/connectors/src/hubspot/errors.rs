//! What HubSpot's refusals mean.

use std::time::Duration;

use reqwest::header::HeaderMap;
use serde::Deserialize;

use super::objects::SPEC;
use crate::budget::Reported;
use crate::http::{Answer, Dialect, Failure, Wait, public_text};
use crate::{ErrorClass, SourceError};

/// A locked resource (423) wants to be left alone for at least this long, says HubSpot.
const LOCKED_WAIT: Duration = Duration::from_secs(2);
/// `TEN_SECONDLY_ROLLING` without `Retry-After`: after ten seconds nothing is left in the window.
const TEN_SECONDLY_WAIT: Duration = Duration::from_secs(10);
/// `SECONDLY` (search) without `Retry-After`.
const SECONDLY_WAIT: Duration = Duration::from_secs(1);
/// `DAILY` without `Retry-After`. Counters are reset at midnight of the account's time zone, which is known
/// only right after asking for the account; asking once an hour costs 24 of 250,000 requests.
const DAILY_WAIT: Duration = Duration::from_secs(60 * 60);
/// 477 without `Retry-After`: the account's data is being moved, for up to a day.
const MIGRATION_WAIT: Duration = Duration::from_secs(60 * 60);

/// HubSpot's way to say things. Knows what must not be shown.
pub(super) struct HubspotDialect {
    pub(super) token: String,
    pub(super) host: String,
}

/// An error's body. Every key is optional, and Cloudflare sends HTML instead.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Envelope {
    message: Option<String>,
    category: Option<String>,
    policy_name: Option<String>,
    correlation_id: Option<String>,
}

impl Dialect for HubspotDialect {
    fn title(&self) -> &'static str {
        SPEC.title
    }

    fn reported(&self, headers: &HeaderMap) -> Option<Reported> {
        let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<u32>().ok();
        Some(Reported {
            per: Duration::from_millis(number("x-hubspot-ratelimit-interval-milliseconds")?.into()),
            limit: number("x-hubspot-ratelimit-max")?,
            remaining: number("x-hubspot-ratelimit-remaining")?,
        })
    }

    fn refusal(&self, answer: &Answer) -> Option<Failure> {
        if answer.is_success() {
            return None;
        }
        let envelope: Envelope = serde_json::from_slice(&answer.body).unwrap_or_default();
        let (class, wait) = meaning(answer, &envelope);
        let request_id = answer
            .header("x-hubspot-correlation-id")
            .map(str::to_owned)
            .or_else(|| envelope.correlation_id.clone())
            .map(|id| self.public(&id));
        let error = SourceError { class, message: self.message(answer.status, &envelope), request_id };
        Some(Failure { error, wait })
    }
}

impl HubspotDialect {
    fn message(&self, status: u16, envelope: &Envelope) -> String {
        let mut message = format!("HubSpot answered {status}");
        if let Some(category) = envelope.category.as_deref().or(envelope.policy_name.as_deref()) {
            message.push(' ');
            message.push_str(&self.public(category));
        }
        if let Some(text) = &envelope.message {
            message.push_str(": ");
            message.push_str(&self.public(text));
        }
        message
    }

    fn public(&self, text: &str) -> String {
        public_text(text, &[&self.token, &self.host])
    }
}

/// The table of statuses.
fn meaning(answer: &Answer, envelope: &Envelope) -> (ErrorClass, Wait) {
    let transient = |at_least| match answer.retry_after() {
        Some(wait) => (ErrorClass::Transient, Wait::Asked(wait.max(at_least))),
        None => (ErrorClass::Transient, Wait::Backoff { at_least }),
    };
    let quota = |default| {
        let retry_after = answer.retry_after().unwrap_or(default);
        (ErrorClass::Quota { retry_after }, Wait::Held(retry_after))
    };
    match answer.status {
        // 530 is Cloudflare's, and in practice a token of the wrong form.
        401 | 530 => (ErrorClass::Unauthorized, Wait::Never),
        403 => (ErrorClass::Forbidden, Wait::Never),
        408 => transient(Duration::ZERO),
        423 => transient(LOCKED_WAIT),
        429 => quota(match envelope.policy_name.as_deref() {
            Some("SECONDLY") => SECONDLY_WAIT,
            Some("DAILY") => DAILY_WAIT,
            _ => TEN_SECONDLY_WAIT,
        }),
        477 => quota(MIGRATION_WAIT),
        500.. => transient(Duration::ZERO),
        _ => (ErrorClass::Permanent, Wait::Never),
    }
}

#[cfg(test)]
#[path = "errors_tests.rs"]
mod tests;
