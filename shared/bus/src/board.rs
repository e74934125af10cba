//! The progress board: a copy of each job in a KV bucket, for cheap polling and for live subscribers.
//!
//! Writes are fenced by compare-and-set: an older view never replaces a newer one, whoever writes late.

use std::time::Duration;

use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::kv;
use async_nats::jetstream::message::PublishMessage;
use async_nats::{HeaderMap, HeaderValue};
use futures_util::StreamExt;
use protocol::{JobId, JobView, PROGRESS_BUCKET, WorkspaceId, progress_key};
use time::OffsetDateTime;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::{Bus, BusError};

/// Entries of finished jobs live this long on the board.
const FINISHED_TTL: Duration = Duration::from_secs(600);
/// A writer that keeps losing the race gives up; the winner's view is as good.
const RACES_MAX: u32 = 5;
/// A watch looks this often whether the bucket is still the one it watches.
const SAME_BUCKET_CHECK: Duration = Duration::from_secs(1);

/// What a writer knows of its entry. Belongs to one job.
#[derive(Debug, Default)]
pub struct BoardCell {
    sequence: Option<u64>,
    revision: u64,
}

/// What became of a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Posted {
    /// It is on the board.
    Posted,
    /// The board has a newer one.
    Stale,
}

/// A change of the board.
#[derive(Debug, Clone)]
pub enum BoardChange {
    /// A job's new view.
    Posted(Box<JobView>),
    /// An entry was deleted by hand: `<workspace>.<job>`. Of one that expires the server does not tell.
    Gone(String),
}

/// The board, live: first what is on it, then every change.
pub struct BoardWatch {
    bus: Bus,
    entries: kv::Watch,
    bucket_created: OffsetDateTime,
    check: Interval,
    /// Whether everything was given that was on the board when the watch began.
    caught_up: bool,
    is_news: bool,
}

impl std::fmt::Debug for BoardWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BoardWatch")
    }
}

impl BoardWatch {
    /// Whether the last change happened after the watch began. If not, nobody knows how old it is: the view of a job that
    /// went on may never have reached the board.
    pub fn is_news(&self) -> bool {
        self.is_news
    }

    /// The next change. `None` or an error: watch again. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<BoardChange, BusError>> {
        loop {
            let entry = tokio::select! {
                biased;
                entry = self.entries.next() => match entry? {
                    Ok(entry) => entry,
                    Err(error) => return Some(Err(BusError::unavailable(error))),
                },
                _ = self.check.tick() => match self.bus.same_bucket(self.bucket_created).await {
                    Ok(()) => continue,
                    Err(error) => return Some(Err(error)),
                },
            };
            self.is_news = self.caught_up;
            self.caught_up |= entry.delta == 0;
            if entry.operation != kv::Operation::Put {
                return Some(Ok(BoardChange::Gone(entry.key)));
            }
            match read(&entry.value) {
                Ok(view) => return Some(Ok(BoardChange::Posted(Box::new(view)))),
                // It would be the same at the next watch; the others must get through.
                Err(error) => {
                    tracing::error!(board.key = %entry.key, error = %error, "an entry of the board was left out");
                }
            }
        }
    }
}

impl Bus {
    /// Puts a new job on the board, if it is not on it yet. Without a reply subject, so that the server sends no
    /// answer: nobody would wait for it, since whatever the worker writes later must win anyway.
    pub async fn announce(&self, view: &JobView) {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, HeaderValue::from(0));
        let value = serde_json::to_vec(view).unwrap_or_default();
        if let Err(error) = self.send_unanswered(board_subject(view), Some(headers), value).await {
            tracing::debug!(job.id = %view.id, error = %error, "a job was not announced");
        }
    }

    /// Puts the last view of a job on the board, whatever is there: no view of it is newer. For whoever may write to
    /// the board and not read it.
    ///
    /// # Errors
    /// If NATS is away; then a poll finds the end in Postgres.
    pub async fn post_over(&self, view: &JobView) -> Result<(), BusError> {
        self.require_connection()?;
        debug_assert!(view.status.is_over(), "a later view would be overwritten");
        let acked = async { self.send(view, None).await?.await };
        let acked = tokio::time::timeout(self.request_timeout, acked).await.map_err(BusError::unavailable)?;
        acked.map(drop).map_err(BusError::unavailable)
    }

    /// Puts a view on the board, unless a newer one is there.
    ///
    /// # Errors
    /// If NATS is away; the next view repairs it.
    pub async fn post(&self, cell: &mut BoardCell, view: &JobView) -> Result<Posted, BusError> {
        self.require_connection()?;
        if cell.revision > view.revision {
            return Ok(Posted::Stale);
        }
        for _ in 0..RACES_MAX {
            let sequence = match cell.sequence {
                Some(sequence) => sequence,
                None => match self.entry(&view.workspace_id, view.id).await? {
                    None => 0,
                    // One that cannot be read helps nobody, and of a deleted one only the sequence is left.
                    Some(entry) if entry.operation != kv::Operation::Put => entry.revision,
                    Some(entry) => match read(&entry.value) {
                        Ok(newer) if newer.revision > view.revision => return Ok(Posted::Stale),
                        _ => entry.revision,
                    },
                },
            };
            let acked = async { self.send(view, Some(sequence)).await?.await };
            match tokio::time::timeout(self.request_timeout, acked).await {
                Ok(Ok(ack)) => {
                    *cell = BoardCell { sequence: Some(ack.sequence), revision: view.revision };
                    return Ok(Posted::Posted);
                }
                Ok(Err(error)) if error.kind() == PublishErrorKind::WrongLastSequence => cell.sequence = None,
                Ok(Err(error)) if error.kind() == PublishErrorKind::StreamNotFound => {
                    cell.sequence = None;
                    return Err(BusError::Missing(PROGRESS_BUCKET.to_owned()));
                }
                Ok(Err(error)) => return Err(BusError::unavailable(error)),
                Err(elapsed) => return Err(BusError::unavailable(elapsed)),
            }
        }
        Ok(Posted::Stale)
    }

    /// A job's view on the board, if it is there.
    ///
    /// # Errors
    /// If NATS is away or the bucket is gone.
    pub async fn board_entry(
        &self,
        workspace_id: &WorkspaceId,
        job_id: JobId,
    ) -> Result<Option<JobView>, BusError> {
        self.require_connection()?;
        let entry = self.entry(workspace_id, job_id).await?;
        entry
            .filter(|entry| entry.operation == kv::Operation::Put)
            .map(|entry| read(&entry.value))
            .transpose()
    }

    /// Watches the whole board.
    ///
    /// # Errors
    /// If NATS is away or the bucket is gone.
    pub async fn watch_board(&self) -> Result<BoardWatch, BusError> {
        self.require_connection()?;
        let bucket = self.bucket().await?;
        let entries = bucket.watch_with_history(">").await.map_err(BusError::unavailable)?;
        let bucket_created = bucket.stream.cached_info().created;
        let mut check = interval(SAME_BUCKET_CHECK);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(BoardWatch { bus: self.clone(), entries, bucket_created, check, caught_up: false, is_news: false })
    }

    /// After a reconnect the client library goes on behind the last sequence it saw. In a bucket that was
    /// wiped and made again that may be days away, and nothing would tell.
    async fn same_bucket(&self, created: OffsetDateTime) -> Result<(), BusError> {
        match self.bucket().await {
            Ok(bucket) if bucket.stream.cached_info().created != created => {
                Err(BusError::Missing(format!("the {PROGRESS_BUCKET} that was watched")))
            }
            Err(error @ BusError::Missing(_)) => Err(error),
            // The library finds its way back by itself.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn bucket(&self) -> Result<kv::Store, BusError> {
        self.jetstream.get_key_value(PROGRESS_BUCKET).await.map_err(|error| {
            let text = error.to_string();
            if text.contains("not found") {
                BusError::Missing(PROGRESS_BUCKET.to_owned())
            } else {
                BusError::Unavailable(text)
            }
        })
    }

    async fn entry(&self, workspace_id: &WorkspaceId, job_id: JobId) -> Result<Option<kv::Entry>, BusError> {
        let bucket = self.bucket().await?;
        bucket.entry(progress_key(workspace_id, job_id)).await.map_err(BusError::unavailable)
    }

    /// Published by hand: `put` and `update` of the client library drop the time to live.
    async fn send(
        &self,
        view: &JobView,
        expected: Option<u64>,
    ) -> Result<async_nats::jetstream::context::PublishAckFuture, async_nats::jetstream::context::PublishError>
    {
        let subject = board_subject(view);
        let value = serde_json::to_vec(view).unwrap_or_default();
        let mut message = PublishMessage::build().payload(value.into());
        if let Some(sequence) = expected {
            message = message.expected_last_subject_sequence(sequence);
        }
        if view.status.is_over() {
            message = message.ttl(FINISHED_TTL);
        }
        self.jetstream.send_publish(subject, message).await
    }
}

fn board_subject(view: &JobView) -> String {
    format!("$KV.{PROGRESS_BUCKET}.{}", progress_key(&view.workspace_id, view.id))
}

fn read(value: &[u8]) -> Result<JobView, BusError> {
    serde_json::from_slice(value).map_err(|error| BusError::Corrupt(error.to_string()))
}
