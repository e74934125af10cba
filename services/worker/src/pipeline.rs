//! The page pipeline of one run: objects are fetched side by side, ahead of the commit by a bounded number of
//! pages, and committed by one task in the order they came.
//!
//! When the source is faster than Postgres, pages wait and go into one transaction together; when it is
//! slower, each goes alone and progress is live.

use std::sync::Arc;
use std::time::Duration;

use connectors::{ErrorClass, Next, Page, Session, SourceError};
use protocol::{ObjectName, SyncMode, Table};
use store::{Lease, PageBatch, Store, StoreError};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

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
    /// Cancelled when the worker shuts down.
    pub stop: CancellationToken,
    /// Told of every commit, so that the lease need not be renewed besides.
    pub renewed: watch::Sender<tokio::time::Instant>,
}

struct Fetched {
    object: ObjectName,
    table: Table,
    mode: SyncMode,
    page: Page,
}

/// How long a page that is being fetched at a halt may still take.
const STOP_GRACE: Duration = Duration::from_secs(2);

impl Pipeline<'_> {
    /// Runs to the last page of every object.
    pub(crate) async fn run(&self, tally: &mut Tally, live: &mut Live) -> Result<(), Stopped> {
        let (tx, rx) = mpsc::channel(self.pages_ahead_max.max(1));
        let mut tasks = JoinSet::new();
        // What fails for the whole account halts the other objects after their present page. What fails for one
        // does not: they get done, and the next attempt has only that one left.
        let halt = self.stop.child_token();
        for planned in self.planned.iter().filter(|planned| !planned.done) {
            let fetch = Fetch {
                session: Arc::clone(&self.session),
                planned: planned.clone(),
                pages: tx.clone(),
                halt: halt.clone(),
            };
            tasks.spawn(fetch.run());
        }
        drop(tx);
        let estimates = self.estimate();
        // An error ends the commits first, which ends the fetching: the channel is closed.
        let committed = self.commit_all(rx, estimates, tally, live).await;
        let fetched = join(&mut tasks, tally).await;
        committed.and(fetched)
    }

    /// Asks how many records to expect, beside the fetching: the first page does not wait for it.
    fn estimate(&self) -> mpsc::Receiver<(ObjectName, Option<u64>)> {
        let (tx, rx) = mpsc::channel(self.planned.len().max(1));
        let session = Arc::clone(&self.session);
        // Only for what is read as a whole: nobody knows beforehand how much changed.
        let whole = self.planned.iter().filter(|planned| planned.mode == SyncMode::Full && !planned.done);
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

    async fn commit_all(
        &self,
        mut pages: mpsc::Receiver<Fetched>,
        mut estimates: mpsc::Receiver<(ObjectName, Option<u64>)>,
        tally: &mut Tally,
        live: &mut Live,
    ) -> Result<(), Stopped> {
        let mut ready = Vec::new();
        loop {
            tokio::select! {
                Some((object, records)) = estimates.recv() => tally.set_estimate(&object, records),
                taken = pages.recv_many(&mut ready, self.commit_pages_max.max(1)) => {
                    if taken == 0 {
                        return Ok(());
                    }
                    self.commit(batches(ready.drain(..)), tally, live).await.map_err(Stopped::Store)?;
                }
            }
        }
    }

    async fn commit(
        &self,
        batches: Vec<PageBatch>,
        tally: &mut Tally,
        live: &mut Live,
    ) -> Result<(), StoreError> {
        let Some(last) = batches.last().map(|batch| batch.object.clone()) else { return Ok(()) };
        tally.add_listed(&batches);
        let progress = tally.progress(&last);
        let at = tokio::time::Instant::now();
        let committed = self.store.commit_pages(self.lease, &batches, &progress).await?;
        self.renewed.send_replace(at);
        tally.add_written(&batches, &committed.written);
        live.progress(progress, committed.revision);
        Ok(())
    }
}

/// Pages of one object that wait together become one batch.
fn batches(pages: impl Iterator<Item = Fetched>) -> Vec<PageBatch> {
    let mut batches: Vec<PageBatch> = Vec::new();
    for Fetched { object, table, mode, page } in pages {
        let (position, done, checkpoint) = match page.next {
            Next::More(position) | Next::Wait { position, .. } => (Some(position.0), false, None),
            Next::Done { checkpoint } => (None, true, checkpoint.map(|checkpoint| checkpoint.0)),
        };
        match batches.iter_mut().find(|batch| batch.object == object) {
            Some(batch) => {
                batch.records.extend(page.records);
                batch.rejected.extend(page.rejected);
                batch.listed += page.listed;
                batch.pages += 1;
                batch.position = position;
                batch.done = done;
                batch.checkpoint = checkpoint;
            }
            None => batches.push(PageBatch {
                object,
                table,
                records: page.records,
                rejected: page.rejected,
                listed: page.listed,
                pages: 1,
                position,
                done,
                checkpoint,
                mode,
            }),
        }
    }
    batches
}

/// Fetches one object, page after page.
struct Fetch {
    session: Arc<dyn Session>,
    planned: Planned,
    pages: mpsc::Sender<Fetched>,
    halt: CancellationToken,
}

impl Fetch {
    async fn run(self) -> Result<(), Stopped> {
        let halt = self.halt.clone();
        let fetched = self.fetch_all().await;
        if matches!(&fetched, Err(Stopped::Source(_, error)) if is_for_the_account(error.class)) {
            halt.cancel();
        }
        fetched
    }

    async fn fetch_all(mut self) -> Result<(), Stopped> {
        loop {
            if self.halt.is_cancelled() {
                return Err(Stopped::Interrupted);
            }
            let page = self.page().await?;
            let next = page.next.clone();
            let Planned { object, table, mode, .. } = &self.planned;
            let fetched = Fetched { object: object.clone(), table: *table, mode: *mode, page };
            if self.pages.send(fetched).await.is_err() {
                // The commits ended, and say why.
                return Ok(());
            }
            match next {
                Next::Done { .. } => return Ok(()),
                Next::More(position) => self.planned.position = Some(position),
                Next::Wait { position, after } => {
                    self.planned.position = Some(position);
                    tokio::select! {
                        () = tokio::time::sleep(after) => {}
                        () = self.halt.cancelled() => return Err(Stopped::Interrupted),
                        () = self.pages.closed() => return Ok(()),
                    }
                }
            }
        }
    }

    /// One page. A halt lets it finish if that is quick; the end of the commits does not wait for it.
    async fn page(&self) -> Result<Page, Stopped> {
        let stopped = async {
            self.halt.cancelled().await;
            tokio::time::sleep(STOP_GRACE).await;
        };
        tokio::select! {
            page = self.session.page(&self.planned.object, self.planned.position.as_ref()) => {
                page.map_err(|error| Stopped::Source(self.planned.object.clone(), error))
            }
            () = stopped => Err(Stopped::Interrupted),
            () = self.pages.closed() => Err(Stopped::Interrupted),
        }
    }
}

fn is_for_the_account(class: ErrorClass) -> bool {
    matches!(class, ErrorClass::Unauthorized | ErrorClass::Quota { .. })
}

/// Waits for all fetching tasks. An object that the account does not allow to read is noted and does no harm to
/// the others. Of what is left, the worst of their errors counts: a panic, then an error that ends the job,
/// then one that may go away, then an interruption.
async fn join(tasks: &mut JoinSet<Result<(), Stopped>>, tally: &mut Tally) -> Result<(), Stopped> {
    let mut worst: Option<Stopped> = None;
    while let Some(joined) = tasks.join_next().await {
        let stopped = match joined {
            Ok(Ok(())) => continue,
            Ok(Err(Stopped::Source(object, error))) if error.class == ErrorClass::Forbidden => {
                tally.set_failed(&object, error.message);
                continue;
            }
            Ok(Err(stopped)) => stopped,
            Err(error) => Stopped::Panicked(panic_message(error)),
        };
        if worst.as_ref().is_none_or(|worst| severity(&stopped) > severity(worst)) {
            worst = Some(stopped);
        }
    }
    worst.map_or(Ok(()), Err)
}

fn severity(stopped: &Stopped) -> u8 {
    match stopped {
        Stopped::Panicked(_) => 4,
        Stopped::Source(_, error) if matches!(error.class, ErrorClass::Transient) => 1,
        Stopped::Source(_, error) if matches!(error.class, ErrorClass::Quota { .. }) => 2,
        Stopped::Store(_) | Stopped::Source(..) => 3,
        Stopped::Interrupted => 0,
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
