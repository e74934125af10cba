//! Who waits for which job: each has a bell, which rings when the board learns of the job. A limit on how many.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::JobId;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How many requests and streams of one process may wait for jobs at a time, if nothing else is said.
pub(crate) const FOLLOWERS_MAX: usize = 4_096;

type Bells = HashMap<JobId, Vec<Arc<Notify>>>;

/// Everybody who waits. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Followers {
    bells: Arc<Mutex<Bells>>,
    seats: Arc<Semaphore>,
    max: usize,
}

impl Followers {
    pub(crate) fn new(max: usize) -> Self {
        Self { bells: Arc::default(), seats: Arc::new(Semaphore::new(max)), max }
    }

    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.max - self.seats.available_permits()
    }

    /// Takes a seat, until it is dropped. `None` if all are taken.
    pub(crate) fn seat(&self) -> Option<Follower> {
        let seat = Arc::clone(&self.seats).try_acquire_owned().ok()?;
        Some(Follower { followers: self.clone(), jobs: Vec::new(), bell: Arc::default(), _seat: seat })
    }

    /// There is something new about a job.
    pub(crate) fn ring(&self, job_id: JobId) {
        for bell in self.bells().get(&job_id).into_iter().flatten() {
            bell.notify_one();
        }
    }

    fn bells(&self) -> MutexGuard<'_, Bells> {
        self.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits.
#[derive(Debug)]
pub(crate) struct Follower {
    followers: Followers,
    jobs: Vec<JobId>,
    bell: Arc<Notify>,
    _seat: OwnedSemaphorePermit,
}

impl Follower {
    /// Listens for one more job.
    pub(crate) fn follow(&mut self, job_id: JobId) {
        self.followers.bells().entry(job_id).or_default().push(Arc::clone(&self.bell));
        self.jobs.push(job_id);
    }

    /// Resolves when there is something new since it was last asked. Cancel-safe.
    pub(crate) async fn heard(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let mut bells = self.followers.bells();
        for job_id in &self.jobs {
            let Some(others) = bells.get_mut(job_id) else { continue };
            others.retain(|bell| !Arc::ptr_eq(bell, &self.bell));
            if others.is_empty() {
                bells.remove(job_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bell_that_rang_before_anybody_listened_is_heard() {
        let followers = Followers::new(2);
        let (job, other) = (JobId::new(), JobId::new());
        let mut follower = followers.seat().unwrap();
        follower.follow(job);
        follower.follow(other);
        followers.ring(job);
        follower.heard().await;
        followers.ring(other);
        follower.heard().await;
    }

    #[test]
    fn nothing_is_left_of_a_follower_that_went_away() {
        let followers = Followers::new(2);
        let job = JobId::new();
        let mut one = followers.seat().unwrap();
        let mut two = followers.seat().unwrap();
        one.follow(job);
        two.follow(job);
        assert!(followers.seat().is_none());
        drop(one);
        assert_eq!((followers.count(), followers.bells()[&job].len()), (1, 1));
        drop(two);
        assert_eq!((followers.count(), followers.bells().len()), (0, 0));
    }
}
