//! Credentials are written, and never seen again.

use reqwest::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::fixture::{World, workspace};
use crate::log::Log;

const CONNECTION: &str = "/api/workspaces/acme/connections/hubspot";
const SECRET: &str = "pat-na1-d0d0caca-5ec2e7";

fn connection(token: &str) -> Value {
    json!({"credentials": {"accessToken": token}})
}

async fn list(world: &World) -> Answer {
    Answer::to(world.request(Method::GET, "/api/workspaces/acme/connections")).await
}

#[tokio::test]
async fn a_connection_is_made_once_then_replaced_and_listed_without_its_credentials() {
    let world = World::new().await;
    world.put("/api/workspaces/other", &json!({})).await.ok(201);
    let path = "/api/workspaces/other/connections/hubspot";
    let made = world.put(path, &connection("one")).await.ok(201);
    let members: Vec<_> = made.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["accountId", "connectorType", "createdAt", "quotaShare", "updatedAt"]);
    assert_eq!((&made["connectorType"], &made["accountId"]), (&json!("hubspot"), &Value::Null));
    let replaced = world.put(path, &connection("two")).await.ok(200);
    assert_eq!(replaced["createdAt"], made["createdAt"]);
    assert_ne!(replaced["updatedAt"], made["updatedAt"]);
    let request = world.request(Method::GET, "/api/workspaces/other/connections");
    assert_eq!(Answer::to(request).await.ok(200), json!({"connections": [replaced]}));
}

#[tokio::test]
async fn the_share_of_the_quota_is_shown_and_handed_to_the_worker_and_left_out_it_is_the_operators() {
    let world = World::new().await;
    let id = world.post_hubspot().await.ok(202)["jobId"].as_str().unwrap().parse().unwrap();
    let before = list(&world).await.ok(200)["connections"][0].clone();
    assert_eq!(before["quotaShare"], Value::Null);
    let with = |share: Value| json!({"credentials": {"accessToken": "pat-na1-secret"}, "quotaShare": share});
    for share in [json!(0.5), json!(1), json!(0.000_001), Value::Null, json!(0.25)] {
        let answer = world.put(CONNECTION, &with(share.clone())).await.ok(200);
        assert_eq!(answer["quotaShare"].as_f64(), share.as_f64());
        assert_eq!(answer["updatedAt"], before["updatedAt"], "the credentials are the same");
        assert_eq!(list(&world).await.ok(200), json!({"connections": [answer]}));
    }
    let claim = world.store.claim(id, "test", crate::fixture::PATIENCE).await.unwrap();
    let store::Claim::Claimed(claimed) = claim else { panic!("{claim:?}") };
    assert_eq!((claimed.quota_share, claimed.lease.generation), (Some(0.25), 1));

    let answer = world.put(CONNECTION, &connection("another")).await.ok(200);
    assert_eq!(answer["quotaShare"], Value::Null);
    assert_ne!(answer["updatedAt"], before["updatedAt"]);
}

#[tokio::test]
async fn the_share_alone_is_changed_without_the_credentials_also_after_they_were_rotated() {
    let world = World::new().await;
    let job = world.post_hubspot().await.ok(202)["jobId"].as_str().unwrap().parse().unwrap();
    let claim = world.store.claim(job, "test", crate::fixture::PATIENCE).await.unwrap();
    let store::Claim::Claimed(claimed) = claim else { panic!("{claim:?}") };
    world.store.rotate_credentials(&claimed.lease, &json!({"accessToken": "rotated"})).await.unwrap();
    let answer = world.put(CONNECTION, &json!({"quotaShare": 0.5})).await.ok(200);
    assert_eq!(answer["quotaShare"], 0.5);
    assert!(!world.store.renew_lease(&claimed.lease).await.unwrap(), "the run goes on");
    let elsewhere = "/api/workspaces/nobody/connections/hubspot";
    world.put(elsewhere, &json!({"quotaShare": 0.5})).await.problem(404, "unknown-workspace");
    world.store.put_workspace(&"bare".parse().unwrap(), "Bare").await.unwrap();
    let bare = "/api/workspaces/bare/connections/hubspot";
    world.put(bare, &json!({"quotaShare": 0.5})).await.problem(422, "not-connected");
}

#[tokio::test]
async fn a_share_of_the_quota_that_is_none_is_refused_not_repeated_and_changes_nothing() {
    let world = World::new().await;
    let before = list(&world).await.ok(200);
    for share in
        ["0", "-0.0", "-0.5", "1.000001", "1e300", "1e-400", r#""0.5""#, "true", "[0.5]", r#"{"a": 1}"#]
    {
        let body = format!(r#"{{"credentials": {{"accessToken": "other"}}, "quotaShare": {share}}}"#);
        let detail = world.send(Method::PUT, CONNECTION, body).await.problem(422, "invalid-field");
        assert_eq!(detail, "`quotaShare` must be a number above 0 and at most 1.", "{share}");
    }
    let body = json!({"credentials": {"accessToken": "other"}, "quotaShare": SECRET});
    let answer = world.put(CONNECTION, &body).await;
    answer.problem(422, "invalid-field");
    assert!(!answer.text.contains(SECRET), "{}", answer.text);
    let beyond = r#"{"credentials": {"accessToken": "other"}, "quotaShare": 1e400}"#;
    let detail = world.send(Method::PUT, CONNECTION, beyond).await.problem(422, "invalid-field");
    assert!(detail.starts_with("`quotaShare`: number out of range"), "{detail}");
    assert_eq!(list(&world).await.ok(200), before);
}

#[tokio::test]
async fn the_worker_opens_what_was_written_last() {
    let world = World::new().await;
    world.put(CONNECTION, &connection("one")).await.ok(200);
    world.put(CONNECTION, &connection(SECRET)).await.ok(200);
    world.post_hubspot().await.ok(202);
    let id = world.rows().await[0].id;
    let claim = world.store.claim(id, "test", crate::fixture::PATIENCE).await.unwrap();
    let store::Claim::Claimed(claimed) = claim else { panic!("{claim:?}") };
    assert_eq!(claimed.credentials.unwrap(), Some(json!({"accessToken": SECRET})));
}

#[tokio::test]
async fn a_secret_is_in_no_answer_no_log_no_ticket_and_on_no_board() {
    let mut world = World::new().await;
    let log = Log::capture();
    let mut seen = vec![
        world.put(CONNECTION, &connection(SECRET)).await.text,
        world.put(CONNECTION, &connection(SECRET)).await.text,
        list(&world).await.text,
        world.post_hubspot().await.text,
    ];
    let row = &world.rows().await[0];
    assert!(world.store.job(&workspace(), row.id).await.unwrap().is_some());
    seen.push(serde_json::to_string(row).unwrap());
    seen.push(serde_json::to_string(&world.queue.drain().await).unwrap());
    let log = log.end();
    assert!(log.contains("http.route") && log.contains("answered"), "something was captured: {log}");
    seen.push(log);
    for text in seen {
        assert!(!text.contains(SECRET), "{text}");
    }
}

#[tokio::test]
async fn refused_credentials_are_not_repeated_in_the_answer_or_the_log() {
    let world = World::new().await;
    let log = Log::capture();
    let oversized = format!("{SECRET}{}", "x".repeat(16 * 1024));
    for (body, said) in [
        (
            json!({"credentials": {}}),
            "needs `accessToken` or else `refreshToken`, `clientId`, `clientSecret`",
        ),
        (json!({"credentials": {"accessToken": ""}}), "`credentials` needs `accessToken` or else"),
        (
            json!({"credentials": {"accessToken": SECRET, "refreshToken": SECRET}}),
            "`credentials.clientId` is missing",
        ),
        (
            json!({"credentials": {"refreshToken": SECRET, "clientId": SECRET}}),
            "`credentials.clientSecret` is missing",
        ),
        (json!({"credentials": {"token": SECRET}}), "token"),
        (json!({"credentials": {"accessToken": oversized}}), "16384 bytes"),
        (json!({"credentials": {"accessToken": [SECRET]}}), "`credentials.accessToken` must be text"),
        (json!({"credentials": {"accessToken": {"value": SECRET}}}), "must be text"),
        (json!({"credentials": {"accessToken": null}}), "must be text"),
        (json!({"credentials": SECRET}), "`credentials`"),
        (json!({"credentials": [SECRET]}), "`credentials`"),
        (json!({"credentials": null}), "`credentials`"),
        (json!({"accessToken": SECRET}), "accessToken"),
        (json!({"credentials": {"accessToken": "x"}, "accountId": SECRET}), "accountId"),
        (json!({}), "credentials"),
    ] {
        let answer = world.put(CONNECTION, &body).await;
        let detail = answer.problem(422, "invalid-field");
        assert!(detail.contains(said), "{said:?} is not in {detail:?}");
        assert!(!answer.text.contains(SECRET), "{}", answer.text);
    }
    let broken = format!(r#"{{"credentials": {{"accessToken": "{SECRET}" "x"}}}}"#);
    let answer = world.send(Method::PUT, CONNECTION, broken).await;
    answer.problem(400, "invalid-body");
    let log = log.end();
    assert!(log.contains("a request was refused"), "something was captured");
    assert!(!answer.text.contains(SECRET) && !log.contains(SECRET));
}

#[tokio::test]
async fn refused_credentials_leave_the_old_ones_in_place() {
    let world = World::new().await;
    let before = list(&world).await.ok(200);
    world.put(CONNECTION, &json!({"credentials": {"accessToken": 5}})).await.problem(422, "invalid-field");
    let path = "/api/workspaces/acme/connections/pipedrive";
    let detail = world.put(path, &connection(SECRET)).await.problem(422, "unknown-connector");
    assert!(detail.contains("pipedrive") && !detail.contains(SECRET), "{detail}");
    assert_eq!(list(&world).await.ok(200), before);
}
