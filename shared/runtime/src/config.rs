//! Configuration: defaults, then a file, then the environment; all that is wrong is said at once.

pub(crate) mod error;
mod layers;
mod relations;
pub(crate) mod secret;
pub(crate) mod sections;
pub(crate) mod sources;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use self::error::{ConfigError, ConfigErrors, Origin};
use self::layers::Layers;
use self::sections::{
    ConnectorSection, DatabaseConfig, HttpConfig, IngressConfig, LogConfig, NatsConfig, SchedulerConfig,
    SecretsConfig, ShutdownConfig, SourceConfig, StatusConfig, WorkerConfig,
};
use self::sources::Sources;

/// Every key with its default, unit and meaning: the reference documentation.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// The settings of a process. What each key means stands in [`DEFAULTS`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[http]`
    pub http: HttpConfig,
    /// `[database]`
    pub database: DatabaseConfig,
    /// `[nats]`
    pub nats: NatsConfig,
    /// `[secrets]`
    pub secrets: SecretsConfig,
    /// `[ingress]`
    pub ingress: IngressConfig,
    /// `[worker]`
    pub worker: WorkerConfig,
    /// `[scheduler]`
    pub scheduler: SchedulerConfig,
    /// `[status]`
    pub status: StatusConfig,
    /// `[source]`
    pub source: SourceConfig,
    /// `[shutdown]`
    pub shutdown: ShutdownConfig,
    /// `[log]`
    pub log: LogConfig,
    /// `[connectors.<name>]`, by name.
    pub connectors: BTreeMap<String, ConnectorSection>,
}

impl Config {
    /// Lays the sources over the defaults and checks everything.
    pub fn load(sources: &Sources) -> Result<Self, ConfigErrors> {
        Self::load_requiring(sources, &[])
    }

    /// As [`load`](Self::load); besides, these keys must not be empty: `&["database.url", "nats.url"]`.
    pub fn load_requiring(sources: &Sources, required: &[&str]) -> Result<Self, ConfigErrors> {
        let mut layers = Layers::read(DEFAULTS, sources);
        relations::check(&mut layers);
        for key in required {
            if layers.text(key) == Some("") {
                layers.refuse_value(key, "a value: this service needs it");
            }
        }
        if !layers.errors.is_empty() {
            return Err(ConfigErrors(layers.errors));
        }
        layers.into_table().try_into().map_err(|error: toml::de::Error| {
            // Every value is checked by now: this is a default that does not fit its section.
            ConfigErrors(vec![ConfigError {
                key: "defaults.toml".to_owned(),
                origin: Origin::Defaults,
                found: error.message().to_owned(),
                expected: "a value for every field of its section".to_owned(),
            }])
        })
    }

    /// All settings as a file that [`load`](Self::load) reads back. **With the secrets.**
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(self)
    }

    /// Writes [`to_toml`](Self::to_toml) to a file that only its owner can read, for further processes.
    pub fn write_to(&self, path: &Path) -> io::Result<()> {
        layers::write_private(path, &self.to_toml().map_err(io::Error::other)?)
    }
}
