//! The scheduler from configuration.

use std::time::Duration;

use anyhow::Context;
use bus::{Bus, BusOptions};
use runtime::{Config, Shutdown, health, http};
use store::{PoolOptions, SecretKey, Store};
use tokio::net::TcpListener;

use crate::{Scheduler, Settings};

const DAY: Duration = Duration::from_secs(86_400);

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
        retention: retention(config.scheduler.retention_days),
    };
    Ok(Scheduler::new(Store::new(&pool, key)?, Bus::connect(&options).await?, settings))
}

/// 0 days: for ever.
fn retention(days: u32) -> Option<Duration> {
    (days > 0).then(|| DAY * days)
}

/// Settings it cannot do without.
pub const REQUIRED: &[&str] = &["database.url", "nats.url", "secrets.encryption_key"];

/// Runs a scheduler, with its health checks on `http.listen`, until the shutdown.
///
/// # Errors
/// If a setting is not usable or the address is taken.
pub async fn serve(config: &Config, shutdown: &Shutdown) -> anyhow::Result<()> {
    let listener = TcpListener::bind(config.http.listen).await.context("http.listen")?;
    let listen = listener.local_addr()?;
    let scheduler = from_config(config).await?;
    let router = http::shell(health::router(scheduler.checks()), http::ShellConfig::from(&config.http));
    tracing::info!(%listen, "syncline-scheduler is up");
    let served = http::serve(listener, router, shutdown.token(), config.shutdown.for_answers());
    let all = async { tokio::join!(served, scheduler.run_until(shutdown.token())) };
    let (served, ()) = shutdown.within(config.shutdown.deadline, Box::pin(all)).await.unwrap_or((Ok(()), ()));
    Ok(served?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_days_are_for_ever() {
        assert_eq!(retention(0), None);
        assert_eq!(retention(30), Some(Duration::from_secs(2_592_000)));
    }
}
