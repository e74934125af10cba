use devstack::NatsUser;
use devstack::testing::TestEnv;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::fixture::{as_user, client, soon};

/// What a person's tool asks; asked again until somebody answers.
async fn ask(viewer: &async_nats::Client, subject: &str) -> Value {
    loop {
        if let Ok(answer) = viewer.request(subject.to_owned(), "".into()).await {
            return serde_json::from_slice(&answer.payload).unwrap();
        }
    }
}

#[tokio::test]
async fn people_see_every_service_while_it_runs() {
    let env = TestEnv::new().await;
    let viewer = client(&env.nats_url(NatsUser::Viewer), NatsUser::Viewer).await;
    for user in [NatsUser::Ingress, NatsUser::Worker, NatsUser::Status, NatsUser::Scheduler] {
        let bus = as_user(&env, user).await;
        let stop = CancellationToken::new();
        let mut services = tokio::task::JoinSet::new();
        services.spawn(bus.clone().answer_as(user.name(), "A part of Syncline", stop.clone()));
        let name = format!("syncline-{}", user.name());
        for verb in ["PING", "INFO", "STATS"] {
            let answer = soon(ask(&viewer, &format!("$SRV.{verb}.{name}"))).await;
            assert_eq!(answer["name"], name, "{verb}");
        }
        stop.cancel();
        soon(services.join_all()).await;
        bus.ping().await.unwrap();
        let nobody = viewer.request(format!("$SRV.PING.{name}"), "".into()).await;
        assert!(nobody.is_err(), "it stopped: {nobody:?}");
    }
}
