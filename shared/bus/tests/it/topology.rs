use std::time::Duration;

use async_nats::jetstream::{consumer, stream};
use bus::{BusError, Provisioned, TopologyError};
use devstack::NatsUser;
use devstack::testing::TestEnv;
use protocol::Priority;

use crate::fixture::{BUCKET, STREAM, World, admin, as_user};

const ALL: [&str; 6] = [
    STREAM,
    "KV_sync_progress",
    "KV_sync_budgets",
    "sync-worker-high",
    "sync-worker-normal",
    "sync-worker-low",
];

#[tokio::test]
async fn provision_creates_everything_and_the_second_time_nothing() {
    let env = TestEnv::new().await;
    let provision = as_user(&env, NatsUser::Provision).await;
    let done = provision.provision(1).await.unwrap();
    assert_eq!(done.created, ALL);
    assert_eq!(done.updated, [""; 0]);
    assert_eq!(provision.provision(1).await.unwrap(), Provisioned::default());
    provision.verify().await.unwrap();
}

#[tokio::test]
async fn several_may_provision_at_once() {
    let env = TestEnv::new().await;
    let (a, b) = (as_user(&env, NatsUser::Provision).await, as_user(&env, NatsUser::Scheduler).await);
    let (a, b, c) = tokio::join!(a.provision(1), b.provision(1), b.provision(1));
    for done in [a, b, c] {
        done.unwrap();
    }
    as_user(&env, NatsUser::Provision).await.verify().await.unwrap();
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let env = TestEnv::new().await;
    let provision = as_user(&env, NatsUser::Provision).await;
    let Err(TopologyError::Different(lines)) = provision.verify().await else { panic!("it passed") };
    assert_eq!(lines, ALL.map(|name| format!("  {name} is missing")));

    provision.provision(1).await.unwrap();
    let admin = admin(&env).await;
    admin.delete_consumer_from_stream("sync-worker-low", STREAM).await.unwrap();
    let error = provision.verify().await.unwrap_err().to_string();
    assert_eq!(
        error,
        "NATS does not have what Syncline needs; run `syncline provision`:\n  sync-worker-low is missing"
    );
    assert_eq!(provision.provision(1).await.unwrap().created, ["sync-worker-low"]);
}

#[tokio::test]
async fn a_changed_setting_is_named_and_then_set_right() {
    let world = World::new().await;
    world.set_ack_wait(Priority::Normal, Duration::from_secs(1)).await;
    let mut config =
        world.admin.get_stream(format!("KV_{BUCKET}")).await.unwrap().cached_info().config.clone();
    config.max_bytes = 1024;
    world.admin.update_stream(config).await.unwrap();

    let provision = as_user(&world.env, NatsUser::Provision).await;
    let Err(TopologyError::Different(lines)) = provision.verify().await else { panic!("it passed") };
    assert_eq!(
        lines,
        [
            "  KV_sync_progress: max_bytes is 1024, wanted 4294967296",
            "  sync-worker-normal: ack_wait is 1000000000, wanted 6000000000"
        ]
    );
    let done = provision.provision(1).await.unwrap();
    assert_eq!(done.updated, ["KV_sync_progress", "sync-worker-normal"]);
    assert_eq!(done.created, [""; 0]);
    assert_eq!(world.info(Priority::Normal).await.config.ack_wait, Duration::from_secs(6));
    provision.verify().await.unwrap();
}

#[tokio::test]
async fn an_update_keeps_the_tickets_that_wait() {
    let world = World::new().await;
    world.publish(&crate::fixture::ticket("acme", Priority::Normal)).await;
    world.set_ack_wait(Priority::Normal, Duration::from_secs(1)).await;
    as_user(&world.env, NatsUser::Scheduler).await.provision(1).await.unwrap();
    assert_eq!(world.queued().await, 1);
    assert_eq!(world.info(Priority::Normal).await.num_pending, 1);
}

#[tokio::test]
async fn a_change_that_the_server_cannot_make_is_refused_with_the_difference() {
    let env = TestEnv::new().await;
    let admin = admin(&env).await;
    let in_memory = stream::Config {
        name: STREAM.to_owned(),
        subjects: vec!["sync.jobs.>".to_owned()],
        retention: stream::RetentionPolicy::WorkQueue,
        storage: stream::StorageType::Memory,
        ..Default::default()
    };
    admin.create_stream(in_memory).await.unwrap();
    let provision = as_user(&env, NatsUser::Provision).await;
    let error = provision.provision(1).await.unwrap_err();
    let TopologyError::Refused { what, reason, diff } = &error else { panic!("{error:?}") };
    assert_eq!(what, STREAM);
    assert!(reason.contains("storage"), "{reason}");
    assert!(diff.iter().any(|line| line == r#"storage is "memory", wanted "file""#), "{diff:?}");
    assert!(error.to_string().contains("storage is"), "people see it: {error}");
    let kept = admin.get_stream(STREAM).await.unwrap().cached_info().config.storage;
    assert_eq!(kept, stream::StorageType::Memory, "nothing was deleted");
}

#[tokio::test]
async fn a_foreign_consumer_in_the_place_of_a_lane_is_refused() {
    let world = World::new().await;
    world.admin.delete_consumer_from_stream("sync-worker-low", STREAM).await.unwrap();
    let push = consumer::push::Config {
        durable_name: Some("sync-worker-low".to_owned()),
        deliver_subject: "somewhere".to_owned(),
        filter_subject: "sync.jobs.low.>".to_owned(),
        ..Default::default()
    };
    world.admin.create_consumer_on_stream(push, STREAM).await.unwrap();
    let error = as_user(&world.env, NatsUser::Provision).await.provision(1).await.unwrap_err();
    assert!(matches!(&error, TopologyError::Refused { what, .. } if what == "sync-worker-low"), "{error:?}");
}

#[tokio::test]
async fn a_server_with_more_replicas_verifies_too() {
    let world = World::new().await;
    let error = as_user(&world.env, NatsUser::Provision).await.provision(3).await.unwrap_err();
    assert!(
        matches!(&error, TopologyError::Refused { diff, .. } if diff == &["num_replicas is 1, wanted 3"])
    );
    as_user(&world.env, NatsUser::Provision).await.verify().await.unwrap();
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_without_repeating_its_password() {
    let options = bus::BusOptions {
        url: "nats://worker:very-secret@:bad".to_owned(),
        name: "bus-test".to_owned(),
        request_timeout: Duration::from_secs(1),
    };
    let error = bus::Bus::connect(&options).await.unwrap_err();
    assert!(matches!(error, BusError::Config(_)), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("very-secret"));
}
