use std::time::Duration;

use bus::Settlement;
use protocol::Priority;

use crate::fixture::{World, delivered, ticket};

#[tokio::test]
async fn an_acked_or_terminated_ticket_is_gone_when_the_answer_is_there() {
    let world = World::new().await;
    let mut lane = world.worker.lane(Priority::Normal);
    for settlement in [Settlement::Ack, Settlement::Term] {
        world.publish(&ticket("acme", Priority::Normal)).await;
        let delivery = delivered(&mut lane).await;
        world.worker.settle(&delivery, settlement).await.unwrap();
        assert_eq!(world.queued().await, 0, "{settlement:?}");
        assert_eq!(world.info(Priority::Normal).await.num_ack_pending, 0, "{settlement:?}");
    }
}

#[tokio::test]
async fn a_settled_ticket_may_be_settled_again() {
    let world = World::new().await;
    world.publish(&ticket("acme", Priority::Normal)).await;
    let mut lane = world.worker.lane(Priority::Normal);
    let delivery = delivered(&mut lane).await;
    for settlement in [Settlement::Ack, Settlement::Ack, Settlement::Term, Settlement::Nak(Duration::ZERO)] {
        world.worker.settle(&delivery, settlement).await.unwrap();
    }
    assert_eq!(world.queued().await, 0);
}

#[tokio::test]
async fn a_delayed_nak_holds_the_ticket_back_on_the_server() {
    let world = World::new().await;
    world.publish(&ticket("acme", Priority::Normal)).await;
    let mut lane = world.worker.lane(Priority::Normal);
    let delivery = delivered(&mut lane).await;
    world.worker.settle(&delivery, Settlement::Nak(Duration::from_secs(60))).await.unwrap();
    world.worker.ping().await.unwrap();
    let info = world.info(Priority::Normal).await;
    assert_eq!((world.queued().await, info.num_ack_pending), (1, 1));
}
