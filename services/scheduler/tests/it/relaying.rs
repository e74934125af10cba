//! Relay: a row that waits for a worker gets a ticket, and only then.

use std::time::Duration;

use protocol::WaitingReason;
use scheduler::Settings;
use store::Resting;

use crate::fixture::{PATIENCE, World, all, impatient, settings, sorted};

fn resting(delay: Duration, keeps_ticket: bool) -> Resting {
    Resting {
        reason: WaitingReason::SourceQuota,
        delay,
        error: None,
        uncount: true,
        keeps_ticket,
        in_vain: false,
    }
}

#[tokio::test]
async fn a_row_that_was_never_ticketed_gets_a_ticket_with_a_new_number_in_one_pass() {
    let mut world = World::new(1).await;
    let scheduler = world.scheduler(settings()).await;
    let jobs = world.accept_unticketed(1).await;
    scheduler.pass().await.unwrap();
    assert_eq!(world.queue.drain().await, all(&jobs, 2));
    scheduler.pass().await.unwrap();
    assert_eq!(world.queue.drain().await, [], "its ticket is young");
}

#[tokio::test]
async fn workers_are_told_of_what_is_relayed_and_not_of_what_waits_in_the_queue() {
    let world = World::new(3).await;
    let scheduler = world.scheduler(impatient()).await;
    let mut fresh = world.queue.listening().await;
    world.post(1).await;
    for n in 1..3 {
        // Its ticket is refused: the first one's is there.
        let job = world.accept_of(n..n + 1).await[0];
        scheduler.pass().await.unwrap();
        let told = tokio::time::timeout(PATIENCE, fresh.next()).await.unwrap().unwrap();
        assert_eq!((told.job_id, told.ticket_no), (job, 2));
    }
}

#[tokio::test]
async fn a_row_whose_ticket_is_in_the_queue_gets_no_second_one() {
    let mut world = World::new(3).await;
    let scheduler = world.scheduler(impatient()).await;
    let jobs = world.post(3).await;
    for _ in 0..3 {
        scheduler.pass().await.unwrap();
    }
    assert_eq!(sorted(world.queue.drain().await), all(&jobs, 1));
}

#[tokio::test]
async fn a_row_is_given_the_time_to_be_picked_up_and_then_a_ticket() {
    let mut world = World::new(2).await;
    let jobs = world.accept(2).await;
    world.scheduler(settings()).await.pass().await.unwrap();
    assert_eq!(world.queue.drain().await, [], "a ticket that was just published may be under way");
    world.scheduler(impatient()).await.pass().await.unwrap();
    assert_eq!(sorted(world.queue.drain().await), all(&jobs, 2));
}

#[tokio::test]
async fn a_row_that_is_not_due_yet_gets_no_ticket() {
    let mut world = World::new(2).await;
    let jobs = world.accept(2).await;
    let later = world.claim(jobs[0], PATIENCE).await;
    world.store.rest_job(&later, &resting(Duration::from_secs(3_600), false)).await.unwrap();
    let now = world.claim(jobs[1], PATIENCE).await;
    world.store.rest_job(&now, &resting(Duration::ZERO, false)).await.unwrap();
    world.scheduler(impatient()).await.pass().await.unwrap();
    assert_eq!(world.queue.drain().await, all(&jobs[1..], 2));
}

#[tokio::test]
async fn a_row_that_runs_or_is_over_gets_no_ticket() {
    let mut world = World::new(2).await;
    let jobs = world.accept_unticketed(2).await;
    world.claim(jobs[0], PATIENCE).await;
    let lease = world.claim(jobs[1], PATIENCE).await;
    let status = protocol::JobStatus::Completed;
    let ending = store::Ending { status, error: None, result: None, message: "Over".into() };
    world.store.end_job(&lease, &ending).await.unwrap();
    world.scheduler(impatient()).await.pass().await.unwrap();
    assert_eq!(world.queue.drain().await, []);
}

#[tokio::test]
async fn one_pass_relays_more_rows_than_fit_into_a_batch() {
    for relay_after in [Duration::from_secs(3_600), Duration::ZERO] {
        let mut world = World::new(25).await;
        let jobs = world.accept_unticketed(25).await;
        let settings = Settings { batch_max: 4, relay_after, ..settings() };
        world.scheduler(settings).await.pass().await.unwrap();
        let tickets = sorted(world.queue.drain().await);
        let relayed: Vec<_> = tickets.iter().map(|(job, _)| *job).collect();
        assert_eq!(relayed, sorted(all(&jobs, 0)).into_iter().map(|(job, _)| job).collect::<Vec<_>>());
    }
}
