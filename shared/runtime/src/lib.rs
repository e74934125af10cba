//! The shell of every process: configuration, telemetry, shutdown, HTTP serving, problem answers, health.
//!
//! It knows neither NATS nor Postgres nor vendors. A `main` built from it reads like a recipe:
//!
//! ```no_run
//! use runtime::{Config, Shutdown, Sources, http, telemetry};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::load(&Sources::from_process(None))?;
//! telemetry::init(&config.log)?;
//! let shutdown = Shutdown::install()?;
//! let listener = tokio::net::TcpListener::bind(config.http.listen).await?;
//! let router = axum::Router::new(); // the service's own routes
//! let router = http::shell(router, http::ShellConfig::from(&config.http));
//! http::serve(listener, router, shutdown.token(), config.shutdown.for_answers()).await?;
//! # Ok(())
//! # }
//! ```

mod config;
mod extract;
pub mod health;
pub mod http;
mod problem;
mod request_id;
mod shutdown;
pub mod telemetry;

pub use config::error::{ConfigError, ConfigErrors, Origin};
pub use config::secret::{Secret, SecretUrl};
pub use config::sections::{
    ConnectorSection, DatabaseConfig, HttpConfig, IngressConfig, LogConfig, LogFormat, NatsConfig,
    SchedulerConfig, SecretsConfig, Share, ShutdownConfig, SourceConfig, StatusConfig, WorkerConfig,
};
pub use config::sources::Sources;
pub use config::{Config, DEFAULTS};
pub use extract::{Json, PathParams, Query};
pub use http::patience::Patience;
pub use problem::{ApiError, ProblemResponse};
pub use request_id::RequestId;
pub use shutdown::{Shutdown, drain};
