//! One job, as it is polled.

use protocol::JobStatus;
use reqwest::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::fixture::World;

fn is_rfc3339_utc(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.ends_with('Z')
        && time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).is_ok()
}

/// Takes the times out of an answer, after looking at them.
fn timeless(mut body: Value, times: &[&str]) -> Value {
    for time in times {
        assert!(is_rfc3339_utc(&body[*time]), "{time} of {body}");
        body.as_object_mut().unwrap().remove(*time);
    }
    body
}

#[tokio::test]
async fn a_queued_job_is_exactly_what_is_documented() {
    let world = World::new().await;
    let id = world.stores.queued().await.id;
    let body = timeless(world.poll(id).await.ok(200), &["createdAt"]);
    assert_eq!(
        body,
        json!({
            "id": id, "syncId": id, "workspaceId": "acme", "jobType": "sync", "connectorType": "hubspot",
            "status": "queued", "priority": "normal",
            "progress": {"current": 0, "total": 0, "message": "Waiting for a worker"},
            "attempts": 0, "maxAttempts": 3, "takeovers": 0, "startedAt": null, "completedAt": null,
            "error": null, "revision": 1,
        })
    );
}

#[tokio::test]
async fn a_running_job_is_exactly_what_is_documented() {
    let world = World::new().await;
    let (job, lease) = world.stores.running().await;
    world.stores.advance(&lease, 50).await;
    let body = timeless(world.poll(job.id).await.ok(200), &["createdAt", "startedAt"]);
    assert_eq!(
        body,
        json!({
            "id": job.id, "syncId": job.id, "workspaceId": "acme", "jobType": "sync", "connectorType": "hubspot",
            "status": "running", "priority": "normal",
            "progress": {"current": 50, "total": 100, "message": "Processing contacts (50)..."},
            "attempts": 1, "maxAttempts": 3, "takeovers": 0, "completedAt": null, "error": null, "revision": 3,
        })
    );
}

#[tokio::test]
async fn a_completed_job_is_exactly_what_is_documented() {
    let world = World::new().await;
    let job = world.stores.completed().await;
    let body = timeless(world.poll(job.id).await.ok(200), &["createdAt", "startedAt", "completedAt"]);
    assert_eq!(
        body,
        json!({
            "id": job.id, "syncId": job.id, "workspaceId": "acme", "jobType": "sync", "connectorType": "hubspot",
            "status": "completed", "priority": "normal",
            "progress": {"current": 0, "total": 0, "message": "Over"},
            "attempts": 1, "maxAttempts": 3, "takeovers": 0, "error": null, "revision": 3,
            "result": {"outcome": "complete", "results": [], "totalRecords": 47_691, "errors": []},
        })
    );
}

#[tokio::test]
async fn a_failed_job_says_why_and_a_waiting_one_until_when() {
    let world = World::new().await;
    let (job, lease) = world.stores.running().await;
    let resting = store::Resting {
        reason: protocol::WaitingReason::RetryBackoff,
        delay: crate::fixture::PATIENCE,
        error: Some(store::Failure::new(protocol::AttemptErrorClass::Transient, "it broke")),
        uncount: false,
        keeps_ticket: true,
        in_vain: false,
    };
    world.stores.store.rest_job(&lease, &resting).await.unwrap();
    let body = world.polled(job.id, 3).await;
    assert_eq!((&body["status"], &body["waitingReason"]), (&json!("queued"), &json!("retry_backoff")));
    assert!(is_rfc3339_utc(&body["nextAttemptAt"]) && body["error"] == "it broke", "{body}");

    let world = World::new().await;
    let (job, lease) = world.stores.running().await;
    world.stores.end(&lease, JobStatus::Failed).await;
    let body = world.poll(job.id).await.ok(200);
    assert_eq!((&body["status"], &body["error"]), (&json!("failed"), &json!("it broke")));
    assert!(is_rfc3339_utc(&body["completedAt"]) && body.get("result").is_none(), "{body}");
}

#[tokio::test]
async fn memory_and_postgres_give_the_same_answer() {
    let world = World::new().await;
    let (job, lease) = world.stores.running().await;
    let view = world.stores.advance(&lease, 50).await;
    let from_postgres = world.poll(job.id).await.text;
    world.stores.post(&view).await;
    // Another replica, which has seen neither.
    let wiring = world.stores.wiring();
    let other = world.stores.status(wiring).await;
    other.connected().await;
    assert_eq!(other.poll(job.id).await.text, from_postgres);
    assert_eq!(serde_json::to_string(&view).unwrap(), from_postgres);
}

#[tokio::test]
async fn an_etag_that_is_known_is_answered_with_304_until_the_job_changes() {
    let world = World::new().await;
    let (job, lease) = world.stores.running().await;
    world.stores.post(&world.stores.row(job.id).await).await;
    let first = world.poll(job.id).await;
    first.ok(200);
    let etag = first.header("etag").to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2, "{etag}");
    assert_eq!(first.header("cache-control"), "no-cache");
    // As it is, as a proxy that compresses weakens it, among others, and any.
    for known in [etag.clone(), format!("W/{etag}"), format!("\"999\", {etag}"), "*".to_owned()] {
        let answer = conditional(&world, &job, &known).await;
        assert_eq!((answer.status, answer.text.as_str()), (304, ""), "{known}");
        assert_eq!((answer.header("etag"), answer.header("content-type")), (etag.as_str(), ""));
    }
    for other in ["\"999\"", "", "2", "\"", "W/\"999\""] {
        conditional(&world, &job, other).await.ok(200);
    }
    world.stores.post(&world.stores.advance(&lease, 1).await).await;
    let revision = world.stores.row(job.id).await.revision;
    world.polled(job.id, revision).await;
    let changed = conditional(&world, &job, &etag).await;
    changed.ok(200);
    assert_ne!(changed.header("etag"), etag);
}

async fn conditional(world: &World, job: &protocol::JobView, etag: &str) -> Answer {
    let request = world.request(Method::GET, &format!("acme/sync/jobs/{}", job.id));
    Answer::to(request.header("if-none-match", etag)).await
}
