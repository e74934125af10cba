//! `Idempotency-Key`: the same request gets the same answer, and another one with that key a refusal.

use std::time::Duration;

use protocol::{JobStatus, SyncResult};
use reqwest::Method;
use serde_json::{Value, json};
use store::{Claim, Ending};

use crate::answer::Answer;
use crate::fixture::World;

const SYNC: &str = "/api/workspaces/acme/sync";

async fn post(world: &World, path: &str, key: &str, body: &Value) -> Answer {
    let request = world.request(Method::POST, path).header("content-type", "application/json");
    Answer::to(request.header("idempotency-key", key).body(body.to_string())).await
}

async fn fail(world: &World) -> String {
    end(world, JobStatus::Failed, None).await
}

/// Ends the newest job, as a worker does.
async fn end(world: &World, status: JobStatus, result: Option<SyncResult>) -> String {
    let id = world.rows().await[0].id;
    let claim = world.store.claim(id, "worker", Duration::from_secs(300)).await.unwrap();
    let Claim::Claimed(claimed) = claim else { panic!("{claim:?}") };
    let ending = Ending { status, error: None, result, message: "Over".to_owned() };
    world.store.end_job(&claimed.lease, &ending).await.unwrap();
    id.to_string()
}

#[tokio::test]
async fn the_same_request_gets_the_same_answer_also_after_its_job_ended() {
    let world = World::new().await;
    let body = json!({"connectorType": "hubspot"});
    let first = post(&world, SYNC, "k1", &body).await;
    assert_eq!(first.header("idempotent-replayed"), "");
    let first = first.ok(202);
    fail(&world).await;
    let again = post(&world, SYNC, "k1", &body).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(Some(again.header("location")), first["statusUrl"].as_str());
    assert_eq!(again.ok(202), first);
    assert_eq!(world.rows().await.len(), 1, "nothing ran twice");
    let other = post(&world, SYNC, "k2", &body).await.ok(202);
    assert_ne!(other["jobId"], first["jobId"]);
}

#[tokio::test]
async fn the_same_key_with_another_body_is_refused_and_writes_nothing() {
    let world = World::new().await;
    post(&world, SYNC, "k1", &json!({"connectorType": "hubspot"})).await.ok(202);
    let job = fail(&world).await;
    post(&world, SYNC, "k1", &json!({"connectorType": "hubspot", "mode": "full"}))
        .await
        .problem(422, "idempotency-key-reused");
    let retry = format!("/api/workspaces/acme/sync/jobs/{job}/retry");
    post(&world, &retry, "k1", &json!({})).await.problem(422, "idempotency-key-reused");
    assert_eq!(world.rows().await.len(), 1);
}

#[tokio::test]
async fn a_retry_with_a_key_is_made_once() {
    let world = World::new().await;
    world.post_hubspot().await.ok(202);
    let job = fail(&world).await;
    let path = format!("/api/workspaces/acme/sync/jobs/{job}/retry");
    let first = post(&world, &path, "k", &json!({})).await.ok(202);
    assert_eq!(post(&world, &path, "k", &json!({})).await.ok(202), first);
    assert_eq!(world.rows().await.len(), 2);
}

#[tokio::test]
async fn a_retry_that_is_sent_several_times_at_once_with_a_key_gets_one_answer() {
    let world = World::new().await;
    world.post_hubspot().await.ok(202);
    // Whoever comes late finds the job active that the first one made: it is the answer, and nothing in the way.
    for round in 0..5 {
        let of_job = format!("{SYNC}/jobs/{}/retry", fail(&world).await);
        at_once(&world, &of_job, &format!("job-{round}")).await;
        fail(&world).await;
        at_once(&world, &format!("{SYNC}/jobs/retry"), &format!("last-{round}")).await;
    }
    assert_eq!(world.rows().await.len(), 11);
}

async fn at_once(world: &World, path: &str, key: &str) {
    let body = json!({});
    let posts = (0..8).map(|_| async { post(world, path, key, &body).await.ok(202) });
    let answers = futures_util::future::join_all(posts).await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

#[tokio::test]
async fn an_approval_with_a_key_is_made_once_while_its_job_is_active_and_after() {
    let world = World::new().await;
    let first = world.post_hubspot().await.ok(202);
    let object =
        serde_json::from_value(json!({"connectorType": "hubspot", "object": "contacts", "listed": 0,
        "written": 0, "unchanged": 0, "captured": 0, "pages": 1, "needsReview": 150}))
        .unwrap();
    let result = SyncResult { results: vec![object], needs_review: true, ..SyncResult::default() };
    end(&world, JobStatus::Completed, Some(result)).await;
    let path = format!("/api/workspaces/acme/sync/jobs/{}/approve", first["jobId"].as_str().unwrap());
    let approval = post(&world, &path, "k", &json!({})).await.ok(202);
    assert_eq!(post(&world, &path, "k", &json!({})).await.ok(202), approval, "while it is active");
    fail(&world).await;
    let again = post(&world, &path, "k", &json!({})).await;
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.ok(202), approval);
    assert_eq!(world.rows().await.len(), 2, "no second allowance to delete");
}

#[tokio::test]
async fn a_refused_request_may_be_sent_again_with_its_key() {
    let world = World::new().await;
    let wrong = json!({"connectorType": "monday"});
    assert!(post(&world, SYNC, "k", &wrong).await.status >= 400);
    post(&world, SYNC, "k", &json!({"connectorType": "hubspot"})).await.ok(202);
}

#[tokio::test]
async fn a_key_has_1_to_255_visible_characters_and_there_is_one() {
    let world = World::new().await;
    let body = json!({"connectorType": "hubspot"});
    post(&world, SYNC, &"k".repeat(255), &body).await.ok(202);
    for bad in ["", " ", "a b", "ü", &"k".repeat(256)] {
        post(&world, SYNC, bad, &body).await.problem(400, "invalid-parameter");
    }
    let request = world.request(Method::POST, SYNC).header("content-type", "application/json");
    let request = request.header("idempotency-key", "a").header("idempotency-key", "b");
    Answer::to(request.body(body.to_string())).await.problem(400, "invalid-parameter");
}

#[tokio::test]
async fn of_many_equal_requests_at_once_one_is_carried_out_and_all_get_its_answer() {
    let world = std::sync::Arc::new(World::new().await);
    let mut posts = tokio::task::JoinSet::new();
    for _ in 0..30 {
        let world = std::sync::Arc::clone(&world);
        posts.spawn(
            async move { post(&world, SYNC, "k", &json!({"connectorType": "hubspot"})).await.ok(202) },
        );
    }
    let answers = posts.join_all().await;
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(world.rows().await.len(), 1);
}
