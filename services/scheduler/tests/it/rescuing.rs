//! Rescue: a job whose lease is over gets a ticket, so that somebody takes it over.

use std::time::Duration;

use crate::fixture::{PATIENCE, World, all, impatient};

#[tokio::test]
async fn a_job_whose_lease_is_over_gets_a_ticket_and_one_whose_worker_lives_does_not() {
    let mut world = World::new(2).await;
    let jobs = world.accept(2).await;
    let dead = world.claim(jobs[0], Duration::ZERO).await;
    world.claim(jobs[1], PATIENCE).await;
    // Their tickets went with their workers.
    world.store.mark_unticketed(&jobs).await.unwrap();
    let scheduler = world.scheduler(impatient()).await;
    scheduler.pass().await.unwrap();
    assert_eq!(world.queue.drain().await, all(&jobs[..1], 2));
    scheduler.pass().await.unwrap();
    assert_eq!(world.queue.drain().await, [], "its ticket has a chance first");
    let taken_over = world.claim(dead.job_id, PATIENCE).await;
    assert_ne!(taken_over.token, dead.token);
}

#[tokio::test]
async fn a_dead_workers_job_whose_ticket_is_still_in_the_queue_gets_none_twice() {
    let mut world = World::new(1).await;
    let jobs = world.post(1).await;
    world.claim(jobs[0], Duration::ZERO).await;
    world.store.mark_unticketed(&jobs).await.unwrap();
    world.scheduler(impatient()).await.pass().await.unwrap();
    assert_eq!(world.queue.drain().await, all(&jobs, 1));
}
