use std::collections::BTreeSet;
use std::time::Duration;

use protocol::{JobId, JobStatus};
use serde_json::json;
use store::{Ending, Lease, NewJob, PageBatch};
use tokio::task::JoinSet;

use crate::fixture::{KEY, World, deal, deals, new_job, progress, rejected, store_at, workspace};

const DAY: Duration = Duration::from_secs(86_400);
const KEPT: Duration = Duration::from_secs(30 * 86_400);

/// So many jobs that ended so long ago, one in each way after the other.
async fn over(world: &World, count: usize, ago: &str) {
    let sql = format!(
        "INSERT INTO jobs (id, sync_id, job_type, workspace_id, scope, status, completed_at)
         SELECT gen_random_uuid(), gen_random_uuid(), 'sync', 'acme', 'hubspot',
                (ARRAY['completed', 'failed', 'cancelled'])[n % 3 + 1], now() - interval '{ago}'
         FROM generate_series(1, {count}) n"
    );
    world.run(&sql).await;
}

async fn end(world: &World, lease: &Lease) {
    let ending = Ending { status: JobStatus::Completed, error: None, result: None, message: "Over".into() };
    world.store.end_job(lease, &ending).await.unwrap();
}

/// Accepts the jobs of one request, and runs each to its end.
async fn ended_sync(world: &World, connectors: &[&str]) -> (JobId, Vec<JobId>) {
    let sync_id = JobId::new();
    let member = |connector: &&str| NewJob { sync_id, ..new_job("acme", connector) };
    let jobs: Vec<NewJob> = connectors.iter().map(member).collect();
    world.store.accept_sync(sync_id, &jobs).await.unwrap();
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    for id in &ids {
        end(world, &world.claimed(*id).await.lease).await;
    }
    (sync_id, ids)
}

async fn count(world: &World, table: &str) -> i64 {
    world.one(&format!("SELECT count(*) FROM {table}")).await
}

#[tokio::test]
async fn jobs_that_have_been_over_for_long_enough_go_and_younger_ones_stay() {
    let world = World::new().await;
    over(&world, 6, "30 days").await;
    over(&world, 9, "29 days 23 hours").await;
    let running = world.running().await;
    end(&world, &running.lease).await;
    assert_eq!(world.store.delete_finished(KEPT, 100).await.unwrap(), 6);
    assert_eq!(count(&world, "jobs").await, 10);
    assert_eq!(
        world.store.delete_finished(36_500 * DAY, 100).await.unwrap(),
        0,
        "the longest that is allowed"
    );
    assert_eq!(world.store.delete_finished(KEPT, 100).await.unwrap(), 0);
    assert_eq!(world.store.delete_finished(29 * DAY, 100).await.unwrap(), 9, "however it ended");
    let young = world.store.job(&workspace("acme"), running.job.id).await.unwrap();
    assert_eq!(young.unwrap().status, JobStatus::Completed);
}

#[tokio::test]
async fn a_job_that_ran_for_long_is_kept_from_its_end_on() {
    let world = World::new().await;
    let running = world.running().await;
    world
        .set(running.job.id, "created_at = now() - interval '1 year', started_at = now() - interval '1 year'")
        .await;
    end(&world, &running.lease).await;
    assert_eq!(world.store.delete_finished(KEPT, 100).await.unwrap(), 0);
}

#[tokio::test]
async fn an_active_job_is_never_deleted_however_old() {
    let world = World::new().await;
    let running = world.running().await;
    let waiting = crate::relay::many(&world, 2).await;
    for id in waiting.iter().chain([&running.job.id]) {
        // Even if somebody wrote a time of completion into it.
        let old = "created_at = now() - interval '9 years', completed_at = now() - interval '9 years'";
        world.set(*id, old).await;
    }
    assert_eq!(world.store.delete_finished(KEPT, 100).await.unwrap(), 0);
    assert_eq!(world.store.delete_finished(Duration::ZERO, 100).await.unwrap(), 0);
    assert_eq!(count(&world, "jobs").await, 3);
}

#[tokio::test]
async fn a_pass_deletes_a_batch_beginning_with_the_oldest_and_the_next_the_rest() {
    let world = World::new().await;
    over(&world, 3, "31 days").await;
    over(&world, 4, "40 days").await;
    assert_eq!(world.store.delete_finished(KEPT, 0).await.unwrap(), 0);
    assert_eq!(world.store.delete_finished(KEPT, 5).await.unwrap(), 5);
    let oldest: bool = world.one("SELECT min(completed_at) > now() - interval '32 days' FROM jobs").await;
    assert!(oldest, "the oldest went first");
    assert_eq!(world.store.delete_finished(KEPT, 5).await.unwrap(), 2);
    assert_eq!(world.store.delete_finished(KEPT, 5).await.unwrap(), 0);
}

#[tokio::test]
async fn of_many_schedulers_each_row_is_deleted_by_one() {
    let world = World::new().await;
    over(&world, 300, "31 days").await;
    // Requests that share jobs: what goes by the cascade is shared between the batches, too.
    world.run("INSERT INTO syncs SELECT s.id, j.id FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, 5)) s, jobs j").await;
    over(&world, 3, "1 day").await;
    let stores = [world.store.clone(), store_at(&world.env.database_url, KEY)];
    let mut deleted = 0;
    loop {
        let mut pass = JoinSet::new();
        for scheduler in 0..4 {
            let store = stores[scheduler % 2].clone();
            pass.spawn(async move { store.delete_finished(KEPT, 17).await.unwrap() });
        }
        let batches = pass.join_all().await;
        assert!(batches.iter().all(|batch| *batch <= 17));
        if batches.iter().all(|batch| *batch == 0) {
            break;
        }
        deleted += batches.iter().sum::<u64>();
    }
    assert_eq!(deleted, 300, "none twice and none left");
    assert_eq!((count(&world, "jobs").await, count(&world, "syncs").await), (3, 0));
}

#[tokio::test]
async fn a_row_that_somebody_holds_is_not_waited_for() {
    let world = World::new().await;
    over(&world, 2, "40 days").await;
    over(&world, 3, "31 days").await;
    let mut other = world.pg.begin().await.unwrap();
    sqlx::query("SELECT FROM jobs ORDER BY completed_at LIMIT 2 FOR UPDATE")
        .execute(&mut *other)
        .await
        .unwrap();
    let pass = tokio::time::timeout(Duration::from_secs(20), world.store.delete_finished(KEPT, 10));
    assert_eq!(pass.await.expect("it waits").unwrap(), 3);
    other.rollback().await.unwrap();
    assert_eq!(world.store.delete_finished(KEPT, 10).await.unwrap(), 2);
}

#[tokio::test]
async fn a_sync_is_unknown_when_its_jobs_are_gone_and_nothing_dangles() {
    let world = World::new().await;
    let (sync_id, jobs) = ended_sync(&world, &["hubspot", "monday"]).await;
    let acme = workspace("acme");
    world.set(jobs[0], "completed_at = now() - interval '31 days'").await;
    assert_eq!(world.store.delete_finished(KEPT, 10).await.unwrap(), 0, "not by halves");
    let whole = world.store.job(&acme, sync_id).await.unwrap().unwrap();
    assert_eq!(whole.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), jobs);

    world.set(jobs[1], "completed_at = now() - interval '31 days'").await;
    assert_eq!(world.store.delete_finished(KEPT, 10).await.unwrap(), 2);
    for id in jobs.into_iter().chain([sync_id]) {
        assert_eq!(world.store.job(&acme, id).await.unwrap(), None);
    }
    assert_eq!(count(&world, "syncs").await, 0);
}

#[tokio::test]
async fn what_a_job_synced_outlives_it_and_the_next_sync_goes_on_from_there() {
    let world = World::new().await;
    let first = world.running().await;
    let page = PageBatch {
        rejected: vec![rejected("2", "no amount")],
        done: true,
        position: None,
        checkpoint: Some(json!({"since": "then"})),
        ..deals(vec![deal("1", "1.5")])
    };
    world.store.commit_pages(&first.lease, &[page], &progress(1)).await.unwrap();
    end(&world, &first.lease).await;
    let tables = ["deals", "record_errors", "cursors", "connections", "workspaces"];
    let mut before = Vec::new();
    for table in tables {
        before.push(world.one::<serde_json::Value>(&format!("SELECT jsonb_agg(t) FROM {table} t")).await);
    }

    assert_eq!(world.store.delete_finished(Duration::ZERO, 10).await.unwrap(), 1);
    for (table, before) in tables.iter().zip(before) {
        let after: serde_json::Value = world.one(&format!("SELECT jsonb_agg(t) FROM {table} t")).await;
        assert_eq!(after, before, "{table}");
    }
    let next = world.running().await;
    let checkpoints: BTreeSet<_> =
        next.cursors.iter().map(|cursor| cursor.checkpoint.clone().unwrap().to_string()).collect();
    assert_eq!(checkpoints, BTreeSet::from([r#"{"since":"then"}"#.to_owned()]));
}
