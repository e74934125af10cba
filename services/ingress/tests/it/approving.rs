//! Approving deletions that a sync left for somebody to look at.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::{JobId, JobStatus, ObjectResult, Priority, SyncOptions, SyncResult};
use reqwest::Method;
use serde_json::{Value, json};
use store::{Claim, Claimed, Ending};

use crate::answer::Answer;
use crate::fixture::{Stores, World, workspace};

/// Longer than any test runs.
const LEASE: Duration = Duration::from_secs(300);

fn url(job: &str) -> String {
    format!("/api/workspaces/acme/sync/jobs/{job}")
}

async fn approve(world: &World, job: &str) -> Answer {
    world.send(Method::POST, &format!("{}/approve", url(job)), "").await
}

async fn claim(world: &World, job: &str) -> Claimed {
    match world.store.claim(job.parse().unwrap(), "worker", LEASE).await.unwrap() {
        Claim::Claimed(claimed) => *claimed,
        Claim::Refused(why) => panic!("not claimed: {why:?}"),
    }
}

/// An object's result, of which so many records want to be looked at.
fn object(connector: &str, object: &str, needs_review: u64) -> ObjectResult {
    let counts = json!({"connectorType": connector, "object": object, "listed": 0, "written": 0, "unchanged": 0,
        "captured": 0, "pages": 1, "needsReview": needs_review});
    serde_json::from_value(counts).unwrap()
}

/// Runs a job to its end, as a worker does.
async fn complete(world: &World, job: &str, results: Vec<ObjectResult>) {
    let claimed = claim(world, job).await;
    let needs_review = results.iter().any(|result| result.needs_review > 0);
    let result = SyncResult { results, needs_review, ..SyncResult::default() };
    let ending = Ending {
        status: JobStatus::Completed,
        error: None,
        result: Some(result),
        message: "Synced 0 records".to_owned(),
    };
    world.store.end_job(&claimed.lease, &ending).await.unwrap();
}

fn id(body: &Value) -> String {
    body["jobId"].as_str().unwrap().to_owned()
}

/// What a job that was accepted was told to do.
async fn options(world: &World, job: &str) -> SyncOptions {
    claim(world, job).await.job.options
}

fn approved(objects: &[(&str, u64)]) -> SyncOptions {
    let approved: BTreeMap<_, _> = objects.iter().map(|(name, n)| (name.parse().unwrap(), *n)).collect();
    SyncOptions { approved, ..SyncOptions::default() }
}

#[tokio::test]
async fn a_job_that_nobody_knows_cannot_be_approved() {
    let mut world = World::new().await;
    let detail = approve(&world, &JobId::new().to_string()).await.problem(404, "unknown-job");
    assert!(detail.contains("acme"), "{detail}");
    world.assert_nothing_written().await;
    // Nor can one of another workspace.
    let job = id(&world.post_hubspot().await.ok(202));
    complete(&world, &job, vec![object("hubspot", "contacts", 150)]).await;
    world.put("/api/workspaces/globex", &json!({})).await.ok(201);
    let path = format!("/api/workspaces/globex/sync/jobs/{job}/approve");
    world.send(Method::POST, &path, "").await.problem(404, "unknown-job");
    assert_eq!(world.rows().await.len(), 1);
}

#[tokio::test]
async fn a_job_that_left_nothing_to_look_at_cannot_be_approved() {
    let mut world = World::new().await;
    let job = id(&world.post_hubspot().await.ok(202));
    approve(&world, &job).await.problem(409, "nothing-to-approve");
    complete(&world, &job, vec![object("hubspot", "contacts", 0)]).await;
    approve(&world, &job).await.problem(409, "nothing-to-approve");
    assert_eq!(world.rows().await.len(), 1);
    assert_eq!(world.queue.drain().await.len(), 1, "only the first sync itself");
}

#[tokio::test]
async fn while_a_sync_is_active_nothing_is_approved() {
    let mut world = World::new().await;
    let job = id(&world.post_hubspot().await.ok(202));
    complete(&world, &job, vec![object("hubspot", "contacts", 150)]).await;
    assert_eq!(world.queue.drain().await.len(), 1);
    let active = id(&world.post_hubspot().await.ok(202));
    let detail = approve(&world, &job).await.problem(409, "sync-active");
    assert!(detail.contains(&active), "{detail}");
    assert_eq!(world.rows().await.len(), 2);
    assert_eq!(world.queue.drain().await.len(), 1, "only the one that was asked for");
    assert_eq!(options(&world, &active).await, SyncOptions::default(), "it approves nothing");
}

#[tokio::test]
async fn an_approval_is_a_sync_with_the_approved_counts_of_the_objects_in_question() {
    let mut world = World::new().await;
    let body = json!({"connectorType": "hubspot", "priority": "high"});
    let job = id(&world.post_sync(body).await.ok(202));
    let results = vec![
        object("hubspot", "contacts", 150),
        object("hubspot", "companies", 0),
        object("hubspot", "deals", 7),
    ];
    complete(&world, &job, results).await;
    let answer = approve(&world, &job).await;
    let body = answer.ok(202);
    let sync = id(&body);
    assert_ne!(sync, job);
    assert_eq!((&body["statusUrl"], body.get("deduplicated")), (&json!(url(&sync)), None), "{body}");
    assert_eq!((answer.header("location"), answer.header("retry-after")), (url(&sync).as_str(), "1"));
    assert_eq!(body["status"], "queued");
    let row = world.store.job(&workspace(), sync.parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(row.priority, Priority::High, "as urgent as the job it is about");
    assert_eq!(options(&world, &sync).await, approved(&[("contacts", 150), ("deals", 7)]));
    assert_eq!(world.queue.drain().await.len(), 0, "high ones wait in another lane");
}

#[tokio::test]
async fn a_sync_of_several_jobs_is_approved_for_each_connector_on_its_own() {
    let stores = Stores::new().await;
    stores.connect("salesforce").await;
    stores.connect("monday").await;
    let wiring = stores.wiring();
    let mut world = stores.ingress(wiring).await;
    world.connected().await;
    let body = world.post_sync(json!({})).await.ok(202);
    let sync = body["syncId"].as_str().unwrap();
    for job in body["jobs"].as_array().unwrap() {
        let connector = job["connectorType"].as_str().unwrap();
        let results = match connector {
            "hubspot" => vec![object(connector, "contacts", 150), object(connector, "deals", 7)],
            "salesforce" => vec![object(connector, "contacts", 300)],
            _ => vec![object(connector, "contacts", 0)],
        };
        complete(&world, job["jobId"].as_str().unwrap(), results).await;
    }
    assert_eq!(world.queue.drain().await.len(), 3);
    let accepted = approve(&world, sync).await.ok(202);
    assert_ne!(accepted["syncId"], sync);
    let mut told = BTreeMap::new();
    for job in accepted["jobs"].as_array().unwrap() {
        let options = options(&world, job["jobId"].as_str().unwrap()).await;
        told.insert(job["connectorType"].as_str().unwrap(), options);
    }
    let expected = [
        ("hubspot", approved(&[("contacts", 150), ("deals", 7)])),
        ("salesforce", approved(&[("contacts", 300)])),
    ];
    assert_eq!(told, BTreeMap::from(expected), "monday left nothing to look at");
    assert_eq!(world.queue.drain().await.len(), 2);
}
