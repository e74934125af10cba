//! `DELETE …/sync/jobs/{jobId}`: the answer is honest, whatever happens at that moment.

use std::time::Duration;

use protocol::{JobId, JobStatus, SyncResult};
use reqwest::Method;
use serde_json::{Value, json};
use store::{Claim, Claimed, Ending};

use crate::answer::Answer;
use crate::fixture::{Stores, World, workspace};

fn url(job: &str) -> String {
    format!("/api/workspaces/acme/sync/jobs/{job}")
}

async fn cancel(world: &World, job: &str) -> Answer {
    world.send(Method::DELETE, &url(job), "").await
}

fn id(body: &Value) -> String {
    body["jobId"].as_str().unwrap().to_owned()
}

async fn claim(world: &World, job: &str) -> Claimed {
    match world.store.claim(job.parse().unwrap(), "worker", Duration::from_secs(300)).await.unwrap() {
        Claim::Claimed(claimed) => *claimed,
        Claim::Refused(why) => panic!("not claimed: {why:?}"),
    }
}

#[tokio::test]
async fn a_queued_job_is_cancelled_at_once_and_everybody_who_watches_sees_it() {
    let world = World::new().await;
    let job = id(&world.post_hubspot().await.ok(202));
    let body = cancel(&world, &job).await.ok(200);
    assert_eq!((body["jobId"].as_str(), body["status"].as_str()), (Some(job.as_str()), Some("cancelled")));
    assert_eq!(body["statusUrl"], url(&job));
    let shown = world.queue.shown(job.parse().unwrap()).await;
    assert_eq!(shown.status, JobStatus::Cancelled);
    let row = world.store.job(&workspace(), job.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(shown.revision, row.revision);
    // Twice is as good as once, and the connector is free.
    assert_eq!(cancel(&world, &job).await.ok(200)["status"], "cancelled");
    assert_ne!(id(&world.post_hubspot().await.ok(202)), job);
}

#[tokio::test]
async fn a_running_job_is_promised_to_end() {
    let world = World::new().await;
    let job = id(&world.post_hubspot().await.ok(202));
    let claimed = claim(&world, &job).await;
    for _ in 0..2 {
        let body = cancel(&world, &job).await.ok(202);
        assert_eq!(body["status"], "running", "{body}");
    }
    assert!(world.store.renew_lease(&claimed.lease).await.unwrap());
}

#[tokio::test]
async fn a_sync_asked_for_while_the_one_before_is_being_cancelled_is_not_given_that_one() {
    let world = World::new().await;
    let job = id(&world.post_hubspot().await.ok(202));
    let claimed = claim(&world, &job).await;
    cancel(&world, &job).await.ok(202);
    let key = "a-key-for-a-sync";
    let with_key = || {
        let post = world.request(Method::POST, "/api/workspaces/acme/sync").header("Idempotency-Key", key);
        post.header("content-type", "application/json").body(r#"{"connectorType": "hubspot"}"#)
    };
    for asked in [world.post_hubspot().await, world.post_sync(json!({})).await, Answer::to(with_key()).await]
    {
        assert_eq!(asked.header("retry-after"), "2");
        asked.problem(503, "unavailable");
    }
    let ending = Ending { status: JobStatus::Completed, error: None, result: None, message: "Over".into() };
    world.store.end_job(&claimed.lease, &ending).await.unwrap();
    let next = Answer::to(with_key()).await.ok(202);
    assert_eq!(next["deduplicated"], Value::Null, "{next}");
    assert_ne!(id(&next), job, "the key was not used up");
}

#[tokio::test]
async fn a_job_that_completed_before_is_not_cancelled_and_the_answer_says_so() {
    let world = World::new().await;
    let job = id(&world.post_hubspot().await.ok(202));
    let claimed = claim(&world, &job).await;
    let ending = Ending {
        status: JobStatus::Completed,
        error: None,
        result: Some(SyncResult::default()),
        message: "Over".to_owned(),
    };
    world.store.end_job(&claimed.lease, &ending).await.unwrap();
    let detail = cancel(&world, &job).await.problem(409, "job-over");
    assert!(detail.contains("completed"), "{detail}");
    assert_eq!(world.rows().await[0].status, JobStatus::Completed);
}

#[tokio::test]
async fn a_job_that_nobody_knows_cannot_be_cancelled_nor_one_of_another_workspace() {
    let world = World::new().await;
    cancel(&world, &JobId::new().to_string()).await.problem(404, "unknown-job");
    cancel(&world, "not-an-id").await.problem(400, "invalid-parameter");
    let job = id(&world.post_hubspot().await.ok(202));
    world.put("/api/workspaces/globex", &json!({})).await.ok(201);
    let path = format!("/api/workspaces/globex/sync/jobs/{job}");
    world.send(Method::DELETE, &path, "").await.problem(404, "unknown-job");
    assert_eq!(world.rows().await[0].status, JobStatus::Queued);
}

#[tokio::test]
async fn a_sync_of_several_jobs_is_cancelled_as_a_whole_and_says_if_one_still_runs() {
    let stores = Stores::new().await;
    stores.connect("monday").await;
    let wiring = stores.wiring();
    let world = stores.ingress(wiring).await;
    world.connected().await;
    let sync = id(&world.post_sync(json!({})).await.ok(202));
    let running = world.rows().await[0].id.to_string();
    claim(&world, &running).await;
    assert_eq!(cancel(&world, &sync).await.ok(202)["status"], "running");
    let mut states: Vec<_> = world.rows().await.iter().map(|job| job.status.as_str()).collect();
    states.sort_unstable();
    assert_eq!(states, ["cancelled", "running"]);
    let row = world.store.job(&workspace(), running.parse().unwrap()).await.unwrap().unwrap();
    assert!(row.cancel_requested);
}

#[tokio::test]
async fn a_job_that_was_cancelled_and_is_not_shown_to_be_is_shown_when_somebody_asks_again() {
    let world = World::new().await;
    let job = id(&world.post_hubspot().await.ok(202));
    // Whoever cancelled it died before it could tell.
    world.store.cancel(&workspace(), job.parse().unwrap()).await.unwrap();
    assert_eq!(cancel(&world, &job).await.ok(200)["status"], "cancelled");
    assert_eq!(world.queue.shown(job.parse().unwrap()).await.status, JobStatus::Cancelled);
}

#[tokio::test]
async fn a_sync_of_which_one_job_failed_and_one_was_cancelled_answers_a_second_wish_as_well() {
    let stores = Stores::new().await;
    stores.connect("monday").await;
    let wiring = stores.wiring();
    let world = stores.ingress(wiring).await;
    world.connected().await;
    let sync = id(&world.post_sync(json!({})).await.ok(202));
    let failed = claim(&world, &world.rows().await[0].id.to_string()).await;
    let ending = Ending { status: JobStatus::Failed, error: None, result: None, message: "Over".to_owned() };
    world.store.end_job(&failed.lease, &ending).await.unwrap();
    assert_eq!(cancel(&world, &sync).await.ok(200)["status"], "cancelled");
    assert_eq!(cancel(&world, &sync).await.ok(200)["status"], "failed", "as the sync reads by then");
}
