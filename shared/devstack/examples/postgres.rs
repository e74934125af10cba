//! Runs a command with a Postgres of its own, and ends as the command ends:
//!
//! ```sh
//! cargo run -p devstack --example postgres -- --migrations migrations psql
//! ```
//!
//! The command finds the database in `DATABASE_URL`. Nothing of it is left afterwards. `.ci/sqlx` is built on this.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};

use anyhow::{Context, Result};
use devstack::{Stack, StackOptions};
use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection};
use tokio::process::Command;

const USAGE: &str = "usage: postgres [--migrations DIR] COMMAND [ARGS…]";

struct Args {
    /// Applied before the command starts.
    migrations: Option<PathBuf>,
    command: OsString,
    args: Vec<OsString>,
}

impl Args {
    fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Self> {
        let mut command = words.next().context(USAGE)?;
        let mut migrations = None;
        if command == "--migrations" {
            migrations = Some(words.next().context(USAGE)?.into());
            command = words.next().context(USAGE)?;
        }
        Ok(Self { migrations, command, args: words.collect() })
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let args = Args::parse(std::env::args_os().skip(1))?;
    let options = StackOptions { want_nats: false, durable: false, ..StackOptions::ephemeral() };
    let stack = Stack::start(options).await.context("start Postgres")?;
    let status = run(&args, stack.database_url()).await;
    stack.stop().await.context("stop Postgres")?;
    Ok(as_in_a_shell(status?))
}

async fn run(args: &Args, database_url: &str) -> Result<ExitStatus> {
    if let Some(dir) = &args.migrations {
        migrate(dir.clone(), database_url).await.with_context(|| format!("apply {}", dir.display()))?;
    }
    let mut command = Command::new(&args.command);
    command.args(&args.args).env("DATABASE_URL", database_url).kill_on_drop(true);
    command.status().await.with_context(|| format!("run {}", args.command.display()))
}

async fn migrate(dir: PathBuf, database_url: &str) -> Result<()> {
    let migrator = Migrator::new(dir).await?;
    let mut connection = PgConnection::connect(database_url).await?;
    migrator.run(&mut connection).await?;
    Ok(connection.close().await?)
}

/// A command that a signal ended has no code of its own; shells say 128 and the signal's number.
fn as_in_a_shell(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
