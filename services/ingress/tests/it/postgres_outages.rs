//! Postgres is away, or too slow: the caller is told to try again, and nothing is half done.

use std::time::{Duration, Instant};

use devstack::proxy::TcpProxy;
use futures_util::future::join_all;
use ingress::Limits;
use reqwest::Method;
use serde_json::json;

use crate::answer::Answer;
use crate::fixture::{PATIENCE, Stores, Wiring, World};

const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(500);

async fn behind_proxy() -> (World, TcpProxy) {
    let stores = Stores::new().await;
    let wiring = stores.wiring();
    wired(stores, Wiring { acquire_timeout: ACQUIRE_TIMEOUT, ..wiring }).await
}

async fn wired(stores: Stores, mut wiring: Wiring) -> (World, TcpProxy) {
    let proxy = TcpProxy::in_front_of(&wiring.database_url).await.unwrap();
    wiring.database_url = proxy.url(&wiring.database_url);
    let world = stores.ingress(wiring).await;
    world.connected().await;
    (world, proxy)
}

/// Posts until one is accepted, as the 503 asks for. A connection that died shows at its next use.
async fn accepted_at_last(world: &World) -> Answer {
    let again = async {
        loop {
            let answer = world.post_hubspot().await;
            if answer.status == 202 {
                return answer;
            }
            answer.problem(503, "unavailable");
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("it does not work again")
}

#[tokio::test]
async fn without_postgres_a_post_is_a_503_and_leaves_neither_row_nor_ticket() {
    let (mut world, proxy) = behind_proxy().await;
    proxy.cut().await;
    let asked = Instant::now();
    for body in [json!({"connectorType": "hubspot"}), json!({})] {
        let answer = world.post_sync(body).await;
        let detail = answer.problem(503, "unavailable");
        assert!(detail.contains("Try again"), "{detail}");
        assert_eq!(answer.header("retry-after"), "1");
        assert!(!answer.text.contains("postgres") && !answer.text.contains("127.0.0.1"), "{}", answer.text);
    }
    assert!(asked.elapsed() < 2 * ACQUIRE_TIMEOUT + Duration::from_secs(1), "{:?}", asked.elapsed());
    world.assert_nothing_written().await;
    proxy.restore().await.unwrap();
    let body = accepted_at_last(&world).await.ok(202);
    assert_eq!(body.get("deduplicated"), None, "nothing was left from before");
    assert_eq!(world.rows().await.len(), 1);
    assert_eq!(world.queue.drain().await.len(), 1);
}

#[tokio::test]
async fn connections_that_died_with_postgres_do_not_stay_in_the_pool() {
    let stores = Stores::new().await;
    let wiring = stores.wiring();
    let (mut world, proxy) = wired(stores, wiring).await;
    // Several at once, so that the pool has several connections.
    let answers = join_all((0..8).map(|_| world.post_sync(json!({})))).await;
    assert!(answers.iter().all(|answer| answer.status == 202));
    proxy.cut().await;
    proxy.restore().await.unwrap();
    let body = accepted_at_last(&world).await.ok(202);
    assert_eq!(body["deduplicated"], true, "the row of before is there");
    assert_eq!(world.rows().await.len(), 1);
    assert_eq!(world.queue.drain().await.len(), 1);
}

#[tokio::test]
async fn without_postgres_setting_up_is_a_503_too() {
    let (world, proxy) = behind_proxy().await;
    proxy.cut().await;
    let credentials = json!({"credentials": {"accessToken": "pat-na1-secret"}});
    world.put("/api/workspaces/new", &json!({})).await.problem(503, "unavailable");
    world.put("/api/workspaces/acme/connections/hubspot", &credentials).await.problem(503, "unavailable");
    let list = world.request(Method::GET, "/api/workspaces/acme/connections");
    Answer::to(list).await.problem(503, "unavailable");
    assert!(!world.store.workspace_exists(&"new".parse().unwrap()).await.unwrap());
}

#[tokio::test]
async fn posts_beyond_the_queue_are_turned_away_and_those_in_it_are_accepted() {
    let stores = Stores::new().await;
    let wiring = stores.wiring();
    let limits = Limits { batch_max: 2, queue_max: 2 };
    let (mut world, proxy) = wired(stores, Wiring { limits, ..wiring }).await;
    // Postgres is slow: the first batch is under way while the others come.
    proxy.set_delay(Duration::from_millis(50));
    let answers = join_all((0..20).map(|_| world.post_hubspot())).await;
    let (accepted, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 202);
    assert!(accepted.len() >= 2, "the queue takes two: {}", accepted.len());
    assert!(!refused.is_empty(), "the queue takes no more than it can hold");
    for answer in refused {
        let detail = answer.problem(503, "unavailable");
        assert!(detail.contains("Too many"), "{detail}");
    }
    let rows = world.rows().await;
    assert_eq!(rows.len(), 1);
    assert!(accepted.iter().all(|answer| answer.json()["jobId"] == rows[0].id.to_string()));
    assert_eq!(world.queue.drain().await.len(), 1);
}

#[tokio::test]
async fn a_postgres_that_swallows_everything_does_not_hold_up_the_posts_behind() {
    let (mut world, proxy) = behind_proxy().await;
    world.post_hubspot().await.ok(202);
    proxy.half_open().await.unwrap();
    let detail = world.post_hubspot().await.problem(503, "unavailable");
    assert!(detail.contains("could not be stored"), "it is the commit that is given up: {detail}");
    proxy.restore().await.unwrap();
    accepted_at_last(&world).await;
    assert_eq!(world.rows().await.len(), 1);
    assert_eq!(world.queue.drain().await.len(), 1);
}
