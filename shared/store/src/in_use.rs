//! Connections in use, and what runs on them: statements and transactions that may be given up at any moment.

use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow};
use sqlx::query::{Map, Query};
use sqlx::{PgConnection, Postgres};
use tokio::time::timeout;

use crate::{Store, StoreError};

/// The pause before a connection is asked for again.
const BEGIN_AGAIN: Duration = Duration::from_millis(100);

/// A connection that is given back is asked whether it is well; one that does not say so in time is closed. Otherwise each
/// of those that were just given back when Postgres fell silent would keep its place in the pool until TCP gives it up,
/// after a quarter of an hour.
const WELL_WITHIN: Duration = Duration::from_secs(2);

/// A connection in use. Given up in the middle of a statement it is closed: its answer may never come, and if the statement
/// was a `BEGIN`, whatever runs on it next would be lost with a transaction that nobody ends.
pub(crate) struct InUse {
    connection: PoolConnection<Postgres>,
    rests: bool,
}

impl InUse {
    /// To run a statement on.
    pub(crate) fn busy(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// The statement was answered, and no transaction is open.
    pub(crate) fn rest(mut self) {
        self.rests = true;
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        if !self.rests {
            self.connection.close_on_drop();
            return;
        }
        #[expect(clippy::disallowed_methods, reason = "what the pool does itself, and here it ends")]
        drop(tokio::spawn(timeout(WELL_WITHIN, self.connection.return_to_pool())));
    }
}

/// A transaction. Dropped, also while it begins, it is rolled back with its connection, as [`InUse`] says.
pub(crate) struct Tx(InUse);

impl Tx {
    async fn begin(mut on: InUse) -> Result<Self, sqlx::Error> {
        sqlx::raw_sql("BEGIN").execute(on.busy()).await?;
        Ok(Self(on))
    }

    /// Commits it. After an error the outcome is unknown.
    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        sqlx::raw_sql("COMMIT").execute(self.0.busy()).await?;
        self.0.rest();
        Ok(())
    }

    /// Takes everything back and keeps the connection.
    pub(crate) async fn rollback(mut self) -> Result<(), sqlx::Error> {
        sqlx::raw_sql("ROLLBACK").execute(self.0.busy()).await?;
        self.0.rest();
        Ok(())
    }
}

impl Deref for Tx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.0.connection
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.0.busy()
    }
}

impl Store {
    /// A connection for what decides who runs a job.
    pub(crate) async fn control(&self) -> Result<InUse, sqlx::Error> {
        Ok(InUse { connection: self.control.acquire().await?, rests: false })
    }

    /// A connection for everything else.
    pub(crate) async fn in_use(&self) -> Result<InUse, sqlx::Error> {
        Ok(InUse { connection: self.pool.acquire().await?, rests: false })
    }

    /// Begins a transaction.
    pub(crate) async fn begin(&self) -> Result<Tx, sqlx::Error> {
        Tx::begin(self.in_use().await?).await
    }

    /// Begins a transaction. If no connection is free, or Postgres is away, it is tried again for so long: nothing was
    /// sent yet, so nothing is unknown.
    ///
    /// # Errors
    /// If Postgres is away for longer, or refuses.
    pub(crate) async fn begin_within(&self, patience: Duration) -> Result<Tx, StoreError> {
        let began = Instant::now();
        loop {
            match self.begin().await.map_err(StoreError::from) {
                Err(error) if error.is_transient() && began.elapsed() < patience => {
                    tokio::time::sleep(BEGIN_AGAIN).await;
                }
                other => return other,
            }
        }
    }

    /// All rows of a statement that stands alone.
    pub(crate) async fn all<O: Send + Unpin>(
        &self,
        statement: Map<'_, Postgres, impl FnMut(PgRow) -> Result<O, sqlx::Error> + Send, PgArguments>,
    ) -> Result<Vec<O>, sqlx::Error> {
        let mut on = self.in_use().await?;
        let answer = statement.fetch_all(on.busy()).await;
        on.rest();
        answer
    }

    /// Its row, if it has one.
    pub(crate) async fn optional<O: Send + Unpin>(
        &self,
        statement: Map<'_, Postgres, impl FnMut(PgRow) -> Result<O, sqlx::Error> + Send, PgArguments>,
    ) -> Result<Option<O>, sqlx::Error> {
        let mut on = self.in_use().await?;
        let answer = statement.fetch_optional(on.busy()).await;
        on.rest();
        answer
    }

    /// Its only row.
    pub(crate) async fn one<O: Send + Unpin>(
        &self,
        statement: Map<'_, Postgres, impl FnMut(PgRow) -> Result<O, sqlx::Error> + Send, PgArguments>,
    ) -> Result<O, sqlx::Error> {
        self.optional(statement).await?.ok_or(sqlx::Error::RowNotFound)
    }

    /// Carries out a statement that stands alone and has no rows.
    pub(crate) async fn execute(
        &self,
        statement: Query<'_, Postgres, PgArguments>,
    ) -> Result<PgQueryResult, sqlx::Error> {
        let mut on = self.in_use().await?;
        let answer = statement.execute(on.busy()).await;
        on.rest();
        answer
    }
}
