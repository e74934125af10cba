//! What the clients were told: which jobs were accepted, what polls said, and what no client should ever see.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::{JobStatus, JobView};
use uuid::Uuid;

use super::reads::Read;
use super::schedule::Slot;

/// An answer `202` named this job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Accepted {
    pub workspace: String,
    pub answers: u32,
}

/// What was answered to an `Idempotency-Key`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Keyed {
    /// The job that the first answer `202` named: every other one must name it, too.
    pub job: Option<Uuid>,
    /// Jobs that were active when the request was refused.
    refused_for: BTreeSet<Uuid>,
}

/// What a poll said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub revision: u64,
    pub status: JobStatus,
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
    /// Those that came with a key, and the answers that said that they had been given before.
    pub posts_keyed: u64,
    pub answers_replayed: u64,
    /// By key.
    pub keys: BTreeMap<Uuid, Keyed>,
    /// Keys that were sent once more when their job was over, and answered.
    pub keys_sent_late: u64,
    /// Jobs that were accepted to try another one again: which one, unless whatever had stopped last was meant.
    pub retries: BTreeMap<Uuid, Option<Uuid>>,
    /// Retries that were refused, since a sync was active.
    pub retries_refused: u64,
    pub polls: u64,
    pub polls_unanswered: u64,
    /// Those that named the newest revision seen so far, and the answers that it was still that.
    pub polls_tagged: u64,
    pub polls_unchanged: u64,
    /// Polls of a process that had answered for the job before, sent while a server was down.
    pub reads: Vec<Read>,
    /// Of polls by way of another process than the one before: the revision may be older, since no process knows
    /// what another has said.
    pub older_elsewhere: u64,
    /// What no client should see.
    pub wrong: BTreeSet<String>,
    /// By job and by process: a process that was started again is another.
    seen: BTreeMap<(Uuid, Slot, u32), Seen>,
    last: BTreeMap<Uuid, Seen>,
    /// The newest revision that anybody was told.
    newest: BTreeMap<Uuid, Seen>,
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

    /// Notes that a request with this key was accepted as this job.
    pub(super) fn accept_key(&mut self, key: Uuid, job: Uuid) {
        let keyed = self.keys.entry(key).or_default();
        let first = *keyed.job.get_or_insert(job);
        let is_refused = keyed.refused_for.contains(&job);
        if first != job {
            self.wrong.insert(format!("key {key} was answered with job {first}, and then with job {job}"));
        } else if is_refused {
            self.wrong.insert(refused_for_itself(key, job));
        }
    }

    /// Notes that a request with this key was refused: as a job was active, or as nothing could be tried again.
    /// `is_known`: it had been accepted before this request was sent.
    pub(super) fn refuse_key(&mut self, key: Uuid, active: Option<Uuid>, is_known: bool) {
        let keyed = self.keys.entry(key).or_default();
        keyed.refused_for.extend(active);
        let job = keyed.job;
        if is_known {
            self.wrong.insert(format!("key {key} was accepted, and then refused"));
        } else if let Some(job) = job.filter(|job| active == Some(*job)) {
            self.wrong.insert(refused_for_itself(key, job));
        }
    }

    /// The newest that any process said of a job.
    pub(super) fn newest(&self, job: Uuid) -> Option<Seen> {
        self.newest.get(&job).copied()
    }

    /// Whether this process has answered for the job before, with no older a revision than that.
    pub(super) fn has_answered(&self, job: Uuid, (slot, pid): (Slot, u32), tag: Option<Seen>) -> bool {
        let seen = self.seen.get(&(job, slot, pid));
        seen.is_some_and(|seen| tag.is_none_or(|tag| tag.revision <= seen.revision))
    }

    /// Notes a view that answered a poll with this tag, whichever process it came from.
    pub(super) fn compare_with_tag(&mut self, slot: Slot, tag: Option<Seen>, view: &JobView) {
        let (job, answered) = (view.id, view.revision);
        if let Some(tag) = tag.filter(|tag| answered < tag.revision) {
            let asked = tag.revision;
            self.wrong.insert(format!("{slot} answered revision {answered} of job {job} to the tag {asked}"));
        }
    }

    /// Notes what a process answered to a poll.
    pub(super) fn see(&mut self, slot: Slot, pid: u32, view: &JobView) {
        let (job, now) = (view.id.0, Seen { revision: view.revision, status: view.status });
        let names = |of: &Option<Uuid>| view.retry_of.is_some_and(|seen| of.is_none_or(|of| of == seen.0));
        if self.retries.get(&job).is_some_and(|of| !names(of)) {
            let of = view.retry_of;
            self.wrong.insert(format!("{slot} said that job {job}, a retry, tries {of:?} again"));
        }
        self.note((slot, pid), job, now);
    }

    /// Notes that a process answered that nothing has changed since the tag.
    pub(super) fn see_unchanged(&mut self, slot: Slot, pid: u32, job: Uuid, tag: Seen) {
        self.polls_unchanged += 1;
        self.note((slot, pid), job, tag);
    }

    fn note(&mut self, (slot, pid): (Slot, u32), job: Uuid, now: Seen) {
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
        let newest = self.newest.entry(job).or_insert(now);
        if newest.revision < now.revision {
            *newest = now;
        }
        match self.endings.get(&job) {
            Some(ending) if *ending != now.status => {
                self.wrong.insert(format!(
                    "job {job} was {ending} to a client, and then {} to the next one, by way of {slot}",
                    now.status
                ));
            }
            None if now.status.is_over() => {
                self.endings.insert(job, now.status);
            }
            _ => {}
        }
    }
}

fn refused_for_itself(key: Uuid, job: Uuid) -> String {
    format!("key {key} was refused since job {job} was active, which is its own")
}
