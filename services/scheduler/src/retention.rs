//! Retention: jobs that have been over for long enough are deleted, and stored answers to an `Idempotency-Key` after a
//! day. What jobs synced stays.
//!
//! A loop of its own beside the passes, so that no rescue ever waits for it. One batch a look: a backlog of years goes
//! batch by batch, at the pace of the passes, and workers and clients hardly notice.
//!
//! Queries: `Store::delete_finished`. Plan: Index Scan using jobs_over (completed_at <= then), LockRows, Limit; then
//! Index Scan over the primary key; syncs by syncs_by_job. `Store::delete_stored_answers`: the same over
//! idempotency_keys_by_age.

use std::time::Duration;

use store::Store;
use tokio_util::sync::CancellationToken;

use crate::{PASS_TIMEOUT, Settings};

/// The pause after a look that left nothing to delete, or failed.
const PAUSE: Duration = Duration::from_secs(60);

/// Deletes what is due until `stop` is cancelled; no jobs if they are kept for ever. A failure is logged, and
/// the next look does its work.
pub(crate) async fn run_until(store: &Store, settings: Settings, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let pause = match in_time(store, settings).await {
            Ok(deleted) => pause(deleted, settings),
            Err(error) => {
                tracing::warn!(error = %error, "old jobs were not deleted; trying again in {PAUSE:?}");
                PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Deletes one batch of the jobs that have been over for at least `keep`. Answers how many it was.
///
/// # Errors
/// If Postgres is away: nothing is lost by it.
pub async fn run(store: &Store, keep: Duration, batch_max: u32) -> anyhow::Result<u64> {
    let deleted = store.delete_finished(keep, batch_max).await?;
    if deleted > 0 {
        tracing::info!(jobs = deleted, "deleted, because they have been over for long enough");
    }
    Ok(deleted)
}

async fn in_time(store: &Store, settings: Settings) -> anyhow::Result<u64> {
    let late = |_| anyhow::anyhow!("not done within {} s", PASS_TIMEOUT.as_secs());
    let batch_max = settings.batch_max;
    let look = async {
        let answers = store.delete_stored_answers(batch_max).await?;
        let jobs = match settings.retention {
            Some(keep) => run(store, keep, batch_max).await?,
            None => 0,
        };
        Ok(jobs.max(answers))
    };
    tokio::time::timeout(PASS_TIMEOUT, look).await.map_err(late)?
}

/// After a full batch there may be more: the next look comes with the next pass.
fn pause(deleted: u64, settings: Settings) -> Duration {
    if deleted >= u64::from(settings.batch_max) { settings.interval } else { PAUSE.max(settings.interval) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_full_batch_comes_the_next_pass_and_otherwise_a_minute() {
        let second = Duration::from_secs(1);
        let settings = Settings {
            interval: second,
            relay_after: second,
            batch_max: 500,
            replicas: 1,
            retention: Some(30 * 86_400 * second),
        };
        assert_eq!(pause(500, settings), second);
        assert_eq!(pause(499, settings), 60 * second);
        assert_eq!(pause(0, settings), 60 * second);
        let slow = Settings { interval: 3_600 * second, ..settings };
        assert_eq!(pause(0, slow), 3_600 * second, "never more often than the passes");
    }
}
