//! The status service from configuration.

use anyhow::Context;
use bus::{Bus, BusOptions};
use runtime::health::Check;
use runtime::{Config, Shutdown, health, http};
use store::{PoolOptions, SecretKey, Store};
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

use crate::{Board, Status};

/// Builds the status service. Connects when needed, so it starts while NATS or Postgres are away. Its board
/// must be watched: [`Board::watch_until`].
///
/// # Errors
/// If a setting is not usable.
pub async fn from_config(config: &Config) -> anyhow::Result<Status> {
    let key =
        SecretKey::from_hex(config.secrets.encryption_key.expose()).context("secrets.encryption_key")?;
    let pool = PoolOptions {
        url: config.database.url.expose().to_owned(),
        connections_max: config.database.connections_max,
        acquire_timeout: config.database.acquire_timeout,
        application_name: "syncline-status".to_owned(),
    };
    let options = BusOptions {
        url: config.nats.url.expose().to_owned(),
        name: "syncline-status".to_owned(),
        request_timeout: config.nats.publish_timeout,
    };
    let board = Board::new(config.status.finished_keep);
    Ok(Status { store: Store::new(&pool, key)?, bus: Bus::connect(&options).await?, board })
}

impl Status {
    /// Ready when either store answers.
    pub fn check(&self) -> Check {
        let (store, bus) = (self.store.clone(), self.bus.clone());
        Check::new("postgres or nats", move || {
            let (store, bus) = (store.clone(), bus.clone());
            async move {
                if bus.is_connected() {
                    return Ok(());
                }
                store.ping().await.map_err(|error| format!("NATS is not connected; {error}"))
            }
        })
    }
}

/// Settings it cannot do without.
pub const REQUIRED: &[&str] = &["database.url", "nats.url", "secrets.encryption_key"];

/// Serves the API's answers and the health checks on `http.listen` until the shutdown, then drains.
///
/// # Errors
/// If a setting is not usable or the address is taken.
pub async fn serve(config: &Config, shutdown: &Shutdown) -> anyhow::Result<()> {
    let listener = TcpListener::bind(config.http.listen).await.context("http.listen")?;
    let listen = listener.local_addr()?;
    let status = from_config(config).await?;
    let tracker = TaskTracker::new();
    tracker.spawn(status.board.clone().watch_until(status.bus.clone(), shutdown.token()));
    let ready = health::router(vec![status.check()]);
    let router = http::shell(crate::router(status).merge(ready), http::ShellConfig::from(&config.http));
    tracing::info!(%listen, "syncline-status is up");
    let all = async {
        let served = http::serve(listener, router, shutdown.token(), config.shutdown.for_answers()).await;
        tracker.close();
        tracker.wait().await;
        served
    };
    Ok(shutdown.within(config.shutdown.deadline, Box::pin(all)).await.unwrap_or(Ok(()))?)
}
