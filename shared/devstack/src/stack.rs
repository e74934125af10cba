//! Both servers together, from start to end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rand::RngExt;

use crate::claim::Claim;
use crate::locate;
use crate::nats::{self, Nats, NatsUser};
use crate::ports;
use crate::postgres::{self, Postgres};
use crate::process::Process;
use crate::run_as::RunAs;
use crate::secrets::Secrets;
use crate::server;
use crate::watchdog::{Owner, Watchdog};

const WATCHDOG_ENDS_WITHIN: Duration = Duration::from_secs(15);

/// What to run, and where.
#[derive(Debug, Clone)]
pub struct StackOptions {
    /// Everything the servers write, and their passwords.
    pub data_dir: PathBuf,
    /// Delete `data_dir` at the end, however the end comes.
    pub ephemeral: bool,
    /// Postgres syncs to disk. Without it a power cut may destroy the database; a killed server loses nothing.
    pub durable: bool,
    /// Port of nats-server; `None`: any free one.
    pub nats_port: Option<u16>,
    /// Port of Postgres; `None`: any free one.
    pub postgres_port: Option<u16>,
    /// Run nats-server.
    pub want_nats: bool,
    /// How many of them: 1, or 3 as one cluster.
    pub nats_nodes: u16,
    /// Run Postgres.
    pub want_postgres: bool,
    /// This nats-server and no other; `None`: the first good one found, else one is installed.
    pub nats_server: Option<PathBuf>,
    /// The directory with `postgres` and `initdb`; `None`: the first good one found, else one is installed.
    pub postgres_bin_dir: Option<PathBuf>,
}

impl StackOptions {
    /// Both servers in a private temporary directory, on free ports.
    pub fn ephemeral() -> Self {
        let name = format!("syncline-{}-{:08x}", std::process::id(), rand::rng().random::<u32>());
        Self { ephemeral: true, ..Self::in_dir(std::env::temp_dir().join(name)) }
    }

    /// Both servers on free ports, their data kept in `dir`.
    pub fn in_dir(dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: dir.into(),
            ephemeral: false,
            durable: true,
            nats_port: None,
            postgres_port: None,
            want_nats: true,
            nats_nodes: 1,
            want_postgres: true,
            nats_server: None,
            postgres_bin_dir: None,
        }
    }
}

/// What only the shared stack of a test run needs.
pub(crate) struct Plan {
    pub options: StackOptions,
    pub owner: Owner,
    pub test_accounts: u16,
    /// Deleted at the end in place of the data directory.
    pub remove: Option<PathBuf>,
}

/// A running nats-server and Postgres.
///
/// Dropping it stops both in the background; [`Stack::stop`] waits for it and says what went wrong.
pub struct Stack {
    nats: Vec<Nats>,
    postgres: Option<Postgres>,
    database_url: String,
    secrets: Secrets,
    ephemeral: bool,
    watchdog: Watchdog,
    // Last: released when everything else is gone.
    claim: Option<Claim>,
}

impl Stack {
    /// Starts what is wanted, and returns when it answers. Installs a missing server if this machine can.
    pub async fn start(options: StackOptions) -> Result<Self> {
        let remove = options.ephemeral.then(|| options.data_dir.clone());
        // Boxed: futures of this size do not belong on every caller's stack.
        Box::pin(Self::launch(Plan { options, owner: Owner::Us, test_accounts: 0, remove })).await
    }

    pub(crate) async fn launch(plan: Plan) -> Result<Self> {
        let Plan { options, owner, test_accounts, remove } = plan;
        let programs = locate::programs(options.clone()).await?;
        let claim = Claim::take(&options.data_dir, options.ephemeral).await?;
        let dir = claim.dir.clone();
        let secrets = Secrets::load_or_create(&dir.join("secrets.json"))?;
        let watchdog = Watchdog::start(&dir, remove.as_deref(), &owner)?;
        let mut stack = Self {
            nats: Vec::new(),
            postgres: None,
            database_url: String::new(),
            secrets: secrets.clone(),
            ephemeral: options.ephemeral,
            watchdog,
            claim: Some(claim),
        };
        if let Some(program) = programs.nats_server {
            stack.nats = nats::servers(&program, &dir, &options, &secrets, test_accounts)?;
        }
        if let Some(bin_dir) = programs.postgres_bin_dir {
            stack.postgres = Some(Postgres {
                bin_dir,
                dir: dir.join("postgres"),
                log: dir.join("postgres.log"),
                port: ports::wanted("Postgres", options.postgres_port)?,
                port_is_ours: options.postgres_port.is_none(),
                durable: options.durable,
                connections_max: if test_accounts > 0 { 400 } else { 200 },
                run_as: RunAs::unprivileged()?,
                secrets,
                process: None,
            });
        }
        stack.start_servers().await?;
        Ok(stack)
    }

    async fn start_servers(&mut self) -> Result<()> {
        let Self { nats, postgres, watchdog, .. } = self;
        let nats = async {
            for nats in nats {
                server::start(nats, watchdog).await?;
            }
            Ok(())
        };
        let postgres = async {
            let Some(postgres) = postgres else { return Ok(String::new()) };
            postgres.init(watchdog).await?;
            server::start(postgres, watchdog).await?;
            let (database, template) = (postgres::DATABASE, postgres::EMPTY);
            postgres::create_database(&postgres.secrets, postgres.port, database, template).await?;
            anyhow::Ok(postgres::url(&postgres.secrets, postgres.port, postgres::DATABASE))
        };
        let ((), database_url) = tokio::try_join!(nats, postgres)?;
        self.database_url = database_url;
        Ok(())
    }

    /// `nats://user:password@127.0.0.1:port`, of a cluster one for each server, separated by commas. Use the user's inbox.
    pub fn nats_url(&self, user: NatsUser) -> String {
        self.nats_urls(user).join(",")
    }

    /// The same, one for each server.
    pub fn nats_urls(&self, user: NatsUser) -> Vec<String> {
        self.nats.iter().map(|nats| nats::url(&self.secrets, user, nats.port, None)).collect()
    }

    /// `postgres://…/syncline`; empty when Postgres was not wanted.
    pub fn database_url(&self) -> &str {
        &self.database_url
    }

    /// Process id of the (first) nats-server while it runs.
    pub fn nats_pid(&self) -> Option<u32> {
        self.nats.first()?.process.as_ref().map(Process::id)
    }

    /// Process id of Postgres' main process while it runs.
    pub fn postgres_pid(&self) -> Option<u32> {
        self.postgres.as_ref()?.process.as_ref().map(Process::id)
    }

    /// The data directory, absolute.
    pub fn data_dir(&self) -> &Path {
        self.claim.as_ref().map_or(Path::new(""), |claim| &claim.dir)
    }

    /// `kill -9` for nats-server; returns when it is gone.
    pub async fn kill_nats(&mut self) -> Result<()> {
        self.kill_nats_node(0).await
    }

    /// The same for one server of a cluster, counted from 0.
    pub async fn kill_nats_node(&mut self, node: usize) -> Result<()> {
        server::kill(self.nats.get_mut(node).context("there is no such nats-server")?, &self.watchdog).await
    }

    /// Stops nats-server if it runs, and starts it on the same port and store.
    pub async fn restart_nats(&mut self) -> Result<()> {
        self.restart_nats_node(0).await
    }

    /// The same for one of a cluster.
    pub async fn restart_nats_node(&mut self, node: usize) -> Result<()> {
        let nats = self.nats.get_mut(node).context("there is no such nats-server")?;
        // Clients know this port.
        nats.port_is_ours = false;
        server::start(nats, &self.watchdog).await
    }

    /// Stops nats-server, deletes all of JetStream's files, and starts it on the same port. Of a cluster: all servers.
    pub async fn wipe_jetstream(&mut self) -> Result<()> {
        anyhow::ensure!(!self.nats.is_empty(), "NATS was not wanted");
        for nats in &mut self.nats {
            server::stop(nats, &self.watchdog).await?;
        }
        for node in 0..self.nats.len() {
            self.nats[node].wipe()?;
            self.restart_nats_node(node).await?;
        }
        Ok(())
    }

    /// `kill -9` for Postgres' main process; returns when it is gone.
    pub async fn kill_postgres(&mut self) -> Result<()> {
        server::kill(self.postgres.as_mut().context("Postgres was not wanted")?, &self.watchdog).await
    }

    /// Stops Postgres if it runs, and starts it on the same port and data.
    pub async fn restart_postgres(&mut self) -> Result<()> {
        let postgres = self.postgres.as_mut().context("Postgres was not wanted")?;
        postgres.port_is_ours = false;
        server::start(postgres, &self.watchdog).await
    }

    /// Stops both in good order, deletes an ephemeral data directory, and returns when all of it is gone.
    pub async fn stop(mut self) -> Result<()> {
        let Self { nats, postgres, watchdog, .. } = &mut self;
        let nats = async {
            let mut stopped = Ok(());
            for nats in nats {
                stopped = stopped.and(server::stop(nats, watchdog).await);
            }
            stopped
        };
        let postgres = async {
            match postgres {
                Some(postgres) => server::stop(postgres, watchdog).await,
                None => Ok(()),
            }
        };
        // Both, even if one fails.
        let (nats, postgres) = tokio::join!(nats, postgres);
        nats.and(postgres)?;
        if let Some(mut watchdog) = self.watchdog.release() {
            let deadline = Instant::now() + WATCHDOG_ENDS_WITHIN;
            while watchdog.try_wait().context("look after the watchdog")?.is_none() {
                anyhow::ensure!(Instant::now() < deadline, "the watchdog does not end");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        let dir = self.data_dir();
        if self.ephemeral && dir.exists() {
            fs::remove_dir_all(dir).with_context(|| format!("delete {}", dir.display()))?;
        }
        Ok(())
    }

    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    pub(crate) fn ports(&self) -> (u16, u16) {
        let nats = self.nats.first().map_or(0, |nats| nats.port);
        (nats, self.postgres.as_ref().map_or(0, |postgres| postgres.port))
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let nats = self.nats.iter_mut().map(|nats| nats.process.take());
        let postgres = self.postgres.as_mut().and_then(|postgres| postgres.process.take());
        // The watchdog does the stopping; the thread only collects what has ended, and keeps the lock until then.
        let mut children: Vec<Child> = nats.chain([postgres]).flatten().map(Process::into_child).collect();
        children.extend(self.watchdog.release());
        let claim = self.claim.take();
        std::thread::spawn(move || {
            for mut child in children {
                if let Err(error) = child.wait() {
                    tracing::debug!(%error, "cannot wait for a stopped server");
                }
            }
            drop(claim);
        });
    }
}
