//! What `nats/permissions.conf` lets every user do, against a real server.

use std::time::Duration;

use async_nats::jetstream::{self, AckKind, consumer::pull};
use async_nats::service::ServiceExt;
use devstack::NatsUser;
use devstack::testing::TestEnv;
use futures_util::StreamExt;

use crate::clients;

const TICKET: &str = "sync.jobs.high.w1.sync.hubspot";
const KEY: &str = "w1.job1";

async fn provisioned() -> TestEnv {
    let env = TestEnv::new().await;
    let jetstream = as_user(&env, NatsUser::Provision).await;
    let stream = jetstream.create_stream(clients::tickets()).await.unwrap();
    jetstream.create_stream(clients::progress()).await.unwrap();
    jetstream.update_stream(clients::progress()).await.unwrap();
    let consumer = pull::Config {
        durable_name: Some("sync-worker-high".to_owned()),
        filter_subject: "sync.jobs.high.>".to_owned(),
        ack_wait: Duration::from_secs(30),
        ..Default::default()
    };
    stream.create_consumer(consumer).await.unwrap();
    env
}

async fn as_user(env: &TestEnv, user: NatsUser) -> jetstream::Context {
    clients::jetstream(&env.nats_url(user), user).await
}

async fn publish(
    jetstream: &jetstream::Context,
    subject: &'static str,
) -> Result<(), jetstream::context::PublishError> {
    jetstream.publish(subject, "x".into()).await?.await.map(|_| ())
}

#[tokio::test]
async fn every_service_can_do_its_part_of_a_sync() {
    let env = provisioned().await;
    let ingress = as_user(&env, NatsUser::Ingress).await;
    let board = ingress.get_key_value("sync_progress").await.unwrap();
    let status = as_user(&env, NatsUser::Status).await.get_key_value("sync_progress").await.unwrap();
    let mut watch = status.watch_all_from_revision(1).await.unwrap();
    publish(&ingress, TICKET).await.unwrap();
    board.put(KEY, "queued".into()).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().value, "queued");

    let worker = as_user(&env, NatsUser::Worker).await;
    let stream = worker.get_stream("SYNC_JOBS").await.unwrap();
    let consumer: jetstream::consumer::PullConsumer = stream.get_consumer("sync-worker-high").await.unwrap();
    let mut deliveries = consumer.stream().max_messages_per_batch(1).messages().await.unwrap();
    let delivery = deliveries.next().await.unwrap().unwrap();
    delivery.ack_with(AckKind::Progress).await.unwrap();
    let board = worker.get_key_value("sync_progress").await.unwrap();
    assert_eq!(board.get(KEY).await.unwrap().unwrap(), "queued");
    board.put(KEY, "running".into()).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().value, "running");
    delivery.double_ack().await.unwrap();
    assert_eq!(status.get(KEY).await.unwrap().unwrap(), "running");
    assert_eq!(status.keys().await.unwrap().count().await, 1);
}

#[tokio::test]
async fn the_scheduler_can_provision_and_relay() {
    let env = TestEnv::new().await;
    let scheduler = as_user(&env, NatsUser::Scheduler).await;
    scheduler.create_stream(clients::tickets()).await.unwrap();
    scheduler.create_stream(clients::progress()).await.unwrap();
    publish(&scheduler, TICKET).await.unwrap();
    let board = scheduler.get_key_value("sync_progress").await.unwrap();
    board.put(KEY, "queued".into()).await.unwrap();
    assert_eq!(board.get(KEY).await.unwrap().unwrap(), "queued");
}

#[tokio::test]
async fn people_can_look_at_everything() {
    let env = provisioned().await;
    let admin = as_user(&env, NatsUser::Admin).await;
    admin.get_key_value("sync_progress").await.unwrap().put(KEY, "queued".into()).await.unwrap();

    let viewer = as_user(&env, NatsUser::Viewer).await;
    let streams: Vec<_> = viewer.streams().collect().await;
    assert_eq!(streams.iter().filter(|info| info.is_ok()).count(), 2, "{streams:?}");
    let stream = viewer.get_stream("SYNC_JOBS").await.unwrap();
    assert_eq!(stream.consumers().count().await, 1);
    let board = viewer.get_key_value("sync_progress").await.unwrap();
    assert_eq!(board.get(KEY).await.unwrap().unwrap(), "queued");
    let mut watch = board.watch_with_history(">").await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().value, "queued");
    let client = clients::nats(&env.nats_url(NatsUser::Viewer), NatsUser::Viewer).await;
    let mut progress = client.subscribe("sync.progress.>").await.unwrap();
    clients::round_trip(&client).await;
    admin.get_key_value("sync_progress").await.unwrap().put(KEY, "running".into()).await.unwrap();
    assert_eq!(progress.next().await.unwrap().subject.as_str(), "sync.progress.w1.job1");
}

#[tokio::test]
async fn services_answer_a_ping_of_people() {
    let env = TestEnv::new().await;
    let viewer = clients::nats(&env.nats_url(NatsUser::Viewer), NatsUser::Viewer).await;
    for user in [NatsUser::Ingress, NatsUser::Worker, NatsUser::Status, NatsUser::Scheduler] {
        let client = clients::nats(&env.nats_url(user), user).await;
        let service = client.service_builder().start(user.name(), "1.0.0").await.unwrap();
        clients::round_trip(&client).await;
        let ping = format!("$SRV.PING.{}", user.name());
        for _ in 0..3 {
            let answer = viewer.request(ping.clone(), "".into()).await.unwrap();
            assert!(String::from_utf8_lossy(&answer.payload).contains(user.name()));
        }
        service.stop().await.unwrap();
    }
}

#[tokio::test]
async fn nobody_publishes_outside_of_its_permissions() {
    let env = provisioned().await;
    let denied = [
        (NatsUser::Worker, TICKET),
        (NatsUser::Status, TICKET),
        (NatsUser::Viewer, TICKET),
        (NatsUser::Provision, TICKET),
        (NatsUser::Worker, "sync.fresh.normal"),
        (NatsUser::Status, "sync.fresh.normal"),
        (NatsUser::Viewer, "sync.fresh.normal"),
        (NatsUser::Status, "$KV.sync_progress.w1.job1"),
        (NatsUser::Viewer, "$KV.sync_progress.w1.job1"),
        (NatsUser::Ingress, "$KV.another.w1.job1"),
        (NatsUser::Ingress, "$KV.sync_budgets.hubspot.1.objects"),
        (NatsUser::Status, "$KV.sync_budgets.hubspot.1.objects"),
        (NatsUser::Viewer, "$KV.sync_budgets.hubspot.1.objects"),
        (NatsUser::Worker, "$JS.API.STREAM.PURGE.KV_sync_budgets"),
        (NatsUser::Ingress, "$JS.API.DIRECT.GET.KV_sync_progress.$KV.sync_progress.w1.job1"),
        (NatsUser::Ingress, "$JS.API.CONSUMER.MSG.NEXT.SYNC_JOBS.sync-worker-high"),
        (NatsUser::Viewer, "$JS.API.CONSUMER.MSG.NEXT.SYNC_JOBS.sync-worker-high"),
        (NatsUser::Ingress, "$JS.ACK.SYNC_JOBS.sync-worker-high.1.1.1.1.0"),
        (NatsUser::Worker, "$JS.API.STREAM.PURGE.SYNC_JOBS"),
        (NatsUser::Provision, "$JS.API.STREAM.DELETE.SYNC_JOBS"),
        (NatsUser::Scheduler, "$JS.API.STREAM.DELETE.SYNC_JOBS"),
        (NatsUser::Scheduler, "$JS.API.STREAM.CREATE.ANOTHER"),
    ];
    for (user, subject) in denied {
        assert_eq!(
            refusal(&env, user, Say::Publish(subject)).await.as_deref(),
            Some("publish"),
            "{user:?} {subject}"
        );
    }
    for user in NatsUser::ALL.into_iter().filter(|user| *user != NatsUser::Admin) {
        for subject in ["_INBOX_syncline.>", "sync.jobs.>", "$KV.sync_progress.>", "$JS.>", ">"] {
            let refused = refusal(&env, user, Say::Subscribe(subject)).await;
            assert_eq!(refused.as_deref(), Some("subscription"), "{user:?} {subject}");
        }
    }
    let stream = as_user(&env, NatsUser::Admin).await.get_stream("SYNC_JOBS").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 0);
}

#[derive(Clone, Copy)]
enum Say {
    Publish(&'static str),
    Subscribe(&'static str),
}

/// `publish` or `subscription` when the server refused; `None` when it did not.
async fn refusal(env: &TestEnv, user: NatsUser, say: Say) -> Option<String> {
    let (errors, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let url = env.nats_url(user);
    let client = clients::options(&url)
        .event_callback(move |event| {
            let errors = errors.clone();
            async move {
                if let async_nats::Event::ServerError(error) = event {
                    errors.send(error.to_string().to_lowercase()).unwrap();
                }
            }
        })
        .connect(url)
        .await
        .unwrap();
    let subscription = match say {
        Say::Publish(subject) => client.publish(subject, "x".into()).await.map(|()| None).unwrap(),
        Say::Subscribe(subject) => Some(client.subscribe(subject).await.unwrap()),
    };
    client.flush().await.unwrap();
    let error = tokio::time::timeout(Duration::from_secs(5), seen.recv()).await.ok().flatten();
    drop(subscription);
    let error = error.filter(|error| error.contains("permissions violation"))?;
    ["publish", "subscription"].into_iter().find(|what| error.contains(what)).map(str::to_owned)
}
