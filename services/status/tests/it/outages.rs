//! Postgres or NATS away, or both.

use std::time::Duration;

use devstack::proxy::TcpProxy;
use protocol::{JobId, JobStatus, JobView};
use reqwest::Method;

use crate::answer::Answer;
use crate::fixture::{Stores, Wiring, World, until};

/// Short, so that nobody waits long for what is away.
const PATIENCE: Duration = Duration::from_millis(500);

pub struct Cuttable {
    pub world: World,
    pub postgres: TcpProxy,
    pub nats: TcpProxy,
}

pub async fn cuttable(watched: bool) -> Cuttable {
    let stores = Stores::new().await;
    let wiring = stores.wiring();
    let postgres = TcpProxy::in_front_of(&wiring.database_url).await.unwrap();
    let nats = TcpProxy::in_front_of(&wiring.nats_url).await.unwrap();
    let wiring = Wiring {
        database_url: postgres.url(&wiring.database_url),
        nats_url: nats.url(&wiring.nats_url),
        watched,
        patience: PATIENCE,
        ..wiring
    };
    let world = stores.status(wiring).await;
    world.connected().await;
    Cuttable { world, postgres, nats }
}

impl Cuttable {
    pub async fn cut_nats(&self) {
        self.nats.cut().await;
        until(|| !self.world.status.bus.is_connected()).await;
    }
}

fn next(view: &JobView) -> JobView {
    JobView { revision: view.revision + 1, ..view.clone() }
}

#[tokio::test]
async fn while_postgres_is_away_jobs_are_answered_from_memory() {
    let cuttable = cuttable(true).await;
    let (world, postgres) = (&cuttable.world, &cuttable.postgres);
    let (job, _) = world.stores.running().await;
    world.stores.post(&job).await;
    world.polled(job.id, job.revision).await;
    postgres.cut().await;
    let newer = next(&job);
    world.stores.post(&newer).await;
    world.polled(job.id, newer.revision).await;
    world.get("acme/sync/jobs").await.problem(503, "unavailable");
}

#[tokio::test]
async fn while_postgres_is_away_a_job_that_is_not_in_memory_is_answered_from_the_bucket() {
    let cuttable = cuttable(false).await;
    let (world, postgres) = (&cuttable.world, &cuttable.postgres);
    let (job, _) = world.stores.running().await;
    world.stores.post(&job).await;
    postgres.cut().await;
    assert_eq!(world.poll(job.id).await.ok(200)["revision"], job.revision);
    let answer = world.poll(JobId::new()).await;
    let detail = answer.problem(503, "unavailable");
    assert!(!detail.contains("127.0.0.1"), "{detail}");
}

#[tokio::test]
async fn while_nats_is_away_jobs_are_answered_from_postgres_at_once() {
    let cuttable = cuttable(true).await;
    let world = &cuttable.world;
    let (job, lease) = world.stores.running().await;
    world.stores.post(&job).await;
    world.polled(job.id, job.revision).await;
    cuttable.cut_nats().await;
    let newer = world.stores.advance(&lease, 7).await;
    assert_eq!(world.poll(job.id).await.ok(200)["revision"], newer.revision, "not the view of before");
    let over = world.stores.end(&lease, JobStatus::Completed).await;
    assert_eq!(world.poll(job.id).await.ok(200)["revision"], over.revision);
}

#[tokio::test]
async fn a_status_that_never_reached_nats_answers_from_postgres() {
    let stores = Stores::new().await;
    let wiring = stores.wiring();
    let nats = TcpProxy::in_front_of(&wiring.nats_url).await.unwrap();
    nats.cut().await;
    let nats_url = nats.url(&wiring.nats_url);
    let world = stores.status(Wiring { nats_url, ..wiring }).await;
    let (job, lease) = world.stores.running().await;
    assert_eq!(world.poll(job.id).await.ok(200)["revision"], job.revision);
    let newer = world.stores.advance(&lease, 7).await;
    assert_eq!(world.poll(job.id).await.ok(200)["revision"], newer.revision);
}

#[tokio::test]
async fn when_nats_swallows_everything_postgres_answers_after_a_moment() {
    let cuttable = cuttable(true).await;
    let (world, nats) = (&cuttable.world, &cuttable.nats);
    let (job, lease) = world.stores.running().await;
    world.stores.post(&job).await;
    world.polled(job.id, job.revision).await;
    nats.half_open().await.unwrap();
    let newer = world.stores.advance(&lease, 7).await;
    world.polled(job.id, newer.revision).await;
    // One that was never seen: the bucket is asked, and given up on.
    world.stores.end(&lease, JobStatus::Completed).await;
    let other = world.stores.queued().await;
    world.poll(other.id).await.ok(200);
}

#[tokio::test]
async fn when_nats_comes_back_the_board_is_watched_again() {
    let cuttable = cuttable(true).await;
    let world = &cuttable.world;
    let (job, _) = world.stores.running().await;
    world.stores.post(&job).await;
    world.polled(job.id, job.revision).await;
    cuttable.cut_nats().await;
    cuttable.postgres.cut().await;
    let newer = next(&job);
    world.stores.post(&newer).await;
    assert_eq!(
        world.poll(job.id).await.ok(200)["revision"],
        job.revision,
        "an older view is better than none"
    );
    cuttable.nats.restore().await.unwrap();
    world.polled(job.id, newer.revision).await;
    let newest = next(&newer);
    world.stores.post(&newest).await;
    world.polled(job.id, newest.revision).await;
}

#[tokio::test]
async fn while_both_are_away_what_is_not_known_is_a_503_and_what_is_known_is_answered() {
    let cuttable = cuttable(true).await;
    let world = &cuttable.world;
    let (job, lease) = world.stores.running().await;
    world.stores.post(&job).await;
    world.polled(job.id, job.revision).await;
    world.stores.end(&lease, JobStatus::Completed).await;
    let unknown = world.stores.queued().await;
    cuttable.cut_nats().await;
    cuttable.postgres.cut().await;
    let answer = world.poll(unknown.id).await;
    let detail = answer.problem(503, "unavailable");
    assert!(detail.contains("Try again"), "{detail}");
    assert_eq!(world.poll(job.id).await.ok(200)["revision"], job.revision);
    cuttable.postgres.restore().await.unwrap();
    world.polled(unknown.id, unknown.revision).await;
}

#[tokio::test]
async fn while_postgres_is_away_nobody_gets_an_older_answer_than_another_replica_gave() {
    let cuttable = cuttable(true).await;
    let (world, postgres) = (&cuttable.world, &cuttable.postgres);
    let (job, _) = world.stores.running().await;
    world.stores.post(&job).await;
    world.polled(job.id, job.revision).await;
    postgres.cut().await;
    let poll = |revision: u64| {
        let request = world.request(Method::GET, &format!("acme/sync/jobs/{}", job.id));
        Answer::to(request.header("if-none-match", format!("\"{revision}\"")))
    };
    poll(job.revision + 1).await.problem(503, "unavailable");
    assert_eq!(poll(job.revision).await.status, 304);
    assert_eq!(poll(job.revision - 1).await.ok(200)["revision"], job.revision);
}

#[tokio::test]
async fn when_postgres_swallows_everything_what_is_known_is_answered_after_a_moment() {
    let cuttable = cuttable(true).await;
    let (world, postgres) = (&cuttable.world, &cuttable.postgres);
    let (job, lease) = world.stores.running().await;
    // On no board: each answer is Postgres'.
    world.polled(job.id, job.revision).await;
    let mut stream =
        world.request(Method::GET, &format!("acme/sync/jobs/{}/events", job.id)).send().await.unwrap();
    stream.chunk().await.unwrap().expect("the job as it is");
    // A view that only lay in the bucket, so that it is not taken for fresh.
    postgres.half_open().await.unwrap();
    assert_eq!(
        world.poll(job.id).await.ok(200)["revision"],
        job.revision,
        "an older view is better than none"
    );
    // And a stream goes on with what the board says.
    let newer = world.stores.advance(&lease, 7).await;
    world.stores.post(&newer).await;
    let news = async {
        loop {
            let chunk = stream.chunk().await.unwrap().expect("the stream ended");
            if String::from_utf8_lossy(&chunk).contains(&format!("id: {}", newer.revision)) {
                return;
            }
        }
    };
    tokio::time::timeout(crate::fixture::PATIENCE, news).await.expect("the stream is deaf");
}
