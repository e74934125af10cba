//! `POST …/retry`: a new job for one that failed or was cancelled.

use std::time::Duration;

use protocol::{JobStatus, JobView, SyncResult};
use reqwest::Method;
use serde_json::{Value, json};
use store::{Claim, Ending};

use crate::answer::Answer;
use crate::fixture::{Stores, World};

async fn post(world: &World, path: &str, body: &Value) -> Answer {
    let path = format!("/api/workspaces/acme/sync/jobs/{path}");
    world.send(Method::POST, &path, body.to_string()).await
}

fn id(body: &Value) -> String {
    body["jobId"].as_str().unwrap().to_owned()
}

async fn end(world: &World, job: &str, status: JobStatus) {
    let claim = world.store.claim(job.parse().unwrap(), "worker", Duration::from_secs(300)).await.unwrap();
    let Claim::Claimed(claimed) = claim else { panic!("{claim:?}") };
    let result = (status == JobStatus::Completed).then(SyncResult::default);
    let ending = Ending { status, error: None, result, message: "Over".to_owned() };
    world.store.end_job(&claimed.lease, &ending).await.unwrap();
}

async fn row(world: &World, id: &str) -> JobView {
    world.rows().await.into_iter().find(|job| job.id.to_string() == id).unwrap()
}

#[tokio::test]
async fn a_failed_or_cancelled_job_is_tried_again_with_the_same_options_and_names_the_old_one() {
    let world = World::new().await;
    let body = json!({"connectorType": "hubspot", "priority": "low", "mode": "full", "objects": ["deals"], "timeoutSeconds": 60});
    let first = id(&world.post_sync(body).await.ok(202));
    for status in [JobStatus::Failed, JobStatus::Cancelled] {
        let last = world.rows().await[0].id.to_string();
        end(&world, &last, status).await;
        let again = post(&world, &format!("{last}/retry"), &json!({})).await.ok(202);
        let job = row(&world, &id(&again)).await;
        assert_eq!(job.retry_of.map(|id| id.to_string()), Some(last));
        let old = row(&world, &first).await;
        assert_eq!((job.options, job.priority, job.attempts), (old.options, old.priority, 0));
        assert_eq!(again["statusUrl"], format!("/api/workspaces/acme/sync/jobs/{}", id(&again)));
    }
}

#[tokio::test]
async fn a_retry_and_an_approval_take_no_options_and_say_so() {
    let world = World::new().await;
    let job = id(&world.post_hubspot().await.ok(202));
    end(&world, &job, JobStatus::Failed).await;
    for path in ["retry", "approve"] {
        let path = format!("{job}/{path}");
        let detail = post(&world, &path, &json!({"priority": "high"})).await.problem(422, "invalid-field");
        assert!(detail.contains("priority"), "{detail}");
        let broken = format!("/api/workspaces/acme/sync/jobs/{path}");
        world.send(Method::POST, &broken, "{").await.problem(400, "invalid-body");
    }
    assert_eq!(world.rows().await.len(), 1);
    let bare = world.request(Method::POST, &format!("/api/workspaces/acme/sync/jobs/{job}/retry"));
    Answer::to(bare).await.ok(202);
}

#[tokio::test]
async fn what_neither_failed_nor_was_cancelled_is_not_tried_again() {
    let mut world = World::new().await;
    post(&world, "01890a5d-ac96-774b-bcce-b302099a8057/retry", &json!({})).await.problem(404, "unknown-job");
    world.assert_nothing_written().await;
    let job = id(&world.post_hubspot().await.ok(202));
    let detail = post(&world, &format!("{job}/retry"), &json!({})).await.problem(409, "not-retryable");
    assert!(detail.contains("queued"), "{detail}");
    end(&world, &job, JobStatus::Completed).await;
    post(&world, &format!("{job}/retry"), &json!({})).await.problem(409, "not-retryable");
    assert_eq!(world.rows().await.len(), 1);
}

#[tokio::test]
async fn while_a_sync_of_the_connector_is_active_nothing_is_tried_again() {
    let world = World::new().await;
    let job = id(&world.post_hubspot().await.ok(202));
    end(&world, &job, JobStatus::Failed).await;
    let active = id(&world.post_hubspot().await.ok(202));
    let detail = post(&world, &format!("{job}/retry"), &json!({})).await.problem(409, "sync-active");
    assert!(detail.contains(&active), "{detail}");
    assert_eq!(world.rows().await.len(), 2);
}

#[tokio::test]
async fn whatever_failed_last_is_tried_again_in_one_request() {
    let stores = Stores::new().await;
    stores.connect("monday").await;
    stores.connect("salesforce").await;
    let wiring = stores.wiring();
    let world = stores.ingress(wiring).await;
    world.connected().await;
    let sync = world.post_sync(json!({})).await.ok(202);
    let jobs: Vec<(String, String)> = sync["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|job| {
            (job["connectorType"].as_str().unwrap().to_owned(), job["jobId"].as_str().unwrap().to_owned())
        })
        .collect();
    for (connector, job) in &jobs {
        let status = if connector == "monday" { JobStatus::Completed } else { JobStatus::Failed };
        end(&world, job, status).await;
    }
    let only = json!({"connectorType": "hubspot", "since": "2999-01-01T00:00:00Z"});
    post(&world, "retry", &only).await.problem(409, "not-retryable");
    post(&world, "retry", &json!({"status": "cancelled"})).await.problem(409, "not-retryable");
    post(&world, "retry", &json!({"status": "running"})).await.problem(422, "invalid-field");
    post(&world, "retry", &json!({"state": "failed"})).await.problem(422, "invalid-field");
    post(&world, "retry", &json!({"connectorType": "hubspto"})).await.problem(422, "unknown-connector");
    assert_eq!(world.rows().await.len(), 3);
    let again = post(&world, "retry", &json!({})).await.ok(202);
    let named: Vec<_> =
        again["jobs"].as_array().unwrap().iter().map(|job| job["connectorType"].as_str().unwrap()).collect();
    assert_eq!(named, ["hubspot", "salesforce"]);
    assert_eq!(world.rows().await.len(), 5);
    assert!(world.rows().await[..2].iter().all(|job| job.retry_of.is_some()));
    // They are active now, and not the last failure any more.
    post(&world, "retry", &json!({})).await.problem(409, "not-retryable");
    let path = "/api/workspaces/nobody/sync/jobs/retry";
    world.send(Method::POST, path, "").await.problem(404, "unknown-workspace");
}

#[tokio::test]
async fn an_approval_of_deletions_is_not_repeated_with_the_job() {
    let world = World::new().await;
    let approval = protocol::JobId::new();
    let job = store::NewJob {
        id: approval,
        sync_id: approval,
        workspace_id: crate::fixture::workspace(),
        job_type: "sync".parse().unwrap(),
        scope: "hubspot".parse().unwrap(),
        priority: protocol::Priority::Normal,
        max_attempts: 3,
        options: protocol::SyncOptions {
            approved: [("contacts".parse().unwrap(), 5_000)].into(),
            timeout_seconds: Some(60),
            ..protocol::SyncOptions::default()
        },
        retry_of: None,
    };
    world.store.accept(&[job]).await.unwrap();
    end(&world, &approval.to_string(), JobStatus::Failed).await;
    let again = post(&world, &format!("{approval}/retry"), &json!({})).await.ok(202);
    let options = row(&world, &id(&again)).await.options;
    assert!(options.approved.is_empty(), "{options:?}");
    assert_eq!(options.timeout_seconds, Some(60), "the rest is as it was");
}
