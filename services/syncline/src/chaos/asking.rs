//! How clients ask for a sync, and for another try of one: once or several times at once, with an `Idempotency-Key` or
//! without, and again if nobody answers.

use std::time::Duration;

use protocol::{JobStatus, Problem};
use rand::RngExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use super::schedule::Slot;
use super::traffic::{Client, PAUSE_MS, pause};
use crate::roles::Role;

/// How many requests come with a key.
const KEYED: f64 = 0.35;
/// How many are sent several times at once.
const AT_ONCE: f64 = 0.2;
/// How many retries are for whatever stopped last, and not for one job.
const BY_FILTER: f64 = 0.2;
/// How often a request is sent that nobody answers, or that is refused for now.
const TRIES_MAX: usize = 5;

/// A request that makes a job, or names the one that it made.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    workspace: String,
    /// Behind the workspace's.
    path: String,
    body: Value,
    pub key: Option<Uuid>,
    retry: Option<Retry>,
}

/// What is to be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Retry {
    Job(Uuid),
    Last,
}

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Accepted(Uuid),
    /// For good.
    Refused,
    /// Nobody knows, or not now.
    Open,
}

impl Ask {
    /// For a sync, of any kind.
    pub(super) fn sync(workspace: &str, rng: &mut StdRng) -> Self {
        let mut ask = Self::plain(workspace);
        if rng.random_bool(0.25) {
            ask.body["mode"] = "full".into();
        }
        if rng.random_bool(0.2) {
            ask.body["priority"] = if rng.random_bool(0.5) { "high" } else { "low" }.into();
        }
        ask.key = rng.random_bool(KEYED).then(|| Uuid::from_u128(rng.random()));
        ask
    }

    fn plain(workspace: &str) -> Self {
        let (workspace, path, body) =
            (workspace.to_owned(), "sync".to_owned(), json!({"connectorType": "hubspot"}));
        Self { workspace, path, body, key: None, retry: None }
    }

    /// For another try of a job that ended so. `None` if there is nothing to be tried again.
    pub(super) fn retry(workspace: &str, job: Uuid, ending: JobStatus, rng: &mut StdRng) -> Option<Self> {
        if !matches!(ending, JobStatus::Failed | JobStatus::Cancelled) {
            return None;
        }
        let (path, body, retry) = if rng.random_bool(BY_FILTER) {
            ("sync/jobs/retry".to_owned(), json!({"status": ending}), Retry::Last)
        } else {
            (format!("sync/jobs/{job}/retry"), json!({}), Retry::Job(job))
        };
        let key = rng.random_bool(KEYED).then(|| Uuid::from_u128(rng.random()));
        Some(Self { workspace: workspace.to_owned(), path, body, key, retry: Some(retry) })
    }

    /// Whether it is sent again until somebody answers. A sync without a key would only name the active job.
    fn is_insistent(&self) -> bool {
        self.key.is_some() || self.retry.is_some()
    }
}

impl Client {
    /// Asks, now and then several times at once. `None` if it was refused, or nobody knows.
    pub(super) async fn ask(&self, ask: &Ask, rng: &mut StdRng) -> Option<Uuid> {
        let tries = if ask.is_insistent() { TRIES_MAX } else { 1 };
        for _ in 0..tries {
            let at_once = if rng.random_bool(AT_ONCE) { rng.random_range(2..=5) } else { 1 };
            let urls = self.fleet.urls(Role::Ingress);
            let posts: Vec<_> = (0..at_once)
                .map(|_| urls.choose(rng).map(|(slot, url)| self.ask_once(*slot, url, ask)))
                .collect::<Option<_>>()?;
            let answers = futures_util::future::join_all(posts).await;
            let accepted = answers.iter().rev().find_map(|answer| match answer {
                Answer::Accepted(job) => Some(*job),
                Answer::Refused | Answer::Open => None,
            });
            if accepted.is_some() || answers.contains(&Answer::Refused) {
                return accepted;
            }
            pause(rng, PAUSE_MS).await;
        }
        None
    }

    /// Sends a request with a key once more, whose job is over: the answer must still be that job.
    pub(super) async fn ask_late(&self, ask: &Ask, rng: &mut StdRng) {
        let urls = self.fleet.urls(Role::Ingress);
        let Some((slot, url)) = urls.choose(rng) else { return };
        if let Answer::Accepted(_) = self.ask_once(*slot, url, ask).await {
            self.book.open().keys_sent_late += 1;
        }
    }

    /// Asks until it is accepted, by way of every ingress in turn.
    pub(super) async fn insist(&self, workspace: &str) {
        let ask = Ask::plain(workspace);
        for (slot, url) in self.fleet.urls(Role::Ingress).iter().cycle() {
            if let Answer::Accepted(_) = self.ask_once(*slot, url, &ask).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(PAUSE_MS.start)).await;
        }
    }

    /// Sends a request once, and notes the answer.
    async fn ask_once(&self, slot: Slot, url: &str, ask: &Ask) -> Answer {
        let is_known = self.note_sent(ask);
        let url = format!("{url}/api/workspaces/{}/{}", ask.workspace, ask.path);
        let mut request = self.http.post(url).json(&ask.body);
        if let Some(key) = ask.key {
            request = request.header("Idempotency-Key", key.to_string());
        }
        let Ok(answer) = request.send().await else {
            self.book.open().posts_unanswered += 1;
            return Answer::Open;
        };
        let status = answer.status();
        let is_replayed = answer.headers().get("Idempotent-Replayed").is_some_and(|value| value == "true");
        let text = answer.text().await.unwrap_or_default();
        if status == StatusCode::ACCEPTED {
            return self.note_accepted(ask, &text, is_replayed);
        }
        let mut book = self.book.open();
        if status == StatusCode::CONFLICT
            && let Some(problem) = ask.refusal(&text)
        {
            book.retries_refused += 1;
            if let Some(key) = ask.key {
                book.refuse_key(key, active_job(&problem), is_known);
            }
            return Answer::Refused;
        }
        book.posts_refused += 1;
        if status != StatusCode::SERVICE_UNAVAILABLE {
            let path = &ask.path;
            book.wrong.insert(format!("a post to {path} was answered with {status} by {slot}: {text}"));
        }
        Answer::Open
    }

    /// Whether it has been accepted already.
    fn note_sent(&self, ask: &Ask) -> bool {
        let mut book = self.book.open();
        book.posts += 1;
        book.posts_keyed += u64::from(ask.key.is_some());
        ask.key.and_then(|key| book.keys.get(&key)).is_some_and(|keyed| keyed.job.is_some())
    }

    fn note_accepted(&self, ask: &Ask, text: &str, is_replayed: bool) -> Answer {
        // Without its body an answer names no job.
        let Some(job) = job_of(text) else { return Answer::Open };
        let mut book = self.book.open();
        book.accept(job, &ask.workspace);
        book.answers_replayed += u64::from(is_replayed);
        if let Some(key) = ask.key {
            book.accept_key(key, job);
        }
        if let Some(retry) = ask.retry {
            let of = if let Retry::Job(of) = retry { Some(of) } else { None };
            book.retries.insert(job, of);
        }
        Answer::Accepted(job)
    }
}

impl Ask {
    /// The problem, if it is one that may stand in the way of a retry: a sync is active, so that the last one did not
    /// stop either.
    fn refusal(&self, text: &str) -> Option<Problem> {
        let problem: Problem = serde_json::from_str(text).ok()?;
        let may_be = match self.retry? {
            Retry::Job(_) => problem.kind.ends_with(":sync-active"),
            Retry::Last => [":sync-active", ":not-retryable"].iter().any(|kind| problem.kind.ends_with(kind)),
        };
        may_be.then_some(problem)
    }
}

fn job_of(text: &str) -> Option<Uuid> {
    let said: Value = serde_json::from_str(text).ok()?;
    said["jobId"].as_str()?.parse().ok()
}

/// The job that stands in the way, as the detail says: `Job <id> is active.`
fn active_job(problem: &Problem) -> Option<Uuid> {
    problem.detail.split(' ').find_map(|word| word.parse().ok())
}
