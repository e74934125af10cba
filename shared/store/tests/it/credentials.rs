use serde_json::json;
use store::StoreError;

use crate::fixture::{LEASE, World, store_at, workspace};

const SECRET: &str = "pat-na1-11111111-very-secret";

#[tokio::test]
async fn credentials_come_back_as_they_were_stored_and_are_not_stored_in_plain() {
    let world = World::new().await;
    let credentials = json!({"token": SECRET, "nested": {"scopes": ["a", "b"]}});
    let (acme, hubspot) = (workspace("acme"), "hubspot".parse().unwrap());
    world.store.put_connection(&acme, &hubspot, &credentials).await.unwrap();
    assert_eq!(world.running().await.credentials, Some(credentials));

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
    for _ in 0..2 {
        world.store.put_connection(&acme, &hubspot, &json!({"token": SECRET})).await.unwrap();
        seen.push(world.one::<Vec<u8>>(sealed).await);
    }
    assert_ne!(seen[0], seen[1]);
}

#[tokio::test]
async fn credentials_do_not_open_with_another_key_or_in_another_row() {
    let world = World::new().await;
    let job = world.accepted().await;
    let other = store_at(&world.env.database_url, &"f".repeat(64));
    let claim = other.claim(job.id, "worker-1", LEASE).await;
    assert!(matches!(claim, Err(StoreError::Sealed)), "{claim:?}");

    world.set(job.id, "status = 'pending', lease_token = NULL").await;
    world
        .run(
            "UPDATE connections c SET credentials = o.credentials FROM connections o
              WHERE c.workspace_id = 'acme' AND o.workspace_id = 'globex' AND c.connector = o.connector",
        )
        .await;
    let claim = world.store.claim(job.id, "worker-1", LEASE).await;
    assert!(matches!(claim, Err(StoreError::Sealed)), "{claim:?}");
}

#[tokio::test]
async fn rotated_credentials_keep_the_account_and_new_ones_forget_it() {
    let world = World::new().await;
    let (acme, hubspot) = (workspace("acme"), "hubspot".parse().unwrap());
    world.store.set_account(&acme, &hubspot, "account-1").await.unwrap();
    world.store.set_account(&acme, &hubspot, "account-2").await.unwrap();
    world.store.rotate_credentials(&acme, &hubspot, &json!({"token": "rotated"})).await.unwrap();
    let claimed = world.running().await;
    assert_eq!(claimed.account_id.as_deref(), Some("account-1"), "the first that was seen");
    assert_eq!(claimed.credentials, Some(json!({"token": "rotated"})));

    let before = world.store.connections(&acme).await.unwrap().remove(0);
    let (stored, new) = world.store.put_connection(&acme, &hubspot, &json!({})).await.unwrap();
    assert!(!new);
    assert_eq!((stored.account_id.as_ref(), stored.created_at), (None, before.created_at));
    assert!(stored.updated_at > before.updated_at);
}

#[tokio::test]
async fn connections_are_listed_by_name_and_only_those_of_the_workspace() {
    let world = World::new().await;
    let solo = workspace("solo");
    assert!(world.store.put_workspace(&solo, "Solo").await.unwrap());
    assert!(!world.store.put_workspace(&solo, "Renamed").await.unwrap());
    let (_, new) = world.store.put_connection(&solo, &"hubspot".parse().unwrap(), &json!({})).await.unwrap();
    assert!(new);
    let names = async |of: &str| {
        let all = world.store.connections(&workspace(of)).await.unwrap();
        all.iter().map(|connection| connection.connector.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names("solo").await, ["hubspot"]);
    assert_eq!(names("acme").await, ["hubspot", "monday", "salesforce"]);
    assert_eq!(names("nowhere").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_connection_of_an_unknown_workspace_is_refused() {
    let world = World::new().await;
    let nowhere = workspace("nowhere");
    let put = world.store.put_connection(&nowhere, &"hubspot".parse().unwrap(), &json!({})).await;
    assert!(matches!(put, Err(StoreError::UnknownWorkspace)), "{put:?}");
    assert!(!world.store.workspace_exists(&nowhere).await.unwrap());
    assert!(world.store.workspace_exists(&workspace("acme")).await.unwrap());
}
