use std::time::{Duration, Instant};

use bus::{BoardCell, BoardChange, BoardWatch, Bus, BusError, Published, TopologyError};
use devstack::NatsUser;
use devstack::proxy::TcpProxy;
use protocol::{JobStatus, Priority};

use crate::fixture::{World, delivered, eventually, later, next_ticket, soon, ticket, unconnected, view};

const REQUEST_TIMEOUT: Duration = Duration::from_millis(700);

async fn behind_proxy(world: &World, user: NatsUser) -> (Bus, TcpProxy) {
    let url = world.env.nats_url(user);
    let proxy = TcpProxy::in_front_of(&url).await.unwrap();
    let bus = unconnected(&proxy.url(&url), REQUEST_TIMEOUT).await;
    soon(bus.connected()).await;
    (bus, proxy)
}

#[tokio::test]
async fn a_publish_fails_fast_while_nats_is_cut_off_and_works_again_afterwards() {
    let world = World::new().await;
    let (ingress, proxy) = behind_proxy(&world, NatsUser::Ingress).await;
    let first = ticket("acme", Priority::Normal);
    assert_eq!(ingress.publish_tickets(std::slice::from_ref(&first)).await, [Published::Stored]);

    proxy.cut().await;
    eventually("disconnected", || !ingress.is_connected()).await;
    let asked = Instant::now();
    let tickets: Vec<_> = (0..100).map(|n| ticket(&format!("w{n}"), Priority::Normal)).collect();
    assert_eq!(ingress.publish_tickets(&tickets).await, [Published::Unknown; 100]);
    ingress.announce(&view(JobStatus::Queued, 1)).await;
    assert!(asked.elapsed() < Duration::from_millis(100), "{:?}", asked.elapsed());

    proxy.restore().await.unwrap();
    soon(ingress.connected()).await;
    let next = ticket("another", Priority::Normal);
    assert_eq!(
        ingress.publish_tickets(&[next_ticket(&first), next]).await,
        [Published::Occupied, Published::Stored]
    );
    assert_eq!(world.queued().await, 2, "what failed fast was not sent later");
}

#[tokio::test]
async fn a_publish_into_a_dead_connection_takes_no_longer_than_the_request_timeout() {
    let world = World::new().await;
    let (ingress, proxy) = behind_proxy(&world, NatsUser::Ingress).await;
    proxy.half_open().await.unwrap();
    let asked = Instant::now();
    let tickets = [ticket("a", Priority::Normal), ticket("b", Priority::High)];
    assert_eq!(ingress.publish_tickets(&tickets).await, [Published::Unknown; 2]);
    let took = asked.elapsed();
    assert!(took >= REQUEST_TIMEOUT && took < REQUEST_TIMEOUT * 2, "{took:?}");
    let ping = ingress.ping().await;
    assert!(matches!(ping, Err(BusError::Unavailable(_))), "{ping:?}");
}

#[tokio::test]
async fn a_lane_goes_on_after_an_outage() {
    let world = World::new().await;
    let (worker, proxy) = behind_proxy(&world, NatsUser::Worker).await;
    let mut lane = worker.lane(Priority::Normal);
    let first = ticket("first", Priority::Normal);
    world.publish(&first).await;
    delivered(&mut lane).await;
    proxy.cut().await;
    eventually("disconnected", || !worker.is_connected()).await;
    let second = ticket("second", Priority::Normal);
    world.publish(&second).await;
    proxy.restore().await.unwrap();
    let pull = async {
        loop {
            if let Ok(delivery) = lane.next().await {
                return delivery;
            }
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(soon(pull).await.ticket, second);
}

#[tokio::test]
async fn a_watch_goes_on_after_an_outage_without_missing_a_change() {
    let world = World::new().await;
    let (status, proxy) = behind_proxy(&world, NatsUser::Status).await;
    let mut watch = status.watch_board().await.unwrap();
    let (mut cell, job) = (BoardCell::default(), view(JobStatus::Running, 1));
    world.worker.post(&mut cell, &job).await.unwrap();
    let seen = async |watch: &mut BoardWatch| match soon(watch.next()).await {
        Some(Ok(BoardChange::Posted(view))) => view.revision,
        other => panic!("{other:?}"),
    };
    assert_eq!(seen(&mut watch).await, 1);

    proxy.cut().await;
    eventually("disconnected", || !status.is_connected()).await;
    world.worker.post(&mut cell, &later(&job, 2)).await.unwrap();
    proxy.restore().await.unwrap();
    assert_eq!(seen(&mut watch).await, 2);
    world.worker.post(&mut cell, &later(&job, 3)).await.unwrap();
    assert_eq!(seen(&mut watch).await, 3);
}

#[tokio::test]
async fn a_process_may_start_while_nats_is_away() {
    let world = World::new().await;
    let url = world.env.nats_url(NatsUser::Scheduler);
    let proxy = TcpProxy::in_front_of(&url).await.unwrap();
    proxy.cut().await;
    let asked = Instant::now();
    let scheduler = unconnected(&proxy.url(&url), REQUEST_TIMEOUT).await;
    let verified = scheduler.verify().await;
    assert!(matches!(verified, Err(TopologyError::Bus(BusError::Unavailable(_)))), "{verified:?}");
    assert!(asked.elapsed() < REQUEST_TIMEOUT, "{:?}", asked.elapsed());
    proxy.restore().await.unwrap();
    soon(scheduler.connected()).await;
    scheduler.verify().await.unwrap();
}
