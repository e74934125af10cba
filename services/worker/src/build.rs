//! The worker from configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use bus::{Bus, BusOptions};
use connectors::{BudgetConfig, ConnectorConfig, ConnectorsConfig, HttpConfig, Registry, WindowConfig};
use runtime::health::Check;
use runtime::{Config, ConnectorSection, Shutdown, SourceConfig, health, http};
use store::{PoolOptions, SecretKey, Store};
use tokio::net::TcpListener;

use crate::{Settings, Slots, Worker, share_budgets};

/// Builds the worker. Connects when needed, so it starts while NATS or Postgres are away.
///
/// # Errors
/// If a setting is not usable.
pub async fn from_config(config: &Config, name: String) -> anyhow::Result<Arc<Worker>> {
    let key =
        SecretKey::from_hex(config.secrets.encryption_key.expose()).context("secrets.encryption_key")?;
    let pool = PoolOptions {
        url: config.database.url.expose().to_owned(),
        connections_max: config.database.connections_max,
        acquire_timeout: config.database.acquire_timeout,
        application_name: name.clone(),
    };
    let options = BusOptions {
        url: config.nats.url.expose().to_owned(),
        name: name.clone(),
        request_timeout: config.nats.publish_timeout,
    };
    let (store, bus) = (Store::new(&pool, key)?, Bus::connect(&options).await?);
    let connectors = connectors_config(&config.connectors)?;
    let registry =
        Registry::sharing(&connectors, http_config(&config.source), share_budgets(&bus, &unique(&name)))?;
    Ok(Worker::new(store, bus, Arc::new(registry), settings(config), name))
}

/// Host and process, for `jobs.lease_holder`: a process id alone is 1 in every container.
fn name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("syncline-worker-{}-{}", host.trim(), std::process::id())
}

/// The worker's name with something no other has: a process id comes again after a restart, in a container at once.
fn unique(name: &str) -> String {
    format!("{name}-{:08x}", rand::random::<u32>())
}

fn settings(config: &Config) -> Settings {
    let worker = &config.worker;
    Settings {
        slots: Slots {
            high: worker.slots_high,
            normal: worker.slots_normal,
            low: worker.slots_low,
            reserve: worker.slots_reserve,
        },
        reserve_turn: worker.reserve_turn,
        lease: worker.lease,
        heartbeat: worker.heartbeat,
        attempt_timeout: worker.attempt_timeout,
        takeovers_max: worker.takeovers_max,
        retry_base: worker.retry_base,
        pages_ahead_max: worker.pages_ahead_max,
        commit_pages_max: worker.commit_pages_max,
        delete_rows_max: worker.delete_rows_max,
        delete_percent_max: worker.delete_percent_max,
        progress_interval: worker.progress_interval,
    }
}

fn http_config(source: &SourceConfig) -> HttpConfig {
    let ms = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    HttpConfig {
        connect_timeout_ms: ms(source.connect_timeout),
        request_timeout_ms: ms(source.request_timeout),
        body_max_bytes: source.body_max_bytes,
        retries: source.retries,
        retry_base_ms: ms(source.retry_base),
        quota_wait_max_ms: ms(source.quota_wait_max),
    }
}

fn connectors_config(sections: &BTreeMap<String, ConnectorSection>) -> anyhow::Result<ConnectorsConfig> {
    let mut connectors = BTreeMap::new();
    for (name, section) in sections {
        connectors
            .insert(name.parse().with_context(|| format!("connectors.{name}"))?, connector_config(section));
    }
    Ok(ConnectorsConfig { connectors })
}

fn connector_config(section: &ConnectorSection) -> ConnectorConfig {
    let ms = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let class = |limit: u32, per: std::time::Duration, spacing: std::time::Duration| BudgetConfig {
        windows: (limit > 0).then(|| vec![WindowConfig { limit, per_ms: ms(per) }]),
        // Zero is none, not the default.
        spacing_ms: Some(ms(spacing)),
        burst: None,
    };
    let objects = class(section.objects_limit, section.objects_per, std::time::Duration::ZERO);
    let search = class(section.search_limit, section.search_per, section.search_spacing);
    ConnectorConfig {
        base_url: Some(section.base_url.clone()),
        budgets: BTreeMap::from([("objects".to_owned(), objects), ("search".to_owned(), search)]),
        quota_share: Some(section.quota_share.into()),
        page_size: Some(section.page_size),
        slow_ms: None,
    }
}

/// Settings a worker cannot do without.
pub const REQUIRED: &[&str] = &["database.url", "nats.url", "secrets.encryption_key"];

/// Runs a worker, with its health checks on `http.listen`, until the shutdown, then in order to its end.
///
/// # Errors
/// If a setting is not usable or the address is taken.
pub async fn serve(config: &Config, shutdown: &Shutdown) -> anyhow::Result<()> {
    let listener = TcpListener::bind(config.http.listen).await.context("http.listen")?;
    let listen = listener.local_addr()?;
    let worker = from_config(config, name()).await?;
    let router = http::shell(health::router(worker.checks()), http::ShellConfig::from(&config.http));
    tracing::info!(%listen, "syncline-worker is up");
    let served = http::serve(listener, router, shutdown.token(), config.shutdown.for_answers());
    let all = async { tokio::join!(served, worker.run_until(shutdown.token())) };
    // Whoever is cut off keeps its lease until that is over: another worker goes on.
    let (served, ()) = shutdown.within(config.shutdown.deadline, Box::pin(all)).await.unwrap_or((Ok(()), ()));
    Ok(served?)
}

impl Worker {
    /// Ready when both stores answer.
    pub fn checks(&self) -> Vec<Check> {
        let (store, bus) = (self.store.clone(), self.bus.clone());
        let postgres = Check::new("postgres", move || {
            let store = store.clone();
            async move { store.ping().await.map_err(|error| error.to_string()) }
        });
        let nats = Check::new("nats", move || {
            let bus = bus.clone();
            async move { bus.ping().await.map_err(|error| error.to_string()) }
        });
        vec![postgres, nats]
    }
}
