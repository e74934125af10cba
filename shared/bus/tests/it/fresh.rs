//! Hearing of tickets before their turn in the queue.

use std::collections::BTreeSet;

use bus::{Fresh, Published};
use futures_util::FutureExt;
use protocol::{Priority, Ticket};

use crate::fixture::{World, delivered, soon, ticket};

/// Listens, so that what is told from now on is heard.
async fn listening(world: &World) -> Fresh {
    let mut fresh = world.worker.fresh(Priority::Normal);
    assert!(fresh.next().now_or_never().is_none());
    // Requests and subscriptions go over one connection, in order.
    world.worker.ping().await.unwrap();
    fresh
}

#[tokio::test]
async fn who_listens_hears_of_the_tickets_of_its_lane_and_nothing_else() {
    let world = World::new().await;
    let mut fresh = listening(&world).await;
    let [first, other] = ["acme", "initech"].map(|workspace| ticket(workspace, Priority::Normal));
    for told in [&first, &ticket("low", Priority::Low), &other] {
        world.ingress.hint(told).await;
        assert_eq!(world.publish(told).await, Published::Stored);
    }
    assert_eq!(
        [soon(fresh.next()).await.unwrap(), soon(fresh.next()).await.unwrap()],
        [first.clone(), other.clone()]
    );
    // They keep their places in the queue all the same.
    let mut lane = world.worker.lane(Priority::Normal);
    assert_eq!([delivered(&mut lane).await.ticket, delivered(&mut lane).await.ticket], [first, other]);
}

#[tokio::test]
async fn of_those_who_listen_one_hears_of_a_ticket_and_who_paused_hears_nothing() {
    let world = World::new().await;
    let (mut one, mut two, mut paused) =
        (listening(&world).await, listening(&world).await, listening(&world).await);
    paused.pause();
    // It was unsubscribed by then.
    world.worker.ping().await.unwrap();
    let tickets: Vec<Ticket> = (0..40).map(|n| ticket(&format!("w{n}"), Priority::Normal)).collect();
    for ticket in &tickets {
        world.ingress.hint(ticket).await;
    }
    let mut all = BTreeSet::new();
    while all.len() < 40 {
        let heard = soon(async {
            tokio::select! {
                ticket = one.next() => ticket,
                ticket = two.next() => ticket,
            }
        });
        assert!(all.insert(heard.await.unwrap().workspace_id), "twice");
    }
}
