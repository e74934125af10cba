//! The whole JetStream store is wiped.

use std::time::Duration;

use devstack::{Stack, StackOptions};
use protocol::WaitingReason;
use scheduler::Settings;
use store::Resting;

use crate::fixture::{PATIENCE, World, all, connected, settings, sorted};

#[tokio::test]
async fn one_pass_provisions_and_relays_every_waiting_row_whatever_its_age_and_number() {
    let mut stack = Stack::start(StackOptions { durable: false, ..StackOptions::ephemeral() }).await.unwrap();
    let mut world = World::on(&stack, 27).await;
    let jobs = world.post(27).await;
    // This one failed and waits for its next attempt. Its ticket is in the queue, for later.
    let lease = world.claim(jobs[0], PATIENCE).await;
    let resting = Resting {
        reason: WaitingReason::RetryBackoff,
        delay: Duration::from_secs(2),
        error: None,
        uncount: false,
        keeps_ticket: true,
        in_vain: false,
    };
    world.store.rest_job(&lease, &resting).await.unwrap();
    let scheduler = world.scheduler(Settings { batch_max: 10, ..settings() }).await;
    stack.wipe_jetstream().await.unwrap();
    let observer = connected(&world.urls.scheduler).await;
    observer.verify().await.unwrap_err();

    // A pass without a connection fails at once, and without ever letting the connection come up.
    let passes = async {
        while scheduler.pass().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, passes).await.expect("no pass is well after the wipe");
    observer.verify().await.unwrap();
    world.queue.reconnected().await;
    assert_eq!(sorted(world.queue.drain().await), all(&jobs[1..], 2));
    scheduler.pass().await.unwrap();
    assert_eq!(world.queue.drain().await, [], "relayed once, then by age");

    let due = async {
        loop {
            scheduler.pass().await.unwrap();
            let tickets = world.queue.drain().await;
            if !tickets.is_empty() {
                return tickets;
            }
        }
    };
    let tickets = tokio::time::timeout(PATIENCE, due).await.expect("its ticket is lost");
    assert_eq!(tickets, all(&jobs[..1], 2), "as soon as it is due, not after its age");
    stack.stop().await.unwrap();
}
