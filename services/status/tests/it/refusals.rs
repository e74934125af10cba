//! Bad requests: a precise problem.

use protocol::JobId;
use reqwest::Method;

use crate::answer::Answer;
use crate::fixture::World;

#[tokio::test]
async fn a_query_that_does_not_fit_is_refused_with_the_name_of_the_parameter() {
    let world = World::new().await;
    for (query, said) in [
        ("limit=0", "`limit` must be 1 to 100"),
        ("limit=101", "`limit` must be 1 to 100"),
        ("limit=4294967296", "`limit`"),
        ("limit=-1", "`limit`"),
        ("limit=ten", "`limit`"),
        ("limit=", "`limit`"),
        ("limit=1.5", "`limit`"),
        ("limit=1&limit=2", "limit"),
        ("status=pending", "`status`"),
        ("status=", "`status`"),
        ("cursor=abc", "`cursor`"),
        ("cursor=", "`cursor`"),
        ("limits=5", "limits"),
        ("offset=5", "offset"),
        ("workspace_id=other", "workspace_id"),
    ] {
        let answer = world.get(&format!("acme/sync/jobs?{query}")).await;
        let detail = answer.problem(400, "invalid-parameter");
        assert!(detail.contains(said), "{query}: {detail}");
    }
}

#[tokio::test]
async fn a_job_id_that_is_none_is_refused() {
    let world = World::new().await;
    for bad in ["abc", "1", "0190aaaa", "0190aaaa-bbbb-7ccc-8ddd-eeeeffff000g", "*", "%3E", "a.b", "%FF"] {
        let detail = world.get(&format!("acme/sync/jobs/{bad}")).await.problem(400, "invalid-parameter");
        assert!(detail.contains("job_id"), "{bad}: {detail}");
    }
    for bad in ["a.b", "*", &"a".repeat(65)] {
        world.get(&format!("{bad}/sync/jobs")).await.problem(400, "invalid-parameter");
        let path = format!("{bad}/sync/jobs/{}", JobId::new());
        world.get(&path).await.problem(400, "invalid-parameter");
    }
}

#[tokio::test]
async fn a_job_that_is_not_there_or_another_workspaces_is_unknown() {
    let world = World::new().await;
    world.poll(JobId::new()).await.problem(404, "unknown-job");
    world.stores.store.put_workspace(&"other".parse().unwrap(), "Other").await.unwrap();
    let (job, _) = world.stores.running().await;
    let path = format!("other/sync/jobs/{}", job.id);
    // Not from Postgres, nor from the bucket or from memory.
    world.get(&path).await.problem(404, "unknown-job");
    world.stores.post(&job).await;
    world.polled(job.id, job.revision).await;
    let answer = world.get(&path).await;
    let detail = answer.problem(404, "unknown-job");
    assert!(!detail.contains("acme"), "{detail}");
}

#[tokio::test]
async fn an_unknown_workspace_has_no_list() {
    let world = World::new().await;
    let detail = world.get("nobody/sync/jobs").await.problem(404, "unknown-workspace");
    assert!(detail.contains("PUT /api/workspaces/nobody"), "{detail}");
}

#[tokio::test]
async fn a_method_and_a_path_that_are_not_there_are_refused() {
    let world = World::new().await;
    let answer = Answer::to(world.request(Method::POST, "acme/sync/jobs")).await;
    answer.problem(405, "method-not-allowed");
    assert_eq!(answer.header("allow"), "GET,HEAD");
    world.get("acme/sync/jobs/").await.problem(404, "unknown-path");
    world.get("acme/sync").await.problem(404, "unknown-path");
}
