//! The ingress from configuration.

use anyhow::Context;
use bus::{Bus, BusOptions};
use runtime::health::Check;
use runtime::{Config, Shutdown, health, http};
use store::{PoolOptions, SecretKey, Store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::{Acceptor, Ingress, Limits};

/// Builds the ingress. Connects when needed, so it starts while NATS or Postgres are away.
///
/// # Errors
/// If a setting is not usable.
pub async fn from_config(
    config: &Config,
    tracker: &TaskTracker,
    stop: CancellationToken,
) -> anyhow::Result<Ingress> {
    let key =
        SecretKey::from_hex(config.secrets.encryption_key.expose()).context("secrets.encryption_key")?;
    let pool = PoolOptions {
        url: config.database.url.expose().to_owned(),
        connections_max: config.database.connections_max,
        acquire_timeout: config.database.acquire_timeout,
        application_name: "syncline-ingress".to_owned(),
    };
    let store = Store::new(&pool, key)?;
    let options = BusOptions {
        url: config.nats.url.expose().to_owned(),
        name: "syncline-ingress".to_owned(),
        request_timeout: config.nats.publish_timeout,
    };
    let bus = Bus::connect(&options).await?;
    tracker.spawn(bus.clone().answer_as("ingress", "Accepts syncs and sets workspaces up", stop));
    tracker.spawn(warm_up(store.clone()));
    let limits = Limits { batch_max: config.ingress.batch_max, queue_max: config.ingress.queue_max };
    let acceptor = Acceptor::start(store.clone(), bus, limits, tracker);
    Ok(Ingress { store, acceptor, max_attempts: config.worker.max_attempts })
}

/// The first post should not pay for the first connection. If Postgres is away, it does.
async fn warm_up(store: Store) {
    if let Err(error) = store.accept(&[]).await {
        tracing::debug!(error = %error, "Postgres is not there yet");
    }
}

/// Ready when Postgres answers: without NATS a post is accepted all the same.
pub fn check(ingress: &Ingress) -> Check {
    let store = ingress.store.clone();
    Check::new("postgres", move || {
        let store = store.clone();
        async move { store.ping().await.map_err(|error| error.to_string()) }
    })
}

/// Settings it cannot do without.
pub const REQUIRED: &[&str] = &["database.url", "nats.url", "secrets.encryption_key"];

/// Serves the API's commands and the health checks on `http.listen` until the shutdown, then drains.
///
/// # Errors
/// If a setting is not usable or the address is taken.
pub async fn serve(config: &Config, shutdown: &Shutdown) -> anyhow::Result<()> {
    let listener = TcpListener::bind(config.http.listen).await.context("http.listen")?;
    let listen = listener.local_addr()?;
    let tracker = TaskTracker::new();
    let ingress = from_config(config, &tracker, shutdown.token()).await?;
    let ready = health::router(vec![check(&ingress)]);
    let router = http::shell(crate::router(ingress).merge(ready), http::ShellConfig::from(&config.http));
    tracing::info!(%listen, "syncline-ingress is up");
    let all = async {
        let served = http::serve(listener, router, shutdown.token(), config.shutdown.for_answers()).await;
        tracker.close();
        tracker.wait().await;
        served
    };
    Ok(shutdown.within(config.shutdown.deadline, Box::pin(all)).await.unwrap_or(Ok(()))?)
}
