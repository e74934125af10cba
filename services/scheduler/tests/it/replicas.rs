//! Any number of schedulers.

use std::time::Duration;

use scheduler::Settings;

use crate::fixture::{World, all, settings, sorted};

#[tokio::test]
async fn two_schedulers_at_once_publish_one_ticket_for_each_row() {
    let mut world = World::new(60).await;
    let settings = Settings { batch_max: 7, ..settings() };
    let (one, other) = (world.scheduler(settings).await, world.scheduler(settings).await);
    let jobs = world.accept_unticketed(60).await;
    let (first, second) = tokio::join!(one.pass(), other.pass());
    first.and(second).unwrap();
    assert_eq!(
        sorted(world.queue.drain().await),
        all(&jobs, 2),
        "the number counts how often a row was taken"
    );
}

#[tokio::test]
async fn two_schedulers_at_once_rescue_each_job_once() {
    let mut world = World::new(20).await;
    let settings = Settings { batch_max: 100, ..settings() };
    let (one, other) = (world.scheduler(settings).await, world.scheduler(settings).await);
    let jobs = world.accept(20).await;
    for job in &jobs {
        world.claim(*job, Duration::ZERO).await;
    }
    world.store.mark_unticketed(&jobs).await.unwrap();
    let (first, second) = tokio::join!(one.pass(), other.pass());
    first.and(second).unwrap();
    assert_eq!(sorted(world.queue.drain().await), all(&jobs, 2));
}
