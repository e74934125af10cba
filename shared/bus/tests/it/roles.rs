//! Each service with its own user: what it does is allowed. A denied subject would show as a timeout.

use std::time::Duration;

use bus::{BoardCell, BoardChange, Posted, Provisioned, Published, Settlement};
use devstack::NatsUser;
use devstack::testing::TestEnv;
use protocol::{JobStatus, Priority};

use crate::fixture::{as_user, delivered, later, provisioned, soon, ticket, view};

#[tokio::test]
async fn those_who_look_at_the_topology_may_verify_it() {
    let env = provisioned().await;
    for user in
        [NatsUser::Admin, NatsUser::Provision, NatsUser::Scheduler, NatsUser::Worker, NatsUser::Viewer]
    {
        as_user(&env, user).await.verify().await.unwrap_or_else(|error| panic!("{user:?}: {error}"));
    }
}

#[tokio::test]
async fn every_service_may_ping() {
    let env = TestEnv::new().await;
    for user in NatsUser::ALL {
        as_user(&env, user).await.ping().await.unwrap_or_else(|error| panic!("{user:?}: {error}"));
    }
}

#[tokio::test]
async fn each_service_may_do_its_part_of_a_sync() {
    let env = provisioned().await;
    let status = as_user(&env, NatsUser::Status).await;
    let mut watch = status.watch_board().await.unwrap();

    let ingress = as_user(&env, NatsUser::Ingress).await;
    let ticket = ticket("acme", Priority::High);
    assert_eq!(ingress.publish_tickets(std::slice::from_ref(&ticket)).await, [Published::Stored]);
    let queued = view(JobStatus::Queued, 1);
    ingress.announce(&queued).await;
    let change = soon(watch.next()).await.unwrap().unwrap();
    assert!(matches!(change, BoardChange::Posted(view) if *view == queued));

    let worker = as_user(&env, NatsUser::Worker).await;
    let mut lane = worker.lane(Priority::High);
    let delivery = delivered(&mut lane).await;
    assert_eq!(delivery.ticket, ticket);
    let beat = worker.in_progress(&delivery, Duration::from_millis(1));
    let running = later(&queued, 2);
    assert_eq!(worker.post(&mut BoardCell::default(), &running).await.unwrap(), Posted::Posted);
    let change = soon(watch.next()).await.unwrap().unwrap();
    assert!(matches!(change, BoardChange::Posted(view) if *view == running));
    drop(beat);
    for settlement in [Settlement::Nak(Duration::ZERO), Settlement::Ack] {
        worker.settle(&delivery, settlement).await.unwrap();
    }
    let read = status.board_entry(&queued.workspace_id, queued.id).await.unwrap();
    assert_eq!(read, Some(running));
}

#[tokio::test]
async fn the_scheduler_may_provision_and_publish_and_post() {
    let env = TestEnv::new().await;
    let scheduler = as_user(&env, NatsUser::Scheduler).await;
    assert_eq!(scheduler.provision(1).await.unwrap().created.len(), 6);
    assert_eq!(scheduler.provision(1).await.unwrap(), Provisioned::default());
    scheduler.verify().await.unwrap();
    let ticket = ticket("acme", Priority::Low);
    assert_eq!(scheduler.publish_tickets(&[ticket]).await, [Published::Stored]);
    let view = view(JobStatus::Failed, 1);
    assert_eq!(scheduler.post(&mut BoardCell::default(), &view).await.unwrap(), Posted::Posted);
}

#[tokio::test]
async fn what_a_user_may_not_publish_is_not_taken_for_stored() {
    let env = provisioned().await;
    let worker =
        crate::fixture::unconnected(&env.nats_url(NatsUser::Worker), Duration::from_millis(300)).await;
    soon(worker.connected()).await;
    assert_eq!(worker.publish_tickets(&[ticket("acme", Priority::Low)]).await, [Published::Unknown]);
}
