use sqlx::Row;
use tokio::task::JoinSet;

use crate::fixture::{KEY, World, new_job, store_at};

#[tokio::test]
async fn migrations_apply_from_many_processes_at_once_and_again() {
    let env = devstack::testing::TestEnv::new().await;
    let mut processes = JoinSet::new();
    for _ in 0..6 {
        let store = store_at(&env.database_url, KEY);
        processes.spawn(async move { store.migrate().await });
    }
    while let Some(done) = processes.join_next().await {
        done.unwrap().unwrap();
    }
    let store = store_at(&env.database_url, KEY);
    store.migrate().await.unwrap();
    let pg = sqlx::PgPool::connect_lazy(&env.database_url).unwrap();
    let applied: i64 = sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations WHERE success")
        .fetch_one(&pg)
        .await
        .unwrap();
    assert_eq!(usize::try_from(applied).unwrap(), sqlx::migrate!("../../migrations").iter().count());
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_not_touched() {
    let world = World::new().await;
    world
        .run("INSERT INTO _sqlx_migrations SELECT 9999, 'newer', now(), true, checksum, 0 FROM _sqlx_migrations LIMIT 1")
        .await;
    let error = world.store.migrate().await.unwrap_err();
    assert!(matches!(error, store::StoreError::Corrupt(_)), "{error:?}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn the_queries_that_operators_know_work_as_they_stand() {
    let world = World::new().await;
    let jobs = world.store.accept(&[new_job("acme", "hubspot"), new_job("acme", "monday")]).await.unwrap();
    let stuck = jobs[0].job().unwrap().id;
    world.claimed(stuck).await;
    world
        .set(stuck, "started_at = now() - interval '16 minutes', created_at = now() - interval '1 hour'")
        .await;

    let last = sqlx::query(
        "SELECT id, job_type, status, progress->>'message' as progress_msg, attempts, created_at, started_at FROM jobs ORDER BY created_at DESC LIMIT 20;",
    )
    .fetch_all(&world.pg)
    .await
    .unwrap();
    assert_eq!(last.len(), 2);
    assert_eq!(last[0].get::<&str, _>("status"), "pending");
    assert_eq!(last[0].get::<&str, _>("progress_msg"), "Waiting for a worker");
    assert_eq!(last[1].get::<sqlx::types::Uuid, _>("id"), stuck.0);
    assert_eq!(last[1].get::<i32, _>("attempts"), 1);

    let counts = sqlx::query("SELECT status, COUNT(*) FROM jobs GROUP BY status;");
    let counts = counts.fetch_all(&world.pg).await.unwrap();
    let mut counts: Vec<(String, i64)> = counts.iter().map(|row| (row.get(0), row.get(1))).collect();
    counts.sort();
    assert_eq!(counts, [("pending".to_owned(), 1), ("running".to_owned(), 1)]);

    let long = sqlx::query(
        "SELECT id, job_type, workspace_id, EXTRACT(EPOCH FROM (NOW() - started_at)) as seconds_running
  FROM jobs WHERE status = 'running' AND started_at < NOW() - INTERVAL '15 minutes';",
    )
    .fetch_all(&world.pg)
    .await
    .unwrap();
    assert_eq!(long.len(), 1);
    assert_eq!(long[0].get::<sqlx::types::Uuid, _>("id"), stuck.0);
}

#[tokio::test]
async fn a_status_or_a_priority_that_is_no_word_of_ours_is_refused() {
    let world = World::new().await;
    let job = world.accepted().await;
    for (assignment, constraint) in [
        ("status = 'queued'", "jobs_status_check"),
        ("priority = 'urgent'", "jobs_priority_check"),
        ("waiting_reason = 'bored'", "jobs_waiting_reason_check"),
        ("status = 'running'", "jobs_running_has_lease"),
        ("lease_token = gen_random_uuid()", "jobs_running_has_lease"),
    ] {
        let sql = format!("UPDATE jobs SET {assignment} WHERE id = '{}'", job.id);
        let error = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&world.pg).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().constraint(), Some(constraint), "{assignment}");
    }
}
