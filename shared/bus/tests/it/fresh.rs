//! Hearing of tickets before their turn in the queue.

use std::collections::BTreeSet;

use bus::{Fresh, Published};
use protocol::{JobId, Priority, Ticket};

use crate::fixture::{World, delivered, soon, ticket};

/// Listens, so that what is published from now on is heard.
async fn listening(world: &World) -> Fresh {
    let mut fresh = world.worker.fresh(Priority::Normal);
    let probes = async {
        for n in 0.. {
            world.publish(&ticket(&format!("probe-{n}"), Priority::Normal)).await;
        }
    };
    let heard = soon(async {
        tokio::select! {
            heard = fresh.next() => heard.unwrap(),
            () = probes => unreachable!(),
        }
    });
    assert!(is_probe(&heard.await));
    fresh
}

fn is_probe(ticket: &Ticket) -> bool {
    ticket.workspace_id.as_str().starts_with("probe-")
}

/// The next that is no probe.
async fn heard(fresh: &mut Fresh) -> Ticket {
    loop {
        let ticket = soon(fresh.next()).await.unwrap();
        if !is_probe(&ticket) {
            return ticket;
        }
    }
}

#[tokio::test]
async fn who_listens_hears_what_is_stored_and_nothing_else() {
    let world = World::new().await;
    let mut fresh = listening(&world).await;
    let [first, other] = ["acme", "initech"].map(|workspace| ticket(workspace, Priority::Normal));
    let second = Ticket { job_id: JobId::new(), ticket_no: 2, ..first.clone() };
    assert_eq!(world.publish(&first).await, Published::Stored);
    assert_eq!(world.publish(&second).await, Published::Occupied);
    assert_eq!(world.publish(&ticket("low", Priority::Low)).await, Published::Stored);
    assert_eq!(world.publish(&other).await, Published::Stored);
    assert_eq!([heard(&mut fresh).await, heard(&mut fresh).await], [first.clone(), other.clone()]);
    // They keep their places in the queue all the same.
    let mut lane = world.worker.lane(Priority::Normal);
    let mut queued = Vec::new();
    while queued.len() < 2 {
        let delivery = delivered(&mut lane).await;
        if !is_probe(&delivery.ticket) {
            queued.push(delivery.ticket);
        }
    }
    assert_eq!(queued, [first, other]);
}

#[tokio::test]
async fn of_those_who_listen_one_hears_of_a_ticket_and_who_paused_hears_nothing() {
    let world = World::new().await;
    let (mut one, mut two, mut paused) =
        (listening(&world).await, listening(&world).await, listening(&world).await);
    paused.pause();
    // What was unsubscribed by then: requests and this go over the same connection, in order.
    world.worker.ping().await.unwrap();
    let tickets: Vec<Ticket> = (0..40).map(|n| ticket(&format!("w{n}"), Priority::Normal)).collect();
    world.ingress.publish_tickets(&tickets).await;
    let mut all = BTreeSet::new();
    while all.len() < 40 {
        let ticket = tokio::select! {
            ticket = heard(&mut one) => ticket,
            ticket = heard(&mut two) => ticket,
        };
        assert!(all.insert(ticket.workspace_id), "twice");
    }
}
