//! Cancelling, against everything else that may happen to a job at that moment.

use std::time::Duration;

use protocol::{JobId, JobStatus, SyncResult, WaitingReason};
use store::{Ending, NewJob, NotClaimable, Resting, StoreError};

use crate::fixture::{World, created, deal, deals, new_job, progress, workspace};

fn ending(status: JobStatus) -> Ending {
    let result = (status == JobStatus::Completed).then(SyncResult::default);
    Ending { status, error: None, result, message: "Over".to_owned() }
}

#[tokio::test]
async fn a_job_that_waits_is_cancelled_at_once_and_never_claimed() {
    let world = World::new().await;
    let job = world.accepted().await;
    let cancelled = world.store.cancel(&workspace("acme"), job.id).await.unwrap();
    assert_eq!(cancelled.len(), 1);
    assert_eq!((cancelled[0].status, cancelled[0].cancel_requested), (JobStatus::Cancelled, false));
    assert_eq!(cancelled[0].progress.message, "Cancelled");
    assert!(cancelled[0].completed_at.is_some() && cancelled[0].revision > job.revision);
    assert_eq!(world.refused(job.id).await, NotClaimable::Over);
    assert!(world.store.take_unticketed(Duration::ZERO, 10).await.unwrap().is_empty());
    world.accepted().await;
}

#[tokio::test]
async fn a_job_that_waits_for_a_quota_is_cancelled_at_once() {
    let world = World::new().await;
    let running = world.running().await;
    let resting = Resting {
        reason: WaitingReason::SourceQuota,
        delay: Duration::from_secs(3_600),
        error: None,
        uncount: true,
        keeps_ticket: false,
        in_vain: false,
    };
    world.store.rest_job(&running.lease, &resting).await.unwrap();
    let cancelled = world.store.cancel(&workspace("acme"), running.job.id).await.unwrap();
    assert_eq!((cancelled[0].status, cancelled[0].waiting_reason), (JobStatus::Cancelled, None));
    assert_eq!(cancelled[0].next_attempt_at, None);
}

#[tokio::test]
async fn whoever_runs_a_job_learns_of_its_cancellation_with_the_next_commit_and_the_next_heartbeat() {
    let world = World::new().await;
    let running = world.running().await;
    assert!(!world.store.renew_lease(&running.lease).await.unwrap());
    let asked = world.store.cancel(&workspace("acme"), running.job.id).await.unwrap();
    assert_eq!((asked[0].status, asked[0].cancel_requested), (JobStatus::Running, true));
    assert!(world.store.renew_lease(&running.lease).await.unwrap());
    let page = world.store.commit_pages(&running.lease, &[deals(vec![deal("1", "2")])], &progress(1)).await;
    let fenced = page.unwrap().fenced;
    assert!(fenced.cancel_requested && fenced.revision > asked[0].revision);
    assert_eq!(world.one::<i64>("SELECT count(*) FROM deals").await, 1, "a page in flight is not lost");
    // Asking again changes nothing that matters.
    let again = world.store.cancel(&workspace("acme"), running.job.id).await.unwrap();
    assert_eq!((again[0].status, again[0].cancel_requested), (JobStatus::Running, true));
}

#[tokio::test]
async fn a_job_that_was_promised_to_be_cancelled_ends_in_no_other_way() {
    let world = World::new().await;
    for status in [JobStatus::Completed, JobStatus::Failed, JobStatus::Cancelled] {
        let running = world.running().await;
        world.store.cancel(&workspace("acme"), running.job.id).await.unwrap();
        let ended = world.store.end_job(&running.lease, &ending(status)).await.unwrap();
        assert_eq!((ended.status, ended.cancel_requested), (JobStatus::Cancelled, false), "{status}");
        assert_eq!((ended.result, ended.progress.message.as_str()), (None, "Cancelled"));
    }
    let running = world.running().await;
    world.store.cancel(&workspace("acme"), running.job.id).await.unwrap();
    let resting = Resting {
        reason: WaitingReason::RetryBackoff,
        delay: Duration::ZERO,
        error: None,
        uncount: false,
        keeps_ticket: true,
        in_vain: false,
    };
    let rested = world.store.rest_job(&running.lease, &resting).await.unwrap();
    assert_eq!((rested.status, rested.waiting_reason), (JobStatus::Cancelled, None));
    assert!(rested.completed_at.is_some());
    assert_eq!(world.refused(running.job.id).await, NotClaimable::Over, "it never starts again");
}

#[tokio::test]
async fn a_job_that_is_over_stays_as_it_is() {
    let world = World::new().await;
    let running = world.running().await;
    world.store.end_job(&running.lease, &ending(JobStatus::Completed)).await.unwrap();
    let before = world.row(running.job.id).await;
    assert_eq!(world.store.cancel(&workspace("acme"), running.job.id).await.unwrap(), []);
    assert_eq!(world.row(running.job.id).await, before);
    assert_eq!(world.store.cancel(&workspace("globex"), world.accepted().await.id).await.unwrap(), []);
    assert_eq!(world.store.cancel(&workspace("acme"), JobId::new()).await.unwrap(), []);
}

#[tokio::test]
async fn a_job_of_a_dead_worker_is_cancelled_at_once_and_the_zombie_writes_nothing_more() {
    let world = World::new().await;
    let running = world.running().await;
    world.expire_lease(running.job.id).await;
    let cancelled = world.store.cancel(&workspace("acme"), running.job.id).await.unwrap();
    assert_eq!(cancelled[0].status, JobStatus::Cancelled);
    let page = world.store.commit_pages(&running.lease, &[deals(vec![deal("1", "2")])], &progress(1)).await;
    assert!(matches!(page, Err(StoreError::LeaseLost)), "{page:?}");
    let end = world.store.end_job(&running.lease, &ending(JobStatus::Completed)).await;
    assert!(matches!(end, Err(StoreError::LeaseLost)), "{end:?}");
    assert_eq!(world.one::<i64>("SELECT count(*) FROM deals").await, 0);
}

#[tokio::test]
async fn of_a_cancellation_and_a_completion_at_the_same_moment_one_wins_and_both_know_it() {
    let world = World::new().await;
    let (mut cancelled, mut completed) = (0, 0);
    for _ in 0..40 {
        let running = world.running().await;
        let (store, id) = (world.store.clone(), running.job.id);
        let acme = workspace("acme");
        let completed_ending = ending(JobStatus::Completed);
        let (told, ended) =
            tokio::join!(store.cancel(&acme, id), world.store.end_job(&running.lease, &completed_ending));
        let (told, ended) = (told.unwrap(), ended.unwrap());
        match ended.status {
            JobStatus::Completed => {
                assert_eq!(told, [], "who cancelled must be told that it was too late");
                completed += 1;
            }
            status => {
                assert_eq!(status, JobStatus::Cancelled);
                assert!(told[0].cancel_requested);
                cancelled += 1;
            }
        }
        let row = world.store.job(&workspace("acme"), id).await.unwrap().unwrap();
        assert_eq!(row.status, ended.status);
    }
    assert_eq!(cancelled + completed, 40);
}

#[tokio::test]
async fn a_sync_is_cancelled_by_its_id_with_all_its_jobs_that_are_not_over() {
    let world = World::new().await;
    let sync = JobId::new();
    let jobs: Vec<NewJob> = ["hubspot", "monday", "salesforce"]
        .into_iter()
        .map(|connector| NewJob { sync_id: sync, ..new_job("acme", connector) })
        .collect();
    let accepted = world.store.accept_sync(sync, &jobs).await.unwrap();
    let first = world.claimed(created(&accepted[0]).id).await;
    world.store.end_job(&first.lease, &ending(JobStatus::Completed)).await.unwrap();
    let second = world.claimed(created(&accepted[1]).id).await;
    let mut cancelled = world.store.cancel(&workspace("acme"), sync).await.unwrap();
    cancelled.sort_by_key(|job| job.id);
    let states: Vec<_> = cancelled.iter().map(|job| (job.id, job.status)).collect();
    assert_eq!(states, [(second.job.id, JobStatus::Running), (jobs[2].id, JobStatus::Cancelled)]);
}
