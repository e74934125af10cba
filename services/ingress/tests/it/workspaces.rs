//! Workspaces are made and renamed.

use serde_json::json;

use crate::fixture::World;

#[tokio::test]
async fn a_workspace_is_made_once_and_then_renamed() {
    let world = World::new().await;
    let path = "/api/workspaces/0190aaaa-bbbb-7ccc-8ddd-eeeeffff0000";
    let id = "0190aaaa-bbbb-7ccc-8ddd-eeeeffff0000";
    assert_eq!(world.put(path, &json!({})).await.ok(201), json!({"id": id, "name": id}));
    let renamed = world.put(path, &json!({"name": "Müller & Söhne"})).await;
    assert_eq!(renamed.ok(200), json!({"id": id, "name": "Müller & Söhne"}));
    assert!(world.store.workspace_exists(&id.parse().unwrap()).await.unwrap());
}

#[tokio::test]
async fn a_name_that_cannot_be_stored_or_shown_is_refused() {
    let world = World::new().await;
    for name in [String::new(), "x".repeat(201), "a\0b".to_owned()] {
        let answer = world.put("/api/workspaces/new", &json!({"name": name})).await;
        let detail = answer.problem(422, "invalid-field");
        assert!(detail.contains("`name`"), "{detail}");
    }
    world.put("/api/workspaces/new", &json!({"name": 7})).await.problem(422, "invalid-field");
    world.put("/api/workspaces/new", &json!({"title": "x"})).await.problem(422, "invalid-field");
    assert!(!world.store.workspace_exists(&"new".parse().unwrap()).await.unwrap());
    world.put("/api/workspaces/new", &json!({"name": "ä".repeat(200)})).await.ok(201);
}
