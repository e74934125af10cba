//! One vendor response, transformed, and where to go on.

use std::time::Duration;

use protocol::{Record, Rejected};
use serde::{Deserialize, Serialize};

/// Where the next page goes on. Opaque to everybody but the connector that made it; stored as `jsonb`;
/// never holds a secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub serde_json::Value);

/// One vendor response, transformed.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Records the vendor listed: `records` plus `rejected`.
    pub listed: u64,
    /// Records to write.
    pub records: Vec<Record>,
    /// Records that could not be transformed.
    pub rejected: Vec<Rejected>,
    /// What to do now.
    pub next: Next,
}

/// What comes after a page.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// There are more records; ask with this position.
    More(Position),
    /// Nothing yet, ask again after a while: the vendor is still preparing a bulk job's result.
    Wait {
        /// Ask with this one. It names the bulk job, so it must be stored before waiting.
        position: Position,
        /// How long the vendor wants to be left alone.
        after: Duration,
    },
    /// That was all.
    Done {
        /// Where the next incremental run starts; `None` if it starts over.
        checkpoint: Option<Position>,
    },
}
