//! Clients: they ask for syncs, look how far they are, cancel some, and have some of those tried again. How they ask is
//! in `asking.rs`, how they look in `polling.rs`.

use std::sync::Arc;
use std::time::Duration;

use lab::{Change, Object, RunningLab};
use protocol::JobStatus;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::StatusCode;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::asking::Ask;
use super::book::Book;
use super::faults::Journal;
use super::fleet::Fleet;
use crate::roles::Role;

/// Between two tries of a post, and between two polls.
pub(super) const PAUSE_MS: std::ops::Range<u64> = 100..600;
/// How many of the jobs somebody cancels.
const CANCELLED: f64 = 0.12;
/// How many of those that stopped are tried again.
const TRIED_AGAIN: f64 = 0.5;
/// How many requests with a key are sent once more when their job is over.
const SENT_LATE: f64 = 0.2;

/// One client of everything: cheap to clone, one for each workspace.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) http: reqwest::Client,
    pub(super) fleet: Arc<Fleet>,
    pub book: Arc<Book>,
    pub(super) journal: Arc<Journal>,
    pub stop: CancellationToken,
    /// Ends every pause between two jobs.
    pub hurry: Arc<Notify>,
}

impl Client {
    pub(super) fn new(
        fleet: Arc<Fleet>,
        book: Arc<Book>,
        journal: Arc<Journal>,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        // A process that is held up does not answer; a person would try the other one.
        let http = reqwest::Client::builder().timeout(Duration::from_secs(11)).build()?;
        Ok(Self { http, fleet, book, journal, stop, hurry: Arc::default() })
    }

    /// Asks for one sync after the other until it is told to stop.
    pub(super) async fn use_workspace(self, workspace: String, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let work = async {
            pause(&mut rng, 0..3_000).await;
            loop {
                let ask = Ask::sync(&workspace, &mut rng);
                let Some(job) = self.ask(&ask, &mut rng).await else { continue };
                let mut next = Some((ask, job));
                while let Some((ask, job)) = next {
                    let ending = self.see_through(&workspace, job, &mut rng).await;
                    if ask.key.is_some() && rng.random_bool(SENT_LATE) {
                        self.ask_late(&ask, &mut rng).await;
                    }
                    let stopped = ending.filter(|_| rng.random_bool(TRIED_AGAIN));
                    let ask = stopped.and_then(|ending| Ask::retry(&workspace, job, ending, &mut rng));
                    next = match ask {
                        Some(ask) => self.ask(&ask, &mut rng).await.map(|job| (ask, job)),
                        None => None,
                    };
                }
                tokio::select! {
                    () = pause(&mut rng, 500..8_000) => {}
                    () = self.hurry.notified() => {}
                }
            }
        };
        self.stop.run_until_cancelled(work).await;
    }

    /// Follows a job to its end, and cancels some on the way.
    async fn see_through(&self, workspace: &str, job: Uuid, rng: &mut StdRng) -> Option<JobStatus> {
        if rng.random_bool(CANCELLED) {
            pause(rng, 0..6_000).await;
            self.cancel(workspace, job).await;
        }
        self.follow(workspace, job, rng).await
    }

    async fn cancel(&self, workspace: &str, job: Uuid) {
        let urls = self.fleet.urls(Role::Ingress);
        for (slot, url) in &urls {
            let url = format!("{url}/api/workspaces/{workspace}/sync/jobs/{job}");
            self.book.open().cancels.insert(job);
            let Ok(answer) = self.http.delete(url).send().await else { continue };
            let mut book = self.book.open();
            match answer.status() {
                StatusCode::OK | StatusCode::ACCEPTED => drop(book.told_cancelled.insert(job)),
                // It was over.
                StatusCode::CONFLICT => {}
                StatusCode::SERVICE_UNAVAILABLE => continue,
                status => {
                    book.wrong.insert(format!("a cancel was answered with {status} by {slot}"));
                }
            }
            return;
        }
    }
}

pub(super) async fn pause(rng: &mut StdRng, ms: std::ops::Range<u64>) {
    tokio::time::sleep(Duration::from_millis(rng.random_range(ms))).await;
}

/// Changes what the vendor has, some times in the first half of the run; returns when it was changed last.
pub(super) async fn change_source(
    lab: &RunningLab,
    seed: u64,
    duration: Duration,
    records: u64,
) -> OffsetDateTime {
    const TIMES: u32 = 6;
    let mut rng = StdRng::seed_from_u64(seed);
    for n in 0..TIMES {
        tokio::time::sleep(duration / 2 / TIMES).await;
        for object in [Object::Contacts, Object::Companies, Object::Deals] {
            let mut some = |of: u64| rng.random_range(0..=(records / of).max(1));
            let change = Change {
                edit: some(50),
                archive: some(200),
                restore: some(300),
                merge: some(400),
                hard_delete: some(400),
                reassociate: some(100),
                seed: seed.wrapping_add(u64::from(n)),
                ..Change::of(object)
            };
            lab.change(change);
        }
        change_directory(lab, n);
    }
    OffsetDateTime::now_utc()
}

/// An owner who is deactivated and comes back, a stage that is renamed, and one that is taken away and put back at the end.
fn change_directory(lab: &RunningLab, n: u32) {
    const STAGE: (&str, &str, &str, &str) = ("7755001", "118820001", "Due", "0.5");
    let (pipeline, id, label, probability) = STAGE;
    let known = lab.set_owner_archived(77_002, n.is_multiple_of(2))
        && lab.put_stage("default", "contractsent", &format!("Contract Sent {n}"), "0.9")
        && if n.is_multiple_of(2) {
            lab.remove_stage(pipeline, id)
        } else {
            lab.put_stage(pipeline, id, label, probability)
        };
    if !known {
        tracing::warn!("the lab does not have the owner and the stages that were to be changed");
    }
}
