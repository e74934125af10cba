//! Committing pages. When the source is faster than Postgres, pages of an object wait and go into one transaction
//! together; when it is slower, each goes alone and progress is live.
//!
//! The pages of an object are committed in the order they came, one transaction after another: the cursor goes with
//! them. Transactions of two objects run side by side; they meet at the job's row, the last thing that each one writes.

use std::collections::VecDeque;

use connectors::Next;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use protocol::{ObjectName, Progress, Record, Rejected, Table};
use store::{PageBatch, PagesCommitted, StoreError};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::Instant;

use crate::fetch::Fetched;
use crate::live::Live;
use crate::pipeline::{Pipeline, Stopped};
use crate::tally::Tally;

/// Transactions of a job that run side by side.
const COMMITS_AT_ONCE: usize = 2;

/// Pages that were fetched and are not committed, in the order they came.
#[derive(Default)]
struct Waiting {
    pages: VecDeque<Fetched>,
    /// Objects with a transaction under way.
    busy: Vec<ObjectName>,
}

impl Waiting {
    /// The next pages of an object that has no transaction under way; it has one from now on.
    fn take(&mut self) -> Option<(ObjectName, VecDeque<Fetched>)> {
        let next = self.pages.iter().find(|page| !self.busy.contains(&page.object))?;
        let object = next.object.clone();
        let (taken, left): (VecDeque<_>, VecDeque<_>) =
            self.pages.drain(..).partition(|page| page.object == object);
        self.pages = left;
        self.busy.push(object.clone());
        Some((object, taken))
    }
}

/// A transaction that is committed.
struct Done {
    object: ObjectName,
    batches: Vec<PageBatch>,
    progress: Progress,
    begun: Instant,
    committed: PagesCommitted,
}

impl Pipeline<'_> {
    /// Commits everything that is fetched, until nothing more is.
    pub(crate) async fn commit_all(
        &self,
        mut pages: mpsc::Receiver<Fetched>,
        mut estimates: mpsc::Receiver<(ObjectName, Option<u64>)>,
        tally: &mut Tally,
        live: &mut Live,
    ) -> Result<(), Stopped> {
        let mut waiting = Waiting::default();
        let mut committing = FuturesUnordered::new();
        let (mut ready, mut is_open) = (Vec::new(), true);
        loop {
            while committing.len() < COMMITS_AT_ONCE
                && let Some((object, mut pages)) = waiting.take()
            {
                let rooms = pages.iter_mut().map(|page| page.room.take()).collect();
                let batches = batches(pages.into_iter());
                tally.add_listed(&batches);
                committing.push(self.commit(tally.progress(&object), object, batches, rooms));
            }
            if !is_open && committing.is_empty() {
                return Ok(());
            }
            let room = self.commit_pages_max.max(1).saturating_sub(waiting.pages.len());
            tokio::select! {
                Some((object, records)) = estimates.recv() => tally.set_estimate(&object, records),
                Some(done) = committing.next(), if !committing.is_empty() => {
                    let done = done.map_err(Stopped::Store)?;
                    waiting.busy.retain(|busy| *busy != done.object);
                    self.renewed.send_if_modified(|at| std::mem::replace(at, done.begun.max(*at)) != *at);
                    tally.add_committed(&done.batches, &done.committed.batches);
                    live.progress(done.progress, done.committed.fenced);
                    if done.committed.fenced.cancel_requested {
                        return Err(Stopped::Cancelled);
                    }
                }
                taken = pages.recv_many(&mut ready, room), if is_open && room > 0 => {
                    is_open = taken > 0;
                    waiting.pages.extend(ready.drain(..));
                }
            }
        }
    }

    async fn commit(
        &self,
        progress: Progress,
        object: ObjectName,
        mut batches: Vec<PageBatch>,
        _rooms: Vec<Option<OwnedSemaphorePermit>>,
    ) -> Result<Done, StoreError> {
        let mut begun = Instant::now();
        let mut committed = self.store.commit_pages(self.lease, &batches, &progress).await;
        if committed.as_ref().is_err_and(StoreError::is_about_data) {
            for PageBatch { object, table, records, rejected, .. } in &mut batches {
                self.set_aside(object, *table, records, rejected).await?;
            }
            begun = Instant::now();
            committed = self.store.commit_pages(self.lease, &batches, &progress).await;
        }
        Ok(Done { object, batches, progress, begun, committed: committed? })
    }
}

impl Pipeline<'_> {
    /// A record that Postgres refuses is captured like one that could not be transformed. For a second try.
    pub(crate) async fn set_aside(
        &self,
        object: &ObjectName,
        table: Table,
        records: &mut Vec<Record>,
        rejected: &mut Vec<Rejected>,
    ) -> Result<(), StoreError> {
        let refused = self.store.set_aside(self.lease, table, records, rejected).await?;
        if refused > 0 {
            tracing::warn!(object = %object, records = refused, "Postgres refuses records; they are captured");
        }
        Ok(())
    }
}

/// Pages of one object that wait together become one batch, one after another.
fn batches(pages: impl Iterator<Item = Fetched>) -> Vec<PageBatch> {
    let mut batches: Vec<PageBatch> = Vec::new();
    for Fetched { object, table, mode, page, .. } in pages {
        let (position, done, checkpoint) = match page.next {
            Next::More(position) | Next::Wait { position, .. } => (Some(position.0), false, None),
            Next::Done { checkpoint } => (None, true, checkpoint.map(|checkpoint| checkpoint.0)),
        };
        // A page with everything stays alone: together with another one it would not be known for that.
        let last = batches.iter_mut().rev().find(|batch| batch.object == object);
        match last.filter(|batch| !batch.whole && !page.whole) {
            Some(batch) => {
                batch.records.extend(page.records);
                batch.rejected.extend(page.rejected);
                batch.sweeps.extend(page.sweeps);
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
                sweeps: page.sweeps,
                whole: page.whole,
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

#[cfg(test)]
#[path = "commit_tests.rs"]
mod tests;
