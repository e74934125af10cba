//! A place of its own for every test, on servers that one `cargo test` run shares.
//!
//! cargo runs the test binaries of a workspace one after another. The first that wants servers starts them and leaves
//! their ports in the run's directory; the others attach. A watchdog stops them when that cargo has ended. A test
//! binary that cargo did not start has servers of its own, which end with it.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::identity::{Identity, name_of};
use crate::nats::{self, NatsUser};
use crate::postgres;
use crate::secrets::{Secrets, write_private};
use crate::stack::{Plan, Stack, StackOptions};
use crate::watchdog::Owner;

/// How many [`TestEnv`]s one run may have; each costs 2 ms at the server's start.
const ACCOUNTS: u16 = 600;

/// The database that [`TestEnv::with_schema`] copies.
const SCHEMA: &str = "schema";

/// One database and one NATS account of its own, on the run's shared servers.
#[derive(Clone)]
pub struct TestEnv {
    /// A database that no other test has.
    pub database_url: String,
    number: u16,
    shared: Shared,
}

/// How later test binaries find the servers.
#[derive(Clone, Serialize, Deserialize)]
struct Shared {
    nats_port: u16,
    postgres_port: u16,
    secrets: Secrets,
}

impl TestEnv {
    /// The next free account, and an empty database; starts the servers if this is the run's first.
    ///
    /// # Panics
    /// When the servers cannot be started: no test can go on then.
    pub async fn new() -> Self {
        Self::create(false).await
    }

    /// As [`TestEnv::new`], with all migrations applied: the database is a copy of one that the run makes once.
    ///
    /// # Panics
    /// When the servers cannot be started, or a migration fails: no test can go on then.
    pub async fn with_schema() -> Self {
        Self::create(true).await
    }

    #[expect(clippy::panic, reason = "for tests only, which have nobody to return an error to")]
    async fn create(schema: bool) -> Self {
        match Box::pin(Self::try_create(schema)).await {
            Ok(env) => env,
            // One line: `expect` would add the error's own backtrace.
            Err(error) => panic!("a test needs nats-server and Postgres: {error:#}"),
        }
    }

    /// `nats://…` for a user of this test's account: same permissions as in production.
    pub fn nats_url(&self, user: NatsUser) -> String {
        nats::url(&self.shared.secrets, user, self.shared.nats_port, Some(self.number))
    }

    /// Runs statements in this test's database: for breaking it, or for looking at it as nobody else does.
    ///
    /// # Panics
    /// If Postgres refuses them.
    #[expect(clippy::panic, reason = "for tests only, which have nobody to return an error to")]
    pub async fn sql(&self, statements: &str) {
        if let Err(error) = postgres::run(&self.database_url, statements).await {
            panic!("{statements}: {error:#}");
        }
    }

    async fn try_create(schema: bool) -> Result<Self> {
        let run = Run::current()?;
        let lock = run.lock().await?;
        let shared = run.servers().await?;
        let number = run.next_number()?;
        if schema {
            run.schema(&shared).await?;
        }
        drop(lock);
        let name = format!("t{number:03}");
        let template = if schema { SCHEMA } else { postgres::EMPTY };
        postgres::create_database(&shared.secrets, shared.postgres_port, &name, template).await?;
        let database_url = postgres::url(&shared.secrets, shared.postgres_port, &name);
        Ok(Self { database_url, number, shared })
    }
}

/// A `cargo test` run, or this process alone.
struct Run {
    dir: PathBuf,
    owner: Owner,
}

impl Run {
    fn current() -> Result<Self> {
        let parent = Identity::of(std::os::unix::process::parent_id());
        let cargo = parent.filter(|parent| {
            name_of(parent.pid).is_some_and(|name| name == "cargo" || name == "cargo-nextest")
        });
        let us = || Identity::of(std::process::id()).context("this process cannot be looked at");
        let (key, owner) = match cargo {
            Some(cargo) => (cargo.clone(), Owner::Other(cargo)),
            None => (us()?, Owner::Us),
        };
        let dir = std::env::temp_dir().join(format!("syncline-test-{}-{}", key.pid, key.born));
        match fs::DirBuilder::new().mode(0o755).create(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("make {}", dir.display()));
            }
            _ => {}
        }
        let owned = fs::symlink_metadata(&dir)?.uid() == rustix::process::geteuid().as_raw();
        ensure!(owned, "{} belongs to another user", dir.display());
        Ok(Self { dir, owner })
    }

    async fn lock(&self) -> Result<File> {
        let path = self.dir.join("lock");
        let file = open_rw(&path)?;
        let lock = move || file.lock().map(|()| file);
        tokio::task::spawn_blocking(lock).await?.with_context(|| format!("lock {}", path.display()))
    }

    /// Attaches to the run's servers, or starts them. Only under the lock.
    async fn servers(&self) -> Result<Shared> {
        let path = self.dir.join("stack.json");
        if let Ok(text) = fs::read_to_string(&path) {
            return serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()));
        }
        // A directory of its own: a process that was killed here before it was done may have left one.
        let data_dir = self.dir.join(format!("stack-{}", std::process::id()));
        let options = StackOptions { durable: false, ..StackOptions::in_dir(data_dir) };
        let owner = self.owner.clone();
        let remove = Some(self.dir.clone());
        let stack = Stack::launch(Plan { options, owner, test_accounts: ACCOUNTS, remove }).await?;
        let (nats_port, postgres_port) = stack.ports();
        let shared = Shared { nats_port, postgres_port, secrets: stack.secrets().clone() };
        write_private(&path, &serde_json::to_string(&shared)?)?;
        // From here on the servers end with their owner, by the watchdog, and not with a value of ours.
        std::mem::forget(stack);
        Ok(shared)
    }

    /// Makes the database [`SCHEMA`] if it is not there in full. Only under the lock.
    async fn schema(&self, shared: &Shared) -> Result<()> {
        let done = self.dir.join("schema");
        if !done.exists() {
            let migrations = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations"));
            postgres::create_database(&shared.secrets, shared.postgres_port, SCHEMA, postgres::EMPTY).await?;
            postgres::migrate(&postgres::url(&shared.secrets, shared.postgres_port, SCHEMA), migrations)
                .await?;
            File::create(&done).with_context(|| format!("make {}", done.display()))?;
        }
        Ok(())
    }

    /// Counts up over all processes of the run. Only under the lock.
    fn next_number(&self) -> Result<u16> {
        let mut file = open_rw(&self.dir.join("next"))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let number: u16 = if text.is_empty() { 0 } else { text.parse().context("the counter is damaged")? };
        ensure!(number < ACCOUNTS, "more than {ACCOUNTS} TestEnvs in one run: raise ACCOUNTS in devstack");
        file.rewind()?;
        write!(file, "{}", number + 1)?;
        Ok(number)
    }
}

fn open_rw(path: &Path) -> Result<File> {
    let open = || File::options().create(true).truncate(false).read(true).write(true).open(path);
    open().with_context(|| format!("open {}", path.display()))
}
