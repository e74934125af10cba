//! A sync of one connector is accepted.

use std::collections::HashSet;

use bus::BoardChange;
use devstack::NatsUser;
use futures_util::FutureExt;
use futures_util::future::join_all;
use protocol::{JobId, JobStatus, Priority};
use reqwest::Method;
use serde_json::json;

use crate::fixture::{PATIENCE, Stores, World, connected, workspace};

#[tokio::test]
async fn the_answer_is_exactly_what_is_documented() {
    let world = World::new().await;
    let answer = world.post_hubspot().await;
    let body = answer.ok(202);
    let id = world.rows().await[0].id.to_string();
    let url = format!("/api/workspaces/acme/sync/jobs/{id}");
    assert_eq!(
        body,
        json!({
            "syncId": id, "jobId": id, "status": "queued", "message": "Sync queued for 1 connector(s)",
            "statusUrl": url,
        })
    );
    assert_eq!(answer.header("location"), url);
    assert_eq!(answer.header("retry-after"), "1");
    assert!(!answer.header("x-request-id").is_empty());
}

#[tokio::test]
async fn the_row_is_committed_and_the_ticket_is_in_the_queue_when_the_answer_comes() {
    let mut world = World::new().await;
    world.assert_nothing_written().await;
    let body = world.post_hubspot().await.ok(202);
    let rows = world.rows().await;
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!(body["jobId"], row.id.to_string());
    assert_eq!((row.status, row.priority, row.max_attempts), (JobStatus::Queued, Priority::Normal, 3));
    assert_eq!((row.sync_id, row.attempts, row.revision), (row.id, 0, 1));
    let tickets = world.queue.drain().await;
    assert_eq!(tickets.len(), 1);
    assert_eq!((tickets[0].job_id, tickets[0].ticket_no), (row.id, 1));
    assert_eq!(tickets[0].subject().to_string(), "sync.jobs.normal.acme.sync.hubspot");
}

#[tokio::test]
async fn workers_are_told_of_a_new_job_and_not_of_one_that_is_active() {
    let stores = Stores::new().await;
    let worker = connected(stores.env.nats_url(NatsUser::Worker)).await;
    let mut fresh = worker.fresh(Priority::Normal);
    assert!(fresh.next().now_or_never().is_none());
    // It listens by then: requests and subscriptions go over one connection, in order.
    worker.ping().await.unwrap();
    let wiring = stores.wiring();
    let world = stores.ingress(wiring).await;
    world.connected().await;
    let new = world.post_hubspot().await.ok(202);
    assert_eq!(world.post_hubspot().await.ok(202)["deduplicated"], true);
    world.store.cancel(&workspace(), new["jobId"].as_str().unwrap().parse().unwrap()).await.unwrap();
    let next = world.post_hubspot().await.ok(202);
    for job in [new, next] {
        let heard = tokio::time::timeout(PATIENCE, fresh.next()).await.unwrap().unwrap();
        assert_eq!(json!(heard.job_id), job["jobId"]);
    }
}

#[tokio::test]
async fn the_board_shows_the_new_job_as_its_row_does() {
    let stores = Stores::new().await;
    let status = connected(stores.env.nats_url(NatsUser::Status)).await;
    let mut watch = status.watch_board().await.unwrap();
    let wiring = stores.wiring();
    let world = stores.ingress(wiring).await;
    world.connected().await;
    let body = world.post_hubspot().await.ok(202);
    let change = tokio::time::timeout(PATIENCE, watch.next()).await.unwrap().unwrap().unwrap();
    let BoardChange::Posted(view) = change else { panic!("{change:?}") };
    assert_eq!(body["jobId"], view.id.to_string());
    let row = world.store.job(&workspace(), view.id).await.unwrap().unwrap();
    assert_eq!(serde_json::to_value(&*view).unwrap(), serde_json::to_value(&row).unwrap());
}

#[tokio::test]
async fn a_priority_chooses_the_lane() {
    let mut world = World::new().await;
    world.post_sync(json!({"connectorType": "hubspot", "priority": "high"})).await.ok(202);
    assert_eq!(world.rows().await[0].priority, Priority::High);
    assert_eq!(world.queue.drain().await, [], "the lane of normal priority has no ticket");
}

#[tokio::test]
async fn a_second_post_answers_with_the_active_job() {
    let mut world = World::new().await;
    let first = world.post_hubspot().await.ok(202);
    let answer = world.post_hubspot().await;
    let second = answer.ok(202);
    assert_eq!(second["jobId"], first["jobId"]);
    assert_eq!(second["syncId"], first["syncId"]);
    assert_eq!(second["statusUrl"], first["statusUrl"]);
    assert_eq!(answer.header("location"), first["statusUrl"]);
    assert_eq!((&second["deduplicated"], &second["status"]), (&json!(true), &json!("queued")));
    assert_eq!(world.rows().await.len(), 1);
    assert_eq!(world.queue.drain().await.len(), 1);
}

#[tokio::test]
async fn a_post_while_the_job_runs_says_so_and_one_after_its_end_makes_a_new_job() {
    let world = World::new().await;
    let first = world.post_hubspot().await.ok(202);
    let id: JobId = first["jobId"].as_str().unwrap().parse().unwrap();
    let lease = PATIENCE;
    let store::Claim::Claimed(claimed) = world.store.claim(id, "test", lease).await.unwrap() else {
        panic!("not claimed")
    };
    let during = world.post_hubspot().await.ok(202);
    assert_eq!((&during["jobId"], &during["status"]), (&first["jobId"], &json!("running")));
    assert_eq!(during["deduplicated"], true);
    let ending =
        store::Ending { status: JobStatus::Completed, error: None, result: None, message: "Done".into() };
    world.store.end_job(&claimed.lease, &ending).await.unwrap();
    let after = world.post_hubspot().await.ok(202);
    assert_ne!(after["jobId"], first["jobId"]);
    assert_eq!(after.get("deduplicated"), None);
}

#[tokio::test]
async fn a_thousand_posts_at_once_make_one_job_and_a_thousand_answers_with_its_id() {
    let mut world = World::new().await;
    let answers = join_all((0..1_000).map(|_| world.post_hubspot())).await;
    let bodies: Vec<_> = answers.iter().map(|answer| answer.ok(202)).collect();
    let rows = world.rows().await;
    assert_eq!(rows.len(), 1);
    let ids: HashSet<_> = bodies.iter().map(|body| body["jobId"].as_str().unwrap()).collect();
    assert_eq!(ids, HashSet::from([rows[0].id.to_string().as_str()]));
    assert_eq!(bodies.iter().filter(|body| body.get("deduplicated").is_none()).count(), 1);
    assert_eq!(world.queue.drain().await.len(), 1);
}

#[tokio::test]
async fn a_body_may_be_absent_or_declared_with_a_charset() {
    let world = World::new().await;
    let path = "/api/workspaces/acme/sync";
    let bare = crate::answer::Answer::to(world.request(Method::POST, path)).await.ok(202);
    let request = world.request(Method::POST, path).header("content-type", "application/json; charset=utf-8");
    let declared = crate::answer::Answer::to(request.body("{}")).await.ok(202);
    assert_eq!(bare["jobId"], declared["jobId"]);
}

#[tokio::test]
async fn a_post_that_asks_for_other_options_than_the_active_job_has_is_told_so() {
    let world = World::new().await;
    let job = world.post_sync(json!({"connectorType": "hubspot", "objects": ["deals"]})).await.ok(202);
    for other in [
        json!({}),
        json!({"objects": ["deals"], "mode": "full"}),
        json!({"objects": ["deals"], "priority": "high"}),
    ] {
        let mut body = other;
        body["connectorType"] = json!("hubspot");
        let answer = world.post_sync(body).await.ok(202);
        assert_eq!(answer["jobId"], job["jobId"]);
        assert_eq!(
            (&answer["deduplicated"], &answer["optionsDiffer"]),
            (&json!(true), &json!(true)),
            "{answer}"
        );
        assert!(answer["message"].as_str().unwrap().contains("other options"), "{answer}");
    }
    for same in [json!(["deals"]), json!(["deals", "deals"])] {
        let same = world.post_sync(json!({"connectorType": "hubspot", "objects": same})).await.ok(202);
        assert_eq!((&same["deduplicated"], same.get("optionsDiffer")), (&json!(true), None));
    }
    assert_eq!(world.rows().await.len(), 1);
}

#[tokio::test]
async fn an_attempt_may_be_given_1_to_86400_seconds() {
    let mut world = World::new().await;
    for bad in [json!(0), json!(86_401), json!(-1), json!("60")] {
        let body = json!({"connectorType": "hubspot", "timeoutSeconds": bad});
        world.post_sync(body).await.problem(422, "invalid-field");
    }
    world.assert_nothing_written().await;
    for seconds in [1, 86_400] {
        let job =
            world.post_sync(json!({"connectorType": "hubspot", "timeoutSeconds": seconds})).await.ok(202);
        assert_eq!(world.rows().await[0].options.timeout_seconds, Some(seconds));
        world.send(Method::DELETE, job["statusUrl"].as_str().unwrap(), "").await.ok(200);
    }
}
