//! The live board in memory: a watch of the KV bucket. Holds active jobs, and finished ones for a while.
//!
//! A view is only ever replaced by a newer one, so that a poll never goes backwards.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use bus::{BoardChange, Bus};
use protocol::{JobId, JobView, WorkspaceId};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::followers::{FOLLOWERS_MAX, Followers};

/// A view of a running job that is older than this may be of a board that is cut off: Postgres is asked.
const FRESH: Duration = Duration::from_secs(3);
/// The pause before a watch that ended is made again.
const REATTACH_WAIT: Duration = Duration::from_millis(250);
/// How often finished views are looked through for old ones.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);
/// Beyond so many jobs (about 200 MB) new ones are not kept; polls for them go to the bucket and to Postgres.
const VIEWS_MAX: usize = 200_000;

#[derive(Debug, Clone)]
struct Seen {
    view: Arc<JobView>,
    at: Instant,
    /// Whether it was the job's newest view then. One that lay in the bucket may have been left there.
    is_news: bool,
}

/// What is known of jobs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Board {
    views: Arc<RwLock<HashMap<JobId, Seen>>>,
    finished_keep: Duration,
    followers: Followers,
    watched: Arc<AtomicBool>,
    stopped: CancellationToken,
}

impl Board {
    /// An empty board that keeps finished jobs for so long.
    pub fn new(finished_keep: Duration) -> Self {
        Self {
            views: Arc::default(),
            finished_keep,
            followers: Followers::new(FOLLOWERS_MAX),
            watched: Arc::default(),
            stopped: CancellationToken::new(),
        }
    }

    /// With another limit on how many requests and streams may wait for a job at a time.
    pub fn with_followers_max(self, max: usize) -> Self {
        Self { followers: Followers::new(max), ..self }
    }

    /// How many requests and streams wait for a job now.
    pub fn followers_now(&self) -> usize {
        self.followers.count()
    }

    /// Those who wait for a job.
    pub(crate) fn followers(&self) -> &Followers {
        &self.followers
    }

    /// Whether changes arrive by themselves.
    pub(crate) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Relaxed)
    }

    /// Cancelled when the service stops: nobody waits longer.
    pub(crate) fn stopped(&self) -> CancellationToken {
        self.stopped.clone()
    }

    /// The newest view of a job of this workspace, and whether it is fresh.
    pub(crate) fn view(&self, workspace_id: &WorkspaceId, job_id: JobId) -> Option<(Arc<JobView>, bool)> {
        let views = self.views.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let seen = views.get(&job_id).filter(|seen| &seen.view.workspace_id == workspace_id)?;
        Some((Arc::clone(&seen.view), seen.is_news && seen.at.elapsed() < FRESH))
    }

    /// Takes a view over, if it is the newest; answers the newest. `is_news`: the job is so now.
    pub(crate) fn learn(&self, view: JobView, is_news: bool) -> Arc<JobView> {
        let mut views = self.views.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let seen = Seen { view: Arc::new(view), at: Instant::now(), is_news };
        if views.len() >= VIEWS_MAX && !views.contains_key(&seen.view.id) {
            return seen.view;
        }
        let newest = views.entry(seen.view.id).and_modify(|known| {
            let is_newer = known.view.revision < seen.view.revision;
            // The same once more says nothing new if it only lay somewhere.
            if is_newer || (known.view.revision == seen.view.revision && seen.is_news) {
                *known = seen.clone();
            }
        });
        Arc::clone(&newest.or_insert(seen).view)
    }

    /// Watches the bucket until `stop` is cancelled, and attaches again whenever the watch ends: after an
    /// outage, or a wiped store. Then ends all waiting for jobs.
    pub async fn watch_until(self, bus: Bus, stop: CancellationToken) {
        let stopped = self.stopped.clone().drop_guard();
        let end_waiting = async {
            stop.cancelled().await;
            drop(stopped);
        };
        let answer = bus.clone().answer_as("status", "Answers what jobs do", stop.clone());
        tokio::join!(end_waiting, answer, self.attach_until(bus, stop.clone()));
    }

    async fn attach_until(self, bus: Bus, stop: CancellationToken) {
        let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
        while !stop.is_cancelled() {
            let ended = self.watch(&bus, &stop, &mut sweep).await;
            self.watched.store(false, Ordering::Relaxed);
            if let Err(error) = ended {
                tracing::debug!(error = %error, "the board is not watched; attaching again");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(REATTACH_WAIT) => {}
            }
        }
    }

    async fn watch(
        &self,
        bus: &Bus,
        stop: &CancellationToken,
        sweep: &mut tokio::time::Interval,
    ) -> Result<(), bus::BusError> {
        let mut watch = bus.watch_board().await?;
        self.watched.store(true, Ordering::Relaxed);
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                _ = sweep.tick() => self.forget_old(),
                change = watch.next() => match change {
                    Some(Ok(BoardChange::Posted(view))) => {
                        let job_id = view.id;
                        self.learn(*view, watch.is_news());
                        self.followers.ring(job_id);
                    }
                    Some(Ok(BoardChange::Gone(_))) => {}
                    Some(Err(bus::BusError::Corrupt(error))) => {
                        tracing::warn!(error, "an entry of the board cannot be read");
                    }
                    Some(Err(error)) => return Err(error),
                    None => return Ok(()),
                },
            }
        }
    }

    /// Finished jobs are in Postgres; so are jobs that nobody touched for long.
    fn forget_old(&self) {
        let keep = self.finished_keep;
        let mut views = self.views.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        views.retain(|_, seen| seen.at.elapsed() < keep);
    }
}

#[cfg(test)]
mod tests {
    use protocol::{JobStatus, Priority, Progress};
    use time::OffsetDateTime;

    use super::*;

    fn view(id: JobId, revision: u64) -> JobView {
        JobView {
            id,
            sync_id: id,
            workspace_id: "acme".parse().unwrap(),
            job_type: "sync".parse().unwrap(),
            connector_type: Some("hubspot".parse().unwrap()),
            status: JobStatus::Running,
            priority: Priority::Normal,
            options: protocol::SyncOptions::default(),
            cancel_requested: false,
            retry_of: None,
            attempt_errors: Vec::new(),
            progress: Progress::default(),
            attempts: 1,
            max_attempts: 3,
            takeovers: 0,
            waiting_reason: None,
            next_attempt_at: None,
            created_at: OffsetDateTime::UNIX_EPOCH,
            started_at: None,
            completed_at: None,
            error: None,
            result: None,
            jobs: Vec::new(),
            revision,
        }
    }

    #[test]
    fn an_older_view_never_replaces_a_newer_one() {
        let board = Board::new(Duration::from_secs(600));
        let id = JobId::new();
        board.learn(view(id, 5), true);
        assert_eq!(board.learn(view(id, 4), true).revision, 5);
        assert_eq!(board.learn(view(id, 6), true).revision, 6);
        assert_eq!(board.view(&"acme".parse().unwrap(), id).unwrap().0.revision, 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_view_is_fresh_for_a_while_and_one_that_lay_in_the_bucket_is_not() {
        let board = Board::new(Duration::from_secs(600));
        let (acme, id) = ("acme".parse().unwrap(), JobId::new());
        let is_fresh = || board.view(&acme, id).unwrap().1;
        board.learn(view(id, 5), false);
        assert!(!is_fresh());
        board.learn(view(id, 5), true);
        assert!(is_fresh());
        board.learn(view(id, 5), false);
        tokio::time::advance(FRESH - Duration::from_millis(1)).await;
        assert!(is_fresh());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!is_fresh());
    }

    #[test]
    fn another_workspace_does_not_see_the_job() {
        let board = Board::new(Duration::from_secs(600));
        let id = JobId::new();
        board.learn(view(id, 5), true);
        assert!(board.view(&"other".parse().unwrap(), id).is_none());
    }
}
