//! Requests with a key: carried out once, whatever happens.

use protocol::JobId;
use serde_json::{Value, json};
use store::{Accepted, Once, RequestAccepted, StoredAnswer};

use crate::fixture::{World, new_job, workspace};

fn once(request: &Value) -> Once {
    Once { key: "a-key".to_owned(), request: request.clone() }
}

fn answer(accepted: &[Accepted]) -> Option<Value> {
    Some(json!({"jobId": accepted[0].job()?.id}))
}

async fn request(world: &World, connector: &str, once: &Once) -> RequestAccepted {
    let job = new_job("acme", connector);
    let key = Some((&workspace("acme"), once));
    world.store.accept_request(job.id, std::slice::from_ref(&job), key, answer).await.unwrap()
}

#[tokio::test]
async fn an_answer_is_kept_with_its_job_and_is_only_for_the_same_request() {
    let world = World::new().await;
    let (acme, key) = (workspace("acme"), once(&json!({"a": 1, "b": 2})));
    assert_eq!(world.store.stored_answer(&acme, &key).await.unwrap(), None);
    let RequestAccepted::Jobs(jobs) = request(&world, "hubspot", &key).await else { panic!() };
    let id = jobs[0].job().unwrap().id;
    let same = world.store.stored_answer(&acme, &once(&json!({"b": 2, "a": 1}))).await.unwrap();
    assert_eq!(same, Some(StoredAnswer::Same(json!({"jobId": id}))), "the order of fields means nothing");
    let other = world.store.stored_answer(&acme, &once(&json!({"a": 1}))).await.unwrap();
    assert_eq!(other, Some(StoredAnswer::OtherRequest));
    assert_eq!(world.store.stored_answer(&workspace("globex"), &key).await.unwrap(), None);
}

#[tokio::test]
async fn of_many_requests_with_one_key_at_once_one_is_carried_out() {
    let world = World::new().await;
    let key = once(&json!({}));
    let mut requests = tokio::task::JoinSet::new();
    for i in 0..24 {
        // Of different connectors, so that nothing but the key can keep them apart.
        let connector = crate::fixture::CONNECTORS[i % 3];
        let (store, key, job) = (world.store.clone(), key.clone(), new_job("acme", connector));
        requests.spawn(async move {
            let key = Some((&workspace("acme"), &key));
            store.accept_request(job.id, std::slice::from_ref(&job), key, answer).await.unwrap()
        });
    }
    let answers = requests.join_all().await;
    let carried_out = answers.iter().filter(|answer| matches!(answer, RequestAccepted::Jobs(_))).count();
    assert_eq!(carried_out, 1, "{answers:?}");
    assert_eq!(world.one::<i64>("SELECT count(*) FROM jobs").await, 1);
}

#[tokio::test]
async fn a_refused_request_leaves_its_key_free() {
    let world = World::new().await;
    let key = once(&json!({}));
    let job = new_job("acme", "google-drive");
    let named = Some((&workspace("acme"), &key));
    let refused = world.store.accept_request(job.id, &[job], named, answer).await.unwrap();
    assert_eq!(refused, RequestAccepted::Refused(vec![Accepted::NotConnected]));
    assert_eq!(world.one::<i64>("SELECT count(*) FROM idempotency_keys").await, 0);
}

#[tokio::test]
async fn an_answer_is_kept_for_24_hours_and_then_deleted_in_batches() {
    let world = World::new().await;
    let (acme, key) = (workspace("acme"), once(&json!({})));
    request(&world, "hubspot", &key).await;
    world.run("UPDATE idempotency_keys SET created_at = now() - interval '23 hours 59 minutes'").await;
    assert!(world.store.stored_answer(&acme, &key).await.unwrap().is_some());
    assert_eq!(world.store.delete_stored_answers(10).await.unwrap(), 0);
    world.run("UPDATE idempotency_keys SET created_at = now() - interval '24 hours'").await;
    assert_eq!(world.store.stored_answer(&acme, &key).await.unwrap(), None);
    // The key is as good as new, whether it was deleted yet or not.
    assert!(matches!(request(&world, "monday", &key).await, RequestAccepted::Jobs(_)));
    for i in 0..3 {
        let key = Once { key: format!("old-{i}"), request: json!({}) };
        world
            .store
            .accept_request(JobId::new(), &[], Some((&acme, &key)), |_| Some(json!({})))
            .await
            .unwrap();
    }
    world
        .run("UPDATE idempotency_keys SET created_at = now() - interval '2 days' WHERE key LIKE 'old-%'")
        .await;
    assert_eq!(world.store.delete_stored_answers(2).await.unwrap(), 2);
    assert_eq!(world.store.delete_stored_answers(2).await.unwrap(), 1);
    assert_eq!(world.one::<i64>("SELECT count(*) FROM idempotency_keys").await, 1);
}
