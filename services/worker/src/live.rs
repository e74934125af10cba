//! The live view of a running job: whatever the run reports is put on the progress board, coalesced, newest
//! first, and never in the way of the run.

use std::time::Duration;

use bus::{BoardCell, Bus};
use protocol::{JobView, Progress};
use store::Fenced;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// The writer's end. Dropped without [`Live::finish`], it stops writing.
#[derive(Debug)]
pub(crate) struct Live {
    view: JobView,
    views: watch::Sender<JobView>,
    writer: AbortOnDropHandle<BoardCell>,
    bus: Bus,
}

/// How long the last view may take; then the ticket is kept for another try.
const LAST_VIEW_WAIT: Duration = Duration::from_millis(500);

impl Live {
    /// Starts with a job's view after the claim.
    pub(crate) fn start(bus: &Bus, view: JobView, interval: Duration) -> Self {
        let (views, seen) = watch::channel(view.clone());
        #[expect(clippy::disallowed_methods, reason = "aborted when the run drops it, panics included")]
        let writer = AbortOnDropHandle::new(tokio::spawn(write(bus.clone(), seen, interval)));
        Self { view, views, writer, bus: bus.clone() }
    }

    /// Reports progress that was committed. Of two transactions that ran side by side the later revision
    /// may have the smaller progress, and may be reported first.
    pub(crate) fn progress(&mut self, progress: Progress, fenced: Fenced) {
        let Fenced { revision, cancel_requested } = fenced;
        self.view.cancel_requested |= cancel_requested;
        if revision < self.view.revision {
            return;
        }
        if progress.current >= self.view.progress.current {
            self.view.progress = progress;
        }
        self.view.revision = revision;
        self.views.send_replace(self.view.clone());
    }

    /// The newest revision that was committed, the claim's if there is none.
    pub(crate) fn revision(&self) -> u64 {
        self.view.revision
    }

    /// Puts the last view on the board and waits until it is there, a little. Answers whether it is.
    pub(crate) async fn finish(self, last: &JobView) -> bool {
        drop(self.views);
        let post = async {
            let mut cell = self.writer.await.unwrap_or_default();
            self.bus.post(&mut cell, last).await
        };
        match tokio::time::timeout(LAST_VIEW_WAIT, post).await {
            Ok(Ok(_)) => return true,
            Ok(Err(error)) => {
                tracing::debug!(job.id = %last.id, error = %error, "the last view is not on the board")
            }
            Err(_) => tracing::debug!(job.id = %last.id, "the last view is not on the board in time"),
        }
        false
    }
}

/// Writes the newest view at most once an interval, until the sender is dropped.
async fn write(bus: Bus, mut views: watch::Receiver<JobView>, interval: Duration) -> BoardCell {
    let mut cell = BoardCell::default();
    loop {
        let view = views.borrow_and_update().clone();
        if let Err(error) = bus.post(&mut cell, &view).await {
            tracing::debug!(job.id = %view.id, error = %error, "a view is not on the board");
        }
        let pause = tokio::time::sleep(interval);
        tokio::pin!(pause);
        tokio::select! {
            () = &mut pause => {}
            () = closed(&mut views) => return cell,
        }
        if views.changed().await.is_err() {
            return cell;
        }
    }
}

/// Resolves when the sender is gone, whatever it sent before.
async fn closed(views: &mut watch::Receiver<JobView>) {
    let mut views = views.clone();
    while views.changed().await.is_ok() {}
}
