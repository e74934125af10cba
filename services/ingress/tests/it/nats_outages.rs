//! NATS is away, or does not answer: a post is accepted all the same, and the relay publishes its ticket.

use std::time::{Duration, Instant};

use devstack::proxy::TcpProxy;
use protocol::JobId;
use serde_json::Value;

use crate::fixture::{PUBLISH_TIMEOUT, Stores, World, until};

/// Far below the publish timeout: nobody waited for NATS.
const QUICK: Duration = Duration::from_millis(350);

async fn behind_proxy() -> (World, TcpProxy) {
    let stores = Stores::new().await;
    let mut wiring = stores.wiring();
    let proxy = TcpProxy::in_front_of(&wiring.nats_url).await.unwrap();
    wiring.nats_url = proxy.url(&wiring.nats_url);
    let world = stores.ingress(wiring).await;
    world.connected().await;
    (world, proxy)
}

/// The job is a row that waits for the relay, and it is not in the queue.
async fn assert_left_to_the_relay(world: &mut World, accepted: &Value) {
    let id: JobId = accepted["jobId"].as_str().unwrap().parse().unwrap();
    assert_eq!(world.rows().await.iter().map(|row| row.id).collect::<Vec<_>>(), [id]);
    let tickets = world.unticketed().await;
    assert_eq!(tickets.iter().map(|ticket| (ticket.job_id, ticket.ticket_no)).collect::<Vec<_>>(), [(id, 2)]);
    assert_eq!(world.queue.drain().await, []);
}

#[tokio::test]
async fn while_nats_is_cut_off_a_post_is_accepted_quickly_and_left_to_the_relay() {
    let (mut world, proxy) = behind_proxy().await;
    proxy.cut().await;
    until(|| !world.bus.is_connected()).await;
    let asked = Instant::now();
    let body = world.post_hubspot().await.ok(202);
    assert!(asked.elapsed() < QUICK, "{:?}", asked.elapsed());
    assert_eq!(body["status"], "queued");
    assert_left_to_the_relay(&mut world, &body).await;
}

#[tokio::test]
async fn a_job_is_published_also_if_its_client_does_not_wait_for_the_answer() {
    let (mut world, proxy) = behind_proxy().await;
    proxy.set_delay(Duration::from_millis(200));
    let path = "/api/workspaces/acme/sync";
    let post = world.request(reqwest::Method::POST, path).header("Idempotency-Key", "k");
    let accepted = async {
        loop {
            if let Some(row) = world.rows().await.pop() {
                return row;
            }
        }
    };
    // Once the row is there the client is gone, and the ticket on its way.
    let row = tokio::select! {
        row = accepted => row,
        answer = post.send() => panic!("answered before NATS could: {answer:?}"),
    };
    let published = async {
        loop {
            let tickets = world.queue.drain().await;
            if !tickets.is_empty() {
                return tickets;
            }
        }
    };
    let tickets = tokio::time::timeout(crate::fixture::PATIENCE, published).await.expect("it has no ticket");
    assert_eq!(
        tickets.iter().map(|ticket| (ticket.job_id, ticket.ticket_no)).collect::<Vec<_>>(),
        [(row.id, 1)]
    );
}

#[tokio::test]
async fn when_nats_comes_back_tickets_are_published_again() {
    let (mut world, proxy) = behind_proxy().await;
    proxy.cut().await;
    until(|| !world.bus.is_connected()).await;
    proxy.restore().await.unwrap();
    world.connected().await;
    world.post_hubspot().await.ok(202);
    assert_eq!(world.queue.drain().await.len(), 1);
}

#[tokio::test]
async fn an_ingress_that_never_reached_nats_accepts_posts() {
    let stores = Stores::new().await;
    let mut wiring = stores.wiring();
    let proxy = TcpProxy::in_front_of(&wiring.nats_url).await.unwrap();
    proxy.cut().await;
    wiring.nats_url = proxy.url(&wiring.nats_url);
    let mut world = stores.ingress(wiring).await;
    let asked = Instant::now();
    let body = world.post_hubspot().await.ok(202);
    assert!(asked.elapsed() < QUICK, "{:?}", asked.elapsed());
    assert_left_to_the_relay(&mut world, &body).await;
}

#[tokio::test]
async fn when_nats_swallows_everything_a_post_is_accepted_within_the_publish_timeout() {
    let (mut world, proxy) = behind_proxy().await;
    proxy.half_open().await.unwrap();
    let asked = Instant::now();
    let body = world.post_hubspot().await.ok(202);
    assert!(asked.elapsed() < PUBLISH_TIMEOUT + QUICK, "{:?}", asked.elapsed());
    assert_left_to_the_relay(&mut world, &body).await;
}

#[tokio::test]
async fn a_scope_whose_last_ticket_is_not_settled_is_accepted_and_left_to_the_relay() {
    let world = World::new().await;
    let first = world.post_hubspot().await.ok(202);
    end(&world, first["jobId"].as_str().unwrap().parse().unwrap()).await;
    // The ticket of the job that is over is still in the queue: the stream refuses another one.
    let second = world.post_hubspot().await.ok(202);
    assert_ne!(second["jobId"], first["jobId"]);
    let waiting = world.unticketed().await;
    assert_eq!(second["jobId"], waiting[0].job_id.to_string());
}

async fn end(world: &World, id: JobId) {
    let claim = world.store.claim(id, "test", crate::fixture::PATIENCE).await.unwrap();
    let store::Claim::Claimed(claimed) = claim else { panic!("{claim:?}") };
    let status = protocol::JobStatus::Failed;
    let ending = store::Ending { status, error: None, result: None, message: "Over".into() };
    world.store.end_job(&claimed.lease, &ending).await.unwrap();
}
