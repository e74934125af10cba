//! Postgres: initdb, settings, start.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Connection};

use crate::ports;
use crate::process::{Launch, Process};
use crate::run_as::RunAs;
use crate::secrets::{Secrets, write_private};
use crate::server::Server;
use crate::watchdog::Watchdog;

const USER: &str = "syncline";

/// The product's database.
pub(crate) const DATABASE: &str = "syncline";

/// The URL of a database.
pub(crate) fn url(secrets: &Secrets, port: u16, database: &str) -> String {
    // The server has no TLS; without this every client first asks for it.
    format!("postgres://{USER}:{}@127.0.0.1:{port}/{database}?sslmode=disable", secrets.postgres)
}

/// A database without anything in it.
pub(crate) const EMPTY: &str = "template0";

/// Creates a database as a copy of another one, which nobody is connected to; unless it exists.
pub(crate) async fn create_database(secrets: &Secrets, port: u16, name: &str, template: &str) -> Result<()> {
    let mut connection = connect(secrets, port).await?;
    let found: Option<i32> = sqlx::query_scalar("SELECT 1 FROM pg_database WHERE datname = $1")
        .bind(name)
        .fetch_optional(&mut connection)
        .await?;
    if found.is_none() {
        let create = format!("CREATE DATABASE {name} TEMPLATE {template}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut connection).await?;
    }
    connection.close().await.context("close the connection to Postgres")
}

/// Applies the migrations of a directory that have not been applied.
pub(crate) async fn migrate(url: &str, migrations: &Path) -> Result<()> {
    let migrator = Migrator::new(migrations).await.context("read the migrations")?;
    let mut connection = PgConnection::connect(url).await.context("connect to Postgres")?;
    migrator.run(&mut connection).await.context("migrate")?;
    connection.close().await.context("close the connection to Postgres")
}

/// Runs statements in the database that a URL names.
pub(crate) async fn run(url: &str, statements: &str) -> Result<()> {
    let mut connection = PgConnection::connect(url).await.context("connect to Postgres")?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(&mut connection).await?;
    connection.close().await.context("close the connection to Postgres")
}

async fn connect(secrets: &Secrets, port: u16) -> Result<PgConnection> {
    let options = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(port)
        .username(USER)
        .password(&secrets.postgres)
        .database("postgres")
        .ssl_mode(PgSslMode::Disable);
    let connection = tokio::time::timeout(Duration::from_secs(5), options.connect()).await;
    connection.context("no answer")?.context("connect to Postgres")
}

/// A Postgres cluster in a directory of its own.
pub(crate) struct Postgres {
    /// Where `postgres` and `initdb` are.
    pub bin_dir: PathBuf,
    /// Belongs to the user that Postgres runs as.
    pub dir: PathBuf,
    pub log: PathBuf,
    pub port: u16,
    pub port_is_ours: bool,
    pub durable: bool,
    pub connections_max: u16,
    pub run_as: Option<RunAs>,
    pub secrets: Secrets,
    pub process: Option<Process>,
}

impl Postgres {
    /// Makes the cluster unless it is there. Takes about a second.
    pub async fn init(&self, watchdog: &Watchdog) -> Result<()> {
        fs::create_dir_all(&self.dir).context("make the Postgres directory")?;
        fs::set_permissions(&self.dir, fs::Permissions::from_mode(0o700))?;
        if let Some(run_as) = &self.run_as {
            run_as.give(&self.dir)?;
            run_as.check_reaches(&self.dir)?;
        }
        if self.cluster_dir().exists() {
            return Ok(());
        }
        // Under another name first, so that a half-made cluster is never taken for one.
        let new = self.dir.join("new");
        if new.exists() {
            fs::remove_dir_all(&new).context("delete a half-made cluster")?;
        }
        let password_file = self.dir.join("password");
        write_private(&password_file, &self.secrets.postgres)?;
        if let Some(run_as) = &self.run_as {
            run_as.give(&password_file)?;
        }
        let initdb = self.initdb(&new, &password_file);
        let mut process = Process::spawn(initdb, watchdog)?;
        let status = process.end(watchdog).await?;
        fs::remove_file(&password_file).context("delete the password file")?;
        ensure!(status.success(), "initdb failed; it says:\n{}", process.log_tail());
        fs::rename(&new, self.cluster_dir()).context("put the new cluster in its place")
    }

    fn initdb(&self, dir: &Path, password_file: &Path) -> Launch {
        let mut args: Vec<OsString> = vec!["-D".into(), dir.into(), "--pwfile".into(), password_file.into()];
        let fixed = ["-U", USER, "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale"];
        args.extend(fixed.map(OsString::from));
        if !self.durable {
            args.push("--no-sync".into());
        }
        self.run("initdb", args)
    }

    fn run(&self, program: &str, args: Vec<OsString>) -> Launch {
        Launch {
            program: self.bin_dir.join(program),
            args,
            envs: Vec::new(),
            run_as: self.run_as.clone(),
            log: self.log.clone(),
            polite: Signal::INT,
        }
    }

    pub fn cluster_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn settings(&self) -> Vec<String> {
        let buffers = if self.durable { "256MB" } else { "128MB" };
        let mut settings = vec![
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            format!("port={}", self.port),
            format!("max_connections={}", self.connections_max),
            format!("shared_buffers={buffers}"),
            "max_wal_size=2GB".to_owned(),
            "checkpoint_timeout=15min".to_owned(),
            "jit=off".to_owned(),
            "logging_collector=off".to_owned(),
            "log_line_prefix=%m [%p] %q%d ".to_owned(),
        ];
        if !self.durable {
            // Not synchronous_commit=off: then a killed server would forget commits, not only a machine without power.
            settings.extend(["fsync=off", "full_page_writes=off"].map(str::to_owned));
        }
        settings
    }
}

impl Server for Postgres {
    fn name(&self) -> &'static str {
        "Postgres"
    }

    fn launch(&self) -> Result<Launch> {
        let mut args = vec![OsString::from("-D"), self.cluster_dir().into()];
        for setting in self.settings() {
            args.extend(["-c".into(), setting.into()]);
        }
        Ok(self.run("postgres", args))
    }

    async fn answers(&self) -> Result<()> {
        let connection = connect(&self.secrets, self.port).await?;
        connection.close().await.context("close the connection to Postgres")
    }

    fn change_port(&mut self) -> Result<bool> {
        if self.port_is_ours {
            self.port = ports::free()?;
        }
        Ok(self.port_is_ours)
    }

    fn process(&mut self) -> &mut Option<Process> {
        &mut self.process
    }
}
