//! The status service from configuration.

use anyhow::Context;
use bus::{Bus, BusOptions};
use runtime::Config;
use runtime::health::Check;
use store::{PoolOptions, SecretKey, Store};

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
