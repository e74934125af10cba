//! Retention: jobs that have been over for long enough are deleted, beside the passes.

use std::time::Duration;

use protocol::{JobId, JobStatus};
use scheduler::{Settings, retention};
use store::Ending;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::fixture::{PATIENCE, World};

/// Nothing is kept.
const AT_ONCE: Settings = Settings {
    interval: Duration::from_millis(10),
    relay_after: PATIENCE,
    batch_max: 4,
    replicas: 1,
    retention: Some(Duration::ZERO),
};

async fn end(world: &World, jobs: &[JobId]) {
    for job in jobs {
        let lease = world.claim(*job, PATIENCE).await;
        let ending =
            Ending { status: JobStatus::Completed, error: None, result: None, message: "Over".into() };
        world.store.end_job(&lease, &ending).await.unwrap();
    }
}

#[tokio::test]
async fn it_deletes_batch_after_batch_and_leaves_what_is_not_over() {
    let world = World::new(11).await;
    let jobs = world.accept(11).await;
    end(&world, &jobs[1..]).await;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    // Two of them, as in a cluster.
    for _ in 0..2 {
        tasks.spawn(world.scheduler(AT_ONCE).await.run_until(stop.clone()));
    }
    tasks.close();
    // Three batches within one patience, which is less than a minute: after a full one there is no such pause.
    let gone = async { while world.jobs().await.len() > 1 {} };
    tokio::time::timeout(PATIENCE, gone).await.expect("jobs that are over are still there");
    stop.cancel();
    tokio::time::timeout(PATIENCE, tasks.wait()).await.expect("they do not end");
    assert_eq!(world.jobs().await, jobs[..1]);
}

#[tokio::test]
async fn without_a_retention_everything_is_kept() {
    let mut world = World::new(3).await;
    let jobs = world.accept_unticketed(3).await;
    end(&world, &jobs[1..]).await;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let running =
        tasks.spawn(world.scheduler(Settings { retention: None, ..AT_ONCE }).await.run_until(stop.clone()));
    let relayed = async { while world.queue.drain().await.is_empty() {} };
    tokio::time::timeout(PATIENCE, relayed).await.expect("it makes no passes");
    stop.cancel();
    tokio::time::timeout(PATIENCE, running).await.expect("it does not end").unwrap();
    assert_eq!(world.jobs().await.len(), 3);
}

#[tokio::test]
async fn two_at_once_delete_each_job_once_and_no_job_that_is_young() {
    let world = World::new(20).await;
    let jobs = world.accept(20).await;
    end(&world, &jobs).await;
    let day = Duration::from_secs(86_400);
    assert_eq!(retention::run(&world.store, day, 100).await.unwrap(), 0);
    let look = || retention::run(&world.store, Duration::ZERO, 15);
    let (one, other) = tokio::join!(look(), look());
    let (one, other) = (one.unwrap(), other.unwrap());
    assert!(one <= 15 && other <= 15, "{one} and {other}");
    let rest = look().await.unwrap();
    assert_eq!(one + other + rest, 20);
    assert_eq!(world.jobs().await, []);
}
