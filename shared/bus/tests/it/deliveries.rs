use std::collections::BTreeSet;

use bus::{BusError, Published, Settlement};
use devstack::NatsUser;
use protocol::{JobId, Priority};

use crate::fixture::{STREAM, World, as_user, delivered, soon, ticket};

#[tokio::test]
async fn a_lane_hands_out_one_ticket_at_a_time() {
    let world = World::new().await;
    for workspace in ["a", "b", "c"] {
        world.publish(&ticket(workspace, Priority::Normal)).await;
    }
    let mut lane = world.worker.lane(Priority::Normal);
    for taken in 1..=3 {
        delivered(&mut lane).await;
        let info = world.info(Priority::Normal).await;
        assert_eq!(
            (info.num_ack_pending, info.num_pending),
            (taken, 3 - taken as u64),
            "nothing in a buffer"
        );
    }
}

#[tokio::test]
async fn lanes_are_disjoint() {
    let world = World::new().await;
    let tickets: Vec<_> = Priority::ALL.iter().map(|priority| ticket("acme", *priority)).collect();
    assert_eq!(world.ingress.publish_tickets(&tickets).await, [Published::Stored; 3]);
    for ticket in &tickets {
        let mut lane = world.worker.lane(ticket.priority);
        let delivery = delivered(&mut lane).await;
        assert_eq!(delivery.ticket, *ticket);
        let info = world.info(ticket.priority).await;
        assert_eq!((info.num_ack_pending, info.num_pending), (1, 0), "{}", ticket.priority);
        world.worker.settle(&delivery, Settlement::Ack).await.unwrap();
    }
    assert_eq!(world.queued().await, 0);
}

#[tokio::test]
async fn workers_share_a_lane_and_none_gets_what_another_has() {
    let world = World::new().await;
    let tickets: Vec<_> = (0..20).map(|n| ticket(&format!("w{n}"), Priority::Normal)).collect();
    world.ingress.publish_tickets(&tickets).await;
    let another = as_user(&world.env, NatsUser::Worker).await;
    let (mut left, mut right) = (world.worker.lane(Priority::Normal), another.lane(Priority::Normal));
    let mut seen: Vec<JobId> = Vec::new();
    for _ in 0..10 {
        let (left, right) = tokio::join!(delivered(&mut left), delivered(&mut right));
        seen.extend([left.ticket.job_id, right.ticket.job_id]);
    }
    let all: BTreeSet<JobId> = tickets.iter().map(|ticket| ticket.job_id).collect();
    assert_eq!(seen.iter().copied().collect::<BTreeSet<_>>(), all);
}

#[tokio::test]
async fn a_lane_waits_for_the_first_ticket() {
    let world = World::new().await;
    let mut lane = world.worker.lane(Priority::Normal);
    let ticket = ticket("acme", Priority::Normal);
    let publish = async {
        // The pull is on the server before the ticket is.
        while world.info(Priority::Normal).await.num_waiting == 0 {}
        world.publish(&ticket).await
    };
    let (delivery, published) = tokio::join!(delivered(&mut lane), soon(publish));
    assert_eq!(published, Published::Stored);
    assert_eq!(delivery.ticket, ticket);
}

#[tokio::test]
async fn a_message_that_is_no_ticket_is_discarded_and_blocks_nothing() {
    let world = World::new().await;
    let bad = [ticket("bad", Priority::Normal), ticket("worse", Priority::Normal)];
    for (payload, ticket) in ["not json", "{}"].into_iter().zip(&bad) {
        let stored = world.admin.publish(ticket.subject().to_string(), payload.into()).await.unwrap();
        stored.await.unwrap();
    }
    let good = ticket("good", Priority::Normal);
    world.publish(&good).await;
    let mut lane = world.worker.lane(Priority::Normal);
    assert_eq!(delivered(&mut lane).await.ticket, good);
    assert_eq!(world.queued().await, 1, "only what we hold is left");
    let published = world.ingress.publish_tickets(&bad).await;
    assert_eq!(published, [Published::Stored; 2], "their subjects are free again");
}

#[tokio::test]
async fn a_lane_without_a_consumer_says_so_and_attaches_once_it_is_there() {
    let world = World::new().await;
    world.admin.delete_stream(STREAM).await.unwrap();
    let mut lane = world.worker.lane(Priority::Normal);
    let error = soon(lane.next()).await.unwrap_err();
    assert!(matches!(error, BusError::Missing(_)), "{error:?}");

    as_user(&world.env, NatsUser::Scheduler).await.provision(1).await.unwrap();
    let ticket = ticket("acme", Priority::Normal);
    world.publish(&ticket).await;
    assert_eq!(delivered(&mut lane).await.ticket, ticket);
}

#[tokio::test]
async fn a_lane_whose_stream_is_made_again_while_it_waits_attaches_anew() {
    let world = World::new().await;
    let mut lane = world.worker.lane(Priority::Normal);
    let scheduler = as_user(&world.env, NatsUser::Scheduler).await;
    let ticket = ticket("acme", Priority::Normal);
    let wipe = async {
        while world.info(Priority::Normal).await.num_waiting == 0 {}
        world.admin.delete_stream(STREAM).await.unwrap();
        scheduler.provision(1).await.unwrap();
        world.publish(&ticket).await
    };
    let wait = async {
        loop {
            if let Ok(delivery) = lane.next().await {
                return delivery;
            }
        }
    };
    let (delivery, published) = soon(Box::pin(async { tokio::join!(wait, wipe) })).await;
    assert_eq!((delivery.ticket, published), (ticket, Published::Stored));
}
