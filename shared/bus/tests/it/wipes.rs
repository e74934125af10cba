//! The whole JetStream store is lost while everybody is connected. On servers of its own.

use bus::{BoardCell, BoardChange, BoardWatch, Bus, BusError, Published};
use devstack::{NatsUser, Stack, StackOptions};
use protocol::{JobStatus, JobView, Priority};

use crate::fixture::{connected, later, soon, ticket, view};

async fn stack() -> Stack {
    let options = StackOptions { want_postgres: false, ..StackOptions::ephemeral() };
    Stack::start(options).await.unwrap()
}

/// As the scheduler does: again and again until it works.
async fn provision(scheduler: &Bus) {
    while scheduler.provision(1).await.is_err() {
        tokio::task::yield_now().await;
    }
}

/// As status does: a watch that ends is begun again.
async fn next_posted(status: &Bus, watch: &mut Option<BoardWatch>) -> JobView {
    loop {
        let Some(open) = watch else {
            *watch = status.watch_board().await.ok();
            tokio::task::yield_now().await;
            continue;
        };
        match open.next().await {
            Some(Ok(BoardChange::Posted(view))) => return *view,
            Some(Ok(BoardChange::Gone(_))) => {}
            Some(Err(_)) | None => *watch = None,
        }
    }
}

#[tokio::test]
async fn after_a_wipe_lanes_and_watches_find_their_way_back() {
    let mut stack = stack().await;
    let bus = async |user| connected(&stack.nats_url(user)).await;
    let (ingress, worker) = (bus(NatsUser::Ingress).await, bus(NatsUser::Worker).await);
    let (status, scheduler) = (bus(NatsUser::Status).await, bus(NatsUser::Scheduler).await);
    scheduler.provision(1).await.unwrap();

    let mut lane = worker.lane(Priority::Normal);
    let mut watch = status.watch_board().await.ok();
    let mut cell = BoardCell::default();
    let job = view(JobStatus::Running, 1);
    // The old bucket's last sequence is higher than the new one's will be for some time.
    for revision in 1..=20 {
        worker.post(&mut cell, &later(&job, revision)).await.unwrap();
        assert_eq!(soon(next_posted(&status, &mut watch)).await.revision, revision);
    }
    let held = ticket("held", Priority::Normal);
    assert_eq!(ingress.publish_tickets(std::slice::from_ref(&held)).await, [Published::Stored]);
    soon(lane.next()).await.unwrap();

    stack.wipe_jetstream().await.unwrap();
    soon(provision(&scheduler)).await;
    scheduler.verify().await.unwrap();

    let again = ticket("acme", Priority::Normal);
    let publish = async {
        while ingress.publish_tickets(std::slice::from_ref(&again)).await != [Published::Stored] {
            tokio::task::yield_now().await;
        }
    };
    let pull = async {
        loop {
            if let Ok(delivery) = lane.next().await {
                return delivery;
            }
            tokio::task::yield_now().await;
        }
    };
    let ((), delivery) = soon(async { tokio::join!(publish, pull) }).await;
    assert_eq!(delivery.ticket, again);

    let post = async {
        while worker.post(&mut cell, &later(&job, 21)).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    let seen = async {
        // What was on the board before is lost with it, so this is the new one.
        soon(next_posted(&status, &mut watch)).await
    };
    let ((), seen) = tokio::join!(soon(post), seen);
    assert_eq!(seen.revision, 21);
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn while_the_server_is_dead_everything_fails_at_once_and_a_restart_keeps_the_queue() {
    let mut stack = stack().await;
    let worker = connected(&stack.nats_url(NatsUser::Worker)).await;
    let ingress = connected(&stack.nats_url(NatsUser::Ingress)).await;
    connected(&stack.nats_url(NatsUser::Provision)).await.provision(1).await.unwrap();
    let queued = ticket("acme", Priority::Normal);
    assert_eq!(ingress.publish_tickets(std::slice::from_ref(&queued)).await, [Published::Stored]);

    stack.kill_nats().await.unwrap();
    crate::fixture::eventually("disconnected", || !worker.is_connected()).await;
    let mut lane = worker.lane(Priority::Normal);
    assert!(matches!(lane.next().await, Err(BusError::Unavailable(_))));
    assert!(matches!(worker.ping().await, Err(BusError::Unavailable(_))));
    let posted = worker.post(&mut BoardCell::default(), &view(JobStatus::Running, 1)).await;
    assert!(matches!(posted, Err(BusError::Unavailable(_))), "{posted:?}");

    stack.restart_nats().await.unwrap();
    soon(worker.connected()).await;
    assert_eq!(soon(lane.next()).await.unwrap().ticket, queued);
    stack.stop().await.unwrap();
}
