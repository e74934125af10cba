//! Following a job: its next view, and the next, until it is over.
//!
//! The watch of the board wakes whoever waits. Postgres is asked when there is no watch, and now and then when
//! nothing was heard: the last view of a job may never have reached the board.

use std::sync::Arc;
use std::time::Duration;

use protocol::{JobId, JobView, WorkspaceId};
use runtime::ApiError;
use tokio::time::{Instant, sleep, sleep_until};

use crate::followers::Follower;
use crate::routes::Status;

/// How often it is asked whether the board is live, and Postgres is, if it is not.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// Of a job that nothing was heard of for so long the state is read, even if the board is live.
const QUIET_MAX: Duration = Duration::from_secs(30);
/// A merged job is read from Postgres, at most so often, however fast its jobs change.
const MERGED_INTERVAL: Duration = Duration::from_secs(1);
/// What is asked of a caller for whom there is no seat.
const SEAT_RETRY_AFTER: Duration = Duration::from_secs(5);

/// A job that is followed.
pub(crate) struct Follow {
    status: Arc<Status>,
    workspace_id: WorkspaceId,
    job_id: JobId,
    follower: Follower,
    view: Arc<JobView>,
    read_at: Instant,
}

impl Follow {
    /// Begins with the present view.
    pub(crate) async fn begin(
        status: Arc<Status>,
        workspace_id: WorkspaceId,
        job_id: JobId,
    ) -> Result<Self, ApiError> {
        let Some(mut follower) = status.board.followers().seat() else {
            let detail = "Too many requests wait for jobs. Poll without `wait`, or try again.";
            let full = ApiError::unavailable(detail, "every seat of a follower is taken");
            return Err(full.retry_after(SEAT_RETRY_AFTER));
        };
        // Before reading, so that no change falls in between.
        follower.follow(job_id);
        let mut view = status.job(&workspace_id, job_id, 0).await?;
        if !view.jobs.is_empty() {
            view.jobs.iter().for_each(|job| follower.follow(job.id));
            view = status.job(&workspace_id, job_id, 0).await?;
        }
        Ok(Self { status, workspace_id, job_id, follower, view, read_at: Instant::now() })
    }

    /// The newest view so far.
    pub(crate) fn view(&self) -> &Arc<JobView> {
        &self.view
    }

    /// Waits for a newer view; `false` if the service stops. Cancel-safe.
    pub(crate) async fn changed(&mut self) -> Result<bool, ApiError> {
        let stopped = self.status.board.stopped();
        tokio::select! {
            biased;
            () = stopped.cancelled() => Ok(false),
            changed = self.next() => changed.map(|()| true),
        }
    }

    async fn next(&mut self) -> Result<(), ApiError> {
        loop {
            self.due().await;
            let read = self.status.job(&self.workspace_id, self.job_id, 0).await;
            self.read_at = Instant::now();
            match read {
                Ok(view) if view.revision > self.view.revision => {
                    self.view = view;
                    return Ok(());
                }
                Ok(_) => {}
                Err(error) if error.kind().retryable() => {
                    tracing::debug!(job.id = %self.job_id, error = %error, "a followed job cannot be read now");
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Resolves when there is a reason to read the job.
    async fn due(&self) {
        loop {
            tokio::select! {
                () = self.follower.heard() => break,
                () = sleep(LOOK_INTERVAL) => {
                    if !self.status.is_live() || self.read_at.elapsed() >= QUIET_MAX {
                        break;
                    }
                }
            }
        }
        if !self.view.jobs.is_empty() {
            sleep_until(self.read_at + MERGED_INTERVAL).await;
        }
    }
}
