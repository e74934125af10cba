//! One error type for the boundary to Postgres.

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Postgres is away, starting, full or too slow. The same call may succeed later; if it was a commit,
    /// its effect is unknown.
    #[error("Postgres is not available")]
    Unavailable(#[source] sqlx::Error),
    /// The lease is not ours (any more): somebody took the job over, or it is over. Stop, touch nothing.
    #[error("the lease of the job is lost")]
    LeaseLost,
    /// There is no such workspace.
    #[error("the workspace does not exist")]
    UnknownWorkspace,
    /// Stored credentials cannot be opened with this key.
    #[error("stored credentials cannot be opened; is secrets.encryption_key the one they were stored with?")]
    Sealed,
    /// A row is not what this version writes.
    #[error("a stored value cannot be read: {0}")]
    Corrupt(String),
    /// A statement that must succeed was refused: a bug.
    #[error("Postgres refused a statement")]
    Refused(#[source] sqlx::Error),
}

impl StoreError {
    /// For a caller that does not wait any longer.
    pub fn timed_out() -> Self {
        Self::Unavailable(sqlx::Error::PoolTimedOut)
    }

    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// Whether Postgres refused a value that it was given. Without it the same call may succeed:
    /// [`crate::Store::set_aside`].
    pub fn is_about_data(&self) -> bool {
        self.data_message().is_some()
    }

    /// What Postgres says against a value. It may show the value: not for a log.
    pub(crate) fn data_message(&self) -> Option<&str> {
        let Self::Refused(sqlx::Error::Database(error)) = self else { return None };
        let code = error.code()?;
        ABOUT_DATA.iter().any(|class| code.starts_with(class)).then(|| error.message())
    }
}

/// SQLSTATE classes of what is wrong with a value: data exceptions, and limits that it exceeds.
const ABOUT_DATA: [&str; 2] = ["22", "54"];

/// SQLSTATE classes and codes that mean "not now": connection exceptions, resources, shutdown,
/// serialization failure, deadlock, read-only standby, a lock that was not free, a transaction that was ended because its
/// process was held up in it.
const TRANSIENT: [&str; 8] = ["08", "53", "57P", "40001", "40P01", "25006", "25P0", "55P03"];

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let transient = match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed => true,
            sqlx::Error::Database(e) => {
                e.code().is_some_and(|code| TRANSIENT.iter().any(|class| code.starts_with(class)))
            }
            _ => false,
        };
        if transient { Self::Unavailable(error) } else { Self::Refused(error) }
    }
}

impl From<sqlx::migrate::MigrateError> for StoreError {
    fn from(error: sqlx::migrate::MigrateError) -> Self {
        match error {
            sqlx::migrate::MigrateError::Execute(e) | sqlx::migrate::MigrateError::ExecuteMigration(e, _) => {
                e.into()
            }
            other => Self::Corrupt(other.to_string()),
        }
    }
}
