use protocol::{JobStatus, ObjectResult, ObjectStatus, SyncError, SyncMode, SyncOutcome, SyncResult};
use serde_json::json;
use store::Ending;

use crate::fixture::{World, changed, deals, progress, workspace};

fn result() -> SyncResult {
    let connector_type = "hubspot".parse().unwrap();
    let object: protocol::ObjectName = "deals".parse().unwrap();
    let counts = ObjectResult {
        connector_type,
        object: object.clone(),
        listed: 3,
        written: 1,
        unchanged: 1,
        captured: 1,
        pages: 1,
        mode: SyncMode::Full,
        status: ObjectStatus::Completed,
        error: None,
        deleted: 4,
        needs_review: 0,
    };
    let error = SyncError { object, external_id: "9".to_owned(), reason: "bad".to_owned() };
    SyncResult {
        outcome: SyncOutcome::Complete,
        results: vec![counts],
        needs_review: false,
        total_records: 2,
        errors: vec![error],
    }
}

#[tokio::test]
async fn a_completed_job_gives_its_lease_back_and_its_progress_is_full() {
    let world = World::new().await;
    let claimed = world.running().await;
    world.set(claimed.job.id, "last_error = 'an attempt before failed'").await;
    world.store.commit_pages(&claimed.lease, &[deals(vec![])], &progress(45)).await.unwrap();
    let before = world.row(claimed.job.id).await;
    let ending = Ending {
        status: JobStatus::Completed,
        error: None,
        result: Some(result()),
        message: "Done".to_owned(),
    };
    let view = world.store.end_job(&claimed.lease, &ending).await.unwrap();
    let after = world.row(claimed.job.id).await;
    assert_eq!(
        changed(&before, &after),
        [
            "completed_at",
            "last_error",
            "lease_expires_at",
            "lease_holder",
            "lease_token",
            "progress",
            "result",
            "revision",
            "status"
        ]
    );
    assert_eq!(after["progress"], json!({"current": 45, "total": 45, "message": "Done"}));
    assert_eq!(after["lease_expires_at"], json!(null));
    assert_eq!(view.revision, claimed.job.revision + 2, "a page and the end");
    assert_eq!((view.status, view.error.as_ref()), (JobStatus::Completed, None));
    assert_eq!(view.result, Some(result()));
    assert_eq!(view.attempts, 1);
    assert_eq!(world.store.job(&workspace("acme"), view.id).await.unwrap(), Some(view));
}

#[tokio::test]
async fn a_failed_or_cancelled_job_keeps_how_far_it_was() {
    let world = World::new().await;
    for status in [JobStatus::Failed, JobStatus::Cancelled] {
        let claimed = world.running().await;
        world.store.commit_pages(&claimed.lease, &[deals(vec![])], &progress(45)).await.unwrap();
        let ending = Ending {
            status,
            error: Some(store::Failure::new(protocol::AttemptErrorClass::Transient, "why")),
            result: None,
            message: "Over".to_owned(),
        };
        let view = world.store.end_job(&claimed.lease, &ending).await.unwrap();
        let row = world.row(claimed.job.id).await;
        assert_eq!(row["status"], status.as_sql());
        assert_eq!(row["progress"], json!({"current": 45, "total": 1000, "message": "Over"}));
        assert_eq!(view.error.as_deref(), Some("why"));
        assert_eq!((view.result, view.next_attempt_at), (None, None));
        assert!(view.completed_at.is_some() && view.revision > claimed.job.revision);
    }
}

#[tokio::test]
async fn a_job_is_over_once() {
    let world = World::new().await;
    let claimed = world.running().await;
    let ending = |status| Ending { status, error: None, result: None, message: "Over".to_owned() };
    world.store.end_job(&claimed.lease, &ending(JobStatus::Cancelled)).await.unwrap();
    let again = world.store.end_job(&claimed.lease, &ending(JobStatus::Completed)).await;
    assert!(matches!(again, Err(store::StoreError::LeaseLost)), "{again:?}");
    assert_eq!(world.row(claimed.job.id).await["status"], "cancelled");
}
