use protocol::JobStatus;
use serde_json::json;
use store::{Claim, Claimed, Ending, PageBatch, StoreError, StoredConnection};

use crate::fixture::{LEASE, World, deal, deals, progress, store_at, workspace};

const SECRET: &str = "pat-na1-11111111-very-secret";

#[tokio::test]
async fn credentials_come_back_as_they_were_stored_and_are_not_stored_in_plain() {
    let world = World::new().await;
    let credentials = json!({"token": SECRET, "nested": {"scopes": ["a", "b"]}});
    let (acme, hubspot) = (workspace("acme"), "hubspot".parse().unwrap());
    world.store.put_connection(&acme, &hubspot, &credentials, None).await.unwrap();
    assert_eq!(world.running().await.credentials.unwrap(), Some(credentials));

    let plain = format!(
        "SELECT bool_or(position('{SECRET}'::bytea IN credentials) > 0 OR position('token'::bytea IN credentials) > 0) FROM connections"
    );
    assert!(!world.one::<bool>(&plain).await);
}

#[tokio::test]
async fn the_same_credentials_are_sealed_differently_each_time() {
    let world = World::new().await;
    let (acme, hubspot) = (workspace("acme"), "hubspot".parse().unwrap());
    let sealed = "SELECT credentials FROM connections WHERE workspace_id = 'acme' AND connector = 'hubspot'";
    let mut seen = Vec::new();
    for token in [SECRET, "another", SECRET] {
        world.store.put_connection(&acme, &hubspot, &json!({"token": token}), None).await.unwrap();
        seen.push(world.one::<Vec<u8>>(sealed).await);
    }
    assert_ne!(seen[0], seen[2]);
}

#[tokio::test]
async fn credentials_do_not_open_with_another_key_or_in_another_row() {
    let world = World::new().await;
    let job = world.accepted().await;
    let other = store_at(&world.env.database_url, &"f".repeat(64));
    let sealed = |claim: Claim| match claim {
        Claim::Claimed(claimed) => matches!(claimed.credentials, Err(StoreError::Sealed)),
        Claim::Refused(_) => false,
    };
    // The job is ours all the same: who claimed it must be able to end it.
    assert!(sealed(other.claim(job.id, "worker-1", LEASE).await.unwrap()));

    world.set(job.id, "status = 'pending', lease_token = NULL").await;
    world
        .run(
            "UPDATE connections c SET credentials = o.credentials FROM connections o
              WHERE c.workspace_id = 'acme' AND o.workspace_id = 'globex' AND c.connector = o.connector",
        )
        .await;
    assert!(sealed(world.store.claim(job.id, "worker-1", LEASE).await.unwrap()));
}

#[tokio::test]
async fn rotated_credentials_keep_the_account_and_new_ones_forget_it() {
    let world = World::new().await;
    let (acme, hubspot) = (workspace("acme"), "hubspot".parse().unwrap());
    let first = world.running().await;
    world.store.set_account(&first.lease, "account-1", Some(3_600_000)).await.unwrap();
    world.store.set_account(&first.lease, "account-2", None).await.unwrap();
    world.store.rotate_credentials(&first.lease, &json!({"token": "rotated"})).await.unwrap();
    end(&world, &first).await;
    let claimed = world.running().await;
    let account = (claimed.account_id.as_deref(), claimed.utc_offset_ms);
    assert_eq!(account, (Some("account-1"), Some(3_600_000)), "the first that was seen");
    assert_eq!(claimed.credentials.unwrap(), Some(json!({"token": "rotated"})));

    let before = world.store.connections(&acme).await.unwrap().remove(0);
    let (stored, new) = world.store.put_connection(&acme, &hubspot, &json!({}), None).await.unwrap();
    assert!(!new);
    assert_eq!((stored.account_id.as_ref(), stored.created_at), (None, before.created_at));
    assert!(stored.updated_at > before.updated_at);
}

#[tokio::test]
async fn a_run_that_began_with_older_credentials_writes_nothing_more() {
    let world = World::new().await;
    let (acme, hubspot) = (workspace("acme"), "hubspot".parse().unwrap());
    let old = world.running().await;
    world.store.put_connection(&acme, &hubspot, &json!({"token": "another account's"}), None).await.unwrap();
    let last =
        PageBatch { done: true, checkpoint: Some(json!("old account")), ..deals(vec![deal("1", "10")]) };
    let committed = world.store.commit_pages(&old.lease, &[last], &progress(1)).await;
    assert!(matches!(committed, Err(StoreError::LeaseLost)), "{committed:?}");
    let rotated = world.store.rotate_credentials(&old.lease, &json!({"token": "stale"})).await;
    assert!(matches!(rotated, Err(StoreError::LeaseLost)), "{rotated:?}");
    world.store.set_account(&old.lease, "old account", None).await.unwrap();
    let new = world.claim_again(&old).await;
    assert_eq!((new.account_id, new.cursors.len()), (None, 0));
    assert_eq!(new.credentials.unwrap(), Some(json!({"token": "another account's"})));
    assert_eq!(world.one::<i64>("SELECT count(*) FROM deals").await, 0);
}

#[tokio::test]
async fn new_credentials_forget_positions_and_where_increments_start_and_rotated_ones_do_not() {
    let world = World::new().await;
    let (acme, hubspot) = (workspace("acme"), "hubspot".parse().unwrap());
    let first = world.running().await;
    let last = PageBatch { done: true, checkpoint: Some(json!(7)), ..deals(vec![deal("1", "10")]) };
    world.store.commit_pages(&first.lease, &[last], &progress(1)).await.unwrap();
    world.store.rotate_credentials(&first.lease, &json!({})).await.unwrap();
    end(&world, &first).await;
    let second = world.running().await;
    assert_eq!(second.cursors[0].checkpoint, Some(json!(7)));
    end(&world, &second).await;
    world.store.put_connection(&acme, &hubspot, &json!({"token": "new"}), None).await.unwrap();
    let third = world.running().await;
    assert_eq!(third.cursors, [], "the next sync is a full one");
    let first_page = deals(vec![deal("1", "10")]);
    world.store.commit_pages(&third.lease, &[first_page], &progress(1)).await.unwrap();
    assert_eq!(world.one::<i64>("SELECT count(checkpoint) FROM cursors").await, 0, "and the old one is gone");
}

#[tokio::test]
async fn with_the_same_credentials_only_the_share_of_the_quota_changes() {
    let world = World::new().await;
    let (acme, hubspot) = (workspace("acme"), "hubspot".parse().unwrap());
    let first = world.running().await;
    assert_eq!(first.quota_share, None);
    world.store.set_account(&first.lease, "account-1", Some(3_600_000)).await.unwrap();
    let (credentials, before) = (first.credentials.as_ref().unwrap().clone().unwrap(), own(&world).await);
    let put = world.store.put_connection(&acme, &hubspot, &credentials, Some(0.5)).await.unwrap();
    assert_eq!(put, (StoredConnection { quota_share: Some(0.5), ..before }, false));
    assert_eq!(own(&world).await, put.0);

    // The run that is under way goes on.
    let last = PageBatch { done: true, checkpoint: Some(json!(7)), ..deals(vec![deal("1", "10")]) };
    world.store.commit_pages(&first.lease, &[last], &progress(1)).await.unwrap();
    end(&world, &first).await;
    let second = world.running().await;
    assert_eq!((second.quota_share, second.account_id.as_deref()), (Some(0.5), Some("account-1")));
    assert_eq!(second.cursors[0].checkpoint, Some(json!(7)));
    let (stored, _) = world.store.put_connection(&acme, &hubspot, &credentials, None).await.unwrap();
    assert_eq!(stored.quota_share, None);
    let (stored, _) = world.store.put_connection(&acme, &hubspot, &json!({}), Some(1.0)).await.unwrap();
    assert_eq!((stored.quota_share, stored.account_id), (Some(1.0), None));
}

#[tokio::test]
async fn a_connection_whose_credentials_were_sealed_with_another_key_is_replaced() {
    let world = World::new().await;
    let (acme, hubspot) = (workspace("acme"), "hubspot".parse().unwrap());
    let other = store_at(&world.env.database_url, &"f".repeat(64));
    other.put_connection(&acme, &hubspot, &json!({"token": "acme-hubspot"}), Some(0.5)).await.unwrap();
    let job = world.accepted().await;
    let claim = other.claim(job.id, "worker-1", LEASE).await.unwrap();
    let Claim::Claimed(claimed) = claim else { panic!("{claim:?}") };
    assert_eq!(claimed.credentials.unwrap(), Some(json!({"token": "acme-hubspot"})));
    assert_eq!((claimed.quota_share, claimed.lease.generation), (Some(0.5), 2));
}

/// The connection of `acme` to HubSpot.
async fn own(world: &World) -> StoredConnection {
    let stored = world.store.connections(&workspace("acme")).await.unwrap();
    stored.into_iter().find(|connection| connection.connector.as_str() == "hubspot").unwrap()
}

#[tokio::test]
async fn credentials_that_were_rotated_while_a_job_was_cancelled_are_kept_unless_another_job_is_active() {
    let world = World::new().await;
    let first = world.running().await;
    end(&world, &first).await;
    world.store.rotate_credentials(&first.lease, &json!({"token": "new"})).await.unwrap();
    let second = world.running().await;
    assert_eq!(*second.credentials.as_ref().unwrap(), Some(json!({"token": "new"})));
    let late = world.store.rotate_credentials(&first.lease, &json!({"token": "late"})).await;
    assert!(matches!(late, Err(store::StoreError::LeaseLost)), "the other job's are newer: {late:?}");
}

async fn end(world: &World, claimed: &Claimed) {
    let ending = Ending { status: JobStatus::Failed, error: None, result: None, message: "Over".to_owned() };
    world.store.end_job(&claimed.lease, &ending).await.unwrap();
}
