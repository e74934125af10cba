//! A whole Syncline in one process: what `up`, the demo and the benchmark run.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::routing::get;
use bus::{Bus, BusOptions};
use devstack::{NatsUser, Stack, StackOptions};
use lab::{Lab, LabConfig};
use protocol::WorkspaceId;
use runtime::{Config, health, http};
use store::{PoolOptions, SecretKey, Store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::lab_workspace;
use crate::roles::Role;

/// How an instance is to run.
pub(crate) struct InstanceOptions {
    /// Settings; URLs that are given here are used instead of own servers.
    pub config: Config,
    /// Where own servers keep their data; a private directory that is removed at the end if `None`.
    pub data_dir: Option<PathBuf>,
    /// The fake vendor.
    pub lab: Option<LabConfig>,
    /// Roles left to other processes.
    pub without: Vec<Role>,
}

/// A running instance.
pub(crate) struct Instance {
    pub base_url: String,
    pub nats_url: String,
    pub database_url: String,
    pub lab_url: Option<String>,
    pub workspace_id: Option<WorkspaceId>,
    /// The settings it runs with, for further processes.
    pub config_file: Option<PathBuf>,
    pub store: Store,
    config: Config,
    stop: CancellationToken,
    /// Ends after the roles: the lab must answer until the last page is in.
    stop_lab: CancellationToken,
    tracker: TaskTracker,
    stack: Option<Stack>,
}

/// How long NATS may take to accept the first connection.
const CONNECT_DEADLINE: Duration = Duration::from_secs(20);

impl Instance {
    /// Starts everything and returns when it is ready.
    pub(crate) async fn start(options: InstanceOptions) -> anyhow::Result<Self> {
        let InstanceOptions { mut config, data_dir, lab, without } = options;
        // Bound first: a taken port is found out before anything is started.
        let listener = bind(config.http.listen).await?;
        config.http.listen = listener.local_addr()?;
        let stack = start_stack(&mut config, data_dir.clone()).await?;
        ensure_key(&mut config, data_dir.as_deref())?;
        let store = open_store(&config)?;
        store.migrate().await.context("the database could not be migrated")?;
        provision(&config).await?;
        let (tracker, stop, stop_lab) =
            (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
        let mut lab_url = None;
        let mut workspace_id = None;
        if let Some(lab) = lab {
            let url = start_lab(lab.clone(), &tracker, &stop_lab).await?;
            lab_workspace::use_lab(&mut config, &url, &lab);
            workspace_id = Some(lab_workspace::create(&store).await?);
            lab_url = Some(url);
        }
        let config_file = data_dir.map(|dir| dir.join("syncline.toml"));
        if let Some(file) = &config_file {
            if let Some(dir) = file.parent() {
                std::fs::create_dir_all(dir)
                    .with_context(|| format!("{} could not be made", dir.display()))?;
            }
            config.write_to(file).with_context(|| format!("{} could not be written", file.display()))?;
        }
        let instance = Self {
            base_url: format!("http://{}", config.http.listen),
            nats_url: config.nats.url.expose().to_owned(),
            database_url: config.database.url.expose().to_owned(),
            lab_url,
            workspace_id,
            config_file,
            store,
            config,
            stop,
            stop_lab,
            tracker,
            stack,
        };
        instance.start_roles(listener, &without).await?;
        Ok(instance)
    }

    async fn start_roles(&self, listener: TcpListener, without: &[Role]) -> anyhow::Result<()> {
        let runs = |role| !without.contains(&role);
        let config = &self.config;
        let mut routes = Router::new().route("/openapi.json", get(async || crate::commands::document()));
        let mut checks = Vec::new();
        if runs(Role::Ingress) {
            let ingress = ingress::from_config(config, &self.tracker, self.stop.child_token()).await?;
            checks.push(ingress::check(&ingress));
            routes = routes.merge(ingress::router(ingress));
        }
        if runs(Role::Status) {
            let status = status::from_config(config).await?;
            self.tracker.spawn(status.board.clone().watch_until(status.bus.clone(), self.stop.child_token()));
            checks.push(status.check());
            routes = routes.merge(status::router(status));
        }
        if runs(Role::Worker) {
            let name = format!("syncline-up-{}", std::process::id());
            let worker = worker::from_config(config, name).await?;
            self.tracker.spawn(worker.run_until(self.stop.child_token()));
        }
        if runs(Role::Scheduler) {
            let scheduler = scheduler::from_config(config).await?;
            self.tracker.spawn(scheduler.run_until(self.stop.child_token()));
        }
        let router = http::shell(routes.merge(health::router(checks)), http::ShellConfig::from(&config.http));
        let serve = http::serve(listener, router, self.stop.child_token(), config.shutdown.for_answers());
        self.tracker.spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(error = %error, "the API ended");
            }
        });
        Ok(())
    }

    /// Stops in order: API and roles, the lab, then the servers.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.stop_lab.cancel();
        self.tracker.close();
        if !runtime::drain(&self.tracker, self.config.shutdown.deadline).await {
            tracing::warn!("not everything ended in time");
        }
        self.store.close().await;
        if let Some(stack) = self.stack {
            stack.stop().await?;
        }
        Ok(())
    }
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} cannot be listened on; choose another with --listen"))
}

/// Starts the servers that no URL is given for.
async fn start_stack(config: &mut Config, data_dir: Option<PathBuf>) -> anyhow::Result<Option<Stack>> {
    let (want_nats, want_postgres) = (config.nats.url.is_empty(), config.database.url.is_empty());
    if !want_nats && !want_postgres {
        return Ok(None);
    }
    let options = data_dir.map_or_else(StackOptions::ephemeral, StackOptions::in_dir);
    let stack = Stack::start(StackOptions { want_nats, want_postgres, ..options }).await?;
    if want_nats {
        config.nats.url = stack.nats_url(NatsUser::Admin).into();
    }
    if want_postgres {
        config.database.url = stack.database_url().to_owned().into();
    }
    Ok(Some(stack))
}

/// The key of a data directory is made once and kept in it.
fn ensure_key(config: &mut Config, data_dir: Option<&Path>) -> anyhow::Result<()> {
    if !config.secrets.encryption_key.is_empty() {
        return Ok(());
    }
    let key = match data_dir.map(|dir| dir.join("encryption.key")) {
        Some(file) if file.exists() => std::fs::read_to_string(&file)?.trim().to_owned(),
        Some(file) => {
            let key = SecretKey::generate()?;
            write_private(&file, &key)?;
            key
        }
        None => SecretKey::generate()?,
    };
    config.secrets.encryption_key = key.into();
    Ok(())
}

fn write_private(file: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    file.write_all(text.as_bytes())?;
    Ok(())
}

/// A store from configuration.
pub(crate) fn open_store(config: &Config) -> anyhow::Result<Store> {
    let key =
        SecretKey::from_hex(config.secrets.encryption_key.expose()).context("secrets.encryption_key")?;
    let pool = PoolOptions {
        url: config.database.url.expose().to_owned(),
        connections_max: 4,
        acquire_timeout: config.database.acquire_timeout,
        application_name: "syncline".to_owned(),
    };
    Ok(Store::new(&pool, key)?)
}

/// Connects to NATS and makes what Syncline needs there.
pub(crate) async fn provision(config: &Config) -> anyhow::Result<bus::Provisioned> {
    let options = BusOptions {
        url: config.nats.url.expose().to_owned(),
        name: "syncline-provision".to_owned(),
        request_timeout: Duration::from_secs(5),
    };
    let bus = Bus::connect(&options).await?;
    tokio::time::timeout(CONNECT_DEADLINE, bus.connected())
        .await
        .context("NATS did not accept a connection")?;
    let provisioned = bus.provision(config.nats.replicas).await?;
    bus.close().await;
    Ok(provisioned)
}

async fn start_lab(
    config: LabConfig,
    tracker: &TaskTracker,
    stop: &CancellationToken,
) -> anyhow::Result<String> {
    let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let serve = Lab::serve(listener, config, stop.child_token());
    tracker.spawn(async move {
        if let Err(error) = serve.await {
            tracing::error!(error = %error, "the lab ended");
        }
    });
    Ok(url)
}
