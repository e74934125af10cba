//! One vendor response, transformed, and where to go on.

use std::time::Duration;

use protocol::{Record, Rejected, Sweep};
use serde::{Deserialize, Serialize};

/// Where the next page goes on. Opaque to everybody but the connector that made it; stored as `jsonb`;
/// never holds a secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub serde_json::Value);

/// One vendor response, transformed.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Records the vendor listed, or associations: as many as are in here.
    pub listed: u64,
    /// Records to write.
    pub records: Vec<Record>,
    /// Records that could not be transformed.
    pub rejected: Vec<Rejected>,
    /// What the records of a range are associated with.
    pub sweeps: Vec<Sweep>,
    /// Whether these records are all that there are: the host may forget every other.
    pub whole: bool,
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

/// What the vendor has otherwise than the host: one answer of a comparison.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Difference {
    /// Records as the vendor has them, which the host has otherwise or not at all.
    pub records: Vec<Record>,
    /// Such records that could not be transformed.
    pub rejected: Vec<Rejected>,
    /// Ids of the host that the vendor has no record of, neither a live nor an archived one. It was asked for each.
    pub gone: Vec<String>,
    /// How many live records the host had when the comparison began.
    pub known: u64,
    /// By how many fewer the vendor then seemed to have: if that is suspiciously many, nothing should be believed
    /// before the end.
    pub fewer: u64,
    /// Where the comparison goes on; `None` if it is through.
    pub next: Option<Position>,
}
