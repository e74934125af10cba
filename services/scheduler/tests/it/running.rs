//! A scheduler that runs by itself.

use std::time::Duration;

use devstack::proxy::TcpProxy;
use scheduler::{Scheduler, Settings};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::fixture::{PATIENCE, World, all, bus, settings};

#[tokio::test]
async fn it_relays_until_its_token_is_cancelled() {
    let mut world = World::new(1).await;
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let running = tasks.spawn(world.scheduler(settings()).await.run_until(stop.clone()));
    let jobs = world.accept_unticketed(1).await;
    let relayed = async {
        loop {
            let tickets = world.queue.drain().await;
            if !tickets.is_empty() {
                return tickets;
            }
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, relayed).await.unwrap(), all(&jobs, 2));
    stop.cancel();
    tokio::time::timeout(PATIENCE, running).await.expect("it does not end").unwrap();
}

#[tokio::test]
async fn it_ends_in_the_middle_of_a_long_pause() {
    let world = World::new(0).await;
    let hour = Settings { interval: Duration::from_secs(3_600), ..settings() };
    let stop = CancellationToken::new();
    let running = world.scheduler(hour).await.run_until(stop.clone());
    tokio::pin!(running);
    let passing = tokio::time::timeout(Duration::from_millis(300), running.as_mut()).await;
    assert!(passing.is_err(), "it ended by itself");
    stop.cancel();
    tokio::time::timeout(PATIENCE, running).await.expect("it does not end");
}

#[tokio::test]
async fn it_ends_although_nats_was_never_there() {
    let world = World::new(0).await;
    let proxy = TcpProxy::in_front_of(&world.urls.scheduler).await.unwrap();
    proxy.cut().await;
    let away = bus(&proxy.url(&world.urls.scheduler), Duration::from_millis(200)).await;
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let scheduler = Scheduler::new(world.store.clone(), away, settings());
    let running = tasks.spawn(scheduler.run_until(stop.clone()));
    stop.cancel();
    tokio::time::timeout(PATIENCE, running).await.expect("it does not end").unwrap();
}
