//! The list of a workspace's jobs.

use protocol::{JobId, JobStatus};
use serde_json::{Value, json};

use crate::fixture::{World, workspace};

const LIST: &str = "acme/sync/jobs";

/// So many jobs that are over, oldest first.
async fn completed(world: &World, count: usize) -> Vec<JobId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(world.stores.completed().await.id);
    }
    ids
}

fn ids(body: &Value) -> Vec<JobId> {
    body["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn an_entry_is_exactly_what_is_documented() {
    let world = World::new().await;
    assert_eq!(world.get(LIST).await.ok(200), json!({"jobs": []}));
    let (job, lease) = world.stores.running().await;
    let row = world.stores.end(&lease, JobStatus::Failed).await;
    let rfc3339 =
        |time: time::OffsetDateTime| time.format(&time::format_description::well_known::Rfc3339).unwrap();
    assert_eq!(
        world.get(LIST).await.ok(200),
        json!({"jobs": [{
            "id": job.id, "status": "failed", "jobType": "sync", "connectorType": "hubspot",
            "createdAt": rfc3339(row.created_at), "completedAt": rfc3339(row.completed_at.unwrap()),
            "error": "it broke",
        }]})
    );
    let queued = world.stores.queued().await;
    let newest = &world.get(LIST).await.ok(200)["jobs"][0];
    assert_eq!((&newest["id"], &newest["status"]), (&json!(queued.id), &json!("queued")));
    assert_eq!((&newest["completedAt"], &newest["error"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn a_page_has_20_jobs_or_as_many_as_asked_for_and_the_newest_first() {
    let world = World::new().await;
    let mut all = completed(&world, 23).await;
    all.reverse();
    for (query, count) in [("", 20), ("?limit=20", 20), ("?limit=1", 1), ("?limit=22", 22), ("?limit=23", 23)]
    {
        let body = world.get(&format!("{LIST}{query}")).await.ok(200);
        assert_eq!(ids(&body), all[..count], "{query}");
        assert_eq!(body.get("nextCursor").is_some(), count < 23, "{query}");
    }
    let body = world.get(&format!("{LIST}?limit=100")).await.ok(200);
    assert_eq!((ids(&body), body.get("nextCursor")), (all, None));
}

#[tokio::test]
async fn paging_gives_every_job_once_also_while_new_ones_come() {
    let world = World::new().await;
    let mut all = completed(&world, 11).await;
    all.reverse();
    for limit in [1, 4, 5, 11] {
        let (mut seen, mut query, mut pages) = (Vec::new(), format!("?limit={limit}"), 0);
        loop {
            let body = world.get(&format!("{LIST}{query}")).await.ok(200);
            seen.extend(ids(&body));
            pages += 1;
            if pages == 1 {
                // A new job is newer than every cursor.
                world.stores.completed().await;
            }
            let Some(cursor) = body["nextCursor"].as_str() else { break };
            query = format!("?limit={limit}&cursor={cursor}");
        }
        assert_eq!(seen, all, "limit {limit}");
        assert_eq!(pages, all.len().div_ceil(limit), "limit {limit}");
        all = ids(&world.get(&format!("{LIST}?limit=100")).await.ok(200));
    }
}

#[tokio::test]
async fn a_status_filters_the_list_also_over_pages() {
    let world = World::new().await;
    let done = completed(&world, 3).await;
    let (failed, lease) = world.stores.running().await;
    world.stores.end(&lease, JobStatus::Failed).await;
    let (running, lease) = world.stores.running().await;
    let with = |status: &str| format!("{LIST}?status={status}");
    assert_eq!(ids(&world.get(&with("running")).await.ok(200)), [running.id]);
    world.stores.end(&lease, JobStatus::Cancelled).await;
    let queued = world.stores.queued().await;
    assert_eq!(ids(&world.get(&with("queued")).await.ok(200)), [queued.id]);
    assert_eq!(ids(&world.get(&with("failed")).await.ok(200)), [failed.id]);
    assert_eq!(ids(&world.get(&with("cancelled")).await.ok(200)), [running.id]);
    assert_eq!(world.get(&with("running")).await.ok(200), json!({"jobs": []}));
    let page = world.get(&format!("{LIST}?status=completed&limit=2")).await.ok(200);
    assert_eq!(ids(&page), [done[2], done[1]]);
    let cursor = page["nextCursor"].as_str().unwrap();
    let page = world.get(&format!("{LIST}?status=completed&limit=2&cursor={cursor}")).await.ok(200);
    assert_eq!((ids(&page), page.get("nextCursor")), (vec![done[0]], None));
}

#[tokio::test]
async fn a_list_has_the_jobs_of_its_workspace_only() {
    let world = World::new().await;
    world.stores.completed().await;
    let other = "other".parse().unwrap();
    world.stores.store.put_workspace(&other, "Other").await.unwrap();
    assert_eq!(world.get("other/sync/jobs").await.ok(200), json!({"jobs": []}));
    assert_eq!(ids(&world.get(LIST).await.ok(200)).len(), 1);
    assert!(world.stores.store.workspace_exists(&workspace()).await.unwrap());
}
