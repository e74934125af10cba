//! Fetching one object, page after page, and what to make of the errors of several.

use std::sync::Arc;
use std::time::Duration;

use connectors::{ErrorClass, Next, Page, Session};
use protocol::{ObjectName, SyncMode, Table};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::pipeline::{Stopped, panic_message};
use crate::plan::Planned;
use crate::tally::Tally;

/// How long what is being asked of a vendor at a halt may still take.
const HALT_GRACE: Duration = Duration::from_secs(5);

/// Records and associations of a job that may be fetched and not committed. What waits is limited by pages, too, but
/// pages differ.
pub(crate) const ROWS_AHEAD_MAX: usize = 4_000;

/// A page, and where it belongs.
pub(crate) struct Fetched {
    pub object: ObjectName,
    pub table: Table,
    pub mode: SyncMode,
    pub page: Page,
    /// Its share of [`ROWS_AHEAD_MAX`], until it is committed.
    pub room: Option<OwnedSemaphorePermit>,
}

/// Fetches one object, page after page.
pub(crate) struct Fetch {
    pub session: Arc<dyn Session>,
    pub planned: Planned,
    pub pages: mpsc::Sender<Fetched>,
    pub rows_ahead: Arc<Semaphore>,
    /// Cancelled when no further page is wanted.
    pub halt: CancellationToken,
}

impl Fetch {
    pub(crate) async fn run(self) -> Result<(), Stopped> {
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
            let room = self.room(&page).await;
            let fetched = Fetched { object: object.clone(), table: *table, mode: *mode, page, room };
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

    /// Waits until there is room for a page; one that is larger than all the room takes all of it. `None` if the commits
    /// ended.
    async fn room(&self, page: &Page) -> Option<OwnedSemaphorePermit> {
        let links: usize = page.sweeps.iter().map(|sweep| sweep.links.len()).sum();
        let rows = (page.records.len() + page.rejected.len() + links).min(ROWS_AHEAD_MAX);
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        tokio::select! {
            room = Arc::clone(&self.rows_ahead).acquire_many_owned(rows) => room.ok(),
            () = self.pages.closed() => None,
        }
    }

    /// One page. A halt lets it finish if that is quick; the end of the commits does not wait for it.
    async fn page(&self) -> Result<Page, Stopped> {
        tokio::select! {
            page = self.session.page(&self.planned.object, self.planned.position.as_ref()) => {
                page.map_err(|error| Stopped::Source(self.planned.object.clone(), error))
            }
            () = halted(&self.halt) => Err(Stopped::Interrupted),
            () = self.pages.closed() => Err(Stopped::Interrupted),
        }
    }
}

/// Resolves a moment after the halt: what is under way may be done by then.
pub(crate) async fn halted(halt: &CancellationToken) {
    halt.cancelled().await;
    tokio::time::sleep(HALT_GRACE).await;
}

fn is_for_the_account(class: ErrorClass) -> bool {
    matches!(class, ErrorClass::Unauthorized | ErrorClass::Quota { .. })
}

/// Waits for all fetching tasks. An object that the account does not allow to read is noted and does no harm to
/// the others. Of what is left, the worst of their errors counts: a panic, then an error that ends the job,
/// then one that may go away, then an interruption.
pub(crate) async fn join(tasks: &mut JoinSet<Result<(), Stopped>>, tally: &mut Tally) -> Result<(), Stopped> {
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
        // The commits find out, not the fetching.
        Stopped::Interrupted | Stopped::Cancelled => 0,
    }
}
