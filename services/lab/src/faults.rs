//! Faults on demand: which request is hit by what. Pure; the gate carries them out.

use serde::{Deserialize, Serialize};

/// What happens to a request that a rule hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The given `status` with HubSpot's JSON error body.
    Status,
    /// A 429 `TEN_SECONDLY_ROLLING` although the window is free.
    RateLimitStorm,
    /// A 429 `DAILY` although the day is young.
    DailyLimit,
    /// No answer until the client leaves, the faults are replaced, the lab stops, or ten minutes are over.
    Hang,
    /// `Content-Length` of the whole answer, but the connection is cut half way.
    Truncate,
    /// A 401 for a token that is valid.
    Unauthorized,
    /// The right answer, `delay_ms` late.
    Latency,
    /// The given `status` (502 if none) as an HTML page, like a proxy in front of the vendor.
    Html,
}

/// One rule. The first rule that applies to a request hits it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FaultRule {
    /// What happens.
    pub kind: FaultKind,
    /// The status for `status` (any error, also 423 and 477) and `html` (414 is one).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The category for `status`; one that suits the status if none. `MISSING_SCOPES`, which is that of a 403, comes
    /// with the scopes that the path needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// How many matching requests pass before the first is hit.
    #[serde(default)]
    pub after_requests: u64,
    /// How many requests are hit; `None` means until the faults are cleared.
    #[serde(default)]
    pub count: Option<u64>,
    /// Only requests whose path and query contain this. Requests for tokens are hit only if this has `oauth` in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Only requests of this portal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub portal: Option<u64>,
    /// Seconds for a `Retry-After` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// The delay for `latency`; for other kinds the answer is delayed as well if given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
}

impl FaultRule {
    /// A rule that hits every request with `kind` until cleared; narrow it with the other fields.
    #[must_use]
    pub fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            status: None,
            category: None,
            after_requests: 0,
            count: None,
            path: None,
            portal: None,
            retry_after: None,
            delay_ms: None,
        }
    }

    /// The next `count` requests are answered with `status`.
    #[must_use]
    pub fn status(status: u16, count: u64) -> Self {
        Self { status: Some(status), count: Some(count), ..Self::new(FaultKind::Status) }
    }

    fn problem(&self) -> Option<String> {
        match self.status {
            Some(status) if !(400..=599).contains(&status) => {
                return Some(format!("status {status} is not an error; use 400 to 599"));
            }
            None if self.kind == FaultKind::Status => {
                return Some("kind `status` needs a `status`".to_owned());
            }
            _ => {}
        }
        if self.kind == FaultKind::Latency && self.delay_ms.is_none() {
            return Some("kind `latency` needs `delayMs`".to_owned());
        }
        (self.count == Some(0)).then(|| "`count` 0 hits nothing; leave it out for `until cleared`".to_owned())
    }

    fn matches(&self, target: &str, portal: u64) -> bool {
        self.portal.is_none_or(|only| only == portal)
            && match self.path.as_deref() {
                Some(part) => target.contains(part) && (part.contains("oauth") || !is_for_token(target)),
                None => !is_for_token(target),
            }
    }
}

fn is_for_token(target: &str) -> bool {
    target.starts_with("/oauth/")
}

/// When a rule looks at a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Before the limiter, so that the hit request takes no place in the window.
    Door,
    /// After the limiter accepted it, because a vendor that fails still counts.
    Inside,
}

impl FaultKind {
    fn stage(self) -> Stage {
        match self {
            Self::RateLimitStorm | Self::DailyLimit | Self::Unauthorized => Stage::Door,
            Self::Status | Self::Hang | Self::Truncate | Self::Latency | Self::Html => Stage::Inside,
        }
    }
}

/// The rules in force and what is left of them.
#[derive(Debug, Default)]
pub(crate) struct FaultPlan {
    rules: Vec<FaultRule>,
}

impl FaultPlan {
    /// Replaces all rules.
    pub(crate) fn set(&mut self, rules: Vec<FaultRule>) -> Result<(), String> {
        for (position, rule) in rules.iter().enumerate() {
            if let Some(problem) = rule.problem() {
                return Err(format!("rule {position}: {problem}"));
            }
        }
        self.rules = rules;
        Ok(())
    }

    /// What is left of the rules: counters count down as requests pass.
    pub(crate) fn rules(&self) -> &[FaultRule] {
        &self.rules
    }

    /// The rule that hits this request, if any. Every matching rule that still waits counts the request.
    pub(crate) fn take(&mut self, stage: Stage, target: &str, portal: u64) -> Option<FaultRule> {
        let mut hit = None;
        for (position, rule) in self.rules.iter_mut().enumerate() {
            if rule.kind.stage() != stage || !rule.matches(target, portal) {
                continue;
            }
            if rule.after_requests > 0 {
                rule.after_requests -= 1;
            } else if hit.is_none() {
                hit = Some((position, rule.clone()));
                rule.count = rule.count.map(|left| left - 1);
            }
        }
        let (position, rule) = hit?;
        if self.rules[position].count == Some(0) {
            self.rules.remove(position);
        }
        Some(rule)
    }
}
