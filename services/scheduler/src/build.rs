//! The scheduler from configuration.

use anyhow::Context;
use bus::{Bus, BusOptions};
use runtime::Config;
use store::{PoolOptions, SecretKey, Store};

use crate::{Scheduler, Settings};

/// Builds the scheduler. Connects when needed, so it starts while NATS or Postgres are away.
///
/// # Errors
/// If a setting is not usable.
pub async fn from_config(config: &Config) -> anyhow::Result<Scheduler> {
    let key =
        SecretKey::from_hex(config.secrets.encryption_key.expose()).context("secrets.encryption_key")?;
    let pool = PoolOptions {
        url: config.database.url.expose().to_owned(),
        connections_max: 2,
        acquire_timeout: config.database.acquire_timeout,
        application_name: "syncline-scheduler".to_owned(),
    };
    let options = BusOptions {
        url: config.nats.url.expose().to_owned(),
        name: "syncline-scheduler".to_owned(),
        request_timeout: config.nats.publish_timeout,
    };
    let settings = Settings {
        interval: config.scheduler.interval,
        relay_after: config.scheduler.relay_after,
        batch_max: config.scheduler.batch_max,
        replicas: config.nats.replicas,
    };
    Ok(Scheduler::new(Store::new(&pool, key)?, Bus::connect(&options).await?, settings))
}
