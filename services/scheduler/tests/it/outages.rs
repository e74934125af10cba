//! NATS or Postgres away: a pass fails, nothing is lost, and the next one does its work.

use std::time::Duration;

use devstack::proxy::TcpProxy;
use scheduler::{Scheduler, relay};

use crate::fixture::{PATIENCE, World, all, bus, open_store, settings, sorted};

/// Short, so that nobody waits long for what is away.
const SHORT: Duration = Duration::from_millis(500);

async fn behind_proxy(world: &World) -> (bus::Bus, TcpProxy) {
    let proxy = TcpProxy::in_front_of(&world.urls.scheduler).await.unwrap();
    let bus = bus(&proxy.url(&world.urls.scheduler), SHORT).await;
    tokio::time::timeout(PATIENCE, bus.connected()).await.unwrap();
    (bus, proxy)
}

/// Passes until one is well.
async fn well(scheduler: &Scheduler) {
    // A pass without a connection fails at once, and without ever letting the connection come up.
    let passes = async {
        while scheduler.pass().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, passes).await.expect("no pass is well again");
}

#[tokio::test]
async fn while_nats_is_away_a_pass_fails_and_the_next_one_relays() {
    let mut world = World::new(3).await;
    let (bus, proxy) = behind_proxy(&world).await;
    let scheduler = Scheduler::new(world.store.clone(), bus, settings());
    let jobs = world.accept_unticketed(3).await;
    proxy.cut().await;
    scheduler.pass().await.unwrap_err();
    scheduler.pass().await.unwrap_err();
    proxy.restore().await.unwrap();
    well(&scheduler).await;
    assert_eq!(sorted(world.queue.drain().await), all(&jobs, 2), "no row was taken for nothing");
}

#[tokio::test]
async fn while_nats_swallows_everything_a_pass_fails_and_the_next_one_relays() {
    let mut world = World::new(3).await;
    let (bus, proxy) = behind_proxy(&world).await;
    let scheduler = Scheduler::new(world.store.clone(), bus, settings());
    let jobs = world.accept_unticketed(3).await;
    proxy.half_open().await.unwrap();
    scheduler.pass().await.unwrap_err();
    proxy.restore().await.unwrap();
    well(&scheduler).await;
    assert_eq!(sorted(world.queue.drain().await), all(&jobs, 2));
}

#[tokio::test]
async fn rows_that_were_taken_when_nats_went_away_are_taken_again_at_once() {
    let mut world = World::new(3).await;
    let (bus, proxy) = behind_proxy(&world).await;
    let jobs = world.accept_unticketed(3).await;
    proxy.half_open().await.unwrap();
    relay::run(&world.store, &bus, PATIENCE, 100).await.unwrap_err();
    proxy.restore().await.unwrap();
    well(&Scheduler::new(world.store.clone(), bus, settings())).await;
    assert_eq!(sorted(world.queue.drain().await), all(&jobs, 3), "not only when they are old");
}

#[tokio::test]
async fn while_postgres_is_away_a_pass_fails_and_the_next_one_relays() {
    let mut world = World::new(3).await;
    let proxy = TcpProxy::in_front_of(&world.urls.database).await.unwrap();
    let store = open_store(&proxy.url(&world.urls.database), SHORT);
    let bus = crate::fixture::connected(&world.urls.scheduler).await;
    let scheduler = Scheduler::new(store, bus, settings());
    let jobs = world.accept_unticketed(3).await;
    proxy.cut().await;
    scheduler.pass().await.unwrap_err();
    assert_eq!(world.queue.drain().await, []);
    proxy.restore().await.unwrap();
    well(&scheduler).await;
    assert_eq!(sorted(world.queue.drain().await), all(&jobs, 2));
}

#[tokio::test]
async fn trouble_with_one_bucket_does_not_keep_jobs_from_their_tickets() {
    let mut world = World::new(2).await;
    // A user who may publish tickets and not look at the bucket of the budgets: its requests are not answered.
    let bus = bus(&world.urls.ingress, SHORT).await;
    tokio::time::timeout(PATIENCE, bus.connected()).await.unwrap();
    let jobs = world.accept_unticketed(2).await;
    let scheduler = Scheduler::new(world.store.clone(), bus, settings());
    scheduler.pass().await.unwrap_err();
    assert_eq!(sorted(world.queue.drain().await), all(&jobs, 2));
}
