//! Clients: they ask for syncs, once or several times, look how far they are, and cancel some.

use std::sync::Arc;
use std::time::Duration;

use lab::{Change, Object, RunningLab};
use protocol::JobView;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use reqwest::StatusCode;
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::book::Book;
use super::fleet::Fleet;
use super::schedule::Slot;
use crate::roles::Role;

/// Between two tries of a post, and between two polls.
const PAUSE_MS: std::ops::Range<u64> = 100..600;

/// One client of everything: cheap to clone, one for each workspace.
#[derive(Clone)]
pub(super) struct Client {
    http: reqwest::Client,
    fleet: Arc<Fleet>,
    pub book: Arc<Book>,
    pub stop: CancellationToken,
}

impl Client {
    pub(super) fn new(fleet: Arc<Fleet>, book: Arc<Book>, stop: CancellationToken) -> anyhow::Result<Self> {
        // A process that is held up does not answer; a person would try the other one.
        let http = reqwest::Client::builder().timeout(Duration::from_secs(11)).build()?;
        Ok(Self { http, fleet, book, stop })
    }

    /// Asks for one sync after the other until it is told to stop.
    pub(super) async fn use_workspace(self, workspace: String, seed: u64) {
        let mut rng = StdRng::seed_from_u64(seed);
        let work = async {
            pause(&mut rng, 0..3_000).await;
            loop {
                let Some(job) = self.post(&workspace, &mut rng).await else { continue };
                if rng.random_bool(0.08) {
                    pause(&mut rng, 0..6_000).await;
                    self.cancel(&workspace, job).await;
                }
                self.follow(&workspace, job, &mut rng).await;
                pause(&mut rng, 500..8_000).await;
            }
        };
        self.stop.run_until_cancelled(work).await;
    }

    /// Posts until a post is accepted; now and then several times at once.
    async fn post(&self, workspace: &str, rng: &mut StdRng) -> Option<Uuid> {
        let mut body = json!({"connectorType": "hubspot"});
        if rng.random_bool(0.25) {
            body["mode"] = "full".into();
        }
        if rng.random_bool(0.2) {
            body["priority"] = (*["high", "low"].choose(rng)?).into();
        }
        let at_once = if rng.random_bool(0.2) { rng.random_range(2..=5) } else { 1 };
        let urls = self.fleet.urls(Role::Ingress);
        let posts: Vec<_> = (0..at_once)
            .map(|_| urls.choose(rng).map(|(slot, url)| self.post_once(*slot, url, workspace, &body)))
            .collect::<Option<_>>()?;
        let jobs = futures_util::future::join_all(posts).await;
        let job = jobs.into_iter().flatten().next_back();
        if job.is_none() {
            pause(rng, PAUSE_MS).await;
        }
        job
    }

    /// Posts once. `None` if it was not accepted, or nobody knows.
    async fn post_once(&self, slot: Slot, url: &str, workspace: &str, body: &Value) -> Option<Uuid> {
        self.book.open().posts += 1;
        let url = format!("{url}/api/workspaces/{workspace}/sync");
        let answer = self.http.post(url).json(body).send().await;
        let Ok(answer) = answer else {
            self.book.open().posts_unanswered += 1;
            return None;
        };
        let status = answer.status();
        let text = answer.text().await.unwrap_or_default();
        let mut book = self.book.open();
        if status == StatusCode::ACCEPTED {
            // Without its body an answer names no job.
            let said: Value = serde_json::from_str(&text).ok()?;
            let job = said["jobId"].as_str()?.parse().ok()?;
            book.accept(job, workspace);
            return Some(job);
        }
        book.posts_refused += 1;
        if status != StatusCode::SERVICE_UNAVAILABLE {
            book.wrong.insert(format!("a post was answered with {status} by {slot}: {text}"));
        }
        None
    }

    /// Posts until a post is accepted, by way of every ingress in turn.
    pub(super) async fn insist(&self, workspace: &str) {
        let body = json!({"connectorType": "hubspot"});
        for (slot, url) in self.fleet.urls(Role::Ingress).iter().cycle() {
            if self.post_once(*slot, url, workspace, &body).await.is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(PAUSE_MS.start)).await;
        }
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

    /// Polls by way of every status process in turn until the job is over.
    pub(super) async fn follow(&self, workspace: &str, job: Uuid, rng: &mut StdRng) {
        let urls = self.fleet.urls(Role::Status);
        for (slot, url) in urls.iter().cycle() {
            if self.poll(*slot, url, workspace, job).await.is_some_and(|view| view.status.is_over()) {
                return;
            }
            pause(rng, PAUSE_MS).await;
        }
    }

    /// One poll. `None` if there was no answer.
    pub(super) async fn poll(&self, slot: Slot, url: &str, workspace: &str, job: Uuid) -> Option<JobView> {
        let before = self.fleet.pid(slot)?;
        let url = format!("{url}/api/workspaces/{workspace}/sync/jobs/{job}");
        let answer = match self.http.get(url).timeout(Duration::from_secs(4)).send().await {
            Ok(answer) => Ok((answer.status(), answer.text().await)),
            Err(error) => Err(error),
        };
        let mut book = self.book.open();
        let Ok((status, Ok(text))) = answer else {
            book.polls_unanswered += 1;
            return None;
        };
        if status == StatusCode::OK {
            let view = serde_json::from_str(&text).ok()?;
            // If it was killed meanwhile, nobody knows who answered.
            if self.fleet.pid(slot) == Some(before) {
                book.see(slot, before, &view);
            }
            return Some(view);
        }
        book.polls_unanswered += 1;
        if status != StatusCode::SERVICE_UNAVAILABLE {
            book.wrong.insert(format!("a poll of job {job} was answered with {status} by {slot}: {text}"));
        }
        None
    }
}

async fn pause(rng: &mut StdRng, ms: std::ops::Range<u64>) {
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
    }
    OffsetDateTime::now_utc()
}
