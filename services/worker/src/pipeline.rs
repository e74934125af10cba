//! The page pipeline of one run: objects are fetched side by side, ahead of their commits by a bounded number of
//! pages. See `fetch.rs` for one end and `commit.rs` for the other.

use std::sync::Arc;

use connectors::{Session, SourceError};
use protocol::{ObjectName, SyncMode, Table};
use store::{Lease, Store, StoreError};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::compare::DeleteGuard;
use crate::fetch::{Fetch, ROWS_AHEAD_MAX, join};
use crate::live::Live;
use crate::plan::Planned;
use crate::tally::Tally;

/// Why a run ended before its last page.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The vendor.
    Source(ObjectName, SourceError),
    /// Postgres, or the lease.
    Store(StoreError),
    /// Somebody asked to cancel the job; what was committed stays.
    Cancelled,
    /// The worker shuts down; everything fetched is committed.
    Interrupted,
    /// A fetching task panicked.
    Panicked(String),
}

/// What a pipeline needs.
pub(crate) struct Pipeline<'a> {
    pub store: &'a Store,
    pub lease: &'a Lease,
    pub session: Arc<dyn Session>,
    pub planned: Vec<Planned>,
    pub pages_ahead_max: usize,
    pub commit_pages_max: usize,
    pub guard: DeleteGuard,
    /// Cancelled when the worker shuts down.
    pub stop: CancellationToken,
    /// Told of every commit, so that the lease need not be renewed besides.
    pub renewed: watch::Sender<tokio::time::Instant>,
}

impl Pipeline<'_> {
    /// Runs to the last page of every object, and finds what is gone: first the records; then both sides are
    /// compared; then what belongs to which, which is asked for by the records that are there.
    pub(crate) async fn run(&self, tally: &mut Tally, live: &mut Live) -> Result<(), Stopped> {
        let (last, first): (Vec<&Planned>, Vec<&Planned>) =
            self.planned.iter().partition(|planned| planned.table == Table::Associations);
        self.fetch(&first, tally, live).await?;
        self.compare(tally, live).await?;
        self.fetch(&last, tally, live).await
    }

    /// Reads objects to their last page.
    async fn fetch(&self, objects: &[&Planned], tally: &mut Tally, live: &mut Live) -> Result<(), Stopped> {
        let (tx, rx) = mpsc::channel(self.pages_ahead_max.max(1));
        let rows_ahead = Arc::new(Semaphore::new(ROWS_AHEAD_MAX));
        let mut tasks = JoinSet::new();
        // What fails for the whole account halts the other objects after their present page. What fails for one
        // does not: they get done, and the next attempt has only that one left.
        let halt = self.stop.child_token();
        for planned in objects.iter().filter(|planned| !planned.done) {
            let fetch = Fetch {
                session: Arc::clone(&self.session),
                planned: (*planned).clone(),
                pages: tx.clone(),
                rows_ahead: Arc::clone(&rows_ahead),
                halt: halt.clone(),
            };
            tasks.spawn(fetch.run());
        }
        drop(tx);
        let estimates = self.estimate(objects);
        // An error ends the commits first, which ends the fetching: the channel is closed.
        let committed = self.commit_all(rx, estimates, tally, live).await;
        let fetched = join(&mut tasks, tally).await;
        committed.and(fetched)
    }

    /// Asks how many records to expect, beside the fetching: the first page does not wait for it.
    fn estimate(&self, objects: &[&Planned]) -> mpsc::Receiver<(ObjectName, Option<u64>)> {
        let (tx, rx) = mpsc::channel(objects.len().max(1));
        let session = Arc::clone(&self.session);
        // Only for what is read as a whole: nobody knows beforehand how much changed.
        let whole = objects.iter().filter(|planned| planned.mode == SyncMode::Full && !planned.done);
        let objects: Vec<ObjectName> = whole.map(|planned| planned.object.clone()).collect();
        let ask = async move {
            for object in objects {
                let records = session.estimate(&object).await.unwrap_or_else(|error| {
                    tracing::debug!(object = %object, error = %error, "no estimate");
                    None
                });
                if tx.send((object, records)).await.is_err() {
                    return;
                }
            }
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "ends by itself when the receiver is dropped with the run"
        )]
        drop(tokio::spawn(ask));
        rx
    }
}

/// The longest text of a panic that is kept, in characters.
const PANIC_MESSAGE_MAX: usize = 500;

/// What a panic said.
pub(crate) fn panic_message(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(payload) => payload
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| payload.downcast_ref::<&str>().copied())
            .unwrap_or("a panic without a message")
            .chars()
            .filter(|c| !c.is_control())
            .take(PANIC_MESSAGE_MAX)
            .collect(),
        Err(error) => error.to_string(),
    }
}
