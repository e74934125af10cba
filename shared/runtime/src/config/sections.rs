//! The sections of the configuration, typed. What each key means stands in `defaults.toml` alone, which the
//! comments here name; a key `x_ms` is a field `x` of type `Duration`.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::secret::{Secret, SecretUrl, exposed, exposed_url};

/// `[http]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// `listen`
    pub listen: SocketAddr,
    /// `body_max_bytes`
    pub body_max_bytes: usize,
    /// `request_timeout_ms`
    #[serde(rename = "request_timeout_ms", with = "millis")]
    pub request_timeout: Duration,
}

/// `[database]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `url`
    #[serde(serialize_with = "exposed_url::serialize")]
    pub url: SecretUrl,
    /// `connections_max`
    pub connections_max: u32,
    /// `acquire_timeout_ms`
    #[serde(rename = "acquire_timeout_ms", with = "millis")]
    pub acquire_timeout: Duration,
}

/// `[nats]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NatsConfig {
    /// `url`
    #[serde(serialize_with = "exposed_url::serialize")]
    pub url: SecretUrl,
    /// `publish_timeout_ms`
    #[serde(rename = "publish_timeout_ms", with = "millis")]
    pub publish_timeout: Duration,
    /// `replicas`
    pub replicas: u32,
}

/// `[secrets]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretsConfig {
    /// `encryption_key`
    #[serde(serialize_with = "exposed::serialize")]
    pub encryption_key: Secret,
}

impl SecretsConfig {
    /// The 32 bytes of `encryption_key`; none when it is not configured.
    pub fn encryption_key_bytes(&self) -> Option<[u8; 32]> {
        key_bytes(self.encryption_key.expose())
    }
}

/// 64 hex digits as 32 bytes.
pub(super) fn key_bytes(hex: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = [0; 32];
    if hex.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// `[ingress]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IngressConfig {
    /// `batch_max`
    pub batch_max: usize,
    /// `queue_max`
    pub queue_max: usize,
}

/// `[worker]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkerConfig {
    /// `slots_high`
    pub slots_high: usize,
    /// `slots_normal`
    pub slots_normal: usize,
    /// `slots_low`
    pub slots_low: usize,
    /// `slots_reserve`
    pub slots_reserve: usize,
    /// `reserve_turn_ms`
    #[serde(rename = "reserve_turn_ms", with = "millis")]
    pub reserve_turn: Duration,
    /// `lease_ms`
    #[serde(rename = "lease_ms", with = "millis")]
    pub lease: Duration,
    /// `heartbeat_ms`
    #[serde(rename = "heartbeat_ms", with = "millis")]
    pub heartbeat: Duration,
    /// `attempt_timeout_ms`
    #[serde(rename = "attempt_timeout_ms", with = "millis")]
    pub attempt_timeout: Duration,
    /// `max_attempts`
    pub max_attempts: u32,
    /// `takeovers_max`
    pub takeovers_max: u32,
    /// `retry_base_ms`
    #[serde(rename = "retry_base_ms", with = "millis")]
    pub retry_base: Duration,
    /// `pages_ahead_max`
    pub pages_ahead_max: usize,
    /// `commit_pages_max`
    pub commit_pages_max: usize,
    /// `delete_rows_max`
    pub delete_rows_max: u64,
    /// `delete_percent_max`
    pub delete_percent_max: u64,
    /// `progress_interval_ms`
    #[serde(rename = "progress_interval_ms", with = "millis")]
    pub progress_interval: Duration,
}

/// `[scheduler]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchedulerConfig {
    /// `interval_ms`
    #[serde(rename = "interval_ms", with = "millis")]
    pub interval: Duration,
    /// `relay_after_ms`
    #[serde(rename = "relay_after_ms", with = "millis")]
    pub relay_after: Duration,
    /// `batch_max`
    pub batch_max: u32,
    /// `retention_days`
    pub retention_days: u32,
}

/// `[status]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatusConfig {
    /// `finished_keep_ms`
    #[serde(rename = "finished_keep_ms", with = "millis")]
    pub finished_keep: Duration,
}

/// `[source]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// `connect_timeout_ms`
    #[serde(rename = "connect_timeout_ms", with = "millis")]
    pub connect_timeout: Duration,
    /// `request_timeout_ms`
    #[serde(rename = "request_timeout_ms", with = "millis")]
    pub request_timeout: Duration,
    /// `body_max_bytes`
    pub body_max_bytes: usize,
    /// `retries`
    pub retries: u32,
    /// `retry_base_ms`
    #[serde(rename = "retry_base_ms", with = "millis")]
    pub retry_base: Duration,
    /// `quota_wait_max_ms`
    #[serde(rename = "quota_wait_max_ms", with = "millis")]
    pub quota_wait_max: Duration,
}

/// `[shutdown]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShutdownConfig {
    /// `deadline_ms`
    #[serde(rename = "deadline_ms", with = "millis")]
    pub deadline: Duration,
}

impl ShutdownConfig {
    /// The part of the deadline in which answers under way may end. The rest is for what comes after the last one: tasks
    /// that they left behind, and what waits to be sent.
    pub fn for_answers(&self) -> Duration {
        self.deadline.saturating_sub(AFTER_ANSWERS.min(self.deadline / 4))
    }
}

/// What [`ShutdownConfig::for_answers`] leaves.
const AFTER_ANSWERS: Duration = Duration::from_secs(1);

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// `format`
    pub format: LogFormat,
    /// `filter`
    pub filter: String,
}

/// `log.format`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines, one object a line.
    Json,
}

/// `[connectors.<name>]`. A budget whose keys are not in that connector's defaults is 0: it has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectorSection {
    /// `base_url`
    pub base_url: String,
    /// `page_size`
    pub page_size: u32,
    /// `quota_share`
    pub quota_share: Share,
    /// `objects_limit`
    #[serde(default)]
    pub objects_limit: u32,
    /// `objects_per_ms`
    #[serde(default, rename = "objects_per_ms", with = "millis")]
    pub objects_per: Duration,
    /// `search_limit`
    #[serde(default)]
    pub search_limit: u32,
    /// `search_per_ms`
    #[serde(default, rename = "search_per_ms", with = "millis")]
    pub search_per: Duration,
    /// `search_spacing_ms`
    #[serde(default, rename = "search_spacing_ms", with = "millis")]
    pub search_spacing: Duration,
}

/// A share of something, above 0 to 1. Kept in millionths, so that it can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "f64", into = "f64")]
pub struct Share(u32);

impl From<f64> for Share {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a million")]
    fn from(share: f64) -> Self {
        Self((share.clamp(0.0, 1.0) * 1e6).round() as u32)
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> Self {
        Self::from(share.0) / 1e6
    }
}

/// Durations as whole milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}
