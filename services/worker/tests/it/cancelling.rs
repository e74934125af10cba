//! Somebody stops a job: wherever it is, it ends soon, keeps what it committed, and never starts again by itself.

use std::time::Duration;

use bus::Published;
use lab::{FaultKind, FaultRule, LabConfig};
use protocol::{AttemptErrorClass, JobStatus, SyncOptions, Table};
use store::{Claim, NewJob};

use crate::fixture::{World, small_lab};

fn slow_lab() -> LabConfig {
    LabConfig { latency_ms: 60, ..small_lab() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_that_is_cancelled_ends_early_and_keeps_its_pages() {
    let mut world = World::new(slow_lab()).await;
    let worker = world.worker().await;
    let job = world.post().await;
    world.seen(job, |view| view.progress.current >= 300).await;
    world.store.cancel(&world.workspace, job).await.unwrap();
    let view = world.ended(job).await;
    assert_eq!((view.status, view.result), (JobStatus::Cancelled, None));
    assert_eq!(view.progress.message, "Cancelled");
    let rows = world.store.rows(&world.workspace, Table::Contacts).await.unwrap().len();
    assert!(rows > 0 && rows < 1_000, "{rows} contacts");
    // Its ticket is gone: the next job of the scope gets one, and runs.
    let next = crate::source::begin(&world, SyncOptions::default()).await;
    world.completed(next).await;
    assert_eq!(world.row(job).await.status, JobStatus::Cancelled);
    world.assert_complete().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_for_an_answer_of_the_vendor_is_cancelled_without_it() {
    let mut world = World::new(small_lab()).await;
    let hang = FaultRule { path: Some("contacts?".into()), ..FaultRule::new(FaultKind::Hang) };
    world.lab.set_faults(vec![hang]).unwrap();
    let worker = world.worker().await;
    let job = world.post().await;
    world.lab.wait_for_hanging(1).await;
    world.store.cancel(&world.workspace, job).await.unwrap();
    let view = world.ended(job).await;
    assert_eq!((view.status, view.attempts), (JobStatus::Cancelled, 1));
    assert!(view.attempt_errors.is_empty(), "no attempt failed: {view:?}");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_that_is_tried_again_fetches_no_page_twice_that_was_committed() {
    let mut world = World::new(slow_lab()).await;
    let worker = world.worker().await;
    let first = world.post().await;
    world.seen(first, |view| view.progress.current >= 500).await;
    world.store.cancel(&world.workspace, first).await.unwrap();
    world.ended(first).await;
    let retry = NewJob { retry_of: Some(first), ..world.new_job(SyncOptions::default()) };
    world.store.accept_sync(retry.id, std::slice::from_ref(&retry)).await.unwrap();
    while world.publish(retry.id, 1).await != Published::Stored {
        tokio::task::yield_now().await;
    }
    let view = world.completed(retry.id).await;
    let listed = |name| crate::source::result(&view, name).listed;
    let records = [listed("contacts"), listed("companies"), listed("deals")];
    assert_eq!(records, [1_000, 600, 150], "its counts include what the first one committed");
    // What was in flight: a page of each of three objects being fetched, one that waited, and two transactions of up to
    // four pages each.
    let twice = world.lab.stats().await.pages_fetched_twice;
    assert!(twice.count <= 12, "{twice:?}");
    world.assert_complete().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ticket_of_a_cancelled_job_serves_whoever_waits_in_its_scope_now() {
    let mut world = World::new(small_lab()).await;
    let cancelled = world.post().await;
    world.store.cancel(&world.workspace, cancelled).await.unwrap();
    let waits = world.accept(3).await;
    assert_eq!(world.publish(waits, 1).await, Published::Occupied, "one ticket a subject");
    let worker = world.worker().await;
    world.completed(waits).await;
    assert_eq!(world.row(cancelled).await.status, JobStatus::Cancelled);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_to_be_cancelled_when_its_worker_died_is_not_run_by_the_next_one() {
    let mut world = World::new(small_lab()).await;
    let job = world.accept(3).await;
    let lease = Duration::from_millis(300);
    let claim = world.store.claim(job, "dead", lease).await.unwrap();
    assert!(matches!(claim, Claim::Claimed(_)));
    let asked = world.store.cancel(&world.workspace, job).await.unwrap();
    let worker = world.worker().await;
    if asked[0].cancel_requested {
        assert_eq!(world.publish(job, 1).await, Published::Stored);
        world.ended(job).await;
    }
    assert_eq!(world.row(job).await.status, JobStatus::Cancelled);
    assert_eq!(world.lab.stats().await.requests, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_has_the_time_for_an_attempt_that_it_was_given() {
    let mut world = World::new(LabConfig { contacts: 100, companies: 1, deals: 1, ..small_lab() }).await;
    let hang =
        FaultRule { path: Some("contacts?".into()), count: Some(1), ..FaultRule::new(FaultKind::Hang) };
    world.lab.set_faults(vec![hang]).unwrap();
    let worker = world.worker().await;
    let options = SyncOptions { timeout_seconds: Some(1), ..SyncOptions::default() };
    let job = crate::source::begin(&world, options).await;
    let view = world.completed(job).await;
    assert_eq!(view.attempts, 2);
    let classes: Vec<_> = view.attempt_errors.iter().map(|error| (error.attempt, error.class)).collect();
    assert_eq!(classes, [(1, AttemptErrorClass::TimedOut)]);
    assert!(view.attempt_errors[0].message.contains("1 s"), "{view:?}");
    worker.stop().await;
}
