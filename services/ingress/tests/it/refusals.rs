//! Bad requests: a precise problem, and nothing written.

use reqwest::Method;
use serde_json::json;

use crate::answer::Answer;
use crate::fixture::World;

const SYNC: &str = "/api/workspaces/acme/sync";

#[tokio::test]
async fn a_body_that_does_not_fit_is_refused_with_what_is_wrong_and_nothing_is_written() {
    let mut world = World::new().await;
    for (body, status, slug, said) in [
        (r#"{"connectorType": "pipedrive"}"#, 422, "unknown-connector", vec!["pipedrive", "`hubspot`"]),
        (r#"{"connectorType": ""}"#, 422, "unknown-connector", vec!["`hubspot`"]),
        (r#"{"connectorType": "HubSpot"}"#, 422, "unknown-connector", vec!["HubSpot"]),
        (r#"{"connectorType": "hub.*>"}"#, 422, "unknown-connector", vec!["hub.*>"]),
        (r#"{"conectorType": "hubspot"}"#, 422, "invalid-field", vec!["conectorType", "connectorType"]),
        (r#"{"connector_type": "hubspot"}"#, 422, "invalid-field", vec!["connector_type"]),
        (r#"{"connectorType": 5}"#, 422, "invalid-field", vec!["`connectorType`", "string"]),
        (r#"{"connectorType": ["hubspot"]}"#, 422, "invalid-field", vec!["`connectorType`"]),
        (r#"{"priority": "urgent"}"#, 422, "invalid-field", vec!["`priority`", "urgent", "normal"]),
        (r#"{"connectorType": "hubspot""#, 400, "invalid-body", vec!["line 1", "column"]),
        ("{\n  \"connectorType\": hubspot\n}", 400, "invalid-body", vec!["line 2", "column 20"]),
        ("hubspot", 400, "invalid-body", vec!["line 1"]),
        (r#"{} {}"#, 400, "invalid-body", vec!["line 1"]),
        (r#"[]"#, 400, "invalid-body", vec!["object"]),
        (r#"["hubspot", "high"]"#, 400, "invalid-body", vec!["object"]),
        (r#""hubspot""#, 400, "invalid-body", vec!["object"]),
        ("null", 400, "invalid-body", vec!["object"]),
    ] {
        let detail = world.send(Method::POST, SYNC, body).await.problem(status, slug);
        for word in said {
            assert!(detail.contains(word), "{body}: {word:?} is not in {detail:?}");
        }
    }
    world.send(Method::POST, SYNC, vec![b'{', 0xff, b'}']).await.problem(400, "invalid-body");
    world.assert_nothing_written().await;
}

#[tokio::test]
async fn a_connector_that_is_not_connected_is_refused_with_where_to_connect_it() {
    let mut world = World::new().await;
    world.put("/api/workspaces/empty", &json!({})).await.ok(201);
    let body = r#"{"connectorType": "hubspot"}"#;
    let answer = world.send(Method::POST, "/api/workspaces/empty/sync", body).await;
    let detail = answer.problem(422, "not-connected");
    assert!(detail.contains("PUT /api/workspaces/empty/connections/hubspot"), "{detail}");
    world.assert_nothing_written().await;
}

#[tokio::test]
async fn an_unknown_workspace_is_refused_with_how_to_make_it() {
    let mut world = World::new().await;
    for body in [r#"{"connectorType": "hubspot"}"#, "{}"] {
        let answer = world.send(Method::POST, "/api/workspaces/nobody/sync", body).await;
        let detail = answer.problem(404, "unknown-workspace");
        assert!(detail.contains("PUT /api/workspaces/nobody"), "{detail}");
    }
    let credentials = json!({"credentials": {"accessToken": "x"}});
    let answer = world.put("/api/workspaces/nobody/connections/hubspot", &credentials).await;
    answer.problem(404, "unknown-workspace");
    let list = world.request(Method::GET, "/api/workspaces/nobody/connections");
    Answer::to(list).await.problem(404, "unknown-workspace");
    assert!(!world.store.workspace_exists(&"nobody".parse().unwrap()).await.unwrap());
    world.assert_nothing_written().await;
}

#[tokio::test]
async fn a_workspace_id_of_other_characters_or_too_long_is_refused_on_every_route() {
    let mut world = World::new().await;
    let too_long = "a".repeat(65);
    for bad in ["a.b", "a%2Eb", "*", "%3E", "a%20b", "a%2Fb", "%C3%A4", "a%00", "%0A", &too_long] {
        for (method, rest) in [
            (Method::POST, "/sync"),
            (Method::PUT, ""),
            (Method::GET, "/connections"),
            (Method::PUT, "/connections/hubspot"),
        ] {
            let path = format!("/api/workspaces/{bad}{rest}");
            let detail = world.send(method, &path, "{}").await.problem(400, "invalid-parameter");
            assert!(detail.to_lowercase().contains("a workspace id must be 1 to 64"), "{path}: {detail}");
        }
    }
    let detail =
        world.send(Method::POST, "/api/workspaces/%FF/sync", "{}").await.problem(400, "invalid-parameter");
    assert!(detail.contains("not UTF-8"), "{detail}");
    world.send(Method::POST, "/api/workspaces//sync", "{}").await.problem(400, "invalid-parameter");
    world.put(&format!("/api/workspaces/{}", "a".repeat(64)), &json!({})).await.ok(201);
    world.assert_nothing_written().await;
}

#[tokio::test]
async fn a_method_a_path_and_a_content_type_that_are_not_there_are_refused() {
    let mut world = World::new().await;
    for (path, method, allowed) in [
        (SYNC, Method::GET, "POST"),
        (SYNC, Method::DELETE, "POST"),
        ("/api/workspaces/acme", Method::POST, "PUT"),
        ("/api/workspaces/acme/connections", Method::POST, "GET,HEAD"),
        ("/api/workspaces/acme/connections/hubspot", Method::GET, "PUT"),
    ] {
        let answer = world.send(method, path, "{}").await;
        answer.problem(405, "method-not-allowed");
        assert_eq!(answer.header("allow"), allowed, "{path}");
    }
    for path in ["/", "/api", "/api/workspaces", "/api/workspaces/acme/sync/", "/sync"] {
        world.send(Method::POST, path, "{}").await.problem(404, "unknown-path");
    }
    for declared in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        let request = world.request(Method::POST, SYNC).header("content-type", declared);
        Answer::to(request.body("{}")).await.problem(415, "unsupported-media-type");
    }
    Answer::to(world.request(Method::POST, SYNC).body("{}")).await.problem(415, "unsupported-media-type");
    world.assert_nothing_written().await;
}
