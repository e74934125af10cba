//! A sync of several jobs reads as one job.

use protocol::{JobId, JobStatus};
use reqwest::Method;
use serde_json::json;

use crate::answer::Answer;
use crate::fixture::{World, new_job};

#[tokio::test]
async fn a_sync_of_two_jobs_reads_as_one_merged_job_until_both_are_over() {
    let world = World::new().await;
    let (sync, one, two) = (JobId::new(), JobId::new(), JobId::new());
    let jobs = [new_job(one, sync, "hubspot"), new_job(two, sync, "salesforce")];
    world.stores.store.accept_sync(sync, &jobs).await.unwrap();

    let body = world.poll(sync).await.ok(200);
    assert_eq!((&body["id"], &body["syncId"]), (&json!(sync), &json!(sync)));
    assert_eq!((&body["status"], body.get("connectorType")), (&json!("queued"), None));
    assert_eq!(body["progress"], json!({"current": 0, "total": 0, "message": "0 of 2 jobs are over"}));
    let members: Vec<_> = body["jobs"].as_array().unwrap().iter().map(|job| &job["id"]).collect();
    assert_eq!(members, [&json!(one), &json!(two)]);

    let (_, first) = world.stores.claim(one).await;
    world.stores.advance(&first, 10).await;
    let body = world.poll(sync).await.ok(200);
    assert_eq!((&body["status"], &body["progress"]["current"]), (&json!("running"), &json!(10)));

    world.stores.end(&first, JobStatus::Completed).await;
    let half = world.poll(sync).await;
    let body = half.ok(200);
    assert_eq!(
        (&body["status"], body.get("result"), &body["completedAt"]),
        (&json!("running"), None, &json!(null))
    );

    let (_, second) = world.stores.claim(two).await;
    world.stores.end(&second, JobStatus::Failed).await;
    let over = world.poll(sync).await;
    let body = over.ok(200);
    assert_eq!((&body["status"], &body["error"]), (&json!("failed"), &json!("it broke")));
    assert_eq!(body["result"]["totalRecords"], 47_691);
    assert_ne!(over.header("etag"), half.header("etag"));
    world.get(&format!("other/sync/jobs/{sync}")).await.problem(404, "unknown-job");
}

#[tokio::test]
async fn a_poll_of_a_merged_job_never_goes_backwards() {
    let world = World::new().await;
    let (sync, one, two) = (JobId::new(), JobId::new(), JobId::new());
    let jobs = [new_job(one, sync, "hubspot"), new_job(two, sync, "salesforce")];
    world.stores.store.accept_sync(sync, &jobs).await.unwrap();
    let mut revisions = Vec::new();
    for id in [one, two] {
        revisions.push(world.poll(sync).await.ok(200)["revision"].as_u64().unwrap());
        let (_, lease) = world.stores.claim(id).await;
        revisions.push(world.poll(sync).await.ok(200)["revision"].as_u64().unwrap());
        world.stores.end(&lease, JobStatus::Completed).await;
    }
    revisions.push(world.poll(sync).await.ok(200)["revision"].as_u64().unwrap());
    assert!(revisions.is_sorted_by(|a, b| a < b), "{revisions:?}");
}

#[tokio::test]
async fn claims_that_postgres_forgot_are_waited_for_in_a_merged_job_too() {
    let world = World::new().await;
    let (sync, one, two) = (JobId::new(), JobId::new(), JobId::new());
    let jobs = [new_job(one, sync, "hubspot"), new_job(two, sync, "salesforce")];
    world.stores.store.accept_sync(sync, &jobs).await.unwrap();
    let revision = world.poll(sync).await.ok(200)["revision"].as_u64().unwrap();
    let poll = async |ahead: u64| {
        let request = world.request(Method::GET, &format!("acme/sync/jobs/{sync}"));
        Answer::to(request.header("if-none-match", format!("\"{}\"", revision + ahead))).await
    };
    poll(1).await.problem(503, "unavailable");
    poll(2).await.problem(503, "unavailable");
    assert_eq!(poll(3).await.ok(200)["revision"], revision, "one more than claims is no tag of ours");
    // Both are claimed again.
    world.stores.claim(one).await;
    world.stores.claim(two).await;
    assert_eq!(poll(2).await.status, 304);
}

#[tokio::test]
async fn what_was_shown_of_a_job_is_shown_in_its_merged_job_too() {
    let world = World::new().await;
    let (sync, one, two) = (JobId::new(), JobId::new(), JobId::new());
    let jobs = [new_job(one, sync, "hubspot"), new_job(two, sync, "salesforce")];
    world.stores.store.accept_sync(sync, &jobs).await.unwrap();
    let revision = world.poll(sync).await.ok(200)["revision"].as_u64().unwrap();
    // As if it had been claimed, and Postgres had been killed.
    let mut claimed = world.stores.row(one).await;
    claimed.revision += 1;
    claimed.status = JobStatus::Running;
    world.stores.post(&claimed).await;
    world.polled(one, claimed.revision).await;
    let body = world.poll(sync).await.ok(200);
    assert_eq!((&body["revision"], &body["status"]), (&json!(revision + 1), &json!("running")));
}
