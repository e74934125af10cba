use std::time::Duration;

use protocol::{JobStatus, WaitingReason};
use serde_json::json;
use store::{NotClaimable, Resting};

use crate::fixture::{World, changed, deals, progress, workspace};

const MINUTE: Duration = Duration::from_secs(60);

fn resting(reason: WaitingReason) -> Resting {
    Resting { reason, delay: MINUTE, error: None, uncount: false, keeps_ticket: true, in_vain: false }
}

#[tokio::test]
async fn a_job_that_waits_for_its_next_attempt_says_why_and_until_when() {
    let world = World::new().await;
    let claimed = world.running().await;
    world.store.commit_pages(&claimed.lease, &[deals(vec![])], &progress(45)).await.unwrap();
    let before = world.row(claimed.job.id).await;
    let failed = Resting {
        error: Some(store::Failure::new(protocol::AttemptErrorClass::Transient, "it broke")),
        ..resting(WaitingReason::RetryBackoff)
    };
    let view = world.store.rest_job(&claimed.lease, &failed).await.unwrap();
    let after = world.row(claimed.job.id).await;
    assert_eq!(
        changed(&before, &after),
        [
            "attempt_errors",
            "last_error",
            "lease_expires_at",
            "lease_holder",
            "lease_token",
            "revision",
            "run_at",
            "status",
            "ticketed_at",
            "waiting_reason"
        ]
    );
    assert_eq!((view.status, view.waiting_reason), (JobStatus::Queued, Some(WaitingReason::RetryBackoff)));
    assert_eq!(view.error.as_deref(), Some("it broke"));
    assert_eq!((view.attempts, view.progress.current), (1, 45));
    assert_eq!(view.revision, claimed.job.revision + 2, "a page and the rest");
    let due = "SELECT run_at BETWEEN now() + interval '50 s' AND now() + interval '60 s' FROM jobs";
    assert!(world.one::<bool>(due).await);
    match world.refused(view.id).await {
        NotClaimable::NotFor(wait) => assert!(wait <= MINUTE && wait > MINUTE / 2, "{wait:?}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.store.job(&workspace("acme"), view.id).await.unwrap(), Some(view));
}

#[tokio::test]
async fn a_ticket_that_stays_counts_as_published_when_it_is_due_and_one_that_goes_is_gone() {
    let world = World::new().await;
    let kept = world.running().await;
    world.store.rest_job(&kept.lease, &resting(WaitingReason::SourceQuota)).await.unwrap();
    let row = world.row(kept.job.id).await;
    assert_eq!(row["ticketed_at"], row["run_at"]);

    world.set(kept.job.id, "run_at = now()").await;
    let gone = world.claimed(kept.job.id).await;
    let resting = Resting { keeps_ticket: false, ..resting(WaitingReason::SourceQuota) };
    world.store.rest_job(&gone.lease, &resting).await.unwrap();
    assert_eq!(world.row(gone.job.id).await["ticketed_at"], json!(null));
}

#[tokio::test]
async fn an_attempt_that_is_not_counted_is_taken_back() {
    let world = World::new().await;
    let claimed = world.running().await;
    let interrupted = Resting { delay: Duration::ZERO, uncount: true, ..resting(WaitingReason::Interrupted) };
    let view = world.store.rest_job(&claimed.lease, &interrupted).await.unwrap();
    assert_eq!(view.attempts, 0);
    let again = world.claimed(view.id).await;
    assert_eq!(again.job.attempts, 1, "it resumes at once");
    let counted = Resting { delay: Duration::ZERO, ..resting(WaitingReason::RetryBackoff) };
    assert_eq!(world.store.rest_job(&again.lease, &counted).await.unwrap().attempts, 1);
    assert_eq!(world.claimed(view.id).await.job.attempts, 2);
}

#[tokio::test]
async fn a_rest_without_an_error_keeps_the_last_one() {
    let world = World::new().await;
    let claimed = world.running().await;
    world.set(claimed.job.id, "last_error = 'it broke'").await;
    let view = world.store.rest_job(&claimed.lease, &resting(WaitingReason::SourceQuota)).await.unwrap();
    assert_eq!(view.error.as_deref(), Some("it broke"));
}

#[tokio::test]
async fn the_revision_grows_with_every_change() {
    let world = World::new().await;
    let accepted = world.accepted().await;
    let claimed = world.claimed(accepted.id).await;
    let page = world.store.commit_pages(&claimed.lease, &[deals(vec![])], &progress(1)).await.unwrap();
    let now = Resting { delay: Duration::ZERO, ..resting(WaitingReason::Interrupted) };
    let rested = world.store.rest_job(&claimed.lease, &now).await.unwrap();
    let again = world.claimed(accepted.id).await;
    world.expire_lease(accepted.id).await;
    let taken_over = world.claimed(accepted.id).await;
    let ending =
        store::Ending { status: JobStatus::Failed, error: None, result: None, message: "Over".to_owned() };
    let ended = world.store.end_job(&taken_over.lease, &ending).await.unwrap();
    let revisions = [
        accepted.revision,
        claimed.job.revision,
        page.fenced.revision,
        rested.revision,
        again.job.revision,
        taken_over.job.revision,
        ended.revision,
    ];
    assert_eq!(revisions, [1, 2, 3, 4, 5, 6, 7]);
}
