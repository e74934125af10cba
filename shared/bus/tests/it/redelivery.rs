//! When a ticket comes back. Instants are compared; a server that is late by seconds would be a bug, too.

use std::time::{Duration, Instant};

use bus::Settlement;
use protocol::Priority;

use crate::fixture::{World, delivered, nothing_delivered, ticket};

const ACK_WAIT: Duration = Duration::from_millis(600);
/// The server may be late by so much on a busy machine.
const LATE: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_naked_ticket_comes_back_after_its_delay_and_not_before() {
    let world = World::new().await;
    world.publish(&ticket("acme", Priority::Normal)).await;
    let mut lane = world.worker.lane(Priority::Normal);
    for delay in [Duration::from_millis(400), Duration::ZERO, Duration::from_millis(1200)] {
        let delivery = delivered(&mut lane).await;
        let settled = Instant::now();
        world.worker.settle(&delivery, Settlement::Nak(delay)).await.unwrap();
        let again = delivered(&mut lane).await;
        let waited = settled.elapsed();
        assert!(waited >= delay && waited < delay + LATE, "{delay:?}: {waited:?}");
        assert_eq!(again.ticket, delivery.ticket);
        world.worker.settle(&again, Settlement::Nak(Duration::ZERO)).await.unwrap();
    }
}

#[tokio::test]
async fn a_ticket_in_a_delayed_nak_does_not_hold_up_the_next_one() {
    let world = World::new().await;
    world.publish(&ticket("parked", Priority::Normal)).await;
    let mut lane = world.worker.lane(Priority::Normal);
    let parked = delivered(&mut lane).await;
    world.worker.settle(&parked, Settlement::Nak(Duration::from_secs(60))).await.unwrap();
    let next = ticket("next", Priority::Normal);
    world.publish(&next).await;
    assert_eq!(delivered(&mut lane).await.ticket, next);
}

#[tokio::test]
async fn a_ticket_that_nobody_answers_comes_back_after_the_ack_wait() {
    let world = World::new().await;
    world.set_ack_wait(Priority::Normal, ACK_WAIT).await;
    world.publish(&ticket("acme", Priority::Normal)).await;
    let mut lane = world.worker.lane(Priority::Normal);
    let asked = Instant::now();
    let delivery = delivered(&mut lane).await;
    let taken = Instant::now();
    assert_eq!(lane.ack_wait(), ACK_WAIT, "the consumer's own setting");
    let again = delivered(&mut lane).await;
    assert!(asked.elapsed() >= ACK_WAIT && taken.elapsed() < ACK_WAIT + LATE, "{:?}", taken.elapsed());
    assert_eq!(again.ticket, delivery.ticket);
}

#[tokio::test]
async fn a_ticket_in_progress_stays_with_its_worker_and_comes_back_when_the_guard_is_dropped() {
    let world = World::new().await;
    world.set_ack_wait(Priority::Normal, ACK_WAIT).await;
    world.publish(&ticket("acme", Priority::Normal)).await;
    let mut lane = world.worker.lane(Priority::Normal);
    let delivery = delivered(&mut lane).await;
    let guard = world.worker.in_progress(&delivery, ACK_WAIT / 4);
    nothing_delivered(&mut lane, ACK_WAIT * 3).await;
    let dropped = Instant::now();
    drop(guard);
    delivered(&mut lane).await;
    // The last sign of life may be as old as the interval.
    let waited = dropped.elapsed();
    assert!(waited >= ACK_WAIT / 2 && waited < ACK_WAIT + LATE, "{waited:?}");
}

#[tokio::test]
async fn a_panic_ends_the_signs_of_life() {
    let world = World::new().await;
    world.set_ack_wait(Priority::Normal, ACK_WAIT).await;
    world.publish(&ticket("acme", Priority::Normal)).await;
    let mut lane = world.worker.lane(Priority::Normal);
    let delivery = delivered(&mut lane).await;
    let worker = world.worker.clone();
    let mut runs = tokio::task::JoinSet::new();
    runs.spawn(async move {
        let _guard = worker.in_progress(&delivery, ACK_WAIT / 4);
        panic!("a bug in a connector");
    });
    runs.join_next().await.unwrap().unwrap_err();
    let died = Instant::now();
    delivered(&mut lane).await;
    assert!(died.elapsed() < ACK_WAIT + LATE, "{:?}", died.elapsed());
}
