//! What the clients were told: which jobs were accepted, what polls said, and what no client should ever see.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::{JobStatus, JobView};
use uuid::Uuid;

use super::schedule::Slot;

/// An answer `202` named this job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Accepted {
    pub workspace: String,
    pub answers: u32,
}

/// What a poll said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    revision: u64,
    status: JobStatus,
}

/// Everything that clients noted.
#[derive(Debug, Default, Clone)]
pub(super) struct Notes {
    pub accepted: BTreeMap<Uuid, Accepted>,
    /// Jobs that somebody asked to cancel.
    pub cancels: BTreeSet<Uuid>,
    /// Those of which the answer was that they are, or will be, cancelled.
    pub told_cancelled: BTreeSet<Uuid>,
    /// How a job ended, as any poll said.
    pub endings: BTreeMap<Uuid, JobStatus>,
    /// Posts that were sent, refused and not answered.
    pub posts: u64,
    pub posts_refused: u64,
    pub posts_unanswered: u64,
    pub polls: u64,
    pub polls_unanswered: u64,
    /// Of polls by way of another process than the one before: the revision may be older, since no process knows
    /// what another has said.
    pub older_elsewhere: u64,
    /// What no client should see.
    pub wrong: BTreeSet<String>,
    /// By job and by process: a process that was started again is another.
    seen: BTreeMap<(Uuid, Slot, u32), Seen>,
    last: BTreeMap<Uuid, Seen>,
}

/// The notes of all clients together.
#[derive(Debug, Default)]
pub(super) struct Book(Mutex<Notes>);

impl Book {
    pub(super) fn open(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    pub(super) fn accept(&mut self, job: Uuid, workspace: &str) {
        let accepted = || Accepted { workspace: workspace.to_owned(), answers: 0 };
        self.accepted.entry(job).or_insert_with(accepted).answers += 1;
    }

    /// Notes what a process answered to a poll.
    pub(super) fn see(&mut self, slot: Slot, pid: u32, view: &JobView) {
        let (job, now) = (view.id.0, Seen { revision: view.revision, status: view.status });
        self.polls += 1;
        if let Some(before) = self.seen.insert((job, slot, pid), now)
            && now.revision < before.revision
        {
            self.wrong.insert(format!(
                "{slot} (process {pid}) answered revision {} of job {job} after {}",
                now.revision, before.revision
            ));
        }
        if let Some(before) = self.last.insert(job, now) {
            self.older_elsewhere += u64::from(now.revision < before.revision);
        }
        match self.endings.get(&job) {
            Some(ending) if *ending != view.status => {
                self.wrong.insert(format!(
                    "job {job} was {ending} to a client, and then {} to the next one, by way of {slot}",
                    view.status
                ));
            }
            None if view.status.is_over() => {
                self.endings.insert(job, view.status);
            }
            _ => {}
        }
    }
}
