//! Where the timetables of accounts are kept. Whoever builds the registry gives it; nothing here knows what it is.

use std::sync::Arc;

use async_trait::async_trait;

/// A place for small values that all processes of a Syncline share.
#[async_trait]
pub trait BudgetBoard: Send + Sync {
    /// What is under a key.
    async fn read(&self, key: &str) -> Result<Posted, BoardAway>;

    /// Writes a value, if what is under the key is still of that revision; answers the new one.
    async fn write(&self, key: &str, value: Vec<u8>, revision: u64) -> Result<Written, BoardAway>;
}

/// What is under a key of a [`BudgetBoard`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// The value, if there is one.
    pub value: Option<Vec<u8>>,
    /// What a write has to name. Grows with each write; 0 if there never was one.
    pub revision: u64,
    /// When it was stored, in Unix milliseconds of the board's own clock, which all processes go by.
    pub stored_at_ms: u64,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is stored, as this revision.
    Stored(u64),
    /// Somebody else wrote meanwhile.
    Conflict,
}

/// The board cannot be reached. A write may have been done all the same.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the board with the budgets cannot be reached: {0}")]
pub struct BoardAway(pub String);

/// How a process shares its budgets with others.
#[derive(Clone)]
pub struct Sharing {
    /// Where.
    pub board: Arc<dyn BudgetBoard>,
    /// What this process is called there. No two have the same.
    pub name: String,
}
