//! A sync of every connector of a workspace.

use std::collections::HashSet;

use futures_util::future::join_all;
use protocol::{JobId, JobStatus};
use serde_json::{Value, json};

use crate::fixture::{Stores, World, workspace};

async fn two_connectors() -> World {
    let stores = Stores::new().await;
    stores.connect("salesforce").await;
    let wiring = stores.wiring();
    let world = stores.ingress(wiring).await;
    world.connected().await;
    world
}

fn job_ids(body: &Value) -> HashSet<&str> {
    body["jobs"].as_array().unwrap().iter().map(|job| job["jobId"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn of_one_connector_it_has_a_list_of_one_job() {
    let world = World::new().await;
    let answer = world.post_sync(json!({})).await;
    let id = world.rows().await[0].id.to_string();
    let url = format!("/api/workspaces/acme/sync/jobs/{id}");
    assert_eq!(
        answer.ok(202),
        json!({
            "syncId": id, "jobId": id, "status": "queued", "message": "Sync queued for 1 connector(s)",
            "statusUrl": url,
            "jobs": [{"connectorType": "hubspot", "jobId": id, "statusUrl": url}],
        })
    );
    assert_eq!(answer.header("location"), url);
}

#[tokio::test]
async fn of_two_connectors_it_is_two_jobs_and_reads_as_one() {
    let mut world = two_connectors().await;
    let answer = world.post_sync(json!({})).await;
    let body = answer.ok(202);
    let rows = world.rows().await;
    let row = |connector: &str| {
        rows.iter().find(|row| row.connector_type.as_ref().unwrap().as_str() == connector).unwrap()
    };
    let sync_id = row("hubspot").sync_id;
    let entry = |connector: &str| {
        let id = row(connector).id;
        let url = format!("/api/workspaces/acme/sync/jobs/{id}");
        json!({"connectorType": connector, "jobId": id, "statusUrl": url})
    };
    let url = format!("/api/workspaces/acme/sync/jobs/{sync_id}");
    assert_eq!(
        body,
        json!({
            "syncId": sync_id, "jobId": sync_id, "status": "queued",
            "message": "Sync queued for 2 connector(s)", "statusUrl": url,
            "jobs": [entry("hubspot"), entry("salesforce")],
        })
    );
    assert_eq!(answer.header("location"), url);
    assert_eq!((rows.len(), row("salesforce").sync_id), (2, sync_id));
    assert_eq!(world.queue.drain().await.len(), 2);
    let merged = world.store.job(&workspace(), sync_id).await.unwrap().unwrap();
    assert_eq!((merged.jobs.len(), merged.status), (2, JobStatus::Queued));
}

#[tokio::test]
async fn a_job_that_is_active_already_joins_the_sync() {
    let mut world = two_connectors().await;
    let single = world.post_hubspot().await.ok(202);
    let body = world.post_sync(json!({})).await.ok(202);
    assert_eq!(body.get("deduplicated"), None, "one of the two jobs is new");
    assert_eq!(body["jobs"][0]["jobId"], single["jobId"]);
    assert_eq!(body["jobs"][0]["deduplicated"], true);
    assert_eq!(body["jobs"][1].get("deduplicated"), None);
    let sync_id: JobId = body["syncId"].as_str().unwrap().parse().unwrap();
    let merged = world.store.job(&workspace(), sync_id).await.unwrap().unwrap();
    let members: HashSet<_> = merged.jobs.iter().map(|job| job.id.to_string()).collect();
    assert_eq!(members, job_ids(&body).into_iter().map(str::to_owned).collect());
    assert_eq!(world.queue.drain().await.len(), 2);
}

#[tokio::test]
async fn a_second_post_answers_with_the_active_sync() {
    let mut world = two_connectors().await;
    let first = world.post_sync(json!({})).await.ok(202);
    let second = world.post_sync(json!({})).await.ok(202);
    assert_eq!((&second["jobId"], &second["syncId"]), (&first["jobId"], &first["syncId"]));
    assert_eq!(second["deduplicated"], true);
    assert_eq!(job_ids(&second), job_ids(&first));
    assert_eq!(world.rows().await.len(), 2);
    assert_eq!(world.queue.drain().await.len(), 2);
}

#[tokio::test]
async fn many_posts_at_once_make_one_job_a_connector() {
    let mut world = two_connectors().await;
    let answers = join_all((0..100).map(|_| world.post_sync(json!({})))).await;
    let bodies: Vec<_> = answers.iter().map(|answer| answer.ok(202)).collect();
    let jobs: HashSet<_> = bodies.iter().flat_map(job_ids).collect();
    assert_eq!(jobs.len(), 2);
    let syncs: HashSet<_> = bodies.iter().map(|body| body["jobId"].as_str().unwrap()).collect();
    assert_eq!(syncs.len(), 1, "all of them name one sync");
    assert_eq!(world.rows().await.len(), 2);
    assert_eq!(world.queue.drain().await.len(), 2);
}

#[tokio::test]
async fn without_any_connection_there_is_nothing_to_sync() {
    let mut world = World::new().await;
    world.put("/api/workspaces/empty", &json!({})).await.ok(201);
    let path = "/api/workspaces/empty/sync";
    let detail = world.send(reqwest::Method::POST, path, "{}").await.problem(422, "not-connected");
    assert!(detail.contains("no connection"), "{detail}");
    world.assert_nothing_written().await;
}
