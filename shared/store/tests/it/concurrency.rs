//! Accepting under contention: one active job a scope, whatever arrives at once.

use std::collections::HashSet;

use protocol::JobId;
use rand::seq::SliceRandom;
use store::{Accepted, NewJob};
use tokio::task::JoinSet;

use crate::fixture::{World, new_job};

/// Rounds of batches that want the same scopes in different orders.
const ROUNDS: i64 = 10;

/// Accepts `calls` batches of `size` jobs for one scope at once; all must answer the same job, one of them
/// as created.
async fn one_job_of(calls: usize, size: usize) {
    let world = World::new().await;
    let mut requests = JoinSet::new();
    for _ in 0..calls {
        let store = world.store.clone();
        let batch: Vec<NewJob> = (0..size).map(|_| new_job("acme", "hubspot")).collect();
        requests.spawn(async move { store.accept(&batch).await.unwrap() });
    }
    let answers: Vec<Accepted> = requests.join_all().await.into_iter().flatten().collect();
    assert_eq!(answers.len(), calls * size);
    let ids: HashSet<JobId> = answers.iter().map(|answer| answer.job().unwrap().id).collect();
    assert_eq!(ids.len(), 1, "one job for all");
    let created = answers.iter().filter(|answer| matches!(answer, Accepted::Created(_))).count();
    assert_eq!(created, 1);
    assert_eq!(world.one::<i64>("SELECT count(*) FROM jobs").await, 1);
}

#[tokio::test]
async fn a_thousand_concurrent_requests_make_one_job_and_a_thousand_equal_answers() {
    one_job_of(1000, 1).await;
}

#[tokio::test]
async fn a_batch_of_a_thousand_for_one_scope_makes_one_job() {
    one_job_of(1, 1000).await;
}

#[tokio::test]
async fn concurrent_batches_for_one_scope_make_one_job() {
    one_job_of(20, 50).await;
}

/// Every scope of two workspaces, in random order, as jobs of a type that no round before had.
fn shuffled(round: i64) -> Vec<NewJob> {
    let mut batch: Vec<NewJob> = (0..2 * crate::fixture::CONNECTORS.len() * 10)
        .map(|i| {
            let workspace = if i % 2 == 0 { "acme" } else { "globex" };
            let mut job = new_job(workspace, crate::fixture::CONNECTORS[i % 3]);
            job.job_type = format!("round-{round}-{}", i / 6).parse().unwrap();
            job
        })
        .collect();
    batch.shuffle(&mut rand::rng());
    batch
}

#[tokio::test]
async fn overlapping_batches_in_any_order_do_not_deadlock() {
    let world = World::new().await;
    for round in 0..ROUNDS {
        let mut requests = JoinSet::new();
        for _ in 0..8 {
            let (store, batch) = (world.store.clone(), shuffled(round));
            requests.spawn(async move { store.accept(&batch).await });
        }
        for answers in requests.join_all().await {
            let answers = answers.unwrap_or_else(|error| panic!("round {round}: {error:?}"));
            assert!(answers.iter().all(|answer| answer.job().is_some()));
        }
    }
    assert_eq!(world.one::<i64>("SELECT count(*) FROM jobs").await, 60 * ROUNDS);
}

#[tokio::test]
async fn overlapping_syncs_in_any_order_do_not_deadlock() {
    let world = World::new().await;
    for round in 0..ROUNDS {
        let mut requests = JoinSet::new();
        for _ in 0..8 {
            let (store, batch) = (world.store.clone(), shuffled(round));
            requests.spawn(async move { store.accept_sync(JobId::new(), &batch).await });
        }
        for answers in requests.join_all().await {
            assert_eq!(answers.unwrap_or_else(|error| panic!("round {round}: {error:?}")).len(), 60);
        }
    }
    assert_eq!(world.one::<i64>("SELECT count(*) FROM syncs").await, 8 * 60 * ROUNDS);
}

#[tokio::test]
async fn accepts_that_race_with_endings_always_answer_a_job() {
    let world = World::new().await;
    let mut requests = JoinSet::new();
    for _ in 0..4 {
        let store = world.store.clone();
        requests.spawn(async move {
            for _ in 0..100 {
                let answers = store.accept(&[new_job("acme", "hubspot")]).await.unwrap();
                assert!(answers[0].job().is_some());
            }
        });
    }
    while !requests.is_empty() {
        world.run("UPDATE jobs SET status = 'completed' WHERE status = 'pending'").await;
        while let Some(done) = requests.try_join_next() {
            done.unwrap();
        }
    }
    assert!(world.one::<i64>("SELECT count(*) FROM jobs").await > 1);
}
