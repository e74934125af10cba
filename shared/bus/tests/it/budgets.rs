use bus::{BudgetPut, BusError};
use devstack::NatsUser;
use devstack::testing::TestEnv;
use futures_util::StreamExt;

use crate::fixture::{as_user, provisioned};

const KEY: &str = "hubspot.4711.objects";

#[tokio::test]
async fn of_two_who_write_at_once_one_is_told_to_read_again() {
    let env = provisioned().await;
    let (a, b) = (as_user(&env, NatsUser::Worker).await, as_user(&env, NatsUser::Worker).await);
    let nothing = a.budget(KEY).await.unwrap();
    assert_eq!((nothing.value, nothing.revision), (None, 0));
    let BudgetPut::Stored(first) = a.put_budget(KEY, b"1".to_vec(), 0).await.unwrap() else { panic!() };
    assert_eq!(b.put_budget(KEY, b"2".to_vec(), 0).await.unwrap(), BudgetPut::Conflict);
    let seen = b.budget(KEY).await.unwrap();
    assert_eq!((seen.value.as_deref(), seen.revision), (Some(&b"1"[..]), first));
    assert!(seen.stored_at_ms > 1_700_000_000_000, "{}", seen.stored_at_ms);
    let BudgetPut::Stored(second) = b.put_budget(KEY, b"2".to_vec(), first).await.unwrap() else { panic!() };
    assert_eq!(a.put_budget(KEY, b"3".to_vec(), first).await.unwrap(), BudgetPut::Conflict);
    assert_eq!(a.budget(KEY).await.unwrap().revision, second);
}

#[tokio::test]
async fn an_entry_that_was_deleted_by_hand_is_written_anew() {
    let env = provisioned().await;
    let worker = as_user(&env, NatsUser::Worker).await;
    worker.put_budget(KEY, b"1".to_vec(), 0).await.unwrap();
    let admin = crate::fixture::admin(&env).await;
    admin.get_key_value("sync_budgets").await.unwrap().delete(KEY).await.unwrap();
    let deleted = worker.budget(KEY).await.unwrap();
    assert_eq!(deleted.value, None);
    let put = worker.put_budget(KEY, b"2".to_vec(), deleted.revision).await.unwrap();
    assert!(matches!(put, BudgetPut::Stored(_)), "{put:?}");
}

#[tokio::test]
async fn status_and_people_list_and_read_the_budgets_of_an_account() {
    let env = provisioned().await;
    let worker = as_user(&env, NatsUser::Worker).await;
    for key in ["hubspot.4711.search", KEY, "hubspot.47110.objects", "salesforce.4711.objects"] {
        worker.put_budget(key, key.as_bytes().to_vec(), 0).await.unwrap();
    }
    // As `nats kv ls` and `nats kv get` do.
    let viewer = crate::fixture::client(&env.nats_url(NatsUser::Viewer), NatsUser::Viewer).await;
    let bucket = async_nats::jetstream::new(viewer).get_key_value("sync_budgets").await.unwrap();
    assert_eq!(bucket.get(KEY).await.unwrap().unwrap(), KEY);
    assert_eq!(bucket.keys().await.unwrap().count().await, 4);
    let status = as_user(&env, NatsUser::Status).await;
    let keys = status.budget_keys("hubspot.4711.").await.unwrap();
    assert_eq!(keys, [KEY, "hubspot.4711.search"]);
    assert_eq!(status.budget_keys("hubspot.1.").await.unwrap(), [""; 0]);
    assert_eq!(status.budget(KEY).await.unwrap().value.as_deref(), Some(KEY.as_bytes()));
}

#[tokio::test]
async fn without_a_bucket_everything_says_so() {
    let env = TestEnv::new().await;
    let worker = as_user(&env, NatsUser::Worker).await;
    assert!(matches!(worker.budget(KEY).await, Err(BusError::Missing(_))));
    assert!(matches!(worker.put_budget(KEY, Vec::new(), 0).await, Err(BusError::Missing(_))));
    assert!(matches!(worker.budget_keys("hubspot.").await, Err(BusError::Missing(_))));
}
