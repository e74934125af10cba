//! What HubSpot's refusals mean.

use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::Duration;

use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

use super::objects::SPEC;
use super::position::Millis;
use crate::budget::Reported;
use crate::http::{Answer, Dialect, Failure, Wait, public_text};
use crate::{ErrorClass, SourceError};

/// A locked resource (423) wants to be left alone for at least this long, says HubSpot.
const LOCKED_WAIT: Duration = Duration::from_secs(2);
/// `TEN_SECONDLY_ROLLING` without `Retry-After`: after ten seconds nothing is left in the window.
const TEN_SECONDLY_WAIT: Duration = Duration::from_secs(10);
/// `SECONDLY` (search) without `Retry-After`.
const SECONDLY_WAIT: Duration = Duration::from_secs(1);
/// `DAILY` without `Retry-After`, if the account's midnight is not known or cannot be right. Asking once an hour costs
/// 24 of 250,000 requests.
const DAILY_WAIT: Duration = Duration::from_secs(60 * 60);
/// Our clock and HubSpot's may differ by so much: nothing is sent until so long after the account's midnight.
const MIDNIGHT_SLACK: Duration = Duration::from_secs(60);
/// A midnight further away than this was a moment ago, and the quota is used up all the same: the offset that we know
/// is not the present one, as it is twice a year.
const MIDNIGHT_WAIT_MAX: Duration = Duration::from_secs(23 * 60 * 60);
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// 477 without `Retry-After`: the account's data is being moved, for up to a day.
const MIGRATION_WAIT: Duration = Duration::from_secs(60 * 60);
/// 521 and 523 without `Retry-After`: HubSpot itself is down behind its proxy. That takes minutes, which no job should
/// spend its attempts on.
const ORIGIN_DOWN_WAIT: Duration = Duration::from_secs(2 * 60);
/// The most scopes that a message names.
const SCOPES_MAX: usize = 10;

/// What the token endpoint says of credentials that will never do: RFC 6749's words and HubSpot's older ones.
const REFUSED_GRANTS: [&str; 6] = [
    "BAD_REFRESH_TOKEN",
    "BAD_CLIENT_ID",
    "BAD_CLIENT_SECRET",
    "invalid_grant",
    "invalid_client",
    "unauthorized_client",
];

/// HubSpot's way to say things. Knows what must not be shown.
pub(super) struct HubspotDialect {
    host: String,
    /// Every token and key that the session has used, the longest first: one may be the beginning of another. A
    /// session gets a new one every half hour.
    secrets: RwLock<Vec<String>>,
    /// How far the account's clock is ahead of UTC, in milliseconds, if it was asked for.
    utc_offset_ms: OnceLock<i64>,
}

/// An error's body. Every key is optional, and Cloudflare sends HTML instead.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Envelope {
    /// `error`, or at the older token endpoint what is wrong.
    status: Option<String>,
    message: Option<String>,
    category: Option<String>,
    #[serde(rename = "policyName")]
    policy_name: Option<String>,
    #[serde(rename = "correlationId")]
    correlation_id: Option<String>,
    /// What is wrong, at the newer token endpoints.
    error: Option<String>,
    error_description: Option<String>,
    errors: Value,
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
        let (class, wait) = self.meaning(answer, &envelope);
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
    pub(super) fn new(host: String) -> Self {
        Self { host, secrets: RwLock::default(), utc_offset_ms: OnceLock::new() }
    }

    /// From now on this is in no message.
    pub(super) fn keep_secret(&self, secret: &str) {
        let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        if !secret.is_empty() && !secrets.iter().any(|known| known == secret) {
            secrets.push(secret.to_owned());
            secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        }
    }

    /// How far the account's clock is ahead, as far as that is known.
    pub(super) fn utc_offset_ms(&self) -> Option<i64> {
        self.utc_offset_ms.get().copied()
    }

    /// From now on the account's midnight is known.
    pub(super) fn know_utc_offset(&self, utc_offset_ms: i64) {
        self.utc_offset_ms.get_or_init(|| utc_offset_ms);
    }

    /// The table of statuses.
    fn meaning(&self, answer: &Answer, envelope: &Envelope) -> (ErrorClass, Wait) {
        let transient = |at_least| match answer.retry_after() {
            Some(wait) => (ErrorClass::Transient, Wait::Asked(wait.max(at_least))),
            None => (ErrorClass::Transient, Wait::Backoff { at_least }),
        };
        let quota = |default| {
            let retry_after = answer.retry_after().unwrap_or(default);
            (ErrorClass::Quota { retry_after }, Wait::Held(retry_after))
        };
        match answer.status {
            400 if envelope.is_refused_grant() => (ErrorClass::Unauthorized, Wait::Never),
            // 530 is Cloudflare's, and in practice a token of the wrong form.
            401 | 530 => (ErrorClass::Unauthorized, Wait::Never),
            403 => (ErrorClass::Forbidden, Wait::Never),
            408 => transient(Duration::ZERO),
            423 => transient(LOCKED_WAIT),
            429 => quota(match envelope.policy_name.as_deref() {
                Some("SECONDLY") => SECONDLY_WAIT,
                Some("DAILY") => daily_wait(self.utc_offset_ms(), Millis::now()),
                _ => TEN_SECONDLY_WAIT,
            }),
            477 => quota(MIGRATION_WAIT),
            521 | 523 => quota(ORIGIN_DOWN_WAIT),
            500.. => transient(Duration::ZERO),
            _ => (ErrorClass::Permanent, Wait::Never),
        }
    }

    fn message(&self, status: u16, envelope: &Envelope) -> String {
        let mut message = format!("HubSpot answered {status}");
        if let Some(name) = envelope.name() {
            message.push(' ');
            message.push_str(&self.public(name));
        }
        if let Some(text) = envelope.message.as_ref().or(envelope.error_description.as_ref()) {
            message.push_str(": ");
            message.push_str(&self.public(text));
        }
        let scopes = envelope.required_scopes();
        if !scopes.is_empty() {
            message.push_str(" Required scopes: ");
            message.push_str(&self.public(&scopes.join(", ")));
        }
        if envelope.is_refused_grant() {
            message.push_str("; connect the account again");
        }
        message
    }

    fn public(&self, text: &str) -> String {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        let hidden: Vec<&str> = secrets.iter().chain([&self.host]).map(String::as_str).collect();
        public_text(text, &hidden)
    }
}

impl Envelope {
    /// The most telling word.
    fn name(&self) -> Option<&str> {
        let status = self.status.as_deref().filter(|status| *status != "error");
        let named = self.category.as_deref().or(self.policy_name.as_deref());
        named.or(status).or(self.error.as_deref())
    }

    fn is_refused_grant(&self) -> bool {
        let said = [&self.status, &self.category, &self.error];
        said.into_iter().flatten().any(|word| REFUSED_GRANTS.contains(&word.as_str()))
    }

    /// What a 403 says that the token lacks.
    fn required_scopes(&self) -> Vec<&str> {
        let errors = self.errors.as_array().into_iter().flatten();
        let scopes = errors.filter_map(|error| error["context"]["requiredGranularScopes"].as_array());
        scopes.flatten().filter_map(Value::as_str).take(SCOPES_MAX).collect()
    }
}

/// How long nothing is to be sent when the day's requests are used up.
fn daily_wait(utc_offset_ms: Option<i64>, now: Millis) -> Duration {
    let Some(utc_offset_ms) = utc_offset_ms else { return DAILY_WAIT };
    let left_ms = DAY_MS - now.0.saturating_add(utc_offset_ms).rem_euclid(DAY_MS);
    let left = Duration::from_millis(u64::try_from(left_ms).unwrap_or(0));
    if left > MIDNIGHT_WAIT_MAX { DAILY_WAIT } else { left + MIDNIGHT_SLACK }
}

#[cfg(test)]
#[path = "errors_tests.rs"]
mod tests;
