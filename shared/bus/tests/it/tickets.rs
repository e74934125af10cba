use std::time::Duration;

use bus::{Published, Settlement};
use protocol::{Priority, Ticket};

use crate::fixture::{World, delivered, next_ticket, ticket};

#[tokio::test]
async fn a_scope_has_one_ticket_at_a_time_until_it_is_settled() {
    let world = World::new().await;
    let mut lane = world.worker.lane(Priority::Normal);
    let mut present = ticket("acme", Priority::Normal);
    for settlement in [Settlement::Ack, Settlement::Term] {
        assert_eq!(world.publish(&present).await, Published::Stored);
        let another = ticket("acme", Priority::Normal);
        assert_eq!(world.publish(&another).await, Published::Occupied, "pending");
        let delivery = delivered(&mut lane).await;
        assert_eq!(world.publish(&next_ticket(&present)).await, Published::Occupied, "delivered");
        world.worker.settle(&delivery, Settlement::Nak(Duration::from_millis(300))).await.unwrap();
        assert_eq!(world.publish(&another).await, Published::Occupied, "in a delayed nak");
        let delivery = delivered(&mut lane).await;
        world.worker.settle(&delivery, settlement).await.unwrap();
        present = next_ticket(&present);
        assert_eq!(world.publish(&present).await, Published::Stored, "{settlement:?}");
        let delivery = delivered(&mut lane).await;
        world.worker.settle(&delivery, Settlement::Ack).await.unwrap();
        present = next_ticket(&present);
    }
}

#[tokio::test]
async fn the_same_ticket_again_is_a_harmless_duplicate() {
    let world = World::new().await;
    let ticket = ticket("acme", Priority::Normal);
    for _ in 0..3 {
        assert_eq!(world.publish(&ticket).await, Published::Stored);
    }
    assert_eq!(world.queued().await, 1);
    let mut lane = world.worker.lane(Priority::Normal);
    let delivery = delivered(&mut lane).await;
    world.worker.settle(&delivery, Settlement::Ack).await.unwrap();
    assert_eq!(world.publish(&ticket).await, Published::Stored);
    assert_eq!(world.queued().await, 0, "it is not worked on twice");
}

#[tokio::test]
async fn of_200_concurrent_tickets_for_a_scope_one_is_stored() {
    let world = World::new().await;
    let first = ticket("acme", Priority::Normal);
    let tickets: Vec<Ticket> = (1..=200).map(|ticket_no| Ticket { ticket_no, ..first.clone() }).collect();
    let published = world.ingress.publish_tickets(&tickets).await;
    let count = |what| published.iter().filter(|published| **published == what).count();
    assert_eq!((count(Published::Stored), count(Published::Occupied)), (1, 199));
    assert_eq!(world.queued().await, 1);
}

#[tokio::test]
async fn tickets_are_answered_in_their_order() {
    let world = World::new().await;
    let taken = ticket("taken", Priority::Normal);
    world.publish(&taken).await;
    let tickets = [
        ticket("a", Priority::Normal),
        ticket("taken", Priority::Normal),
        ticket("b", Priority::Low),
        taken,
        ticket("c", Priority::High),
    ];
    let published = world.ingress.publish_tickets(&tickets).await;
    let (stored, occupied) = (Published::Stored, Published::Occupied);
    assert_eq!(published, [stored, occupied, stored, stored, stored]);
    assert_eq!(world.ingress.publish_tickets(&[]).await, []);
}

#[tokio::test]
async fn without_a_stream_nothing_is_known_of_a_ticket() {
    let env = devstack::testing::TestEnv::new().await;
    let ingress = crate::fixture::as_user(&env, devstack::NatsUser::Ingress).await;
    let ticket = ticket("acme", Priority::Normal);
    let published = crate::fixture::soon(ingress.publish_tickets(std::slice::from_ref(&ticket))).await;
    assert_eq!(published, [Published::Unknown]);
}
