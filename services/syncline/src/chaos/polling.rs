//! How clients look how far their jobs are: by way of every status process in turn, half of the time with the tag of the
//! newest answer so far.

use std::time::Duration;

use protocol::JobStatus;
use rand::RngExt;
use rand::rngs::StdRng;
use reqwest::StatusCode;
use reqwest::header::IF_NONE_MATCH;
use time::OffsetDateTime;
use uuid::Uuid;

use super::book::Seen;
use super::reads::Read;
use super::schedule::Slot;
use super::traffic::{Client, PAUSE_MS, pause};
use crate::roles::Role;

/// How many polls name the newest revision.
const TAGGED: f64 = 0.5;
/// A poll that takes longer has no answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// The job that a poll is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Polled<'a> {
    pub workspace: &'a str,
    pub job: Uuid,
}

impl Client {
    /// Polls until the job is over, and says how it ended.
    pub(super) async fn follow(&self, workspace: &str, job: Uuid, rng: &mut StdRng) -> Option<JobStatus> {
        let urls = self.fleet.urls(Role::Status);
        for (slot, url) in urls.iter().cycle() {
            let is_tagged = rng.random_bool(TAGGED);
            let status = self.poll(*slot, url, Polled { workspace, job }, is_tagged).await;
            if let Some(status) = status.filter(|status| status.is_over()) {
                return Some(status);
            }
            pause(rng, PAUSE_MS).await;
        }
        None
    }

    /// One poll, and how the job is. `None` if there was no answer.
    pub(super) async fn poll(
        &self,
        slot: Slot,
        url: &str,
        polled: Polled<'_>,
        is_tagged: bool,
    ) -> Option<JobStatus> {
        let (job, before) = (polled.job, self.fleet.pid(slot)?);
        let (tag, is_known) = {
            let mut book = self.book.open();
            let tag = book.newest(job).filter(|_| is_tagged);
            book.polls_tagged += u64::from(tag.is_some());
            (tag, book.has_answered(job, (slot, before), tag))
        };
        let is_read = is_known && self.journal.is_server_down();
        let at = OffsetDateTime::now_utc();
        let answer = self.get(url, polled, tag).await;
        // If it was killed meanwhile, nobody knows who answered.
        let is_same = self.fleet.pid(slot) == Some(before);
        let mut book = self.book.open();
        if is_read && is_same {
            let until = OffsetDateTime::now_utc();
            book.reads.push(Read { at, until, slot, job, answered: is_answer(answer.as_ref()) });
        }
        match (answer, tag) {
            (Some((StatusCode::OK, text)), _) => {
                let view = serde_json::from_str(&text).ok()?;
                book.compare_with_tag(slot, tag, &view);
                if is_same {
                    book.see(slot, before, &view);
                }
                return Some(view.status);
            }
            (Some((StatusCode::NOT_MODIFIED, _)), Some(tag)) => {
                if is_same {
                    book.see_unchanged(slot, before, job, tag);
                }
                return Some(tag.status);
            }
            (None | Some((StatusCode::SERVICE_UNAVAILABLE, _)), _) => {}
            (Some((status, text)), _) => {
                book.wrong
                    .insert(format!("a poll of job {job} was answered with {status} by {slot}: {text}"));
            }
        }
        book.polls_unanswered += 1;
        None
    }

    async fn get(&self, url: &str, polled: Polled<'_>, tag: Option<Seen>) -> Option<(StatusCode, String)> {
        let Polled { workspace, job } = polled;
        let url = format!("{url}/api/workspaces/{workspace}/sync/jobs/{job}");
        let mut request = self.http.get(url).timeout(ANSWER_WITHIN);
        if let Some(Seen { revision, .. }) = tag {
            request = request.header(IF_NONE_MATCH, format!("\"{revision}\""));
        }
        let answer = request.send().await.ok()?;
        Some((answer.status(), answer.text().await.ok()?))
    }
}

fn is_answer(answer: Option<&(StatusCode, String)>) -> bool {
    answer.is_some_and(|(status, _)| matches!(*status, StatusCode::OK | StatusCode::NOT_MODIFIED))
}
