//! The pool and the migrations.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgPool};

use crate::StoreError;
use crate::secrets::SecretKey;

/// A process that hangs in the middle of a transaction (stopped, swapped out, cut off) holds the lock on its job's
/// row, and nobody could take the job over. Postgres ends such a session before the default lease is over; a living one
/// sends the next statement at once.
const IDLE_IN_TRANSACTION_MAX: &str = "3s";

/// A connection that rested for longer is tested before it is used: after a restart of Postgres a whole pool of them is
/// dead, and each would fail one request.
const UNTESTED_MAX: Duration = Duration::from_millis(250);

/// How to reach Postgres.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// `postgres://user:password@host:port/database`.
    pub url: String,
    /// At most so many connections from this process.
    pub connections_max: u32,
    /// Waiting longer than this for a connection is [`StoreError::Unavailable`].
    pub acquire_timeout: Duration,
    /// Seen in `pg_stat_activity`.
    pub application_name: String,
}

/// Connections kept for what decides who runs a job: claims, heartbeats, ends. They never wait behind pages.
const CONTROL_CONNECTIONS_MAX: u32 = 2;

/// A handle to Postgres. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) pool: PgPool,
    /// [`CONTROL_CONNECTIONS_MAX`]
    pub(crate) control: PgPool,
    pub(crate) key: SecretKey,
}

impl Store {
    /// A store that connects when first used, so that a process can start while Postgres is away.
    ///
    /// # Errors
    /// If the URL is malformed.
    pub fn new(options: &PoolOptions, key: SecretKey) -> Result<Self, StoreError> {
        let connect = PgConnectOptions::from_str(&options.url)
            .map_err(|e| StoreError::Corrupt(format!("database.url: {e}")))?
            .application_name(&options.application_name)
            // Every statement is written for one plan. Left to itself, Postgres plans a statement with a short
            // array anew each time, because it guesses ten elements when it does not look: a third of what
            // one post costs it.
            .options([
                ("plan_cache_mode", "force_generic_plan"),
                ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION_MAX),
            ]);
        let pool = |connections_max, connect| {
            PgPoolOptions::new()
                .max_connections(connections_max)
                .acquire_timeout(options.acquire_timeout)
                // A ping before every statement would cost each request a round trip. Where there is traffic, a
                // connection that died shows at its next use, as a transient error.
                .test_before_acquire(false)
                .before_acquire(|connection, is| {
                    Box::pin(async move {
                        if is.idle_for >= UNTESTED_MAX {
                            connection.ping().await?;
                        }
                        Ok(true)
                    })
                })
                .connect_lazy_with(connect)
        };
        let control = pool(CONTROL_CONNECTIONS_MAX, connect.clone());
        Ok(Self { pool: pool(options.connections_max, connect), control, key })
    }

    /// Brings the schema up to date. Safe to run from many processes at once.
    ///
    /// # Errors
    /// If Postgres is away, or the database was migrated by a newer version.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        Ok(sqlx::migrate!("../../migrations").run(&self.pool).await?)
    }

    /// One round trip to Postgres.
    ///
    /// # Errors
    /// If it is not available.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.one(sqlx::query!("SELECT 1 AS one")).await?;
        Ok(())
    }

    /// Closes every connection; waits for those in use.
    pub async fn close(&self) {
        self.control.close().await;
        self.pool.close().await;
    }
}
