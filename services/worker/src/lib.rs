//! The worker: pulls tickets, claims jobs, runs them, settles. Start reading at `job.rs`.

mod attempt;
mod budgets;
mod build;
mod commit;
mod compare;
mod decide;
mod fetch;
mod job;
mod keeper;
mod live;
mod patience;
mod pipeline;
mod plan;
mod serve;
mod slots;
mod tally;

use std::sync::Arc;
use std::time::Duration;

use bus::Bus;
use connectors::Registry;
use store::Store;
use tokio_util::task::TaskTracker;

pub use budgets::share_budgets;
pub use build::{REQUIRED, from_config, serve};
pub use decide::{Counts, Decision, Outcome, Policy, decide};
pub use slots::Slots;

/// What is configured. See `defaults.toml` for what each setting means.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Slots of each lane.
    pub slots: Slots,
    /// How long a job may have a place in the reserve while all slots are taken.
    pub reserve_turn: Duration,
    /// How long a lease lives after each renewal; a dead worker's job waits that long at most.
    pub lease: Duration,
    /// How often a lease is renewed while nothing is committed.
    pub heartbeat: Duration,
    /// How long an attempt may take.
    pub attempt_timeout: Duration,
    /// A job that was taken over more often without committing anything fails.
    pub takeovers_max: u32,
    /// The wait after the first failed attempt.
    pub retry_base: Duration,
    /// How many fetched pages may wait for their commit.
    pub pages_ahead_max: usize,
    /// How many pages may go into one transaction.
    pub commit_pages_max: usize,
    /// So many rows of an object may be marked as deleted in any case, because the vendor does not have them any more.
    pub delete_rows_max: u64,
    /// Or this share of its live rows, in percent. Beyond both, somebody has to approve.
    pub delete_percent_max: u64,
    /// The least time between two views of a job on the progress board.
    pub progress_interval: Duration,
}

/// A worker, ready to run.
#[derive(Clone)]
pub struct Worker {
    store: Store,
    bus: Bus,
    registry: Arc<Registry>,
    settings: Settings,
    name: String,
    tracker: TaskTracker,
}

impl Worker {
    /// From ready-made parts. `name` is what `jobs.lease_holder` shows.
    pub fn new(
        store: Store,
        bus: Bus,
        registry: Arc<Registry>,
        settings: Settings,
        name: String,
    ) -> Arc<Self> {
        Arc::new(Self { store, bus, registry, settings, name, tracker: TaskTracker::new() })
    }
}
